using System.Collections.Concurrent;
using System.Net;
using DatFs.Discovery;
using DatFs.Discovery.DhtRpc;
using DatFs.Discovery.Kademlia;
using FluentAssertions;
using Xunit;
using static DatMount.Discovery.OurServer;

namespace DatMount.Discovery;

/// <summary>Our node and real nodes of @hyperswarm/dht in networks of their own on loopback (discovery.md §6.2).</summary>
public sealed class DhtRpcInteropTests
{
    private readonly string _target = NewName().Key;

    [Fact]
    public async Task What_a_real_node_announced_we_find_until_it_takes_it_back()
    {
        await using HyperswarmPeer first = await HyperswarmPeer.StartAsync(), second = await HyperswarmPeer.StartAsync(first.Address);
        await using OurNode ours = await OurNode.StartAsync(first.Address);
        await second.AnnounceAsync(_target, 4001);
        (await ours.FindAsync(_target)).Should().Equal("127.0.0.1:4001");
        await second.UnannounceAsync(_target, 4001);
        (await ours.FindAsync(_target)).Should().BeEmpty();
    }

    [Fact]
    public async Task What_we_announce_real_nodes_find_until_we_take_it_back()
    {
        await using HyperswarmPeer first = await HyperswarmPeer.StartAsync(), second = await HyperswarmPeer.StartAsync(first.Address);
        await using OurNode ours = await OurNode.StartAsync(first.Address);
        (await ours.ChangeAsync(_target, 4002, unannounce: false)).Should().Be(2);
        (await second.LookupAsync(_target)).Should().Equal("127.0.0.1:4002");
        (await ours.ChangeAsync(_target, 4002, unannounce: true)).Should().Be(2);
        (await second.LookupAsync(_target)).Should().BeEmpty();
    }

    [Fact]
    public async Task Real_nodes_know_our_node_as_one_of_theirs_and_find_each_other_through_it_alone()
    {
        await using OurNode ours = await OurNode.StartAsync();
        await using HyperswarmPeer one = await HyperswarmPeer.StartAsync(ours.Address), other = await HyperswarmPeer.StartAsync(ours.Address);
        (await one.NodesAsync()).Should().Contain(ours.Node.Local.Port);
        await one.AnnounceAsync(_target, 4003);
        (await other.LookupAsync(_target)).Should().Equal("127.0.0.1:4003");
        await UntilAsync(() => ours.Node.Records == 1, "our node stores it too");
        (await one.AskAsync("sing", _target, [1])).Should().NotBeEmpty().And.OnlyContain(answer => answer == DhtRpcNode.Unsupported);
    }

    /// <summary>Our node on loopback.</summary>
    private sealed class OurNode : IAsyncDisposable
    {
        private readonly UdpDatagramSocket _socket = UdpDatagramSocket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

        private OurNode() => Node = new DhtRpcNode(_socket, new DhtRpcNodeOptions());

        public DhtRpcNode Node { get; }

        public string Address => Node.Local.ToString();

        public static async Task<OurNode> StartAsync(params string[] bootstrap)
        {
            OurNode ours = new();
            ours.Node.Begin(bootstrap.Select(address => Ipv4Peer.TryFrom(IPEndPoint.Parse(address), out Ipv4Peer peer) ? peer : throw new FormatException(address)));
            if (bootstrap.Length > 0) await UntilAsync(() => ours.Known > 0, "a node is known");
            return ours;
        }

        private int Known
        {
            get
            {
                lock (Node.Overlay.Gate) return Node.Overlay.Table.Count;
            }
        }

        public async Task<IEnumerable<string>> FindAsync(string target)
        {
            ConcurrentQueue<string> found = [];
            await WalkAsync(target, (peer, _) => found.Enqueue(peer.ToString()));
            return found.Distinct();
        }

        /// <summary>Announces or takes back, and answers how many nodes took it.</summary>
        public async Task<int> ChangeAsync(string target, int port, bool unannounce)
        {
            WalkResult walk = await WalkAsync(target, (_, _) => { });
            Task<bool>[] taken =
            [
                .. walk.Closest.Select(near =>
                {
                    TaskCompletionSource<bool> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
                    Node.Announce(Place(target), port, unannounce, near, done.SetResult);
                    return done.Task;
                }),
            ];
            return (await Task.WhenAll(taken)).Count(one => one);
        }

        public async ValueTask DisposeAsync()
        {
            await Node.DisposeAsync();
            await _socket.DisposeAsync();
        }

        private Task<WalkResult> WalkAsync(string target, Action<Ipv4Peer, Ipv4Peer> found)
        {
            TaskCompletionSource<WalkResult> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
            Node.FindPeers(Place(target), found, done.SetResult);
            return done.Task.WaitAsync(TimeSpan.FromSeconds(20));
        }

        private static NodeId Place(string target) => NodeId.Read(Convert.FromHexString(target));
    }
}
