using System.Globalization;
using System.Net;
using DatFs.Discovery;
using DatFs.Discovery.DhtRpc;
using DatFs.Discovery.Kademlia;
using DatFs.Evidence;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>A dht-rpc network in memory, with a clock that only the test moves (discovery.md §6.2).</summary>
public sealed class DhtRpcNodeTests
{
    private const string Bootstrap = "192.0.2.1:49737";

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2018, 1, 20, 0, 0, 0, TimeSpan.Zero));
    private readonly DatagramNetwork _network;
    private readonly Random _random = new(7);
    private readonly List<DhtRpcNode> _nodes = [];
    private readonly NodeId _target = new(1, 2, 3, 4);

    public DhtRpcNodeTests() => _network = new DatagramNetwork(_time);

    [Fact]
    public void What_one_node_announced_all_find_until_it_takes_it_back()
    {
        Grow(60);
        Change(_nodes[5], 3282, unannounce: false).Should().BeInRange(10, RoutingTable.BucketSize);
        Found(_nodes[50]).Should().Equal("192.0.2.6:3282");
        Found(_nodes[5]).Should().Equal("192.0.2.6:3282");
        Change(_nodes[5], 3282, unannounce: true);
        Found(_nodes[50]).Should().BeEmpty();
    }

    [Fact]
    public void Records_die_when_nobody_repeats_them()
    {
        Grow(10);
        Change(_nodes[5], 3282, unannounce: false);
        Run(11 * 60);
        Found(_nodes[2]).Should().Equal("192.0.2.6:3282");
        Run(2 * 60);
        Found(_nodes[2]).Should().BeEmpty();
    }

    [Fact]
    public void A_third_of_the_datagrams_lost_is_borne()
    {
        Grow(40);
        _network.Loss = 0.3;
        Change(_nodes[5], 3282, unannounce: false);
        Found(_nodes[30]).Should().Equal("192.0.2.6:3282");
    }

    [Fact]
    public void Local_peers_are_told_to_askers_in_the_same_network_only_and_nobody_is_told_of_himself()
    {
        Grow(1);
        Stranger a = new(this, "203.0.113.5:1000"), b = new(this, "203.0.113.6:1000");
        foreach (Stranger one in (Stranger[])[a, b]) one.BecomeKnown();
        Ipv4Peer at = Peer("192.168.1.5:3282");
        byte[] token = a.Ask(Query("peers", new PeersRequest(3282, at, false).ToBytes()))!.Token!;
        a.Ask(Query("peers", new PeersRequest(3282, at, false).ToBytes()) with { Kind = DhtRpcKind.Update, Token = token })!.Error.Should().BeNull();

        PeersAnswer Told(Stranger stranger, Ipv4Peer local)
        {
            PeersAnswer.TryDecode(stranger.Ask(Query("peers", new PeersRequest(3282, local, false).ToBytes()))!.Value, local, out PeersAnswer answer).Should().BeTrue();
            return answer;
        }

        Told(b, Peer("192.168.7.9:1234")).Should().Match<PeersAnswer>(answer => answer.Peers.Single() == Peer("203.0.113.5:3282") && answer.LocalPeers.Single() == at);
        Told(b, Peer("192.167.7.9:1234")).LocalPeers.Should().BeEmpty();
        Told(a, at).Should().Match<PeersAnswer>(answer => answer.Peers.Count == 0 && answer.LocalPeers.Count == 0);
    }

    [Fact]
    public void An_update_without_the_token_given_to_its_address_is_ignored()
    {
        Grow(1);
        Stranger owner = new(this, "203.0.113.5:1000"), thief = new(this, "203.0.113.6:1000");
        byte[] token = owner.Ask(Query("peers", []))!.Token!;
        DhtRpcMessage update = Query("peers", new PeersRequest(3282, null, false).ToBytes()) with { Kind = DhtRpcKind.Update };
        foreach (byte[]? wrong in (byte[]?[])[null, [], new byte[32], token]) thief.Ask(update with { Token = wrong }).Should().BeNull();
        _nodes[0].Records.Should().Be(0);
        owner.Ask(update with { Token = token }).Should().NotBeNull();
        _nodes[0].Records.Should().Be(1);
        Run(11 * 60);
        owner.Ask(update with { Token = token }).Should().BeNull("its secret was changed twice since");
    }

    [Fact]
    public void Unknown_commands_are_answered_as_the_reference_does()
    {
        Grow(3);
        Run(5);
        Stranger asker = new(this, "203.0.113.5:1000");
        DhtRpcMessage answer = asker.Ask(Query("sing", [1]))!;
        (answer.Error, answer.Token, answer.Value).Should().Be(("Unsupported command", null, null));
        answer.Closer.Should().NotBeEmpty();
        asker.Ask(Query("sing", [1]) with { Target = null }).Should().BeNull();
    }

    [Fact]
    public void A_ping_tells_the_asker_where_he_is_and_one_meant_for_another_node_is_not_answered()
    {
        Grow(1);
        Stranger asker = new(this, "203.0.113.5:1000");
        DhtRpcMessage ping = new() { Kind = DhtRpcKind.Query, Request = 1, Command = "_ping" };
        asker.Ask(ping)!.To.Should().Be(Peer("203.0.113.5:1000"));
        asker.Ask(ping with { Value = new byte[32] }).Should().BeNull();
    }

    [Fact]
    public void Answers_to_an_address_that_may_be_forged_are_not_much_longer_than_the_question()
    {
        Grow(60);
        Run(30);
        foreach (DhtRpcMessage question in (DhtRpcMessage[])
            [
                Query("peers", []), Query("_find_node", null) with { Command = "_find_node" }, Query("sing", null),
                new DhtRpcMessage { Kind = DhtRpcKind.Query, Request = 1, Command = "_ping" },
            ])
        {
            List<int> answers = [];
            IDatagramSocket stranger = _network.Bind($"203.0.113.{100 + question.Command!.Length}:6881");
            stranger.Receive((datagram, _) => answers.Add(DhtRpcMessage.TryDecode(datagram, out DhtRpcMessage message) && message.Kind == DhtRpcKind.Response ? datagram.Length : 0));
            stranger.Send(question.ToBytes(), _nodes[0].Local);
            Run(0.1);
            answers.Max().Should().BeInRange(1, DhtRpcNode.MaxGain * question.ToBytes().Length, "{0}", question.Command);
            stranger.DisposeAsync().AsTask().IsCompleted.Should().BeTrue();
        }
    }

    [Fact]
    public void A_flood_of_questions_is_answered_up_to_the_rate()
    {
        Grow(2);
        Run(1);
        IDatagramSocket stranger = _network.Bind("203.0.113.77:6881");
        int answered = 0;
        stranger.Receive((datagram, _) => answered += DhtRpcMessage.TryDecode(datagram, out DhtRpcMessage message) && message.Kind == DhtRpcKind.Response ? 1 : 0);
        for (int i = 0; i < 5000; i++) stranger.Send(Query("peers", []).ToBytes(), _nodes[0].Local);
        Run(0.1);
        answered.Should().BeInRange(50, new DhtRpcNodeOptions().Rate.Burst + 10);
    }

    [Fact]
    public void Holes_are_punched_between_known_nodes_and_for_nobody_else()
    {
        Grow(1);
        Stranger a = new(this, "203.0.113.5:1000"), b = new(this, "203.0.113.6:1000"), victim = new(this, "203.0.113.7:1000");
        a.BecomeKnown();
        DhtRpcMessage punch = new() { Kind = DhtRpcKind.Query, Request = 1, Command = "_holepunch", Value = new HolepunchValue(null, b.Peer).ToBytes() };
        a.Ask(punch).Should().BeNull();
        b.Received.Should().BeEmpty("nothing was heard of it yet");
        b.BecomeKnown();
        a.Ask(punch).Should().BeNull();
        DhtRpcMessage told = b.Received.Last();
        HolepunchValue.TryDecode(told.Value, out HolepunchValue from).Should().BeTrue();
        (told.Kind, told.Command, from.From).Should().Be((DhtRpcKind.Query, "_holepunch", a.Peer));

        // And when it is we who are told: the other node is answered, if we know it.
        a.Ask(punch with { Value = new HolepunchValue(b.Peer, null).ToBytes() });
        b.Received.Last().Kind.Should().Be(DhtRpcKind.Response);
        a.Ask(punch with { Value = new HolepunchValue(victim.Peer, null).ToBytes() });
        a.Ask(punch with { Value = new HolepunchValue(null, victim.Peer).ToBytes() });
        victim.Received.Should().BeEmpty();
        a.Ask(punch with { Value = null })!.Kind.Should().Be(DhtRpcKind.Response);
    }

    [Fact]
    public void Nodes_too_old_to_say_their_version_are_clients()
    {
        Grow(1);
        Stranger old = new(this, "203.0.113.5:1000");
        old.Ask(Query("peers", []) with { Id = new NodeId(9, 9, 9, 9), Version = 0 }).Should().NotBeNull();
        Run(5);
        _nodes[0].Overlay.Table.Count.Should().Be(0);
    }

    private DhtRpcMessage Query(string command, byte[]? value) => new() { Kind = DhtRpcKind.Query, Request = 1, Command = command, Target = _target, Value = value };

    private void Grow(int count)
    {
        for (int i = 0; i < count; i++)
        {
            string address = string.Create(CultureInfo.InvariantCulture, $"192.0.2.{_nodes.Count + 1}:49737");
            DhtRpcNode node = new(_network.Bind(address), new DhtRpcNodeOptions { World = World() });
            node.Begin(_nodes.Count == 0 ? [] : [Peer(Bootstrap)]);
            _nodes.Add(node);
        }

        Run(2);
    }

    /// <summary>Announces or takes back, and answers how many nodes took it.</summary>
    private int Change(DhtRpcNode node, int port, bool unannounce)
    {
        int taken = 0;
        node.FindPeers(_target, (_, _) => { }, walk =>
        {
            foreach (WalkNode near in walk.Closest) node.Announce(_target, port, unannounce, near, done => taken += done ? 1 : 0);
        });
        Run(15);
        return taken;
    }

    private IEnumerable<string> Found(DhtRpcNode node)
    {
        List<string> found = [];
        node.FindPeers(_target, (peer, _) => found.Add(peer.ToString()), _ => { });
        Run(10);
        return found.Distinct();
    }

    private OverlayOptions World() => new()
    {
        Time = _time,
        Random = _random.NextDouble,
        RandomBytes = count =>
        {
            byte[] bytes = new byte[count];
            _random.NextBytes(bytes);
            return bytes;
        },
    };

    private static Ipv4Peer Peer(string text) => Ipv4Peer.TryFrom(IPEndPoint.Parse(text), out Ipv4Peer peer) ? peer : throw new FormatException(text);

    private void Run(double seconds)
    {
        double step = seconds > 60 ? 0.1 : 0.005;
        for (double left = seconds; left > 0.0001; left -= step) _time.Advance(TimeSpan.FromSeconds(step));
    }

    /// <summary>Somebody who talks to the first node in messages of his own making.</summary>
    private sealed class Stranger
    {
        private readonly DhtRpcNodeTests _test;
        private readonly IDatagramSocket _socket;
        private bool _answersPings;

        public Stranger(DhtRpcNodeTests test, string at)
        {
            (_test, Peer) = (test, DhtRpcNodeTests.Peer(at));
            _socket = test._network.Bind(at);
            _socket.Receive((datagram, from) =>
            {
                if (!DhtRpcMessage.TryDecode(datagram, out DhtRpcMessage message)) return;
                if (message.Command != "_ping") Received.Add(message);
                else if (_answersPings) _socket.Send(new DhtRpcMessage { Kind = DhtRpcKind.Response, Request = message.Request }.ToBytes(), from);
            });
        }

        public Ipv4Peer Peer { get; }

        public List<DhtRpcMessage> Received { get; } = [];

        /// <summary>Answers the ping by which the node finds out that the address is real.</summary>
        public void BecomeKnown()
        {
            _answersPings = true;
            Ask(_test.Query("_find_node", null));
            Received.Clear();
        }

        public DhtRpcMessage? Ask(DhtRpcMessage message)
        {
            int before = Received.Count;
            _socket.Send(message.ToBytes(), _test._nodes[0].Local);
            _test.Run(0.1);
            return Received.Skip(before).FirstOrDefault(answer => answer.Kind == DhtRpcKind.Response);
        }
    }
}
