using System.Net;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Discovery.Server;
using DatFs.Evidence;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>Servers that share one table, over a network in memory with a clock that only the test moves (discovery.md §7).</summary>
public sealed class GossipTests
{
    private static readonly byte[] s_secret = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2018, 1, 20, 0, 0, 0, TimeSpan.Zero));
    private readonly DatagramNetwork _network;
    private readonly Dictionary<int, (DiscoveryServer Server, IDatagramSocket Socket)> _servers = [];

    public GossipTests() => _network = new DatagramNetwork(_time);

    [Fact]
    public void A_record_announced_at_one_end_of_a_chain_is_told_at_the_other_at_once()
    {
        Start(1);
        Start(2, links: 1);
        Start(3, links: 2);
        Run(3);
        Announce(1, Name(1), 3282);
        Run(0.1);
        Peers(3, Name(1)).Should().Equal("203.0.113.1:3282");
        Neighbours(2).Should().HaveCount(2, "links work in both directions").And.OnlyContain(one => one.Copied);
    }

    [Fact]
    public void A_record_taken_back_at_one_server_is_gone_at_all()
    {
        Start(1);
        Start(2, links: 1);
        Start(3, links: 2);
        Run(3);
        Announce(1, Name(1), 3282);
        Run(0.1);
        Tell(1, Name(1), "unannounce=3282");
        Run(0.1);
        Peers(3, Name(1)).Should().BeEmpty();
    }

    [Fact]
    public void Subscribers_at_another_server_are_pushed_to()
    {
        Start(1);
        Start(2, links: 1);
        Run(3);
        Peers(2, Name(1)).Should().BeEmpty();
        Announce(1, Name(1), 3282);
        Run(0.1);
        _servers[2].Server.Counters.Pushed.Should().Be(1);
    }

    [Fact]
    public void A_server_that_restarts_empty_has_all_again_within_seconds()
    {
        Start(1);
        Start(2, links: 1);
        Run(3);
        for (int i = 0; i < 2000; i++) Announce(1, Name(i), 3282);
        Run(2);
        _servers[2].Server.Counters.Records.Should().Be(2000);
        Kill(2);
        Announce(1, Name(5000), 3282);
        Run(1);
        Start(2, links: 1);
        Run(3);
        _servers[2].Server.Counters.Records.Should().Be(2001);
        _servers[2].Server.Counters.Neighbours.Single().Copied.Should().BeTrue();
    }

    [Fact]
    public void Who_was_cut_off_is_told_what_it_missed_and_tells_what_others_missed()
    {
        Start(1);
        Start(2, links: 1);
        Start(3, links: 2);
        Run(3);
        _network.Loss = 1;
        Run(30);
        _network.Loss = 0;
        // The network heals; a chain needs two copies until its ends agree.
        Announce(1, Name(1), 1);
        Announce(3, Name(3), 3);
        Run(25);
        foreach (int at in new[] { 1, 2, 3 }) _servers[at].Server.Counters.Records.Should().Be(2, "server {0}", at);
    }

    [Fact]
    public void A_third_of_the_datagrams_may_get_lost()
    {
        Start(1);
        Start(2, links: 1);
        Run(3);
        for (int i = 0; i < 500; i++) Announce(1, Name(i), 3282);
        _network.Loss = 0.3;
        Run(20);
        _servers[2].Server.Counters.Records.Should().Be(500);
        Kill(2);
        Start(2, links: 1);
        Run(60);
        _servers[2].Server.Counters.Records.Should().Be(500);
    }

    [Fact]
    public void Records_that_clients_keep_alive_live_at_all_servers_and_others_die_at_all()
    {
        Start(1);
        Start(2, links: 1);
        Run(3);
        Announce(1, Name(1), 1);
        Announce(1, Name(2), 2);
        long before = 0;
        for (int minute = 0; minute < 45; minute++)
        {
            Run(60, step: 0.1);
            Announce(1, Name(1), 1);
            if (minute == 4) before = _servers[1].Server.Counters.Neighbours.Single().Sent;
        }

        Run(1);
        Peers(2, Name(1)).Should().ContainSingle();
        Peers(2, Name(2)).Should().BeEmpty();
        (_servers[1].Server.Counters.Neighbours.Single().Sent - before).Should().BeInRange(3, 6, "a refreshed record is told every ten minutes, not every minute");
    }

    [Fact]
    public void Other_secrets_wrong_clocks_and_rubbish_are_refused()
    {
        Start(1);
        IDatagramSocket stranger = _network.Bind("198.51.100.66:5300");
        int heard = 0;
        stranger.Receive((_, _) => heard++);
        GossipMessage message = new(GossipKind.Records, 7, 1, 0, [(new NamedEntry(default, new Ipv4Peer(1, 1), (int)_time.GetUtcNow().ToUnixTimeSeconds(), 0), false)]);
        byte[] right = GossipCodec.Write(message, _time.GetUtcNow(), s_secret);
        List<byte[]> wrong =
        [
            GossipCodec.Write(message, _time.GetUtcNow(), new byte[32]),
            GossipCodec.Write(message, _time.GetUtcNow() + TimeSpan.FromMinutes(6), s_secret),
            GossipCodec.Write(message, _time.GetUtcNow() - TimeSpan.FromMinutes(6), s_secret),
            GossipCodec.Write(message with { Kind = (GossipKind)99 }, _time.GetUtcNow(), s_secret),
            right[..^1],
            "datG"u8.ToArray(),
        ];
        for (int i = 4; i < right.Length; i++)
        {
            byte[] changed = [.. right];
            changed[i] ^= 1;
            wrong.Add(changed);
        }

        foreach (byte[] bytes in wrong) stranger.Send(bytes, At(1));
        Run(0.5);
        _servers[1].Server.Counters.Should().Match<ServerCounters>(c => c.Records == 0 && c.GossipRefused == wrong.Count);
        stranger.Send(right, At(1));
        Run(0.1);
        _servers[1].Server.Counters.Records.Should().Be(1);
        heard.Should().BePositive();
    }

    [Fact]
    public void Strangers_that_know_the_secret_are_bounded_and_forgotten_when_silent()
    {
        Start(1);
        for (int i = 0; i < Gossip.MaxNeighbours + 10; i++)
            _network.Bind($"198.51.100.{100 + i}:5300").Send(GossipCodec.Write(new GossipMessage(GossipKind.Hello, (ulong)i, 0, 0, []), _time.GetUtcNow(), s_secret), At(1));
        Run(0.2);
        _servers[1].Server.Counters.Neighbours.Should().HaveCount(Gossip.MaxNeighbours);
        Run(70);
        _servers[1].Server.Counters.Neighbours.Should().BeEmpty();
    }

    [Fact]
    public void A_server_told_to_share_with_itself_does_not()
    {
        Start(1, links: 1);
        Run(10);
        _servers[1].Server.Counters.Neighbours.Should().ContainSingle().Which.Heard.Should().BeNull();
    }

    private static string Name(int number) => $"{number:d40}.dat.local";

    private static IPEndPoint At(int server) => new(IPAddress.Parse($"198.51.100.{server}"), 5300);

    private IReadOnlyList<NeighbourStatus> Neighbours(int server) => _servers[server].Server.Counters.Neighbours;

    private void Start(int number, params int[] links)
    {
        IDatagramSocket socket = _network.Bind(At(number).ToString());
        _servers[number] = (new DiscoveryServer([socket], new DiscoveryServerOptions
        {
            Time = _time,
            Random = new Random(number).NextDouble,
            Rate = new MessageRate(1_000_000, 1),
            PerAddress = new AddressLimits(5, 100_000),
            Gossip = new GossipOptions(s_secret, [.. links.Select(At)]),
        }), socket);
    }

    private void Kill(int number)
    {
        _servers[number].Socket.DisposeAsync().AsTask().IsCompleted.Should().BeTrue();
        _servers[number].Server.DisposeAsync().AsTask().IsCompleted.Should().BeTrue();
    }

    private void Announce(int server, string name, int port) => Tell(server, name, $"announce={port}");

    private IEnumerable<string> Peers(int server, string name) => Tell(server, name, "subscribe=true")?.Peers.Select(p => p.ToString()) ?? [];

    /// <summary>Sends what a client of one server, each time a new one, sends with its token.</summary>
    private DnsText? Tell(int server, string name, string what)
    {
        IDatagramSocket socket = _network.Bind($"203.0.113.{server}:4000");
        DnsText? reply = null;
        socket.Receive((datagram, from) =>
        {
            if (DnsMessage.TryDecode(datagram, out DnsMessage message) && message.IsResponse) reply = message.Answers[0] as DnsText;
            else socket.Send([datagram[0], datagram[1], 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0], from);
        });
        double loss = _network.Loss;
        _network.Loss = 0;
        socket.Send(new DnsMessage { Id = 1, Questions = [new DnsQuestion(name, DnsType.Txt)] }.ToBytes(), At(server));
        Run(0.01, 0.005);
        string token = reply!["token"]!;
        socket.Send(new DnsMessage { Id = 2, Questions = [new DnsQuestion(name, DnsType.Txt)], Additionals = [new DnsText(name, ["token=" + token, what])] }.ToBytes(), At(server));
        Run(0.01, 0.005);
        socket.DisposeAsync().AsTask().IsCompleted.Should().BeTrue();
        _network.Loss = loss;
        return reply;
    }

    private void Run(double seconds, double step = 0.005)
    {
        for (double at = 0; at < seconds; at += step) _time.Advance(TimeSpan.FromSeconds(step));
    }
}
