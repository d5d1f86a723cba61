using System.Buffers.Binary;
using System.Net;
using DatFs.Discovery;
using DatFs.Evidence;
using DatFs.Replication;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

public sealed class PeerExchangeTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly MemoryInternet _internet = new();
    private readonly List<IAsyncDisposable> _open = [];

    [Fact]
    public async Task Two_peers_of_one_meet_through_it_alone()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        _internet.Host("192.0.2.3:3282", owner);
        Site middle = Open(owner, "192.0.2.1:3282");
        middle.Swarm.Add(new PeerAddress("192.0.2.3", 3282));
        await ReplicaNode.UntilAsync(() => middle.Node.Replicator.AnyPeer, "the middle one knows the owner");

        Site newcomer = Open(owner, "192.0.2.2:3282");
        newcomer.Swarm.Add(new PeerAddress("192.0.2.1", 3282));

        await ReplicaNode.UntilAsync(() => newcomer.Swarm.Addresses.Any(a => a.Connected && a.NamedBy.SequenceEqual(["exchange"])), "it was told of the owner");
        newcomer.Swarm.Addresses.Single(a => a.NamedBy.Contains("exchange")).Address.ToString().Should().Be("192.0.2.3:3282");
        newcomer.Swarm.Sources.Should().ContainSingle(s => s.Kind == SourceKind.Exchange && s.Status.Health == SourceHealth.Up && s.Named == 1);
        await CloseAsync();
    }

    [Fact]
    public async Task One_that_came_by_itself_is_told_of_to_others_a_minute_later()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        Site middle = Open(owner, "192.0.2.1:3282");
        Site first = Open(owner, "192.0.2.2:3282");
        first.Swarm.Add(new PeerAddress("192.0.2.1", 3282));
        await ReplicaNode.UntilAsync(() => middle.Node.Replicator.AnyPeer && first.Node.Replicator.AnyPeer, "the first is connected");
        Site second = Open(owner, "192.0.2.4:3282");
        second.Swarm.Add(new PeerAddress("192.0.2.1", 3282));
        await ReplicaNode.UntilAsync(() => middle.Node.Replicator.Peers.Count(p => p.State == PeerState.Connected) == 2, "the second too");
        await ReplicaNode.UntilAsync(() => Array.TrueForAll([first, middle, second], Heard), "each was told where the other listens");

        for (int i = 0; i < 600 && !Told().Any(a => a.Connected); i++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            for (int turn = 0; turn < 50; turn++) await Task.Yield();
            await ReplicaNode.UntilAsync(() => Told().All(a => a.State != DialState.Dialling), "no dial is cut short by the clock");
        }

        Told().Should().Contain(a => a.Connected);
        await CloseAsync();

        bool Heard(Site site) => site.Swarm.Sources.Single().Status.Health == SourceHealth.Up;

        IEnumerable<DialStatus> Told() => first.Swarm.Addresses.Concat(second.Swarm.Addresses).Where(a => a.NamedBy.Contains("exchange"));
    }

    [Fact]
    public async Task Private_addresses_are_told_to_private_peers_only_and_believed_of_private_peers_only()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        _internet.Host("10.0.0.3:3282", owner);
        Site middle = Open(owner, "10.0.0.1:3282");
        middle.Swarm.Add(new PeerAddress("10.0.0.3", 3282));
        await ReplicaNode.UntilAsync(() => middle.Node.Replicator.AnyPeer, "the middle one knows the owner");
        List<byte[]> toPublic = await HearAsync(middle, "203.0.113.5:4000");
        List<byte[]> toPrivate = await HearAsync(middle, "10.0.0.9:4000");

        toPublic.SelectMany(Entries).Should().Equal("0.0.0.0:3282");
        toPrivate.SelectMany(Entries).Should().Equal("0.0.0.0:3282", "10.0.0.3:3282");
        await CloseAsync();
    }

    [Fact]
    public async Task A_peer_that_lies_brings_fifty_addresses_each_half_minute_and_none_that_is_private()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        _internet.Swallows = _ => true;
        Site site = Open(owner, "192.0.2.1:3282");
        Teller teller = await TellerAsync(site, "203.0.113.5:4000");
        byte[] many = [.. Enumerable.Range(1, 5000).SelectMany(i => Entry(new IPEndPoint(new IPAddress([203, 0, (byte)(i >> 8), (byte)i]), 80)))];

        teller.Tell([.. Entry(IPEndPoint.Parse("127.0.0.1:22")), .. Entry(IPEndPoint.Parse("192.168.0.1:80")), .. Entry(IPEndPoint.Parse("224.0.0.1:80")), .. many]);
        teller.Tell(many);
        teller.Tell([]);

        await ReplicaNode.UntilAsync(() => site.Swarm.Addresses.Count >= PeerExchange.MaxEntries - 3, "it was heard");
        await teller.SettledAsync();
        site.Swarm.Addresses.Should().HaveCount(PeerExchange.MaxEntries - 3);
        await CloseAsync();
    }

    [Fact]
    public async Task A_hint_is_dialled_after_everything_else()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        _internet.Swallows = _ => true;
        FakeSource dns = new(SourceKind.Dns, "dns");
        FakeSource hints = new(SourceKind.Exchange, "hints");
        Site site = Open(owner, "192.0.2.1:3282", hints, dns);
        dns.Say(Enumerable.Range(1, 15).Select(i => FakeSource.Sighting($"203.0.113.{i}:1")));
        hints.Say(Enumerable.Range(1, 50).Select(i => FakeSource.Sighting($"198.51.100.{i}:1")));
        dns.Say(Enumerable.Range(16, 9).Select(i => FakeSource.Sighting($"203.0.113.{i}:1")));
        await ReplicaNode.UntilAsync(() => _internet.Swallowed >= 13, "dials are under way");

        _time.Advance(Swarm.DialTimeout);
        await ReplicaNode.UntilAsync(() => _internet.Dialled.Count(a => a.Host.StartsWith("203.", StringComparison.Ordinal)) >= 22, "the others were dialled");

        _internet.Dialled.Count(a => a.Host.StartsWith("198.", StringComparison.Ordinal)).Should().BeLessThanOrEqualTo(Swarm.ReservedDials + 1);
        await CloseAsync();
    }

    [Fact]
    public async Task A_swarm_without_the_extension_in_its_handshake_is_a_mistake_of_its_maker()
    {
        await using ReplicaNode node = await ReplicaNode.OwnerAsync(1);
        FluentActions.Invoking(() => new Swarm(node.Replicator, new SwarmOptions { Exchange = true })).Should().Throw<DatException>();
    }

    private static byte[] Entry(IPEndPoint address)
    {
        byte[] entry = new byte[6];
        address.Address.TryWriteBytes(entry, out _);
        BinaryPrimitives.WriteUInt16BigEndian(entry.AsSpan(4), (ushort)address.Port);
        return entry;
    }

    private static IEnumerable<string> Entries(byte[] message)
    {
        for (int at = 0; at + 6 <= message.Length; at += 6)
            yield return new IPEndPoint(new IPAddress(message.AsSpan(at, 4)), BinaryPrimitives.ReadUInt16BigEndian(message.AsSpan(at + 4))).ToString();
    }

    private Site Open(ReplicaNode owner, string address, params IPeerSource[] own)
    {
        ReplicaNode node = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = _time, Extensions = [PeerExchange.ExtensionName] });
        Swarm swarm = new(node.Replicator, new SwarmOptions { Exchange = true, OwnSources = own, Dial = _internet.From(address.Split(':')[0] + ":50000"), Random = () => 0.5 });
        swarm.Join(new SwarmTopic(owner.Feed.DiscoveryKey), IPEndPoint.Parse(address).Port);
        _internet.Host(address, transport => swarm.RunAsync(transport, default));
        Site site = new(node, swarm);
        _open.Add(site);
        return site;
    }

    // A peer that only speaks the extension.
    private async Task<Teller> TellerAsync(Site site, string from)
    {
        ReplicaNode node = ReplicaNode.Reader(site.Node.Feed.Key, new ReplicatorOptions { Time = _time, Extensions = [PeerExchange.ExtensionName] });
        Teller teller = new(node);
        node.Replicator.Extension = teller;
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair(from, "192.0.2.1:3282");
        node.Run(here);
        _ = site.Swarm.RunAsync(there, default);
        _open.Insert(0, node);
        await ReplicaNode.UntilAsync(() => teller.IsOpen, "the peer is connected");
        return teller;
    }

    private async Task<List<byte[]>> HearAsync(Site site, string from)
    {
        Teller teller = await TellerAsync(site, from);
        await ReplicaNode.UntilAsync(() => teller.Count > 0, "something was told");
        lock (teller.Heard) return [.. teller.Heard];
    }

    private async Task CloseAsync()
    {
        foreach (IAsyncDisposable one in Enumerable.Reverse(_open)) await one.DisposeAsync();
    }

    private sealed record Site(ReplicaNode Node, Swarm Swarm) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            await Swarm.DisposeAsync();
            await Node.DisposeAsync();
        }
    }

    private sealed class Teller(ReplicaNode node) : IConnectionExtension
    {
        private volatile PeerConnection? _peer;

        public string Name => PeerExchange.ExtensionName;

        public List<byte[]> Heard { get; } = [];

        public bool IsOpen => _peer is not null;

        public int Count
        {
            get
            {
                lock (Heard) return Heard.Count;
            }
        }

        public void Tell(byte[] message) => _peer!.SendExtension(Name, message).Should().BeTrue();

        /// <summary>The other side has handled all that was told: it answered what was sent later.</summary>
        public async Task SettledAsync()
        {
            long before = node.Replicator.Peers.Single().BytesReceived;
            _peer!.Channels.First().Wire.Send(new Wire.WantMessage(0, 8192));
            await ReplicaNode.UntilAsync(() => node.Replicator.Peers.Single().BytesReceived > before, "it was answered");
        }

        public void Opened(PeerConnection peer) => _peer = peer;

        public void Received(PeerConnection peer, ReadOnlySpan<byte> payload)
        {
            lock (Heard) Heard.Add(payload.ToArray());
        }

        public void Closed(PeerConnection peer)
        {
        }
    }
}
