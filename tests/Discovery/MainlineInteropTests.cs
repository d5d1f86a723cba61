using System.Collections.Concurrent;
using System.Net;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Discovery.Mainline;
using FluentAssertions;
using Xunit;
using static DatMount.Discovery.OurServer;

namespace DatMount.Discovery;

/// <summary>Our source and real nodes of a mainline network on loopback (discovery.md §6.1).</summary>
public sealed class MainlineInteropTests
{
    private readonly ConcurrentQueue<PeerSighting> _found = [];
    private readonly TaskCompletionSource<PeerSighting> _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SwarmTopic _topic;
    private readonly string _infoHash;

    public MainlineInteropTests()
    {
        DiscoveryKey.TryParseHex(NewName().Key, out DiscoveryKey key).Should().BeTrue();
        _topic = new SwarmTopic(key);
        _infoHash = Convert.ToHexStringLower(_topic.InfoHash);
    }

    [Fact]
    public async Task What_a_real_node_announced_is_found()
    {
        await using DhtPeer first = await DhtPeer.StartAsync(), second = await DhtPeer.StartAsync(first.Address), third = await DhtPeer.StartAsync(first.Address);
        await third.AnnounceAsync(_infoHash, 4001);

        await using UdpDatagramSocket socket = UdpDatagramSocket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using MainlineSource source = new(socket, new MainlineSourceOptions { Bootstrap = [first.Address] });
        await using IPeerSearch search = source.Join(_topic, 0, Found);

        PeerSighting sighting = await _first.Task.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        sighting.Should().Be(new PeerSighting(IPEndPoint.Parse("127.0.0.1:4001"), ToldPrivately: true));
        source.Status.Health.Should().Be(SourceHealth.Up);
        search.Announced.Should().BeFalse();
    }

    [Fact]
    public async Task What_we_announce_real_nodes_find()
    {
        await using DhtPeer first = await DhtPeer.StartAsync(), second = await DhtPeer.StartAsync(first.Address);
        await using UdpDatagramSocket socket = UdpDatagramSocket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using MainlineSource source = new(socket, new MainlineSourceOptions { Bootstrap = [first.Address] });
        await using IPeerSearch search = source.Join(_topic, 3282, Found);
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(20));
        while (!search.Announced) await Task.Delay(20, patience.Token);

        await using DhtPeer late = await DhtPeer.StartAsync(first.Address);
        await late.LookupAsync(_infoHash);
        await late.HeardOfAsync(_infoHash, 3282);
    }

    [Fact]
    public async Task Real_nodes_find_each_other_through_our_node_alone()
    {
        await using UdpDatagramSocket socket = UdpDatagramSocket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using MainlineNode ours = new(socket, new MainlineNodeOptions());
        string address = ours.Local.ToString();
        await using DhtPeer one = await DhtPeer.StartAsync(address), other = await DhtPeer.StartAsync(address);
        await one.AnnounceAsync(_infoHash, 4002);
        await other.LookupAsync(_infoHash);
        await other.HeardOfAsync(_infoHash, 4002);
        ours.Records.Should().BePositive();
    }

    private void Found(PeerSighting sighting)
    {
        _found.Enqueue(sighting);
        _first.TrySetResult(sighting);
    }
}
