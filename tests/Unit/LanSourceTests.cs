using System.Net;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Discovery.Lan;
using DatFs.Evidence;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>mDNS between machines on one cable, with a clock that only the test moves (discovery.md §4).</summary>
public sealed class LanSourceTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly MulticastLink _link;
    private readonly SwarmTopic _topic = new(DiscoveryKey.From(Enumerable.Repeat((byte)7, 32).ToArray()));

    public LanSourceTests() => _link = new MulticastLink(_time);

    [Fact]
    public async Task Two_machines_find_each_other_when_the_second_joins()
    {
        List<PeerSighting> first = [], second = [];
        await using LanSource one = Source("192.168.1.1"), other = Source("192.168.1.2");
        await using IPeerSearch a = one.Join(_topic, 3282, first.Add);
        Run(0.01);
        await using IPeerSearch b = other.Join(_topic, 4000, second.Add);
        Run(0.01);
        second.Should().Equal(new PeerSighting(IPEndPoint.Parse("192.168.1.1:3282"), ToldPrivately: true));
        first.Distinct().Should().Equal([new PeerSighting(IPEndPoint.Parse("192.168.1.2:4000"), ToldPrivately: true)], "who joins answers its own question, and all hear it");
        (a.Announced, b.Named, one.Status.Health).Should().Be((true, 1, SourceHealth.Up));
    }

    [Fact]
    public async Task A_question_is_repeated_soon_while_nobody_answers_and_then_every_minute()
    {
        await using LanSource source = Source("192.168.1.1");
        await using IPeerSearch search = source.Join(_topic, 3282, _ => { });
        DateTimeOffset start = _time.GetUtcNow();
        List<double> asked = [];
        int seen = 0;
        for (int i = 0; i < 1500; i++)
        {
            for (; seen < _link.Sent.Count; seen++)
                if (Read(seen) is { IsResponse: false }) asked.Add((_time.GetUtcNow() - start).TotalSeconds);
            Run(0.1);
        }

        asked.Take(4).Select(at => Math.Round(at, 1)).Should().Equal(0, 0.4, 1.2, 2.8);
        asked.Skip(4).Should().HaveCount(2);
        (asked[4] - asked[3]).Should().BeInRange(60, 70.1);
        Read(0).Should().BeEquivalentTo(new DnsMessage { Questions = [new DnsQuestion(_topic.Name + ".dat.local", DnsType.Txt)] });
    }

    [Fact]
    public async Task An_answer_goes_to_the_group_at_the_port_of_the_question_and_names_no_address()
    {
        await using LanSource source = Source("192.168.1.1");
        await using IPeerSearch search = source.Join(_topic, 3282, _ => { });
        byte[] question = new DnsMessage { Questions = [new DnsQuestion(_topic.Name + ".dat.local", DnsType.Txt)] }.ToBytes();
        _link.Inject(question, "192.168.1.9:49000");
        (string from, int port, byte[] bytes) = _link.Sent[^1];
        (from, port).Should().Be(("192.168.1.1:5353", 49000));
        DnsMessage.TryDecode(bytes, out DnsMessage answer).Should().BeTrue();
        (answer.Id, answer.Flags).Should().Be(((ushort)0, DnsMessage.MulticastResponseFlags));
        answer.Questions.Should().Equal(new DnsQuestion(_topic.Name + ".dat.local", DnsType.Txt));
        DnsText text = answer.Answers.Should().ContainSingle().Which.Should().BeOfType<DnsText>().Subject;
        text["token"].Should().HaveLength(44);
        text.Peers.Should().Equal(new Ipv4Peer(0, 3282));
    }

    [Fact]
    public async Task Silence_is_the_answer_for_a_name_that_is_not_held_or_only_looked_for()
    {
        await using LanSource source = Source("192.168.1.1");
        await using IPeerSearch looking = source.Join(_topic, 0, _ => { });
        int before = _link.Sent.Count;
        foreach (string name in (string[])[_topic.Name + ".dat.local", new string('0', 40) + ".dat.local", _topic.Name + ".other.local", "dat.local"])
            _link.Inject(new DnsMessage { Questions = [new DnsQuestion(name, DnsType.Txt)] }.ToBytes(), "192.168.1.9:5353");
        _link.Inject(new DnsMessage { Questions = [new DnsQuestion(_topic.Name + ".dat.local", DnsType.Srv)] }.ToBytes(), "192.168.1.9:5353");
        _link.Sent.Should().HaveCount(before);
        looking.Announced.Should().BeFalse();
    }

    [Fact]
    public async Task What_we_answered_ourselves_is_not_taken_for_a_peer()
    {
        List<PeerSighting> found = [];
        await using LanSource source = Source("192.168.1.1");
        await using IPeerSearch search = source.Join(_topic, 3282, found.Add);
        Run(5);
        _link.Sent.Should().Contain(sent => Decoded(sent.Bytes).IsResponse, "it hears its own question and answers it");
        found.Should().BeEmpty();
        source.Status.Health.Should().Be(SourceHealth.Unknown);
    }

    [Fact]
    public async Task Nobody_beyond_the_link_is_answered_or_believed()
    {
        List<PeerSighting> found = [];
        await using LanSource source = Source("192.168.1.1");
        await using IPeerSearch search = source.Join(_topic, 3282, found.Add);
        int before = _link.Sent.Count;
        _link.Inject(new DnsMessage { Questions = [new DnsQuestion(_topic.Name + ".dat.local", DnsType.Txt)] }.ToBytes(), "203.0.113.9:5353");
        _link.Inject(Answer(new Ipv4Peer(0, 4000)), "203.0.113.9:5353");
        _link.Sent.Should().HaveCount(before);
        found.Should().BeEmpty();
        _link.Inject(Answer(new Ipv4Peer(0, 4000)), "192.168.1.9:5353");
        found.Should().ContainSingle();
    }

    [Fact]
    public async Task Answers_in_the_form_of_a_service_count_too()
    {
        List<PeerSighting> found = [];
        await using LanSource source = Source("192.168.1.1");
        await using IPeerSearch search = source.Join(_topic, 3282, found.Add);
        string name = _topic.Name + ".dat.local";
        _link.Inject(new DnsMessage { Flags = DnsMessage.MulticastResponseFlags, Additionals = [new DnsService(name, "192.168.1.7", 4001), new DnsService(name, "0.0.0.0", 0)] }.ToBytes(), "192.168.1.9:5353");
        found.Select(sighting => sighting.Address.ToString()).Should().Equal("192.168.1.7:4001", "192.168.1.9:5353");
    }

    [Fact]
    public async Task A_flood_of_questions_is_answered_up_to_the_limit_of_a_second()
    {
        await using LanSource source = Source("192.168.1.1");
        await using IPeerSearch search = source.Join(_topic, 3282, _ => { });
        byte[] question = new DnsMessage { Questions = [.. Enumerable.Repeat(new DnsQuestion(_topic.Name + ".dat.local", DnsType.Txt), 15)] }.ToBytes();
        int before = _link.Sent.Count;
        _link.Inject(question, "192.168.1.9:5353");
        (_link.Sent.Count - before).Should().Be(LanSource.MaxQuestions);
        for (int i = 0; i < 1000; i++) _link.Inject(question, "192.168.1.9:5353");
        (_link.Sent.Count - before).Should().Be(LanSource.MaxAnswersPerSecond);
        Run(1);
        _link.Inject(question, "192.168.1.9:5353");
        _link.Sent.Skip(before + LanSource.MaxAnswersPerSecond).Count(sent => sent.Port == 5353 && Decoded(sent.Bytes).IsResponse).Should().BeGreaterThanOrEqualTo(LanSource.MaxQuestions);
    }

    [Fact]
    public async Task One_packet_tells_at_most_as_many_peers_as_the_limit_says()
    {
        int found = 0;
        await using LanSource source = Source("192.168.1.1");
        await using IPeerSearch search = source.Join(_topic, 3282, _ => found++);
        DnsText record = new(_topic.Name + ".dat.local", ["peers=" + PeersText.Write([.. Enumerable.Range(1, 31).Select(i => new Ipv4Peer(0, (ushort)i))])]);
        _link.Inject(new DnsMessage { Flags = DnsMessage.MulticastResponseFlags, Answers = [record, record, record] }.ToBytes(), "192.168.1.9:5353");
        found.Should().Be(LanSource.MaxTold);
    }

    [Fact]
    public async Task Any_bytes_are_borne()
    {
        Random random = new(1);
        await using LanSource source = Source("192.168.1.1");
        await using IPeerSearch search = source.Join(_topic, 3282, _ => { });
        byte[] answer = Answer(new Ipv4Peer(0, 4000));
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = (byte[])answer.Clone();
            for (int flips = random.Next(8); flips >= 0; flips--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            _link.Inject(bytes[..random.Next(bytes.Length + 1)], "192.168.1.9:5353");
        }

        source.Status.Problem.Should().BeNull();
    }

    [Fact]
    public async Task A_machine_without_multicast_says_so_and_harms_nobody()
    {
        MulticastLink.Member socket = (MulticastLink.Member)_link.Plug("192.168.1.1");
        socket.Up = false;
        await using LanSource source = new(socket, new FakeNetwork(FakeNetwork.Own("192.168.1.1")), new LanSourceOptions { Time = _time });
        await using IPeerSearch search = source.Join(_topic, 3282, _ => { });
        source.Status.Should().Match<SourceStatus>(s => s.Health == SourceHealth.Unavailable && s.Problem != null && s.Remedy != null);
        search.Announced.Should().BeFalse();
    }

    [Fact]
    public async Task Lost_datagrams_cost_seconds_not_minutes()
    {
        _link.Loses = number => number <= 4;
        List<PeerSighting> found = [];
        await using LanSource one = Source("192.168.1.1"), other = Source("192.168.1.2");
        await using IPeerSearch a = one.Join(_topic, 3282, _ => { });
        await using IPeerSearch b = other.Join(_topic, 4000, found.Add);
        Run(3);
        found.Should().NotBeEmpty();
    }

    private byte[] Answer(Ipv4Peer peer) => new DnsMessage
    {
        Flags = DnsMessage.MulticastResponseFlags,
        Answers = [new DnsText(_topic.Name + ".dat.local", ["token=somebody else's", "peers=" + PeersText.Write([peer])])],
    }.ToBytes();

    private LanSource Source(string address) =>
        new(_link.Plug(address), new FakeNetwork(FakeNetwork.Own(address)), new LanSourceOptions { Time = _time, Random = () => 0.5 });

    private DnsMessage Read(int index) => Decoded(_link.Sent[index].Bytes);

    private static DnsMessage Decoded(byte[] bytes) => DnsMessage.TryDecode(bytes, out DnsMessage message) ? message : throw new FormatException();

    private void Run(double seconds)
    {
        for (double left = seconds; left > 0.0001; left -= 0.005) _time.Advance(TimeSpan.FromMilliseconds(5));
    }
}
