using DatFs.Evidence;
using DatFs.Replication;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>Real peers that end, forget, die and come back, and several releases of them at once (wire-protocol.md §5.7, §8.3, §10 point 7).</summary>
public sealed class SwarmTests
{
    private const int Seed = 12;

    public static TheoryData<string> Releases => [.. FeedPeer.Versions];

    [Theory, MemberData(nameof(Releases))]
    public async Task A_finite_clone_by_us_ends_by_itself(string release)
    {
        await using FeedPeer source = await FeedPeer.StartAsync(release);
        await source.AppendSeededAsync(Seed, count: 40, size: 300);
        await using OurFeed ours = OurFeed.Clone(source.Info.Key, replication: new ReplicatorOptions { Live = false });
        using IDisposable all = ours.DownloadAll();

        PeerEnd end = await ours.RunToEndAsync(await source.ListenAsync(new PeerLink { Live = false }));

        end.Should().Be(PeerEnd.Closed);
        ours.Sha256(40).Should().Be(Sha256Of.Seeded(Seed, 0, 40 * 300));
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task A_peer_is_known_by_the_wire_it_speaks(string release)
    {
        await using FeedPeer source = await FeedPeer.StartAsync(release);
        await source.AppendSeededAsync(Seed, count: 3, size: 10);
        await using OurFeed ours = OurFeed.Clone(source.Info.Key);

        await ours.ConnectAsync(await source.ListenAsync());
        await ours.ReadAsync(2);

        ours.Replicator.Peers.Single().Feeds.Single().Legacy.Should().Be(release == "6.9.2");
    }

    [Fact]
    public async Task A_block_node_cleared_does_not_hang_a_read()
    {
        await using FeedPeer source = await FeedPeer.StartAsync("7.7.1");
        await source.AppendSeededAsync(Seed, count: 20, size: 100);
        await using OurFeed ours = OurFeed.Clone(source.Info.Key, replication: new ReplicatorOptions { OfflineAfter = TimeSpan.FromSeconds(1) });
        await ours.ConnectAsync(await source.ListenAsync());
        await ours.WaitForLengthAsync(20);
        await source.ClearAsync(5, 6);

        Func<Task> read = () => ours.ReadAsync(5);

        (await read.Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Offline);
        (await ours.ReadAsync(6)).Should().Equal(SeededBytes.Take(Seed, 600, 100));
    }

    [Fact]
    public async Task Old_and_new_peers_share_one_swarm_with_us_in_the_middle()
    {
        await using FeedPeer source = await FeedPeer.StartAsync("6.9.2");
        await source.AppendSeededAsync(Seed, count: 300, size: 500);
        await using OurFeed ours = OurFeed.Clone(source.Info.Key);
        using IDisposable all = ours.DownloadAll();
        await using FeedPeer newer = await FeedPeer.StartAsync("7.7.1", key: source.Info.Key);
        await using FeedPeer between = await FeedPeer.StartAsync("6.26", key: source.Info.Key);
        int port = ours.Listen();
        await newer.ConnectAsync(port);
        await between.ConnectAsync(port);
        await ours.ConnectAsync(await source.ListenAsync());

        await newer.WaitHeldAsync(0, 300);
        await between.WaitHeldAsync(0, 300);
        await source.AppendAsync("later"u8.ToArray());
        await newer.WaitHeldAsync(300, 301);
        await between.WaitHeldAsync(300, 301);

        (await newer.HashAsync(0, 300)).Sha256.Should().Be(Sha256Of.Seeded(Seed, 0, 300 * 500));
        (await source.CountersAsync()).Uploaded.Should().Be(301, "each block is asked for once, however many want it");
    }

    [Fact]
    public async Task A_peer_that_goes_and_comes_back_is_found_again()
    {
        await using FeedPeer source = await FeedPeer.StartAsync("7.7.1");
        await source.AppendSeededAsync(Seed, count: 10, size: 100);
        await using OurFeed ours = OurFeed.Clone(source.Info.Key);
        int port = ours.Listen();
        await source.ConnectAsync(port);
        await ours.WaitForLengthAsync(10);

        await source.DisconnectAsync();
        await ours.AloneAsync();
        Task<byte[]> read = ours.ReadAsync(3);
        await source.ConnectAsync(port);

        (await read).Should().Equal(SeededBytes.Take(Seed, 300, 100));
    }
}
