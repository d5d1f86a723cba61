using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Discovery;

/// <summary>The program finds its peers through one source alone, says how each fares, and takes what its configuration says.</summary>
public sealed class FindingPeersTests : IDisposable
{
    private readonly TempFolder _owner = TempFolder.Create("finding-owner"), _reader = TempFolder.Create("finding-reader"), _server = TempFolder.Create("finding-server");
    private readonly string _key = Vectors.Json("hyperdrive/basic/manifest.json").GetProperty("key").GetString()!;

    public void Dispose()
    {
        _owner.Dispose();
        _reader.Dispose();
        _server.Dispose();
    }

    [Fact]
    public async Task A_discovery_server_alone_is_enough()
    {
        await using Datmount server = Datmount.Start(_server, "discovery-server", "--listen", "127.0.0.1:0");
        string address = (await server.LineAsync("discovery server on udp")).Split(' ')[^1];
        await using Datmount share = Share("--discovery", "dns", "--server", address);
        await share.LineAsync("sharing");
        await ExportAsync("--discovery", "dns", "--server", "127.0.0.1:9", "--server", address);

        JsonElement report = await UntilAsync(_owner, one => one.GetProperty("sources").EnumerateArray().Any(source => source.GetProperty("announced").GetBoolean()));
        JsonElement dns = report.GetProperty("sources").EnumerateArray().Single(source => source.GetProperty("kind").GetString() == "dns");
        (dns.GetProperty("health").GetString(), dns.GetProperty("name").GetString()).Should().Be(("up", "dns " + address));
        dns.GetProperty("roundTrip").GetDouble().Should().BePositive();
    }

    /// <summary>20 January 2018, with the kernel's sockets: one of two servers takes everything and says nothing.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_black_hole_beside_the_server_that_lives_stops_nothing(bool first)
    {
        using UdpClient hole = new(new IPEndPoint(IPAddress.Loopback, 0));
        string swallowed = hole.Client.LocalEndPoint!.ToString()!;
        await using Datmount server = Datmount.Start(_server, "discovery-server", "--listen", "127.0.0.1:0");
        string address = (await server.LineAsync("discovery server on udp")).Split(' ')[^1];
        string[] servers = first ? ["--server", swallowed, "--server", address] : ["--server", address, "--server", swallowed];
        await using Datmount share = Share(["--discovery", "dns", .. servers]);
        await share.LineAsync("sharing");
        await ExportAsync(["--discovery", "dns", .. servers]);

        JsonElement report = await UntilAsync(_owner, one => one.GetProperty("sources").EnumerateArray().Any(source => source.GetProperty("problem").ValueKind == JsonValueKind.String));
        JsonElement[] sources = [.. report.GetProperty("sources").EnumerateArray().Where(source => source.GetProperty("kind").GetString() == "dns")];
        sources.Single(source => source.GetProperty("name").GetString() == "dns " + swallowed).GetProperty("remedy").GetString().Should().Contain(swallowed);
        sources.Single(source => source.GetProperty("name").GetString() == "dns " + address).GetProperty("announced").GetBoolean().Should().BeTrue();
    }

    [Fact]
    public async Task The_mainline_network_alone_is_enough()
    {
        await using DhtPeer first = await DhtPeer.StartAsync(), second = await DhtPeer.StartAsync(first.Address);
        foreach (TempFolder home in (TempFolder[])[_owner, _reader])
            File.WriteAllText(home.File("own.json"), $$"""{ "discovery": { "sources": ["dht"], "bootstrap": ["{{first.Address}}"] } }""");
        await using Datmount share = Share("--config", _owner.File("own.json"));
        await share.LineAsync("sharing");
        await UntilAsync(_owner, one => one.GetProperty("sources").EnumerateArray().Any(source => source.GetProperty("name").GetString() == "dht" && source.GetProperty("announced").GetBoolean()));
        await ExportAsync("--config", _reader.File("own.json"));
    }

    [Fact]
    public async Task The_address_of_last_time_is_enough_when_every_server_is_gone()
    {
        string listening;
        await using (Datmount server = Datmount.Start(_server, "discovery-server", "--listen", "127.0.0.1:0"))
        {
            string address = (await server.LineAsync("discovery server on udp")).Split(' ')[^1];
            await using Datmount first = Share("--discovery", "dns", "--server", address);
            listening = (await first.LineAsync("sharing")).Split(' ')[^1];
            // Long enough to be worth remembering: until the reader has been seen as a peer that stays.
            await using Datmount reader = Datmount.Start(_reader, "share", "dat://" + _key, "--discovery", "dns", "--server", address, "--listen", "127.0.0.1:0");
            await UntilAsync(_owner, one => one.GetProperty("peers").GetArrayLength() > 0);
            await FileAsync(Path.Combine(_reader.File("data/datmount"), DiscoveryKeyHex, "peers.json"));
        }

        await using Datmount share = Share("--listen", listening);
        await share.LineAsync("sharing");
        await ExportAsync("--discovery", "dns", "--server", "127.0.0.1:9");
    }

    [Fact]
    public async Task Peers_shows_sources_and_addresses_and_takes_one_more()
    {
        await using Datmount share = Share("--listen", "127.0.0.1:0");
        string address = (await share.LineAsync("sharing")).Split(' ')[^1];
        await using Datmount reader = Datmount.Start(_reader, "share", "dat://" + _key, "--discovery", "dns", "--server", "127.0.0.1:9", "--peer", "127.0.0.1:10", "--listen", "127.0.0.1:0");
        await reader.LineAsync("sharing");
        await UntilAsync(_reader, one => one.GetProperty("addresses").EnumerateArray().Any(dial => dial.GetProperty("lastError").GetString() is not null));

        (int code, string text, _) = await Datmount.RunAsync(_reader, "peers");
        code.Should().Be(0);
        text.Should().Contain("nobody is connected").And.Contain("dns 127.0.0.1:9").And.Contain("127.0.0.1:10").And.Contain("refused").And.Contain("announced at 0 of 1 servers").And.NotContain(_key);

        (await Datmount.RunAsync(_reader, "peers", "add", DiscoveryKeyHex[..8], address)).Code.Should().Be(0);
        JsonElement report = await UntilAsync(_reader, one => one.GetProperty("peers").GetArrayLength() == 1);
        report.GetProperty("addresses").EnumerateArray().Single(dial => dial.GetProperty("address").GetString() == address).GetProperty("namedBy")[0].GetString().Should().Be("static");
        (await Datmount.RunAsync(_reader, "peers", "add", "ffff", address)).Code.Should().Be(3);
    }

    [Fact]
    public async Task The_doctor_names_what_is_wrong_and_what_to_do()
    {
        (int code, string text, _) = await Datmount.RunAsync(_reader, "doctor", "--discovery", "dns", "--server", "127.0.0.1:9", "--listen", "127.0.0.1:0");
        code.Should().Be(1, "no source answers, and none could");
        text.Should().Contain("storage").And.Contain("dns 127.0.0.1:9").And.Contain("discovery-server");

        await using Datmount server = Datmount.Start(_server, "discovery-server", "--listen", "127.0.0.1:0");
        string address = (await server.LineAsync("discovery server on udp")).Split(' ')[^1];
        (_, string json, _) = await Datmount.RunAsync(_reader, "doctor", "--discovery", "dns", "--server", address, "--listen", "127.0.0.1:0", "--json");
        JsonElement report = JsonDocument.Parse(json).RootElement;
        report.GetProperty("checks").EnumerateArray().Single(check => check.GetProperty("what").GetString() == "network").GetProperty("state").GetString().Should().Be("ok");
    }

    [Fact]
    public async Task The_configuration_names_servers_and_sources()
    {
        await using Datmount server = Datmount.Start(_server, "discovery-server", "--listen", "127.0.0.1:0");
        string address = (await server.LineAsync("discovery server on udp")).Split(' ')[^1];
        string file = _reader.File("own.json");
        File.WriteAllText(file, $$"""{ /* ours */ "discovery": { "sources": ["dns"], "servers": ["{{address}}"], } }""");
        await using Datmount share = Share("--discovery", "dns", "--server", address);
        await share.LineAsync("sharing");
        await ExportAsync("--config", file);
    }

    [Theory]
    [InlineData("{", "cannot be understood")]
    [InlineData("""{ "discovery": { "sorces": [] } }""", "sorces")]
    [InlineData("""{ "discovery": { "sources": ["wifi"] } }""", "lan, dns, dht")]
    [InlineData("""{ "discovery": { "servers": ["a b"] } }""", "a b")]
    [InlineData("""{ "discovery": { "bootstrap": ["nowhere"] } }""", "nowhere")]
    [InlineData("""{ "discovery": { "domain": "one.two.three" } }""", "two labels")]
    public async Task A_configuration_that_is_wrong_is_refused_and_says_where(string text, string part)
    {
        string file = _reader.File("own.json");
        File.WriteAllText(file, text);
        (int code, _, string errors) = await Datmount.RunAsync(_reader, "doctor", "--config", file);
        (code, errors.Contains(part, StringComparison.Ordinal), errors.Contains(file, StringComparison.Ordinal)).Should().Be((2, true, true), "{0}", errors);
    }

    [Fact]
    public async Task A_source_that_there_is_not_is_refused()
    {
        (int code, _, string errors) = await Datmount.RunAsync(_reader, "export", _key, _reader.File("out"), "--discovery", "lan,wifi");
        (code, errors).Should().Be((2, "datmount: --discovery takes some of lan, dns, dht, separated by commas"));
        (await Datmount.RunAsync(_reader, "doctor", "--config", _reader.File("none.json"))).Code.Should().Be(3);
        (await Datmount.RunAsync(_reader, "doctor", "--discovery", "lan", "--no-discovery")).Code.Should().Be(2);
    }

    private string DiscoveryKeyHex => DatFs.Crypto.FeedKey.TryParseHex(_key, out DatFs.Crypto.FeedKey key) ? key.ToDiscoveryKey().ToHex() : throw new FormatException();

    private Datmount Share(params string[] options)
    {
        string folder = _owner.File("drive");
        if (!Directory.Exists(folder)) CopyFolder(Vectors.PathOf("hyperdrive/basic/archive"), folder);
        return Datmount.Start(_owner, ["share", folder, .. options.Contains("--listen") ? options : [.. options, "--listen", "127.0.0.1:0"]]);
    }

    private async Task ExportAsync(params string[] options)
    {
        (int code, _, string errors) = await Datmount.RunAsync(_reader, ["export", "dat://" + _key, _reader.File("out"), "--listen", "127.0.0.1:0", .. options]);
        code.Should().Be(0, "{0}", errors);
        Directory.GetFileSystemEntries(_reader.File("out")).Should().NotBeEmpty();
    }

    private static async Task<JsonElement> UntilAsync(TempFolder home, Func<JsonElement, bool> there)
    {
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(30));
        while (true)
        {
            (_, string output, _) = await Datmount.RunAsync(home, "status", "--json");
            JsonElement[] reports = [.. JsonDocument.Parse(output).RootElement.EnumerateArray()];
            if (reports.Length > 0 && there(reports[0])) return reports[0];
            patience.Token.ThrowIfCancellationRequested();
        }
    }

    private static async Task FileAsync(string path)
    {
        using FileSystemWatcher watcher = new(Path.GetDirectoryName(path)!, Path.GetFileName(path)) { EnableRaisingEvents = true };
        TaskCompletionSource made = new(TaskCreationOptions.RunContinuationsAsynchronously);
        watcher.Created += (_, _) => made.TrySetResult();
        watcher.Renamed += (_, _) => made.TrySetResult();
        if (File.Exists(path)) return;
        await made.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string folder in Directory.GetDirectories(from)) CopyFolder(folder, Path.Combine(to, Path.GetFileName(folder)));
        foreach (string file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }
}
