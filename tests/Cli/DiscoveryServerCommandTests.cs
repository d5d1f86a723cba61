using System.Net;
using System.Net.Sockets;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Cli;

public sealed class DiscoveryServerCommandTests : IDisposable
{
    /// <summary>The question for the server itself, as every client sends it first.</summary>
    private static readonly byte[] s_probe = Convert.FromHexString("a1ea0100000100000000000003646174056c6f63616c0000100001");

    private readonly TempFolder _home = TempFolder.Create("cli");

    public void Dispose() => _home.Dispose();

    [Fact]
    public async Task It_serves_shows_its_metrics_ends_in_order_and_goes_on_where_it_ended()
    {
        string first = await ServeAsync("127.0.0.1:0");
        // The token depends on a secret that is kept, and on nothing else that changes.
        (await ServeAsync("127.0.0.1:0")).Should().Be(first);
    }

    [Fact]
    public async Task Sharing_with_others_needs_a_secret_that_nobody_guesses()
    {
        (int code, _, string errors) = await Datmount.RunAsync(_home, "discovery-server", "--listen", "127.0.0.1:0", "--peer", "127.0.0.1:9");
        code.Should().Be(2);
        errors.Should().Contain("--secret-file");
        await File.WriteAllTextAsync(_home.File("secret"), "short\n");
        (code, _, errors) = await Datmount.RunAsync(_home, "discovery-server", "--listen", "127.0.0.1:0", "--peer", "127.0.0.1:9", "--secret-file", _home.File("secret"));
        code.Should().Be(2);
        errors.Should().Contain("16 bytes");
    }

    [Fact]
    public async Task An_address_in_use_is_code_4_and_names_the_way_out()
    {
        using UdpClient taken = new(new IPEndPoint(IPAddress.Loopback, 0));
        (int code, _, string errors) = await Datmount.RunAsync(_home, "discovery-server", "--listen", taken.Client.LocalEndPoint!.ToString()!);
        code.Should().Be(4);
        errors.Should().Contain("--listen");
    }

    private async Task<string> ServeAsync(string listen)
    {
        await using Datmount server = Datmount.Start(_home, "discovery-server", "--listen", listen, "--http", "127.0.0.1:0", "--state", _home.File("kept"));
        string at = (await server.LineAsync("discovery server on udp")).Split(' ')[^1];
        string metrics = (await server.LineAsync("metrics on")).Split(' ')[^1];
        using UdpClient client = new(new IPEndPoint(IPAddress.Loopback, 0));
        await client.SendAsync(s_probe, IPEndPoint.Parse(at));
        UdpReceiveResult reply = await client.ReceiveAsync().WaitAsync(TimeSpan.FromSeconds(20));
        string text = System.Text.Encoding.Latin1.GetString(reply.Buffer);
        using HttpClient http = new();
        (await http.GetStringAsync(metrics)).Should().Contain("datmount_discovery_probes_total 1\n").And.Contain("datmount_discovery_records 0\n");
        (await http.GetStringAsync(metrics.Replace("/metrics", "/health", StringComparison.Ordinal))).Should().Be("ok\n");
        server.Signal(15);
        (await server.ExitAsync()).Should().Be(0);
        return text[text.IndexOf("token=", StringComparison.Ordinal)..][..50];
    }
}
