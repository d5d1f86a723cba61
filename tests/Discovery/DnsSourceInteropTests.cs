using System.Collections.Concurrent;
using System.Net;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Discovery.Server;
using FluentAssertions;
using Xunit;
using static DatMount.Discovery.OurServer;

namespace DatMount.Discovery;

/// <summary>Our source and the real server, and real clients beside it (discovery.md §5).</summary>
public sealed class DnsSourceInteropTests : IAsyncDisposable
{
    private readonly UdpDatagramSocket _socket = UdpDatagramSocket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
    private readonly SharedPort _port;
    private readonly DnsClient _client;
    private readonly ConcurrentQueue<PeerSighting> _found = [];
    private readonly string _name;
    private readonly SwarmTopic _topic;

    public DnsSourceInteropTests()
    {
        _port = new SharedPort(_socket);
        _client = new DnsClient(_port.Dns, TimeProvider.System, Random.Shared.NextDouble);
        (string key, _name) = NewName();
        DiscoveryKey.TryParseHex(key, out DiscoveryKey discoveryKey).Should().BeTrue();
        _topic = new SwarmTopic(discoveryKey);
    }

    public ValueTask DisposeAsync() => _port.DisposeAsync();

    [Fact]
    public async Task We_find_and_are_found_by_real_clients_at_the_real_server()
    {
        (DnsPeer server, string address) = await DnsPeer.ServeAsync();
        await using DnsPeer _ = server, early = await DnsPeer.AskAsync(address), late = await DnsPeer.AskAsync(address);
        await early.AnnounceAsync(_name, 4001);
        await using DnsSource source = Source(address);
        await using (IPeerSearch search = source.Join(_topic, 4002, _found.Enqueue))
        {
            await UntilAsync(() => Found(4001) && search.Announced, "the one announced before us is found", 3);
            await early.HearAsync(_name, 4002);
            await late.AnnounceAsync(_name, 4003);
            await UntilAsync(() => Found(4003), "the one announced after us is pushed", 3);
            await late.HearAsync(_name, 4002);
        }

        await UntilAsync(() => _client.InFlight == 0, "the goodbye is answered");
        late.Forget();
        await late.LookupAsync(_name);
        await late.HearAsync(_name, 4001);
        (await Record.ExceptionAsync(() => late.HearAsync(_name, 4002).WaitAsync(TimeSpan.FromMilliseconds(200)))).Should().BeOfType<TimeoutException>();
    }

    [Fact]
    public async Task More_than_31_peers_at_the_real_server_are_all_found_and_we_are_announced()
    {
        (DnsPeer server, string address) = await DnsPeer.ServeAsync();
        await using DnsPeer _ = server;
        await server.FillAsync(_name, 60);
        await using DnsSource source = Source(address);
        await using IPeerSearch search = source.Join(_topic, 4002, _found.Enqueue);
        await UntilAsync(() => search.Named >= 60 && search.Announced, "all are named", 3);
        source.Status.Health.Should().Be(SourceHealth.Up);
    }

    [Fact]
    public async Task A_dead_server_beside_a_live_one_costs_nothing()
    {
        await using DiscoveryServer live = Start();
        using UdpBlackHole silent = new();
        await using DnsPeer other = await DnsPeer.AskAsync(live.Address());
        await other.AnnounceAsync(_name, 4001);
        await using DnsSource dead = Source(silent.Address), source = Source(live.Address());
        await using IPeerSearch vain = dead.Join(_topic, 4002, _found.Enqueue), search = source.Join(_topic, 4002, _found.Enqueue);
        await UntilAsync(() => Found(4001) && search.Announced, "the peer is found", 1);
        await other.HearAsync(_name, 4002);
        await UntilAsync(() => dead.Status.Problem is not null, "the dead one is told of", 6);
    }

    private bool Found(int port) => _found.Any(one => one.Address.Port == port && one.ToldPrivately);

    private DnsSource Source(string address)
    {
        DnsServerAddress.TryParse(address, out DnsServerAddress server).Should().BeTrue();
        return new DnsSource(_client, server, new DnsSourceOptions());
    }

    private sealed class UdpBlackHole : IDisposable
    {
        private readonly System.Net.Sockets.Socket _socket = new(System.Net.Sockets.AddressFamily.InterNetwork, System.Net.Sockets.SocketType.Dgram, System.Net.Sockets.ProtocolType.Udp);

        public UdpBlackHole() => _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

        public string Address => _socket.LocalEndPoint!.ToString()!;

        public void Dispose() => _socket.Dispose();
    }
}
