using DatFs.Discovery;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>Feeds and connections that come and go in any order (wire-protocol.md §3.4, §9.1; discovery.md §8.4).</summary>
public sealed class ConnectionLifeTests
{
    [Fact]
    public async Task A_feed_can_be_joined_while_a_peer_has_not_said_a_word()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        Feed content = owner.Join(ReplicaNode.NewFeed());
        await content.AppendAsync([ReplicaNode.Block(77)], default);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
        Task<PeerEnd> running = reader.Replicator.RunAsync(there, default);

        Feed copy = reader.Join(ReplicaNode.OpenFeed(content.Key));

        owner.Run(here);
        using BlockLease block = await copy.ReadAsync(0, FetchPriority.Interactive, default).AsTask().WaitAsync(ReplicaNode.Patience);
        block.Memory.ToArray().Should().Equal(ReplicaNode.Block(77));
        running.IsCompleted.Should().BeFalse();
    }

    [Fact]
    public async Task More_feeds_than_a_connection_carries_are_joined_all_the_same()
    {
        await using ReplicaNode node = ReplicaNode.Reader(ReplicaNode.KeyOf("feed 0"));
        await using ScriptedPeer peer = node.Connect(new ScriptedPeer());
        await peer.OpenAsync();

        for (int i = 1; i < 260; i++) node.Join(ReplicaNode.OpenFeed(ReplicaNode.KeyOf($"feed {i}")));

        node.Replicator.Traffic.Should().HaveCount(260);
        node.Replicator.Peers.Single().Feeds.Should().HaveCount(WireConnection.MaxChannels);
    }

    [Fact]
    public async Task A_feed_that_is_left_is_taken_back_and_its_connection_goes_on()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        Feed content = ReplicaNode.NewFeed();
        await content.AppendAsync([ReplicaNode.Block(77), ReplicaNode.Block(78)], default);
        IDisposable shared = owner.Replicator.Join(content);
        await using ScriptedPeer peer = new() { Feeds = [content.Key] };
        owner.Connect(peer);
        WireChannel first = await peer.OpenAsync();
        WireChannel second = await peer.OpenAsync(content.Key);
        second.Send(new WantMessage(0, 1_048_576));
        second.Send(new RequestMessage(0, 0, false, 0));
        await peer.UntilAsync(p => p.Answers.Any(), "it was served");

        shared.Dispose();
        await content.DisposeAsync();
        second.Send(new RequestMessage(1, 0, false, 0));
        first.Send(new RequestMessage(2, 0, false, 0));

        await peer.UntilAsync(p => p.Answers.Count() == 2, "the other feed is served");
        peer.Heard.OfType<UnhaveMessage>().Should().Equal(new UnhaveMessage(0, 2));
        peer.Answers.Last().Index.Should().Be(2);
    }

    [Fact]
    public async Task A_feed_that_is_left_and_joined_again_is_replicated_again()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        await using Feed content = ReplicaNode.NewFeed();
        await content.AppendAsync([ReplicaNode.Block(77)], default);
        IDisposable shared = owner.Replicator.Join(content);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        Feed copy = reader.Join(ReplicaNode.OpenFeed(content.Key));
        await using Swarm swarm = new(reader.Replicator, new SwarmOptions
        {
            Dial = (_, _) =>
            {
                (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
                owner.Run(there);
                return ValueTask.FromResult<ITransport>(here);
            },
        });
        swarm.Add(new PeerAddress("peer.example", 1));
        await reader.ReadAsync(0);
        shared.Dispose();

        shared = owner.Replicator.Join(content);

        using BlockLease block = await copy.ReadAsync(0, FetchPriority.Interactive, default).AsTask().WaitAsync(ReplicaNode.Patience);
        block.Memory.ToArray().Should().Equal(ReplicaNode.Block(77));
        shared.Dispose();
    }

    [Fact]
    public async Task A_replaced_connection_that_its_peer_does_not_end_is_closed()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode node = ReplicaNode.Reader(ReplicaNode.KeyOf("x"), new ReplicatorOptions { Time = time });
        byte[] id = [.. Enumerable.Repeat((byte)7, 32)];
        List<RawPeer> peers = [];
        List<MemoryTransport> ends = [];
        List<Task<PeerEnd>> connections = [];
        for (int i = 0; i < 2; i++)
        {
            (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
            connections.Add(node.RunAsync(there));
            ends.Add(here);
            peers.Add(new RawPeer(here, node.Feed.Key));
            await peers[i].SendFeedAsync();
            await peers[i].SendHandshakeAsync(id);
            if (i == 0) await ReplicaNode.UntilAsync(() => node.Replicator.AnyPeer, "the first is connected");
        }

        await ReplicaNode.UntilAsync(() => node.Replicator.Peers.Count == 1 && node.Replicator.Connections.Count == 2, "one was replaced");
        connections.Should().OnlyContain(c => !c.IsCompleted);
        await Task.WhenAny(ends.Select(HearEndAsync)).WaitAsync(ReplicaNode.Patience);
        for (TimeSpan passed = default; passed < WireConnection.Farewell; passed += TimeSpan.FromSeconds(1)) time.Advance(TimeSpan.FromSeconds(1));

        (await (await Task.WhenAny(connections)).WaitAsync(ReplicaNode.Patience)).Should().Be(PeerEnd.Duplicate);
        connections.Should().ContainSingle(c => !c.IsCompleted);
        foreach (RawPeer peer in peers) peer.Dispose();
    }

    [Fact]
    public async Task Connections_beyond_the_bound_are_refused()
    {
        await using ReplicaNode node = ReplicaNode.Reader(ReplicaNode.KeyOf("crowded"));
        for (int i = 0; i < Replicator.MaxPeers; i++) node.Run(MemoryTransport.CreatePair().Acceptor);
        await ReplicaNode.UntilAsync(() => node.Replicator.Peers.Count == Replicator.MaxPeers, "all are there");

        PeerEnd end = await node.RunAsync(MemoryTransport.CreatePair().Acceptor).WaitAsync(ReplicaNode.Patience);

        end.Should().Be(PeerEnd.Failed);
        node.Replicator.Peers.Should().HaveCount(Replicator.MaxPeers);
    }

    [Fact]
    public async Task Rates_are_those_of_the_connection_and_not_of_the_time_before_it()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1, tail: 10_000);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        time.Advance(TimeSpan.FromHours(1));
        reader.Connect(owner);
        await reader.ReadAsync(0);
        time.Advance(TimeSpan.FromSeconds(1));

        reader.Replicator.Peers.Single().ReceiveRate.Should().BeGreaterThan(10_000);
    }

    [Fact]
    public async Task A_name_that_never_says_which_drive_it_wants_is_let_go()
    {
        FakeTimeProvider time = new();
        ReplicatorHost host = new(time);
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
        Task<PeerEnd> served = host.RunAsync(there, default);
        await here.Output.WriteAsync(new byte[] { 0x3d, 0x00 });

        time.Advance(ReplicatorHost.FirstFrameTimeout);

        (await served.WaitAsync(ReplicaNode.Patience)).Should().Be(PeerEnd.Violation);
    }

    private static async Task HearEndAsync(MemoryTransport end)
    {
        while (true)
        {
            var read = await end.Input.ReadAsync();
            end.Input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) return;
        }
    }
}
