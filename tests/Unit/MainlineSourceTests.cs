using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Discovery.Kademlia;
using DatFs.Discovery.Mainline;
using DatFs.Evidence;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>A mainline network in memory, with a clock that only the test moves (discovery.md §6.1, §10).</summary>
public sealed class MainlineSourceTests : IDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly DatagramNetwork _network;
    private readonly Random _random = new(5);
    private readonly List<MainlineNode> _nodes = [];
    private readonly List<PeerSighting> _found = [];
    private readonly TempFolder _state = TempFolder.Create("dht");
    private readonly SwarmTopic _topic = new(DiscoveryKey.From(SHA256.HashData([1])));

    public MainlineSourceTests() => _network = new DatagramNetwork(_time);

    public void Dispose() => _state.Dispose();

    [Fact]
    public async Task What_one_announces_another_finds_among_many_nodes()
    {
        Grow(60);
        await using MainlineSource one = Source("198.51.100.1:3282", Bootstrap), other = Source("198.51.100.2:3282", Bootstrap);
        await using IPeerSearch announced = one.Join(_topic, 4000, _ => { });
        Run(3);
        announced.Announced.Should().BeTrue();
        await using IPeerSearch search = other.Join(_topic, 0, _found.Add);
        Run(1);
        _found.Distinct().Should().Equal(new PeerSighting(IPEndPoint.Parse("198.51.100.1:4000"), ToldPrivately: false));
        (search.Named, other.Status.Health).Should().Be((1, SourceHealth.Up));
    }

    [Fact]
    public async Task Two_that_join_together_find_each_other_within_seconds()
    {
        Grow(30);
        List<PeerSighting> first = [];
        await using MainlineSource one = Source("198.51.100.1:3282", Bootstrap), other = Source("198.51.100.2:3282", Bootstrap);
        await using IPeerSearch a = one.Join(_topic, 4000, first.Add), b = other.Join(_topic, 4001, _found.Add);
        Run(5);
        (first.Any(s => s.Address.Port == 4001) && _found.Any(s => s.Address.Port == 4000)).Should().BeTrue();
    }

    [Fact]
    public async Task Nothing_is_sent_before_something_is_joined()
    {
        await using MainlineSource source = Source("198.51.100.1:3282", "198.51.100.9:6881");
        Run(60);
        _network.Sent.Should().BeEmpty();
        source.Status.Health.Should().Be(SourceHealth.Unknown);
    }

    [Fact]
    public async Task A_third_of_the_datagrams_lost_is_borne()
    {
        Grow(40);
        await using MainlineSource one = Source("198.51.100.1:3282", Bootstrap), other = Source("198.51.100.2:3282", Bootstrap);
        _network.Loss = 0.3;
        await using IPeerSearch announced = one.Join(_topic, 4000, _ => { });
        Run(12);
        await using IPeerSearch search = other.Join(_topic, 0, _found.Add);
        Run(10);
        _found.Should().Contain(new PeerSighting(IPEndPoint.Parse("198.51.100.1:4000"), ToldPrivately: false));
    }

    [Fact]
    public async Task When_nobody_answers_the_breaker_opens_and_the_status_says_what_to_do()
    {
        await using MainlineSource source = Source("198.51.100.1:3282", "198.51.100.9:6881");
        await using IPeerSearch search = source.Join(_topic, 4000, _found.Add);
        Run(20);
        source.Status.Should().Match<SourceStatus>(s => s.Health == SourceHealth.Down && s.Problem == "no node answers" && s.Remedy != null);
        int sent = _network.Sent.Count;
        Run(60);
        (_network.Sent.Count - sent).Should().BeLessThan(60, "it is asked seldom");
    }

    [Fact]
    public async Task A_network_that_comes_to_life_is_entered_by_itself()
    {
        await using MainlineSource source = Source("198.51.100.1:3282", Bootstrap);
        await using IPeerSearch search = source.Join(_topic, 4000, _found.Add);
        Run(20);
        Grow(10);
        source.Wake();
        Run(5);
        (source.Status.Health, search.Announced).Should().Be((SourceHealth.Up, true));
    }

    [Fact]
    public async Task A_resolver_that_hangs_is_given_up_and_asked_again()
    {
        Grow(10);
        TaskCompletionSource<IPAddress[]> hanging = new();
        bool hangs = true;
        await using MainlineSource source = new(_network.Bind("198.51.100.1:3282"), Options([$"boot.example:{IPEndPoint.Parse(Bootstrap).Port}"]) with
        {
            Resolver = (_, _) => hangs ? hanging.Task : Task.FromResult<IPAddress[]>([IPEndPoint.Parse(Bootstrap).Address]),
        });
        await using IPeerSearch search = source.Join(_topic, 4000, _found.Add);
        Run(2.5);
        await ReplicaNode.UntilAsync(() => source.Status.Problem?.Contains("boot.example", StringComparison.Ordinal) == true, "the name is given up");
        hangs = false;
        source.Wake();
        await ReplicaNode.UntilAsync(
            () =>
            {
                Run(0.1);
                return search.Announced;
            }, "the name is asked for again");
    }

    [Fact]
    public async Task Nodes_that_answered_are_kept_for_a_start_without_any_bootstrap()
    {
        Grow(20);
        await using (MainlineSource first = Source("198.51.100.1:3282", Bootstrap))
        {
            await using IPeerSearch search = first.Join(_topic, 4000, _ => { });
            Run(3);
        }

        File.ReadAllText(_state.File("nodes.json")).Should().Contain("192.0.2.");
        await using MainlineSource second = Source("198.51.100.3:3282");
        await using IPeerSearch again = second.Join(_topic, 0, _found.Add);
        Run(3);
        _found.Should().Contain(sighting => sighting.Address.Port == 4000);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("""{"nodes": null}""")]
    [InlineData("""{"nodes": ["nonsense", null, "192.0.2.1:0"]}""")]
    public async Task A_damaged_file_of_nodes_is_no_worse_than_none(string text)
    {
        File.WriteAllText(_state.File("nodes.json"), text);
        Grow(5);
        await using MainlineSource source = Source("198.51.100.1:3282", Bootstrap);
        await using IPeerSearch search = source.Join(_topic, 4000, _ => { });
        Run(3);
        search.Announced.Should().BeTrue();
    }

    [Fact]
    public async Task Liars_that_name_nearer_nodes_for_ever_end_a_walk_by_its_bounds()
    {
        IDatagramSocket liar = _network.Bind("192.0.2.200:6881");
        int made = 0;
        liar.Receive((datagram, from) =>
        {
            if (!KrpcMessage.TryDecode(datagram, out KrpcMessage query) || query.Kind != KrpcKind.Query) return;
            // Twenty nodes that nobody is, each nearer than the last.
            Contact[] nearer = [.. Enumerable.Range(0, 20).Select(i => new Contact(Near(made + i), new Ipv4Peer((203u << 24) + (uint)(++made), 6881)))];
            liar.Send(new KrpcMessage { Transaction = query.Transaction, Kind = KrpcKind.Response, Id = NodeId.Read(new byte[20]), Nodes = nearer, Token = [1] }.ToBytes(), from);
        });
        await using MainlineSource source = Source("198.51.100.1:3282", "192.0.2.200:6881");
        await using IPeerSearch search = source.Join(_topic, 4000, _found.Add);
        Run(30);
        _network.Sent.Select(sent => sent.To).Distinct().Count().Should().BeLessThan(10 * Walk.MaxAsked);
        source.Node.Overlay.InFlight.Should().BeLessThanOrEqualTo(Walk.MaxAsked);
    }

    [Fact]
    public async Task Private_addresses_named_by_strangers_are_neither_asked_nor_told()
    {
        IDatagramSocket liar = _network.Bind("192.0.2.200:6881");
        liar.Receive((datagram, from) =>
        {
            if (!KrpcMessage.TryDecode(datagram, out KrpcMessage query) || query.Kind != KrpcKind.Query) return;
            liar.Send(new KrpcMessage
            {
                Transaction = query.Transaction,
                Kind = KrpcKind.Response,
                Id = NodeId.Read(new byte[20]),
                Nodes = [new Contact(Near(1), Peer("10.0.0.1:22")), new Contact(Near(2), Peer("127.0.0.1:22")), new Contact(Near(3), Peer("0.0.0.0:1")), new Contact(Near(4), Peer("224.0.0.1:1"))],
                Values = [Peer("10.0.0.1:22"), Peer("127.0.0.1:22"), Peer("203.0.113.5:3282"), Peer("203.0.113.6:0")],
            }.ToBytes(), from);
        });
        await using MainlineSource source = Source("198.51.100.1:3282", "192.0.2.200:6881");
        await using IPeerSearch search = source.Join(_topic, 0, _found.Add);
        Run(5);
        _network.Sent.Where(sent => sent.From.ToString() == "198.51.100.1:3282").Select(sent => sent.To.ToString()).Distinct().Should().Equal("192.0.2.200:6881");
        _found.Distinct().Should().Equal(new PeerSighting(IPEndPoint.Parse("203.0.113.5:3282"), ToldPrivately: false));
    }

    [Fact]
    public void Answers_to_an_address_that_may_be_forged_are_not_much_longer_than_the_question()
    {
        Grow(60);
        Run(30);
        IDatagramSocket stranger = _network.Bind("203.0.113.77:6881");
        List<int> answers = [];
        stranger.Receive((datagram, _) => answers.Add(KrpcMessage.TryDecode(datagram, out KrpcMessage message) && message.Kind == KrpcKind.Response ? datagram.Length : 0));
        byte[] question = new KrpcMessage { Transaction = [1], Kind = KrpcKind.Query, Method = KrpcMethod.GetPeers, Id = Near(9), InfoHash = Near(8) }.ToBytes();
        stranger.Send(question, _nodes[0].Local);
        Run(0.1);
        answers.Max().Should().BeInRange(1, MainlineNode.MaxGain * question.Length);
    }

    [Fact]
    public void A_flood_of_questions_is_answered_up_to_the_rate()
    {
        Grow(2);
        Run(1);
        IDatagramSocket stranger = _network.Bind("203.0.113.77:6881");
        int answered = 0;
        stranger.Receive((datagram, _) => answered += KrpcMessage.TryDecode(datagram, out KrpcMessage message) && message.Kind != KrpcKind.Query ? 1 : 0);
        byte[] question = new KrpcMessage { Transaction = [1], Kind = KrpcKind.Query, Method = KrpcMethod.Ping, Id = Near(9) }.ToBytes();
        for (int i = 0; i < 5000; i++) stranger.Send(question, _nodes[0].Local);
        Run(0.1);
        answered.Should().BeInRange(50, new MainlineNodeOptions().Rate.Burst + 10);
    }

    [Fact]
    public void Nobody_announces_without_the_token_that_was_given_to_his_address()
    {
        Grow(1);
        IDatagramSocket thief = _network.Bind("203.0.113.77:6881");
        List<KrpcMessage> answers = [];
        thief.Receive((datagram, _) =>
        {
            if (KrpcMessage.TryDecode(datagram, out KrpcMessage message) && message.Kind != KrpcKind.Query) answers.Add(message);
        });
        KrpcMessage announce = new() { Transaction = [1], Kind = KrpcKind.Query, Method = KrpcMethod.AnnouncePeer, Id = Near(9), InfoHash = Near(8), Port = 1 };
        foreach (byte[]? token in (byte[]?[])[null, [], new byte[20]]) thief.Send((announce with { Token = token }).ToBytes(), _nodes[0].Local);
        Run(0.1);
        answers.Should().HaveCount(3).And.OnlyContain(answer => answer.Error!.Value.Code == KrpcMessage.ProtocolError);
        _nodes[0].Records.Should().Be(0);
    }

    private string Bootstrap => "192.0.2.1:6881";

    private void Grow(int count)
    {
        for (int i = 0; i < count; i++)
        {
            string address = string.Create(CultureInfo.InvariantCulture, $"192.0.2.{_nodes.Count + 1}:6881");
            MainlineNode node = new(_network.Bind(address), new MainlineNodeOptions { World = World() });
            node.Begin(_nodes.Count == 0 ? [] : [Peer(Bootstrap)]);
            _nodes.Add(node);
        }

        Run(2);
    }

    private MainlineSource Source(string address, params string[] bootstrap) => new(_network.Bind(address), Options(bootstrap));

    private MainlineSourceOptions Options(IReadOnlyList<string> bootstrap) => new() { Node = new MainlineNodeOptions { World = World() }, Bootstrap = bootstrap, NodesPath = _state.File("nodes.json") };

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

    private NodeId Near(int distance)
    {
        byte[] place = _topic.InfoHash.ToArray();
        place[^1] ^= (byte)distance;
        place[^2] ^= (byte)(distance >> 8);
        return NodeId.Read(place);
    }

    private static Ipv4Peer Peer(string text) => Ipv4Peer.TryFrom(IPEndPoint.Parse(text), out Ipv4Peer peer) ? peer : throw new FormatException(text);

    private void Run(double seconds)
    {
        for (double left = seconds; left > 0.0001; left -= 0.005) _time.Advance(TimeSpan.FromMilliseconds(5));
    }
}
