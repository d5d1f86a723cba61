using DatFs.Discovery;
using DatFs.Evidence;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

public sealed class PeerSwarmTests
{
    private const string Us = "198.51.100.1:40000";

    private readonly FakeTimeProvider _time = new();
    private readonly MemoryInternet _internet = new();

    [Fact]
    public async Task A_peer_that_any_source_names_is_connected_and_the_source_remembered()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        _internet.Host("192.0.2.7:3282", owner);
        FakeSource lan = new(SourceKind.Lan, "lan");
        FakeSource dht = new(SourceKind.Dht, "dht") { AtOnce = [FakeSource.Sighting("192.0.2.7:3282")] };
        await using Site site = Join(owner, lan, dht);

        (await site.Node.ReadAsync(0)).Should().Equal(ReplicaNode.Block(0));

        site.Swarm.Addresses.Should().ContainSingle().Which.Should().BeEquivalentTo(new { Connected = true, NamedBy = new[] { "dht" }, Attempts = 1 });
        lan.Say(FakeSource.Sighting("192.0.2.7:3282"));
        site.Swarm.Addresses.Single().NamedBy.Should().Equal("dht", "lan");
        _internet.Dialled.Should().HaveCount(1, "the same address again is no reason to dial");
        site.Swarm.Sources.Select(s => (s.Kind, s.Name, s.Announced)).Should().Equal((SourceKind.Lan, "lan", true), (SourceKind.Dht, "dht", true));
        lan.Port.Should().Be(3282);
    }

    [Theory]
    [InlineData("0.0.0.0:3282", true)]
    [InlineData("0.1.2.3:3282", true)]
    [InlineData("192.0.2.7:0", true)]
    [InlineData("224.0.0.251:5353", true)]
    [InlineData("239.255.255.250:1900", true)]
    [InlineData("255.255.255.255:3282", true)]
    [InlineData("240.0.0.1:3282", true)]
    [InlineData("[ff02::fb]:3282", true)]
    [InlineData("[::]:3282", true)]
    [InlineData("127.0.0.1:3283", false)]
    [InlineData("[::1]:3283", false)]
    [InlineData("[::ffff:127.0.0.1]:3283", false)]
    [InlineData("10.1.2.3:3282", false)]
    [InlineData("172.31.0.1:3282", false)]
    [InlineData("192.168.1.1:3282", false)]
    [InlineData("169.254.1.1:3282", false)]
    [InlineData("100.64.0.1:3282", false)]
    [InlineData("[fe80::1]:3282", false)]
    [InlineData("[fd00::1]:3282", false)]
    public async Task Addresses_that_lead_nowhere_or_elsewhere_are_not_dialled(string address, bool toldPrivately)
    {
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [FakeSource.Sighting(address, toldPrivately)] };
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, dns);

        site.Swarm.Addresses.Should().BeEmpty();
    }

    [Theory]
    [InlineData("172.32.0.1:3282", false)]
    [InlineData("100.128.0.1:3282", false)]
    [InlineData("[2001:db8::1]:3282", false)]
    [InlineData("192.168.1.1:3282", true)]
    [InlineData("127.0.0.1:3283", true)]
    public async Task Addresses_of_others_are_dialled(string address, bool toldPrivately)
    {
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [FakeSource.Sighting(address, toldPrivately)] };
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, dns);

        site.Swarm.Addresses.Single().Address.ToString().Should().Be(address);
    }

    [Fact]
    public async Task Our_own_address_with_our_own_port_is_not_dialled_and_another_port_is()
    {
        FakeSource lan = new(SourceKind.Lan, "lan")
        {
            AtOnce = [FakeSource.Sighting("198.51.100.1:3282"), FakeSource.Sighting("127.0.0.1:3282", true), FakeSource.Sighting("198.51.100.1:3283")],
        };
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, lan);

        site.Swarm.Addresses.Select(a => a.Address.ToString()).Should().Equal("198.51.100.1:3283");
    }

    [Fact]
    public async Task An_address_that_leads_back_to_us_is_never_dialled_again_not_even_a_static_one()
    {
        await using ReplicaNode node = await ReplicaNode.OwnerAsync(1, options: new ReplicatorOptions { Time = _time });
        _internet.Host("192.0.2.1:3282", node);
        await using Swarm swarm = new(node.Replicator, new SwarmOptions { Dial = _internet.From(Us) });
        swarm.Add(new PeerAddress("192.0.2.1", 3282));

        await ReplicaNode.UntilAsync(() => swarm.Addresses.Single().State is DialState.Ourselves or DialState.Resting, "it knows itself");
        swarm.Addresses.Single().LastError.Should().Be("is ourselves");
        await AdvanceAsync(TimeSpan.FromMinutes(2));

        swarm.Addresses.Single().LastError.Should().Be("is ourselves");
        _internet.Dialled.Should().HaveCount(1);
        node.Replicator.AnyPeer.Should().BeFalse();
    }

    [Fact]
    public async Task An_address_in_vain_is_given_up_until_a_source_names_it_again()
    {
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [FakeSource.Sighting("192.0.2.9:1")] };
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, dns);

        foreach (double rest in (double[])[1, 1, 5, 15])
        {
            await ReplicaNode.UntilAsync(() => site.Swarm.Addresses.Single().Rest == TimeSpan.FromSeconds(rest), "it rests");
            _time.Advance(TimeSpan.FromSeconds(rest));
        }

        await ReplicaNode.UntilAsync(() => site.Swarm.Addresses.Single().State == DialState.Forgotten, "it is given up");
        site.Swarm.Addresses.Single().Should().BeEquivalentTo(new { LastError = "connection refused", Attempts = 5 });
        await AdvanceAsync(TimeSpan.FromMinutes(5));
        _internet.Dialled.Should().HaveCount(5);

        _internet.Host("192.0.2.9:1", owner);
        dns.Say(FakeSource.Sighting("192.0.2.9:1"));
        await ReplicaNode.UntilAsync(() => site.Node.Replicator.AnyPeer, "it is dialled again");
    }

    [Fact]
    public async Task A_peer_that_once_worked_is_dialled_for_ever_with_pauses_up_to_ten_minutes()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        ITransport? last = null;
        _internet.Host("192.0.2.7:3282", transport => owner.RunAsync(last = transport));
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [FakeSource.Sighting("192.0.2.7:3282")] };
        await using Site site = Join(owner, dns);
        await ReplicaNode.UntilAsync(() => site.Node.Replicator.AnyPeer, "it is connected");
        _internet.Down("192.0.2.7:3282");
        last!.Abort();

        foreach (double rest in (double[])[1, 1, 5, 15, 30, 60, 120, 240, 480, 600, 600, 600])
        {
            await ReplicaNode.UntilAsync(() => site.Swarm.Addresses.Single().Rest == TimeSpan.FromSeconds(rest), $"it rests {rest} s");
            _time.Advance(TimeSpan.FromSeconds(rest));
        }
    }

    [Fact]
    public async Task A_peer_that_accepts_and_says_nothing_is_left_after_five_seconds_and_shunned_when_it_goes_on()
    {
        _internet.Host("192.0.2.8:1", _ => Task.CompletedTask);
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [FakeSource.Sighting("192.0.2.8:1")] };
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, dns);
        for (int i = 0; i < 5; i++)
        {
            await ReplicaNode.UntilAsync(() => site.Node.Replicator.Peers is [{ State: PeerState.Connecting }], "the connection is open");
            _time.Advance(Swarm.HandshakeTimeout - TimeSpan.FromSeconds(0.1));
            site.Node.Replicator.Peers.Should().ContainSingle();
            _time.Advance(TimeSpan.FromSeconds(0.1));
            await ReplicaNode.UntilAsync(() => site.Swarm.Addresses.Single().State is DialState.Resting or DialState.Forgotten, "it was left");
            _time.Advance(TimeSpan.FromSeconds(15));
        }

        site.Swarm.Addresses.Single().Should().BeEquivalentTo(new { State = DialState.Forgotten, LastError = "accepted the connection and said nothing" });
        dns.Say(FakeSource.Sighting("192.0.2.8:1"));
        site.Swarm.Addresses.Single().State.Should().Be(DialState.Forgotten, "it is not brought back at once");
        _time.Advance(Swarm.ShunFor);
        dns.Say(FakeSource.Sighting("192.0.2.8:1"));
        site.Swarm.Addresses.Single().State.Should().Be(DialState.Dialling);
    }

    [Fact]
    public async Task A_dial_without_an_answer_ends_after_three_seconds()
    {
        _internet.Swallows = _ => true;
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [FakeSource.Sighting("192.0.2.8:1")] };
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, dns);
        await ReplicaNode.UntilAsync(() => _internet.Swallowed == 1, "it dials");

        _time.Advance(Swarm.DialTimeout - TimeSpan.FromSeconds(0.1));
        site.Swarm.Addresses.Single().State.Should().Be(DialState.Dialling);
        _time.Advance(TimeSpan.FromSeconds(0.1));

        await ReplicaNode.UntilAsync(() => site.Swarm.Addresses.Single().LastError == "timed out", "it gave up");
    }

    [Fact]
    public async Task A_source_that_floods_does_not_keep_a_peer_of_another_from_being_dialled()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        _internet.Host("192.0.2.7:3282", owner);
        _internet.Swallows = address => address.Host.StartsWith("203.0.113.", StringComparison.Ordinal);
        FakeSource liar = new(SourceKind.Dns, "liar") { AtOnce = Unreachable(1000) };
        FakeSource other = new(SourceKind.Dns, "other liar") { AtOnce = Unreachable(1000, 7) };
        FakeSource honest = new(SourceKind.Dht, "dht");
        await using Site site = Join(owner, liar, other, honest);
        await ReplicaNode.UntilAsync(() => _internet.Swallowed == Swarm.MaxDials - Swarm.ReservedDials + 1, "the liars dial as much as they may");

        honest.Say(FakeSource.Sighting("192.0.2.7:3282"));

        await ReplicaNode.UntilAsync(() => site.Node.Replicator.AnyPeer, "the honest source's peer is connected, and no time has passed");
        site.Swarm.Addresses.Count(a => a.NamedBy.Contains("liar")).Should().Be(SourceLane.MaxNewAMinute);
        _internet.Swallowed.Should().BeLessThanOrEqualTo(Swarm.MaxDials);
    }

    [Fact]
    public async Task A_source_brings_so_many_new_addresses_a_minute_and_so_many_in_all()
    {
        _internet.Swallows = _ => true;
        FakeSource liar = new(SourceKind.Dns, "liar");
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, liar);

        liar.Say(Unreachable(1000));
        site.Swarm.Addresses.Should().HaveCount(SourceLane.MaxNewAMinute);
        for (int minute = 0; minute < 10; minute++)
        {
            await AdvanceAsync(TimeSpan.FromMinutes(1));
            liar.Say(Unreachable(1000));
            liar.Say(Unreachable(1000, minute));
            site.Swarm.Addresses.Count(a => a.State != DialState.Forgotten).Should().BeLessThanOrEqualTo(SourceLane.MaxKept);
            site.Swarm.Addresses.Count.Should().BeLessThanOrEqualTo(SourceLane.MaxKept + Swarm.MaxForgotten);
        }
    }

    [Fact]
    public async Task One_host_gets_four_connections_and_no_more()
    {
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [.. Enumerable.Range(1, 20).Select(port => FakeSource.Sighting($"192.0.2.7:{port}"))] };
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        _internet.Swallows = _ => true;
        await using Site site = Join(owner, dns);

        await ReplicaNode.UntilAsync(() => _internet.Swallowed == Swarm.MaxPerHost, "four are dialled");
        site.Swarm.Addresses.Count(a => a.State == DialState.Dialling).Should().Be(Swarm.MaxPerHost);
    }

    [Fact]
    public async Task A_drive_has_64_connections_and_refuses_those_that_come_when_it_has_them()
    {
        await using ReplicaNode node = await ReplicaNode.OwnerAsync(1);
        await using Swarm swarm = new(node.Replicator);
        List<Task> running = [];
        List<MemoryTransport> ends = [];
        for (int i = 0; i < Swarm.MaxConnections + 1; i++)
        {
            (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair($"203.0.113.{i}:5000", "198.51.100.1:3282");
            ends.Add(here);
            running.Add(swarm.RunAsync(there, default));
        }

        await running[^1].WaitAsync(ReplicaNode.Patience);
        running.Count(r => r.IsCompleted).Should().Be(1);
        ends[0].Abort();
        await running[0].WaitAsync(ReplicaNode.Patience);
        (MemoryTransport again, MemoryTransport accepted) = MemoryTransport.CreatePair("203.0.113.99:5000", "198.51.100.1:3282");
        Task late = swarm.RunAsync(accepted, default);
        late.IsCompleted.Should().BeFalse("one has gone");
        foreach (MemoryTransport end in ends.Append(again)) end.Abort();
        await Task.WhenAll(running.Append(late)).WaitAsync(ReplicaNode.Patience);
    }

    [Fact]
    public async Task When_the_last_peer_is_lost_every_source_is_asked_at_once()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        ITransport? last = null;
        _internet.Host("192.0.2.7:3282", transport => owner.RunAsync(last = transport));
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [FakeSource.Sighting("192.0.2.7:3282")] };
        FakeSource dht = new(SourceKind.Dht, "dht");
        await using Site site = Join(owner, dns, dht);
        await ReplicaNode.UntilAsync(() => site.Node.Replicator.AnyPeer, "it is connected");
        dht.Wakes.Should().Be(0);

        last!.Abort();

        await ReplicaNode.UntilAsync(() => dns.Wakes == 1 && dht.Wakes == 1, "both were woken");
    }

    [Fact]
    public async Task A_change_of_the_network_wakes_the_sources_and_dials_what_rests()
    {
        FakeNetwork network = new();
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [FakeSource.Sighting("192.0.2.7:3282")] };
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, network, dns);
        await ReplicaNode.UntilAsync(() => site.Swarm.Addresses.Single().State == DialState.Resting, "it failed");
        _internet.Host("192.0.2.7:3282", owner);

        for (int i = 0; i < 20; i++) network.Change();
        _time.Advance(PeerSources.Settle);

        await ReplicaNode.UntilAsync(() => site.Node.Replicator.AnyPeer, "it is dialled at once");
        dns.Wakes.Should().Be(1, "changes come in bursts");
    }

    [Fact]
    public async Task Waking_from_sleep_wakes_the_sources()
    {
        SleepyClock clock = new(_time);
        FakeSource dns = new(SourceKind.Dns, "dns");
        await using PeerSources sources = new([dns], new FakeNetwork(), clock);
        _time.Advance(TimeSpan.FromMinutes(10));
        dns.Wakes.Should().Be(0);

        clock.Asleep = TimeSpan.FromSeconds(9);
        _time.Advance(PeerSources.LookEvery);
        dns.Wakes.Should().Be(0, "clocks are corrected a little now and then");
        clock.Asleep = TimeSpan.FromSeconds(20);
        _time.Advance(PeerSources.LookEvery);
        dns.Wakes.Should().Be(1);
        _time.Advance(TimeSpan.FromMinutes(10));
        dns.Wakes.Should().Be(1);
    }

    [Fact]
    public async Task When_every_source_is_left_alone_all_are_asked_again()
    {
        FakeSource dns = new(SourceKind.Dns, "dns") { Status = new SourceStatus(SourceHealth.Down, 3, null, null, "silent", null) };
        FakeSource lan = new(SourceKind.Lan, "lan") { Status = new SourceStatus(SourceHealth.Unavailable, 0, null, null, "no multicast", null) };
        FakeSource dht = new(SourceKind.Dht, "dht");
        await using PeerSources sources = new([dns, lan, dht], new FakeNetwork(), _time);
        _time.Advance(TimeSpan.FromMinutes(1));
        dns.Wakes.Should().Be(0, "another one answers");

        dht.Status = dns.Status;
        _time.Advance(PeerSources.LookEvery);
        (dns.Wakes, dht.Wakes).Should().Be((1, 1));
        _time.Advance(PeerSources.LookEvery);
        dns.Wakes.Should().Be(1);
        _time.Advance(PeerSources.AllDownEvery);
        dns.Wakes.Should().Be(2);
    }

    [Fact]
    public async Task On_the_link_only_means_that_nothing_beyond_it_is_dialled_or_accepted()
    {
        FakeNetwork network = new(FakeNetwork.Own("192.168.7.2"));
        FakeSource lan = new(SourceKind.Lan, "lan")
        {
            AtOnce = [FakeSource.Sighting("192.0.2.7:3282", true), FakeSource.Sighting("192.168.7.200:3282", true), FakeSource.Sighting("192.168.8.1:3282", true)],
        };
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, network, new SwarmOptions { OnLinkOnly = true }, lan);

        site.Swarm.Addresses.Select(a => a.Address.ToString()).Should().Equal("192.168.7.200:3282");
        (_, MemoryTransport stranger) = MemoryTransport.CreatePair("203.0.113.1:5000", "192.168.7.2:3282");
        await site.Swarm.RunAsync(stranger, default).WaitAsync(ReplicaNode.Patience);
    }

    [Fact]
    public async Task A_duplicate_is_dialled_again_only_once_the_peer_is_gone()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        _internet.Host("192.0.2.7:3282", owner);
        FakeSource dns = new(SourceKind.Dns, "dns");
        await using Site site = Join(owner, dns);
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair("192.0.2.7:51111", "198.51.100.1:3282");
        Task incoming = site.Swarm.RunAsync(there, default);
        owner.Run(here);
        await ReplicaNode.UntilAsync(() => site.Node.Replicator.AnyPeer && owner.Replicator.AnyPeer, "the peer came by itself");

        dns.Say(FakeSource.Sighting("192.0.2.7:3282"));
        await ReplicaNode.UntilAsync(
            () => site.Swarm.Addresses.Single().State is DialState.Duplicate || (incoming.IsCompleted && site.Swarm.Addresses.Single().State is DialState.Connected), "one of both is kept");
        await AdvanceAsync(TimeSpan.FromSeconds(10));
        _internet.Dialled.Should().HaveCount(1);
    }

    [Fact]
    public async Task Disposal_leaves_every_source_and_ends_what_was_dialled()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        _internet.Host("192.0.2.7:3282", owner);
        FakeSource dns = new(SourceKind.Dns, "dns") { AtOnce = [FakeSource.Sighting("192.0.2.7:3282")] };
        Site site = Join(owner, dns);
        await ReplicaNode.UntilAsync(() => site.Node.Replicator.AnyPeer, "it is connected");

        await site.Swarm.DisposeAsync();

        dns.Searches.Should().Be(0);
        dns.Disposed.Should().BeFalse("other drives use it");
        site.Node.Replicator.AnyPeer.Should().BeFalse();
        await site.DisposeAsync();
        dns.Disposed.Should().BeTrue();
    }

    [Fact]
    public async Task Loopback_connects_although_hosts_are_limited()
    {
        FakeSource lan = new(SourceKind.Lan, "lan") { AtOnce = [.. Enumerable.Range(1, 12).Select(port => FakeSource.Sighting($"127.0.0.1:{port}", true))] };
        _internet.Swallows = _ => true;
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        await using Site site = Join(owner, lan);

        await ReplicaNode.UntilAsync(() => _internet.Swallowed == 12, "all are dialled");
    }

    private static List<PeerSighting> Unreachable(int count, int from = 0) =>
        [.. Enumerable.Range(from * count, count).Select(i => FakeSource.Sighting($"203.0.113.{i % 250 + 1}:{i / 250 + 1}"))];

    private Site Join(ReplicaNode owner, params IPeerSource[] sources) => Join(owner, new FakeNetwork(FakeNetwork.Own("198.51.100.1")), sources);

    private Site Join(ReplicaNode owner, FakeNetwork network, params IPeerSource[] sources) => Join(owner, network, new SwarmOptions(), sources);

    private Site Join(ReplicaNode owner, FakeNetwork network, SwarmOptions options, params IPeerSource[] sources)
    {
        PeerSources all = new(sources, network, _time);
        ReplicaNode node = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = _time });
        Swarm swarm = new(node.Replicator, options with { Sources = all, Dial = _internet.From(Us), Random = () => 0.5 });
        swarm.Join(new SwarmTopic(owner.Feed.DiscoveryKey), 3282);
        return new Site(node, swarm, all);
    }

    // In small steps, so that what one timer causes is there before the next.
    private async Task AdvanceAsync(TimeSpan time)
    {
        for (int i = 0; i < 30; i++)
        {
            _time.Advance(time / 30);
            for (int turn = 0; turn < 20; turn++) await Task.Yield();
        }
    }

    private sealed record Site(ReplicaNode Node, Swarm Swarm, PeerSources Sources) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Swarm.DisposeAsync();
            await Sources.DisposeAsync();
            await Node.DisposeAsync();
        }
    }

    /// <summary>A machine whose wall clock goes on while it sleeps.</summary>
    private sealed class SleepyClock(FakeTimeProvider time) : TimeProvider
    {
        public TimeSpan Asleep { get; set; }

        public override long TimestampFrequency => time.TimestampFrequency;

        public override DateTimeOffset GetUtcNow() => time.GetUtcNow() + Asleep;

        public override long GetTimestamp() => time.GetTimestamp();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => time.CreateTimer(callback, state, dueTime, period);
    }
}
