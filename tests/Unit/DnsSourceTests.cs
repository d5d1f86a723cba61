using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Evidence;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>One discovery server seen from a client, over a network in memory with a clock that only the test moves.</summary>
public sealed class DnsSourceTests : IAsyncDisposable
{
    private const string Server = "198.51.100.1:5300";
    private const string Client = "192.0.2.7:3282";

    private readonly FakeTimeProvider _time = new();
    private readonly DatagramNetwork _network;
    private readonly DnsClient _client;
    private readonly List<PeerSighting> _found = [];
    private readonly SwarmTopic _topic = Topic(1);

    public DnsSourceTests()
    {
        _network = new DatagramNetwork(_time);
        _client = new DnsClient(_network.Bind(Client), _time, new Random(7).NextDouble);
    }

    [Fact]
    public async Task A_topic_is_announced_with_the_token_the_server_gives_and_its_peers_are_told()
    {
        await using ScriptedDnsServer server = Listen(Server);
        server.Peers.Add(ScriptedDnsServer.Peer("203.0.113.5:3282"));
        DnsSource source = Source(Server);
        source.Status.Health.Should().Be(SourceHealth.Unknown);

        await using IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(0.1);

        server.Verbs.Should().Equal("bare", "subscribe=true token=first announce=3282");
        server.Asked.Should().OnlyContain(m => m.Questions.Single() == new DnsQuestion(_topic.Name + ".dat.local", DnsType.Txt) && m.Id >= 0x8000 && m.Flags == DnsMessage.QueryFlags);
        _found.Distinct().Should().Equal(new PeerSighting(IPEndPoint.Parse("203.0.113.5:3282"), ToldPrivately: false));
        search.Announced.Should().BeTrue();
        search.Named.Should().Be(1);
        source.Status.Should().Match<SourceStatus>(s => s.Health == SourceHealth.Up && s.Failures == 0 && s.RoundTrip == TimeSpan.FromMilliseconds(10) && s.Problem == null);
    }

    [Fact]
    public async Task Whoever_only_looks_subscribes_and_announces_nothing()
    {
        await using ScriptedDnsServer server = Listen(Server);
        DnsSource source = Source(Server);
        IPeerSearch search = source.Join(_topic, 0, _found.Add);
        Run(0.1);
        server.Verbs.Should().Equal("bare", "subscribe=true token=first");
        search.Announced.Should().BeFalse();
        await search.DisposeAsync();
        Run(0.1);
        server.Asked.Should().HaveCount(2);
    }

    [Fact]
    public async Task A_silent_server_is_asked_four_times_and_given_up_after_four_seconds()
    {
        DnsSource source = Source(Server);
        DateTimeOffset started = _time.GetUtcNow();
        _ = source.Join(_topic, 3282, _found.Add);
        Run(3.99);
        source.Status.Failures.Should().Be(0);
        _network.Sent.Select(s => (s.At - started).TotalSeconds).Should().Equal(0, 0.3, 0.9, 2.1);
        Run(0.01);
        source.Status.Should().Match<SourceStatus>(s => s.Health == SourceHealth.Failing && s.Problem == "no answer" && s.Remedy!.Contains(Server));
    }

    [Fact]
    public async Task The_second_port_is_asked_too_when_the_first_is_silent_and_then_stayed_with()
    {
        await using ScriptedDnsServer server = Listen("198.51.100.1:53");
        DnsSource source = Source("198.51.100.1");
        source.Name.Should().Be("dns 198.51.100.1");
        DateTimeOffset started = _time.GetUtcNow();
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(0.5);
        search.Announced.Should().BeTrue();
        _network.Sent.Where(s => s.From.Port == 3282).Select(s => ((s.At - started).TotalSeconds, s.To.Port))
            .Should().Equal((0, 5300), (0.3, 5300), (0.3, 53), (0.31, 53));
    }

    [Fact]
    public async Task A_port_that_fell_silent_is_not_stayed_with()
    {
        ScriptedDnsServer second = Listen("198.51.100.1:53");
        DnsSource source = Source("198.51.100.1");
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(0.5);
        await second.DisposeAsync();
        await using ScriptedDnsServer first = Listen("198.51.100.1:5300");
        Run(52);
        search.Announced.Should().BeTrue();
        first.Asked.Should().NotBeEmpty();
    }

    [Fact]
    public async Task A_server_that_forgot_its_secret_is_announced_to_again_at_once()
    {
        await using ScriptedDnsServer server = Listen(Server);
        DnsSource source = Source(Server);
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        server.Token = "second";
        server.Asked.Clear();
        source.Wake();
        Run(0.1);
        server.Verbs.Should().Equal("subscribe=true token=first announce=3282", "subscribe=true token=second announce=3282");
        search.Announced.Should().BeTrue();
    }

    [Fact]
    public async Task A_server_whose_token_is_never_the_same_is_not_asked_for_ever()
    {
        await using ScriptedDnsServer server = Listen(Server);
        server.Instead = message =>
        {
            server.Token += "x";
            return server.Answer(message);
        };
        DnsSource source = Source(Server);
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(10);
        server.Asked.Should().HaveCount(3);
        search.Announced.Should().BeFalse("the server took none of it");
    }

    [Fact]
    public async Task Topics_are_refreshed_before_the_server_forgets_the_subscription()
    {
        await using ScriptedDnsServer server = Listen(Server);
        DnsSource source = Source(Server);
        _ = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        server.Asked.Clear();
        Run(39);
        server.Asked.Should().BeEmpty();
        Run(7);
        server.Asked.Should().ContainSingle();
        Run(46);
        server.Asked.Should().HaveCount(2);
    }

    [Fact]
    public async Task Pushes_are_taken_and_acknowledged_from_the_server_only()
    {
        await using ScriptedDnsServer server = Listen(Server), stranger = Listen("198.51.100.66:5300");
        DnsSource source = Source(Server);
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        IPEndPoint us = IPEndPoint.Parse(Client);
        stranger.Push(_topic.Name + ".dat.local", "203.0.113.66:1", us, 1);
        server.Push(_topic.Name + ".dat.local", "203.0.113.5:3282", us, 2);
        server.Push("ffffffffffffffffffffffffffffffffffffffff.dat.local", "203.0.113.6:3282", us, 3);
        Run(0.1);
        _found.Select(f => f.Address.ToString()).Should().Equal("203.0.113.5:3282");
        server.Acknowledged.Should().BeEquivalentTo(new ushort[] { 2, 3 }, "else names nobody looks for any more would be pushed again and again");
        stranger.Acknowledged.Should().BeEmpty();
        await search.DisposeAsync();
    }

    [Fact]
    public async Task Answers_from_elsewhere_or_with_other_ids_count_for_nothing()
    {
        await using ScriptedDnsServer server = Listen(Server), stranger = Listen("198.51.100.66:5300");
        IDatagramSocket otherPort = _network.Bind("198.51.100.1:5301");
        stranger.Peers.Add(ScriptedDnsServer.Peer("203.0.113.66:1"));
        server.Instead = message =>
        {
            IPEndPoint us = IPEndPoint.Parse(Client);
            otherPort.Send(stranger.Answer(message), us);
            _network.Bind($"198.51.100.77:{message.Id}").Send(stranger.Answer(message), us);
            return stranger.Answer(new DnsMessage { Id = (ushort)(message.Id ^ 1), Questions = message.Questions });
        };
        DnsSource source = Source(Server);
        _ = source.Join(_topic, 3282, _found.Add);
        Run(0.2);
        _found.Should().BeEmpty();
        source.Status.LastAnswer.Should().BeNull();
    }

    [Fact]
    public async Task Replies_that_the_reference_server_breaks_are_used_all_the_same()
    {
        byte[] broken = Vectors.Json("discovery/dns-server.json").GetProperty("steps").EnumerateArray()
            .SelectMany(step => step.GetProperty("packets").EnumerateArray()).Single(p => p.TryGetProperty("malformed", out _)).Hex("hex")!;
        await using ScriptedDnsServer server = Listen(Server);
        server.Instead = message => [(byte)(message.Id >> 8), (byte)message.Id, .. broken.AsSpan(2)];
        DnsSource source = Source(Server);
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        search.Named.Should().Be(40);
        search.Announced.Should().BeTrue();
    }

    [Fact]
    public async Task A_server_that_answers_rubbish_for_one_name_is_still_asked_for_others()
    {
        await using ScriptedDnsServer server = Listen(Server);
        server.Instead = message => message.Questions[0].Name.StartsWith(_topic.Name, StringComparison.Ordinal)
            ? [(byte)(message.Id >> 8), (byte)message.Id, 0x80, 0, 0, 9, 0, 9, 0, 0, 0, 0, 77]
            : server.Answer(message);
        DnsSource source = Source(Server);
        IPeerSearch bad = source.Join(_topic, 3282, _found.Add), good = source.Join(Topic(2), 3282, _found.Add);
        Run(300);
        bad.Announced.Should().BeFalse();
        good.Announced.Should().BeTrue();
        source.Status.Health.Should().Be(SourceHealth.Up);
    }

    [Fact]
    public async Task A_server_of_another_domain_is_said_to_be_one()
    {
        await using ScriptedDnsServer server = Listen(Server);
        server.Instead = message => new DnsMessage { Id = message.Id, Flags = DnsMessage.ResponseFlags, Questions = message.Questions }.ToBytes();
        DnsSource source = Source(Server);
        _ = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        source.Status.Problem.Should().Be("it answers, but does not serve dat.local");
    }

    [Fact]
    public async Task Hundred_topics_that_fail_together_are_one_failure()
    {
        DnsSource source = Source(Server);
        for (int i = 0; i < 100; i++) _ = source.Join(Topic(i), 3282, _found.Add);
        Run(4.1);
        source.Status.Failures.Should().Be(1);
    }

    [Fact]
    public async Task A_dead_server_is_asked_seldom_but_for_new_topics_at_once_and_when_it_is_back_for_all()
    {
        DnsSource source = Source(Server);
        IPeerSearch[] searches = [.. Enumerable.Range(0, 10).Select(i => source.Join(Topic(i), 3282, _found.Add))];
        Run(120);
        source.Status.Health.Should().Be(SourceHealth.Down);
        int asked = _network.Sent.Count;
        Run(300);
        _network.Sent.Skip(asked).Should().HaveCountLessThan(10 * 20, "one probe at a time, with pauses that double").And.NotBeEmpty();

        await using ScriptedDnsServer server = Listen(Server);
        IPeerSearch fresh = source.Join(Topic(99), 3282, _found.Add);
        Run(0.5);
        fresh.Announced.Should().BeTrue();
        searches.Should().OnlyContain(search => search.Announced);
        source.Status.Health.Should().Be(SourceHealth.Up);
    }

    [Fact]
    public async Task A_server_that_comes_to_life_late_is_found_soon()
    {
        DnsSource source = Source(Server);
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(7);
        await using ScriptedDnsServer server = Listen(Server);
        Run(10);
        search.Announced.Should().BeTrue();
    }

    [Fact]
    public async Task Wake_asks_for_every_topic_at_once()
    {
        DnsSource source = Source(Server);
        IPeerSearch[] searches = [.. Enumerable.Range(0, 3).Select(i => source.Join(Topic(i), 3282, _found.Add))];
        Run(200);
        await using ScriptedDnsServer server = Listen(Server);
        source.Wake();
        // A request may be under way whose four sends are over: it ends first.
        Run(6);
        searches.Should().OnlyContain(search => search.Announced);
    }

    [Fact]
    public async Task Disposal_of_a_search_unannounces()
    {
        await using ScriptedDnsServer server = Listen(Server);
        DnsSource source = Source(Server);
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        await search.DisposeAsync();
        Run(0.1);
        server.Verbs.Last().Should().Be("token=first unannounce=3282");
        server.Asked.Clear();
        server.Push(_topic.Name + ".dat.local", "203.0.113.5:3282", IPEndPoint.Parse(Client));
        Run(200);
        server.Asked.Should().BeEmpty();
        _found.Should().BeEmpty();
    }

    [Fact]
    public async Task Disposal_of_the_source_takes_a_second_at_most()
    {
        ScriptedDnsServer server = Listen(Server);
        DnsSource source = Source(Server);
        _ = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        await server.DisposeAsync();
        Task ended = source.DisposeAsync().AsTask();
        Run(0.9);
        ended.IsCompleted.Should().BeFalse();
        Run(0.2);
        await ended;
        _client.InFlight.Should().Be(0);
    }

    [Fact]
    public async Task All_addresses_of_a_host_name_are_asked()
    {
        await using ScriptedDnsServer one = Listen(Server), other = Listen("198.51.100.2:5300");
        (one.Token, other.Token) = ("of one", "of the other");
        List<IReadOnlyList<IPAddress>> kept = [];
        DnsSource source = Source("dns.example:5300", new DnsSourceOptions
        {
            Resolver = (host, _) => Task.FromResult<IPAddress[]>([IPAddress.Parse("198.51.100.1"), IPAddress.Parse("198.51.100.2"), IPAddress.IPv6Loopback]),
            Resolved = kept.Add,
        });
        _ = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        one.Verbs.Last().Should().Contain("token=of one announce");
        other.Verbs.Last().Should().Contain("token=of the other announce");
        kept.Should().ContainSingle().Which.Should().HaveCount(2);
        source.IsServer(IPAddress.Parse("198.51.100.2")).Should().BeTrue();
    }

    [Fact]
    public async Task A_host_name_that_cannot_be_resolved_is_a_problem_with_a_remedy_and_tried_again()
    {
        bool works = false;
        await using ScriptedDnsServer server = Listen(Server);
        DnsSource source = Source("dns.example:5300", new DnsSourceOptions
        {
            Resolver = (_, _) => works ? Task.FromResult<IPAddress[]>([IPAddress.Parse("198.51.100.1")]) : Task.FromException<IPAddress[]>(new SocketException((int)SocketError.HostNotFound)),
        });
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        source.Status.Problem.Should().StartWith("dns.example was not resolved");
        source.Status.Remedy.Should().Contain("name servers");
        works = true;
        Run(6);
        search.Announced.Should().BeTrue();
        source.Status.Problem.Should().BeNull();
    }

    [Fact]
    public async Task A_resolver_that_hangs_keeps_nobody_waiting_when_addresses_are_known()
    {
        await using ScriptedDnsServer server = Listen(Server);
        DnsSource source = Source("dns.example:5300", new DnsSourceOptions
        {
            Resolver = (_, _) => new TaskCompletionSource<IPAddress[]>().Task,
            LastGood = [IPAddress.Parse("198.51.100.1")],
        });
        IPeerSearch search = source.Join(_topic, 3282, _found.Add);
        Run(0.1);
        search.Announced.Should().BeTrue();
    }

    [Fact]
    public async Task A_resolver_that_hangs_is_given_up()
    {
        DnsSource source = Source("dns.example:5300", new DnsSourceOptions { Resolver = (_, _) => new TaskCompletionSource<IPAddress[]>().Task });
        _ = source.Join(_topic, 3282, _found.Add);
        Run(1.9);
        source.Status.Problem.Should().BeNull();
        Run(0.2);
        SpinWait.SpinUntil(() => source.Status.Problem is not null, TimeSpan.FromSeconds(20)).Should().BeTrue();
        source.Status.Problem.Should().Be("dns.example was not resolved within 2 s");
    }

    [Fact]
    public async Task Several_sources_share_one_socket_and_a_dead_one_delays_nobody()
    {
        await using ScriptedDnsServer server = Listen(Server);
        server.Peers.Add(ScriptedDnsServer.Peer("203.0.113.5:3282"));
        DnsSource dead = Source("198.51.100.9:5300"), live = Source(Server);
        _ = dead.Join(_topic, 3282, _found.Add);
        IPeerSearch search = live.Join(_topic, 3282, _found.Add);
        Run(0.1);
        search.Announced.Should().BeTrue();
        _found.Should().NotBeEmpty();
        _network.Sent.Where(s => s.From.Port == 3282).Should().OnlyContain(s => !SharedPort.LooksLikeUtp(s.Bytes) && s.Bytes[0] >= 0x80);
    }

    [Fact]
    public async Task Private_servers_may_name_private_peers_and_the_sender_itself()
    {
        await using ScriptedDnsServer server = Listen("10.1.2.3:5300");
        server.Peers.AddRange([ScriptedDnsServer.Peer("192.168.1.9:3282"), ScriptedDnsServer.Peer("0.0.0.0:77"), ScriptedDnsServer.Peer("192.168.1.9:0")]);
        DnsSource source = Source("10.1.2.3:5300");
        _ = source.Join(_topic, 0, _found.Add);
        Run(0.1);
        _found.Distinct().Should().Equal(new PeerSighting(IPEndPoint.Parse("192.168.1.9:3282"), true), new PeerSighting(IPEndPoint.Parse("10.1.2.3:77"), true));
    }

    [Fact]
    public async Task A_third_of_the_datagrams_may_get_lost()
    {
        const int Runs = 100;
        int soon = 0;
        for (int seed = 0; seed < Runs; seed++)
        {
            FakeTimeProvider time = new();
            DatagramNetwork network = new(time, seed) { Loss = 0.3 };
            await using ScriptedDnsServer server = new(network.Bind(Server));
            server.Peers.Add(ScriptedDnsServer.Peer("203.0.113.5:3282"));
            DnsSource source = new(new DnsClient(network.Bind(Client), time, new Random(seed).NextDouble), Address(Server), new DnsSourceOptions { Time = time, Random = new Random(seed).NextDouble });
            List<PeerSighting> found = [];
            _ = source.Join(_topic, 0, found.Add);
            Run(5, time);
            if (found.Count > 0) soon++;
            else Run(60, time);
            found.Should().NotBeEmpty("seed {0}", seed);
        }

        soon.Should().BeGreaterThan(Runs * 9 / 10);
    }

    [Fact]
    public void More_requests_than_there_is_room_for_are_over_at_once()
    {
        int over = 0;
        for (int i = 0; i < DnsClient.MaxInFlight + 5; i++)
            _client.Ask(id => new DnsMessage { Id = id }, IPEndPoint.Parse(Server), null, DnsClient.Limit, reply => over += reply.From is null ? 1 : 0);
        Run(0.1);
        over.Should().Be(5);
        Run(5);
        over.Should().Be(DnsClient.MaxInFlight + 5);
        _client.InFlight.Should().Be(0);
    }

    [Theory]
    [InlineData("dns.example", "dns.example:5300,53")]
    [InlineData("dns.example:99", "dns.example:99")]
    [InlineData("192.0.2.1:5300,53", "192.0.2.1:5300,53")]
    public void Servers_are_named_in_three_forms(string text, string meaning) => Address(text).ToString().Should().Be(meaning);

    [Theory]
    [InlineData("")]
    [InlineData(":5300")]
    [InlineData("dns.example:")]
    [InlineData("dns.example:0")]
    [InlineData("dns.example:70000")]
    [InlineData("dns.example:1,2,3")]
    [InlineData("dns example")]
    [InlineData("https://dns.example")]
    public void Other_texts_name_no_server(string text) => DnsServerAddress.TryParse(text, out _).Should().BeFalse();

    private static SwarmTopic Topic(int number) => new(DiscoveryKey.From(SHA256.HashData(BitConverter.GetBytes(number))));

    private static DnsServerAddress Address(string text)
    {
        DnsServerAddress.TryParse(text, out DnsServerAddress address).Should().BeTrue();
        return address;
    }

    private ScriptedDnsServer Listen(string endPoint) => new(_network.Bind(endPoint));

    private readonly List<DnsSource> _sources = [];

    private DnsSource Source(string server, DnsSourceOptions? options = null)
    {
        DnsSource source = new(_client, Address(server), (options ?? new DnsSourceOptions()) with { Time = _time, Random = new Random(3).NextDouble });
        _sources.Add(source);
        return source;
    }

    /// <summary>Sources say goodbye when they end, for which the clock must go on.</summary>
    public async ValueTask DisposeAsync()
    {
        Task[] ended = [.. _sources.Select(source => source.DisposeAsync().AsTask())];
        Run(1.1);
        await Task.WhenAll(ended);
    }

    private void Run(double seconds) => Run(seconds, _time);

    /// <summary>In small steps, so that what one timer causes happens before the next one is due.</summary>
    private static void Run(double seconds, FakeTimeProvider time)
    {
        for (int i = 0; i < seconds * 200; i++) time.Advance(TimeSpan.FromMilliseconds(5));
    }
}
