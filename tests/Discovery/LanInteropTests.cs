using System.Globalization;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Discovery;

/// <summary>The program and real peers on two machines of one cable, with multicast as the only way to find each other (discovery.md §4).</summary>
public sealed class LanInteropTests : IAsyncLifetime
{
    private const string Here = "10.77.0.1";
    private const string There = "10.77.0.2";

    private readonly TempFolder _owner = TempFolder.Create("lan-owner"), _reader = TempFolder.Create("lan-reader");
    private readonly string _key = Vectors.Json("hyperdrive/basic/manifest.json").GetProperty("key").GetString()!;
    private NetworkNamespace _here = null!;
    private NetworkNamespace _there = null!;

    public async ValueTask InitializeAsync()
    {
        (_here, _there) = (await NetworkNamespace.CreateAsync(), await NetworkNamespace.CreateAsync());
        await NetworkNamespace.LinkAsync(_here, Here + "/24", _there, There + "/24");
    }

    public async ValueTask DisposeAsync()
    {
        await _here.DisposeAsync();
        await _there.DisposeAsync();
        _owner.Dispose();
        _reader.Dispose();
    }

    [Fact]
    public async Task Two_of_us_find_each_other_without_any_server()
    {
        await using Datmount share = await ShareAsync(_here);
        await using Datmount export = Datmount.Start(_there, _reader, null, ["export", "dat://" + _key, _reader.File("out"), "--discovery", "lan"]);
        (await export.ExitAsync()).Should().Be(0, "{0}", export.Errors);
        Directory.GetFileSystemEntries(_reader.File("out")).Should().NotBeEmpty();
    }

    [Fact]
    public async Task Discovery_swarm_finds_us_and_is_found_by_us()
    {
        await using SwarmPeer node = await SwarmPeer.StartInAsync(_there);
        FeedKey.TryParseHex(_key, out FeedKey key).Should().BeTrue();
        string topic = key.ToDiscoveryKey().ToHex();
        await node.JoinAsync(topic);
        await using Datmount share = await ShareAsync(_here);
        int port = int.Parse((await share.LineAsync("sharing")).Split(':')[^1], CultureInfo.InvariantCulture);

        // Whoever joins asks: we have heard of it by now, it hears of us when it asks the next time.
        await node.LeaveAsync(topic);
        await node.JoinAsync(topic);
        await node.HeardOfAsync(topic, Here, port);

        JsonElement source = await UntilAsync(report => report.GetProperty("addresses").EnumerateArray().Any(dial => dial.GetProperty("address").GetString() == $"{There}:{node.Port}"));
        source.GetProperty("sources").EnumerateArray().Single(one => one.GetProperty("kind").GetString() == "lan").GetProperty("health").GetString().Should().Be("up");
    }

    [Fact]
    public async Task The_dat_tool_shares_and_we_find_it()
    {
        string folder = _owner.Folder("files");
        File.WriteAllText(Path.Combine(folder, "hello.txt"), "found on the wire\n");
        await using DatTool dat = await DatTool.ShareInAsync(_there, folder, _owner.File("home"));
        await using Datmount export = Datmount.Start(_here, _reader, null, ["export", "dat://" + dat.Key, _reader.File("out"), "--discovery", "lan"]);
        (await export.ExitAsync()).Should().Be(0, "{0}", export.Errors);
        File.ReadAllText(_reader.File("out/hello.txt")).Should().Be("found on the wire\n");
    }

    [Fact]
    public async Task The_dat_tool_clones_what_we_share()
    {
        await using Datmount share = await ShareAsync(_here, "hyperdrive/dat-archival/folder");
        string key = (await share.LineAsync("sharing")).Split("dat://")[1][..64];
        await DatTool.CloneInAsync(_there, key, _reader.File("clone"), _reader.File("home"));
        await Datmount.RunAsync(_reader, "export", Vectors.PathOf("hyperdrive/dat-archival/folder"), _reader.File("out"), "--offline");
        FilesIn(_reader.File("clone")).Should().NotBeEmpty().And.BeEquivalentTo(FilesIn(_reader.File("out")));
    }

    [Fact]
    public async Task Without_a_way_for_multicast_the_others_are_asked_as_before()
    {
        await using NetworkNamespace alone = await NetworkNamespace.CreateAsync();
        await using Datmount doctor = Datmount.Start(alone, _reader, null, ["doctor", "--discovery", "lan,dns", "--server", "127.0.0.1:9", "--json"]);
        await doctor.ExitAsync();
        JsonElement[] sources = [.. JsonDocument.Parse(doctor.Output).RootElement.GetProperty("sources").EnumerateArray()];
        sources.Select(source => source.GetProperty("name").GetString()).Should().Equal("lan", "dns 127.0.0.1:9");
        sources[1].GetProperty("problem").GetString().Should().NotBeNullOrEmpty();
        sources[1].GetProperty("remedy").GetString().Should().Contain("127.0.0.1:9");
    }

    // The tool ends when all blocks are here; an empty file has none, and may not be made by then.
    private static Dictionary<string, string> FilesIn(string folder) => Directory.GetFiles(folder, "*", SearchOption.AllDirectories)
        .Where(file => !file.Contains("/.dat/", StringComparison.Ordinal) && new FileInfo(file).Length > 0).ToDictionary(file => Path.GetRelativePath(folder, file), Sha256Of.File);

    private async Task<Datmount> ShareAsync(NetworkNamespace network, string archive = "hyperdrive/basic/archive")
    {
        string folder = _owner.Folder("drive");
        CopyFolder(Vectors.PathOf(archive), folder);
        Datmount share = Datmount.Start(network, _owner, null, ["share", folder, "--discovery", "lan"]);
        await share.LoggedAsync(TimeSpan.FromSeconds(30), "Listening on");
        return share;
    }

    /// <summary>What the sharing process says of itself, once it says what is waited for.</summary>
    private async Task<JsonElement> UntilAsync(Func<JsonElement, bool> there)
    {
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(30));
        while (true)
        {
            (_, string output, _) = await Datmount.RunAsync(_owner, "status", "--json");
            JsonElement report = JsonDocument.Parse(output).RootElement[0];
            if (there(report)) return report;
            patience.Token.ThrowIfCancellationRequested();
        }
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string folder in Directory.GetDirectories(from)) CopyFolder(folder, Path.Combine(to, Path.GetFileName(folder)));
        foreach (string file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }
}
