using System.Net;
using System.Net.Sockets;
using DatFs.Discovery;
using DatFs.Evidence;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

public sealed class SwarmDialTests
{
    private static readonly PeerAddress s_address = new("peer.example", 3282);

    [Fact]
    public async Task Waits_longer_after_each_failure_and_says_what_went_wrong()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode reader = ReplicaNode.Reader(ReplicaNode.KeyOf("x"), new ReplicatorOptions { Time = time });
        int dials = 0;
        await using Swarm swarm = new(reader.Replicator, new SwarmOptions
        {
            Dial = (_, _) =>
            {
                Interlocked.Increment(ref dials);
                throw new DatException(DatError.Offline, "no", new SocketException((int)SocketError.ConnectionRefused));
            },
            Random = () => 0.5,
        });
        swarm.Add(s_address);
        swarm.Add(s_address);

        double[] delays = [1, 1, 5, 15, 30, 30, 30];
        for (int i = 0; i < delays.Length; i++)
        {
            await ReplicaNode.UntilAsync(() => swarm.Addresses.Single().Rest == TimeSpan.FromSeconds(delays[i]), "it waits");
            time.Advance(TimeSpan.FromSeconds(delays[i] - 0.01));
            Volatile.Read(ref dials).Should().Be(i + 1);
            time.Advance(TimeSpan.FromSeconds(0.01));
            await ReplicaNode.UntilAsync(() => Volatile.Read(ref dials) == i + 2, "it dialled again");
        }

        swarm.Explain().Should().Be("no peer answered: peer.example:3282 connection refused");
    }

    [Fact]
    public async Task A_bare_socket_error_of_a_dial_is_one_more_failure()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode reader = ReplicaNode.Reader(ReplicaNode.KeyOf("x"), new ReplicatorOptions { Time = time });
        await using Swarm swarm = new(reader.Replicator, new SwarmOptions { Dial = (_, _) => throw new SocketException((int)SocketError.HostUnreachable) });
        swarm.Add(s_address);

        await ReplicaNode.UntilAsync(() => swarm.Addresses.Single().Rest is not null, "it rests");

        swarm.Explain().Should().Be("no peer answered: peer.example:3282 unreachable");
    }

    [Fact]
    public async Task Dials_again_when_a_connection_ends()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        List<MemoryTransport> dialled = [];
        await using Swarm swarm = new(reader.Replicator, new SwarmOptions
        {
            Dial = (_, _) =>
            {
                (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
                owner.Run(there);
                lock (dialled) dialled.Add(here);
                return ValueTask.FromResult<ITransport>(here);
            },
            Random = () => 0,
        });
        swarm.Add(s_address);
        (await reader.ReadAsync(0)).Should().Equal(ReplicaNode.Block(0));
        swarm.Explain().Should().BeNull();

        dialled[0].Abort();

        await ReplicaNode.UntilAsync(() => swarm.Addresses.Single().Attempts >= 2 && reader.Replicator.AnyPeer, "it is connected again");
        (await reader.ReadAsync(1)).Should().Equal(ReplicaNode.Block(1));
    }

    [Fact]
    public async Task A_second_way_to_the_same_peer_is_not_taken_while_the_first_lives()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using Swarm swarm = new(reader.Replicator, new SwarmOptions
        {
            Dial = (_, _) =>
            {
                (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
                owner.Run(there);
                return ValueTask.FromResult<ITransport>(here);
            },
        });
        swarm.Add(s_address);
        await reader.ReadAsync(0);

        swarm.Add(new PeerAddress("other.name", 3282));

        // The other side may have ended the first before the second had shown who it is: then a pause comes before that is known.
        await ReplicaNode.UntilAsync(() => swarm.Addresses.Count(s => s.State is DialState.Duplicate or DialState.Resting) == 1, "one of the two was dropped");
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers is [{ State: PeerState.Connected }], "the other one is kept");
        time.Advance(TimeSpan.FromSeconds(1.5));
        await ReplicaNode.UntilAsync(() => swarm.Addresses.Any(s => s.State == DialState.Duplicate && s.LastError == "is connected already"), "it knows why");
        for (int i = 0; i < 10; i++) time.Advance(TimeSpan.FromSeconds(1));
        (await reader.ReadAsync(1)).Should().Equal(ReplicaNode.Block(1));
        swarm.Addresses.Sum(s => s.Attempts).Should().Be(2);
    }

    [Fact]
    public async Task A_connection_between_two_that_dialled_each_other_survives_once()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        reader.Connect(owner);
        owner.Connect(reader);

        await ReplicaNode.UntilAsync(
            () => reader.Replicator.Peers is [{ State: PeerState.Connected }] && owner.Replicator.Peers is [{ State: PeerState.Connected }], "one is left");

        (await reader.ReadAsync(1)).Should().Equal(ReplicaNode.Block(1));
    }

    [Fact]
    public async Task Listens_and_dials_over_tcp()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(300, tail: 5000);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using PeerListener listener = PeerListener.Start(
            new IPEndPoint(IPAddress.Loopback, 0), (t, ct) => owner.Replicator.RunAsync(t, ct), TimeProvider.System, NullLogger.Instance);
        await using Swarm swarm = new(reader.Replicator);
        swarm.Add(new PeerAddress("localhost", listener.LocalEndPoint.Port));
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, Feeds.DownloadOrder.Ascending, Feeds.FetchPriority.Background);

        await reader.UntilHeldAsync(0, 300);

        reader.ShouldHold(0, 300, tail: 5000);
        reader.Replicator.Peers.Single().BytesReceived.Should().BeGreaterThan(300 * 5008);
    }

    [Fact]
    public async Task A_port_nobody_listens_on_is_named_in_the_explanation()
    {
        await using ReplicaNode reader = ReplicaNode.Reader(ReplicaNode.KeyOf("x"));
        using Socket reserved = new(SocketType.Stream, ProtocolType.Tcp);
        reserved.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        int port = ((IPEndPoint)reserved.LocalEndPoint!).Port;
        await using Swarm swarm = new(reader.Replicator);

        swarm.Add(new PeerAddress("127.0.0.1", port));

        await ReplicaNode.UntilAsync(() => swarm.Explain() is not null, "the dial failed");
        swarm.Explain().Should().Be($"no peer answered: 127.0.0.1:{port} connection refused");
    }
}
