using System.Net;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Discovery.Server;
using DatFs.Evidence;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>Our discovery server, datagram by datagram, over a network in memory with a clock that only the test moves (discovery.md §5).</summary>
public sealed class DiscoveryServerTests
{
    private const string At = "198.51.100.1:5300";
    private const string Name = "d13ff8b664d823fb21db4dc41518093998f82bdc.dat.local";

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2018, 1, 20, 0, 0, 0, TimeSpan.Zero));
    private readonly DatagramNetwork _network;
    private readonly MemoryState _state = new();

    public DiscoveryServerTests() => _network = new DatagramNetwork(_time);

    [Fact]
    public async Task A_probe_is_answered_with_a_token_and_the_sender_s_address()
    {
        await using DiscoveryServer server = Serve();
        Asker asker = new(this, "203.0.113.5:21001");
        DnsText answer = (DnsText)asker.Ask("dat.local").Answers.Single();
        answer["host"].Should().Be("203.0.113.5");
        answer["port"].Should().Be("21001");
        Convert.FromBase64String(answer["token"]!).Should().HaveCount(32);
        new Asker(this, "203.0.113.5:21002").Token.Should().Be(answer["token"], "it proves the address, whatever the port");
        new Asker(this, "203.0.113.6:21001").Token.Should().NotBe(answer["token"]);
    }

    [Fact]
    public void Tokens_are_made_as_the_reference_makes_them()
    {
        JsonElement vectors = Vectors.Json("discovery/dns-server.json");
        byte[] stored = [.. new byte[8], .. vectors.Hex("currentSecret")!, .. vectors.Hex("previousSecret")!];
        ServerSecrets secrets = new(stored, DateTimeOffset.UnixEpoch, n => new byte[n]);
        uint loopback = Ipv4Peer.ToNumber(IPAddress.Loopback);
        secrets.Token(loopback).Should().Be(vectors.GetProperty("tokenFor127001").GetString());
    }

    [Fact]
    public async Task An_announced_peer_is_told_to_others_and_pushed_to_subscribers_at_once()
    {
        await using DiscoveryServer server = Serve();
        Asker a = new(this, "203.0.113.5:21001"), b = new(this, "203.0.113.6:21002");
        b.Lookup(Name).Peers.Should().BeEmpty();

        a.Announce(Name, 3282).Peers.Should().BeEmpty("the answer is older than what it answers");

        b.Pushed().Should().Equal("203.0.113.5:3282");
        a.Pushed().Should().BeEmpty();
        b.Lookup(Name).Peers.Select(p => p.ToString()).Should().Equal("203.0.113.5:3282");
        a.Announce(Name, 3282);
        b.Pushed().Should().BeEmpty("it was no news");
        server.Counters.Should().Match<ServerCounters>(c => c.Records == 1 && c.Names == 1 && c.Subscriptions == 2 && c.Announces == 2 && c.Lookups == 4 && c.Pushed == 1 && c.PushesAcknowledged == 1);
    }

    [Fact]
    public async Task Port_0_stands_for_the_sender_s_and_an_unannounce_takes_back()
    {
        await using DiscoveryServer server = Serve();
        Asker a = new(this, "203.0.113.5:21001");
        a.Announce(Name, 0);
        a.Announce(Name, 3282);
        a.Lookup(Name).Peers.Should().HaveCount(2);
        a.Send(Name, "token=" + a.Token, "unannounce=3282").Peers.Should().HaveCount(2, "the answer is older than what it answers");
        a.Lookup(Name).Peers.Select(p => p.ToString()).Should().Equal("203.0.113.5:21001");
        server.Counters.Unannounces.Should().Be(1);
    }

    [Fact]
    public async Task Without_a_valid_token_nothing_is_told_stored_or_pushed()
    {
        await using DiscoveryServer server = Serve();
        Asker a = new(this, "203.0.113.5:21001"), b = new(this, "203.0.113.6:21002");
        a.Announce(Name, 3282);
        string right = b.Token;
        b.Send(Name, "subscribe=true", "token=" + a.Token, "announce=9999").Should().Match<DnsText>(t => t.Peers.Count == 0 && t["token"] == right);
        b.Send(Name).Peers.Should().BeEmpty();
        server.Counters.Should().Match<ServerCounters>(c => c.Records == 1 && c.StaleTokens == 1);
        new Asker(this, "203.0.113.7:1").Announce(Name, 1);
        b.Pushed().Should().BeEmpty();
    }

    [Fact]
    public async Task A_forged_question_brings_its_victim_little_more_than_was_sent()
    {
        await using DiscoveryServer server = Serve();
        for (int i = 0; i < 60; i++) new Asker(this, $"203.0.113.{i}:1").Announce(Name, 3282);
        Asker forger = new(this, "203.0.113.99:7");
        foreach (DnsType type in new[] { DnsType.Txt, DnsType.Srv, DnsType.A, (DnsType)255 })
        {
            DnsMessage question = new() { Id = 5, Flags = DnsMessage.QueryFlags, Questions = [.. Enumerable.Repeat(new DnsQuestion(Name, type), 10)] };
            DnsMessage reply = forger.Exchange(question)!;
            reply.Questions.Should().ContainSingle();
            reply.Answers.Should().HaveCountLessThanOrEqualTo(1);
            reply.ToBytes().Length.Should().BeLessThanOrEqualTo(181);
        }
    }

    [Fact]
    public async Task At_most_31_peers_are_told_each_time_others()
    {
        await using DiscoveryServer server = Serve();
        for (int i = 0; i < 100; i++) new Asker(this, $"203.0.113.{i}:1").Announce(Name, 3282);
        Asker asker = new(this, "203.0.113.200:1");
        HashSet<Ipv4Peer> seen = [];
        for (int i = 0; i < 40; i++)
        {
            IReadOnlyList<Ipv4Peer> peers = asker.Lookup(Name).Peers;
            peers.Should().HaveCount(31).And.OnlyHaveUniqueItems();
            seen.UnionWith(peers);
        }

        seen.Should().HaveCount(100);
    }

    [Fact]
    public async Task A_record_that_expired_can_be_announced_again_while_others_of_its_name_live()
    {
        await using DiscoveryServer server = Serve();
        Asker a = new(this, "203.0.113.5:1"), b = new(this, "203.0.113.6:1");
        a.Announce(Name, 3282);
        Run(29 * 60);
        b.Announce(Name, 3282);
        Run(61);
        b.Lookup(Name).Peers.Should().ContainSingle();
        server.Counters.Expired.Should().Be(1);
        a.FreshToken();
        a.Announce(Name, 3282);
        b.Lookup(Name).Peers.Should().HaveCount(2);
    }

    [Fact]
    public async Task Subscriptions_outlive_the_pauses_of_real_clients_and_end_then()
    {
        await using DiscoveryServer server = Serve();
        Asker a = new(this, "203.0.113.5:1"), b = new(this, "203.0.113.6:1");
        b.Lookup(Name);
        Run(149);
        a.Announce(Name, 1);
        b.Pushed().Should().ContainSingle();
        Run(2);
        a.Announce(Name, 2);
        b.Pushed().Should().BeEmpty();
    }

    [Fact]
    public async Task A_message_without_subscribe_ends_the_subscription()
    {
        await using DiscoveryServer server = Serve();
        Asker a = new(this, "203.0.113.5:1"), b = new(this, "203.0.113.6:1");
        b.Lookup(Name);
        b.Send(Name, "token=" + b.Token);
        a.Announce(Name, 1);
        b.Pushed().Should().BeEmpty();
    }

    [Fact]
    public async Task A_push_is_sent_from_the_port_of_the_subscription_and_again_until_acknowledged()
    {
        await using DiscoveryServer server = Serve(null, At, "198.51.100.1:53");
        Asker b = new(this, "203.0.113.6:1", "198.51.100.1:53") { Acknowledges = false };
        b.Lookup(Name);
        Asker a = new(this, "203.0.113.5:1");
        DateTimeOffset announced = _time.GetUtcNow();
        a.Announce(Name, 1);
        Run(5);
        double[] at = [.. _network.Sent.Where(s => s.From.Port == 53 && s.To.Equals(IPEndPoint.Parse("203.0.113.6:1")) && s.Bytes[0] >= 0x80 && (s.Bytes[2] & 0x80) == 0)
            .Select(s => (s.At - announced).TotalSeconds)];
        at.Should().HaveCount(3);
        at[0].Should().BeLessThan(0.1);
        at[1].Should().BeInRange(0.5, 0.65);
        at[2].Should().BeInRange(1.5, 1.65);
        b.Pushed().Should().HaveCount(3);
        server.Counters.Should().Match<ServerCounters>(c => c.Pushed == 1 && c.PushesResent == 2 && c.PushesAcknowledged == 0);
    }

    [Fact]
    public async Task At_most_16_subscribers_are_pushed_to()
    {
        await using DiscoveryServer server = Serve();
        for (int i = 0; i < 50; i++) new Asker(this, $"203.0.113.{i}:1").Lookup(Name);
        new Asker(this, "203.0.113.99:1").Announce(Name, 1);
        server.Counters.Pushed.Should().Be(16);
    }

    [Fact]
    public async Task One_address_has_five_ports_of_a_name_and_so_many_names()
    {
        await using DiscoveryServer server = Serve(new DiscoveryServerOptions { PerAddress = new AddressLimits(Ports: 5, Names: 10) });
        Asker a = new(this, "203.0.113.5:1");
        for (int port = 1; port < 10; port++) a.Announce(Name, port);
        a.Lookup(Name).Peers.Should().HaveCount(5);
        for (int i = 0; i < 20; i++) a.Announce($"{i:d40}.dat.local", 1);
        server.Counters.Names.Should().Be(10);
        server.Counters.Refused.Should().BeGreaterThan(0);
        new Asker(this, "203.0.113.6:1").Announce($"{15:d40}.dat.local", 1);
        server.Counters.Names.Should().Be(11, "others have room of their own");
    }

    [Fact]
    public async Task One_address_sends_so_many_messages_a_second_and_private_ones_have_a_limit_of_their_own()
    {
        await using DiscoveryServer server = Serve(new DiscoveryServerOptions { Rate = new MessageRate(10, 2), PrivateRate = new MessageRate(1000, 200) });
        Asker a = new(this, "203.0.113.5:1"), local = new(this, "10.0.0.5:1");
        for (int i = 0; i < 100; i++)
        {
            a.Post(new DnsMessage { Id = 1, Questions = [new DnsQuestion("dat.local", DnsType.Txt)] });
            local.Post(new DnsMessage { Id = 1, Questions = [new DnsQuestion("dat.local", DnsType.Txt)] });
        }

        Run(0.1);
        server.Counters.Should().Match<ServerCounters>(c => c.Probes == 110 && c.RateLimited == 90);
        Run(5);
        for (int i = 0; i < 100; i++) a.Post(new DnsMessage { Id = 1, Questions = [new DnsQuestion("dat.local", DnsType.Txt)] });
        Run(0.1);
        server.Counters.Probes.Should().Be(120);
    }

    [Fact]
    public async Task Records_longest_not_refreshed_make_room()
    {
        await using DiscoveryServer server = Serve(new DiscoveryServerOptions { Records = new TableLimits(Entries: 3, PerName: 100, LifetimeSeconds: 1800) });
        Asker[] askers = [.. Enumerable.Range(0, 4).Select(i => new Asker(this, $"203.0.113.{i}:1"))];
        foreach (Asker asker in askers[..3])
        {
            asker.Announce(Name, 1);
            Run(2);
        }

        askers[0].Announce(Name, 1);
        Run(2);
        askers[3].Announce(Name, 1);
        askers[3].Lookup(Name).Peers.Select(p => p.Host).Should().BeEquivalentTo("203.0.113.0", "203.0.113.2", "203.0.113.3");
        server.Counters.Evicted.Should().Be(1);
    }

    [Fact]
    public async Task Tokens_change_with_time_and_the_last_but_one_counts_still()
    {
        await using DiscoveryServer server = Serve();
        Asker a = new(this, "203.0.113.5:1");
        string first = a.Token;
        Run(301);
        string second = a.FreshToken();
        second.Should().NotBe(first);
        a.Send(Name, "token=" + first, "announce=1");
        server.Counters.Announces.Should().Be(1);
        Run(300);
        a.Send(Name, "token=" + first, "announce=2");
        server.Counters.Announces.Should().Be(1);
        a.Send(Name, "token=" + second, "announce=2");
        server.Counters.Announces.Should().Be(2);
    }

    [Fact]
    public async Task A_restart_costs_neither_tokens_nor_records()
    {
        Asker a;
        await using (DiscoveryServer server = Serve())
        {
            a = new(this, "203.0.113.5:1");
            a.Announce(Name, 3282);
        }

        await using DiscoveryServer again = Serve();
        a.Send(Name, "token=" + a.Token, "announce=77").Peers.Select(p => p.ToString()).Should().Equal("203.0.113.5:3282");
        again.Counters.Should().Match<ServerCounters>(c => c.StaleTokens == 0 && c.Records == 2);
    }

    [Fact]
    public async Task A_crash_costs_what_was_announced_in_the_last_minute()
    {
        DiscoveryServer crashed = Serve();
        Asker a = new(this, "203.0.113.5:1");
        a.Announce(Name, 1);
        Run(61);
        a.Announce(Name, 2);
        Dictionary<string, byte[]> disk = new(_state.Files);
        await crashed.DisposeAsync();
        await CloseAsync();
        _state.Files = disk;
        await using DiscoveryServer again = Serve();
        a.Lookup(Name).Peers.Select(p => (int)p.Port).Should().Equal(1);
    }

    [Fact]
    public async Task Damaged_state_is_as_good_as_none_and_expired_records_stay_away()
    {
        await using (DiscoveryServer server = Serve()) new Asker(this, "203.0.113.5:1").Announce(Name, 1);
        byte[] saved = _state.Files[DiscoveryServer.RecordsName];
        for (int i = 0; i < saved.Length; i++)
        {
            _state.Files[DiscoveryServer.RecordsName] = [.. saved];
            _state.Files[DiscoveryServer.RecordsName][i] ^= 1;
            await using DiscoveryServer damaged = Serve();
            damaged.Counters.Records.Should().Be(0);
        }

        foreach (int cut in new[] { 0, 1, 39, 40, 69, saved.Length - 1 })
        {
            _state.Files[DiscoveryServer.RecordsName] = saved[..cut];
            await using DiscoveryServer damaged = Serve();
            damaged.Counters.Records.Should().Be(0);
        }

        _state.Files[DiscoveryServer.RecordsName] = saved;
        _time.Advance(TimeSpan.FromMinutes(31));
        await using DiscoveryServer late = Serve();
        late.Counters.Records.Should().Be(0);
    }

    [Fact]
    public async Task A_full_disk_is_told_and_ends_nothing()
    {
        await using DiscoveryServer server = Serve();
        _state.Failure = new IOException("no space left on device");
        Run(62);
        server.Counters.SaveProblem.Should().Be("no space left on device");
        new Asker(this, "203.0.113.5:1").Announce(Name, 1);
        _state.Failure = null;
        Run(61);
        server.Counters.SaveProblem.Should().BeNull();
    }

    [Fact]
    public async Task Other_domains_and_odd_names_are_answered_with_nothing()
    {
        await using DiscoveryServer server = Serve();
        Asker a = new(this, "203.0.113.5:1");
        foreach (string name in new[] { "x.example.local", "notdat.local", "local", ".dat.local", "example.org" })
            a.Ask(name == ".dat.local" ? "local" : name).Answers.Should().BeEmpty();
        a.Send("short.dat.local", "token=" + a.Token, "announce=1").Peers.Should().BeEmpty();
        a.Send("short.dat.local", "token=" + a.Token, "announce=1").Peers.Should().BeEmpty();
        a.Exchange(new DnsMessage { Id = 3 }).Should().BeNull("a message without a question is none of a client's");
        server.Counters.Records.Should().Be(0);
    }

    [Fact]
    public async Task Rubbish_is_never_answered_and_never_ends_the_server()
    {
        await using DiscoveryServer server = Serve();
        IDatagramSocket socket = _network.Bind("203.0.113.5:1");
        int answered = 0;
        socket.Receive((_, _) => answered++);
        Random random = new(5);
        byte[][] recorded = [.. Vectors.Json("discovery/dns-server.json").GetProperty("steps").EnumerateArray().SelectMany(s => s.GetProperty("packets").EnumerateArray()).Select(p => p.Hex("hex")!)];
        for (int i = 0; i < 5000; i++)
        {
            byte[] bytes = i % 2 == 0 ? new byte[random.Next(600)] : [.. recorded[random.Next(recorded.Length)]];
            if (i % 2 == 0) random.NextBytes(bytes);
            else
                for (int change = random.Next(8); change >= 0; change--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            socket.Send(bytes, IPEndPoint.Parse(At));
            if (i % 20 == 0) Run(1);
        }

        Run(1);
        server.Counters.Received.Should().Be(5000);
        server.Counters.Malformed.Should().BeGreaterThan(2000);
        new Asker(this, "203.0.113.6:1").Announce(Name, 1);
        server.Counters.Records.Should().Be(1);
    }

    [Fact]
    public async Task Our_source_and_our_server_understand_each_other()
    {
        await using DiscoveryServer server = Serve();
        SwarmTopic topic = new(DiscoveryKey.From(new byte[32]));
        List<PeerSighting>[] found = [[], []];
        DnsSource[] sources = new DnsSource[2];
        for (int i = 0; i < 2; i++)
        {
            sources[i] = new(new DnsClient(_network.Bind($"203.0.113.{i}:3282"), _time, new Random(i).NextDouble), new DnsServerAddress("198.51.100.1", 5300, 53), new DnsSourceOptions { Time = _time, Random = new Random(i).NextDouble });
            sources[i].Join(topic, 3282, found[i].Add).Announced.Should().BeFalse();
            Run(0.1);
        }

        found[0].Select(f => f.Address.ToString()).Distinct().Should().Equal("203.0.113.1:3282");
        found[1].Select(f => f.Address.ToString()).Distinct().Should().Equal("203.0.113.0:3282");
        Task[] ended = [.. sources.Select(source => source.DisposeAsync().AsTask())];
        Run(0.1);
        await Task.WhenAll(ended);
        server.Counters.Records.Should().Be(0, "both said goodbye");
    }

    private readonly List<IDatagramSocket> _bound = [];

    private DiscoveryServer Serve(DiscoveryServerOptions? options = null, params string[] endPoints)
    {
        foreach (IDatagramSocket old in _bound) old.DisposeAsync().AsTask().IsCompleted.Should().BeTrue();
        _bound.Clear();
        _bound.AddRange((endPoints.Length == 0 ? [At] : endPoints).Select(_network.Bind));
        return new DiscoveryServer([.. _bound], (options ?? new DiscoveryServerOptions()) with { Time = _time, Random = new Random(1).NextDouble, State = _state });
    }

    private async Task CloseAsync()
    {
        foreach (IDatagramSocket socket in _bound) await socket.DisposeAsync();
        _bound.Clear();
    }

    private void Run(double seconds)
    {
        for (int i = 0; i < seconds * 100; i++) _time.Advance(TimeSpan.FromMilliseconds(10));
    }

    /// <summary>A client that does as it is told.</summary>
    private sealed class Asker
    {
        private readonly DiscoveryServerTests _test;
        private readonly IDatagramSocket _socket;
        private readonly IPEndPoint _server;
        private readonly List<string> _pushed = [];
        private DnsMessage? _reply;
        private string? _token;

        public Asker(DiscoveryServerTests test, string endPoint, string server = At)
        {
            (_test, _server) = (test, IPEndPoint.Parse(server));
            _socket = test._network.Bind(endPoint);
            _socket.Receive((datagram, from) =>
            {
                DnsMessage.TryDecode(datagram, out DnsMessage message).Should().BeTrue();
                if (message.IsResponse)
                {
                    _reply = message;
                    return;
                }

                _pushed.Add(((DnsService)message.Additionals.Single()).Peer.ToString()!);
                if (Acknowledges) _socket.Send(new DnsMessage { Id = message.Id, Flags = DnsMessage.ResponseFlags }.ToBytes(), from);
            });
        }

        public bool Acknowledges { get; init; } = true;

        public string Token => _token ??= FreshToken();

        public string FreshToken() => _token = ((DnsText)Ask("dat.local").Answers.Single())["token"]!;

        public DnsMessage Ask(string name) => Exchange(new DnsMessage { Id = 7, Flags = DnsMessage.QueryFlags, Questions = [new DnsQuestion(name, DnsType.Txt)] })!;

        public DnsText Lookup(string name) => Send(name, "subscribe=true", "token=" + Token);

        public DnsText Announce(string name, int port) => Send(name, "subscribe=true", "token=" + Token, $"announce={port}");

        public DnsText Send(string name, params string[] strings) => (DnsText)Exchange(new DnsMessage
        {
            Id = 8,
            Flags = DnsMessage.QueryFlags,
            Questions = [new DnsQuestion(name, DnsType.Txt)],
            Additionals = strings.Length == 0 ? [] : [new DnsText(name, strings)],
        })!.Answers.Single();

        public DnsMessage? Exchange(DnsMessage message)
        {
            _reply = null;
            Post(message);
            _test.Run(0.02);
            return _reply;
        }

        public void Post(DnsMessage message) => _socket.Send(message.ToBytes(), _server);

        public IReadOnlyList<string> Pushed()
        {
            _test.Run(0.02);
            string[] pushed = [.. _pushed];
            _pushed.Clear();
            return pushed;
        }
    }

    private sealed class MemoryState : IServerState
    {
        public Dictionary<string, byte[]> Files { get; set; } = [];

        public IOException? Failure { get; set; }

        public byte[] Load(string name) => Files.GetValueOrDefault(name) ?? [];

        public void Save(string name, ReadOnlySpan<byte> state)
        {
            if (Failure is not null) throw Failure;
            Files[name] = state.ToArray();
        }
    }
}
