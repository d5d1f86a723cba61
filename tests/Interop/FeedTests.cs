using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>Plain feeds, DatMount against each hypercore release that speaks this wire, in both directions.</summary>
public sealed class FeedTests
{
    private const int Seed = 11;
    private const int BlockSize = 3000;

    public static TheoryData<string> Releases => [.. FeedPeer.Versions];

    [Theory, MemberData(nameof(Releases))]
    public async Task Downloads_a_whole_feed_from_node(string release)
    {
        await using FeedPeer node = await FeedPeer.StartAsync(release);
        await node.AppendSeededAsync(Seed, count: 700, BlockSize);
        await using OurFeed ours = OurFeed.Clone(node.Info.Key);

        await ours.ConnectAsync(await node.ListenAsync());
        using IDisposable download = ours.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        await ours.UntilAsync(f => f.HeldBlocks == 700);

        for (int i = 0; i < 700; i++) (await ours.ReadAsync(i)).Should().Equal(SeededBytes.Take(Seed, (long)i * BlockSize, BlockSize));
        ours.Feed.ByteLength.Should().Be(700 * BlockSize);
        (await node.CountersAsync()).Uploaded.Should().Be(700, "no block is asked for twice");
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task Fetches_single_blocks_and_nothing_else(string release)
    {
        await using FeedPeer node = await FeedPeer.StartAsync(release);
        await node.AppendSeededAsync(Seed, count: 2000, BlockSize);
        await using OurFeed ours = OurFeed.Clone(node.Info.Key);
        await ours.ConnectAsync(await node.ListenAsync());

        foreach (int index in new[] { 1999, 0, 1024, 777, 778 })
            (await ours.ReadAsync(index)).Should().Equal(SeededBytes.Take(Seed, (long)index * BlockSize, BlockSize));

        ours.Feed.HeldBlocks.Should().BeLessThanOrEqualTo(6);
        (await node.CountersAsync()).Uploaded.Should().BeLessThanOrEqualTo(6, "five blocks were read, and one more may have told the length");
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task Finds_a_byte_in_blocks_of_uneven_size(string release)
    {
        await using FeedPeer node = await FeedPeer.StartAsync(release);
        int[] sizes = [.. Enumerable.Range(0, 300).Select(i => i * 37 % 211)];
        await node.AppendAsync([.. sizes.Select(s => SeededBytes.Take(Seed, 0, s))]);
        await using OurFeed ours = OurFeed.Clone(node.Info.Key);
        await ours.ConnectAsync(await node.ListenAsync());
        await ours.WaitForLengthAsync(300);

        foreach (long bytes in new long[] { 0, 36, 37, 5000, 15_000, sizes.Sum() - 1 })
        {
            (long block, long rest) = await ours.Feed.SeekAsync(bytes, 0, 300, FetchPriority.Interactive, CancellationToken.None);
            (block, rest).Should().Be(await node.SeekAsync(bytes));
        }
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task Hears_of_blocks_appended_while_connected(string release)
    {
        await using FeedPeer node = await FeedPeer.StartAsync(release);
        await node.AppendSeededAsync(Seed, count: 3, BlockSize);
        await using OurFeed ours = OurFeed.Clone(node.Info.Key);
        await ours.ConnectAsync(await node.ListenAsync());
        await ours.WaitForLengthAsync(3);

        await node.AppendAsync("the fourth"u8.ToArray());
        await ours.WaitForLengthAsync(4);
        (await ours.ReadAsync(3)).Should().Equal("the fourth"u8.ToArray());
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task Node_downloads_a_whole_feed_of_ours(string release)
    {
        await using OurFeed ours = OurFeed.Create();
        await ours.AppendSeededAsync(Seed, 700, BlockSize);
        await using FeedPeer node = await FeedPeer.StartAsync(release, key: ours.Key);

        await node.ConnectAsync(ours.Listen());
        await node.WaitHeldAsync(0, 700);
        (await node.HashAsync(0, 700)).Should().Be((Sha256Of.Seeded(Seed, 0, 700L * BlockSize), 700L * BlockSize));

        await ours.AppendAsync("while connected"u8.ToArray());
        await node.WaitHeldAsync(700, 701);
        (await node.GetAsync(700)).Should().Equal("while connected"u8.ToArray());
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task Node_reads_a_feed_of_ours_here_and_there(string release)
    {
        await using OurFeed ours = OurFeed.Create();
        await ours.AppendSeededAsync(Seed, 1500, BlockSize);
        await using FeedPeer node = await FeedPeer.StartAsync(release, key: ours.Key, sparse: true);
        // 6.9.2 overlooks an update asked for after it has heard of the blocks.
        Task updated = node.UpdateAsync(1500);
        await node.ConnectAsync(ours.Listen());
        await updated;

        foreach (int index in new[] { 1499, 3, 1024, 4 })
            (await node.GetAsync(index)).Should().Equal(SeededBytes.Take(Seed, (long)index * BlockSize, BlockSize));
        (await node.SeekAsync(2_222_222)).Should().Be((2_222_222 / BlockSize, 2_222_222 % BlockSize));
        (await node.InfoAsync()).Held.Should().BeLessThan(10);
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task A_finite_replication_ends_by_itself_when_node_has_everything(string release)
    {
        await using OurFeed ours = OurFeed.Create();
        await ours.AppendSeededAsync(Seed, 50, BlockSize);
        await using FeedPeer node = await FeedPeer.StartAsync(release, key: ours.Key);

        int link = await node.ConnectAsync(ours.Listen(), new PeerLink { Live = false });
        await node.Node.EventAsync("closed", e => e.GetProperty("link").GetInt32() == link);

        (await node.InfoAsync()).Held.Should().Be(50);
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task A_folder_written_by_us_is_continued_by_node(string release)
    {
        using TempFolder folder = TempFolder.Create();
        string key;
        await using (OurFeed ours = OurFeed.Create(folder.Path, forOldPrograms: release == "6.9.2"))
        {
            await ours.AppendSeededAsync(Seed, 40, BlockSize);
            key = ours.Key;
        }

        await using FeedPeer node = await FeedPeer.StartAsync(release, folder.Path);
        node.Info.Should().BeEquivalentTo(new { Key = key, Writable = true, Length = 40, ByteLength = 40 * BlockSize, Held = 40 });
        (await node.HashAsync(0, 40)).Sha256.Should().Be(Sha256Of.Seeded(Seed, 0, 40L * BlockSize));
        await node.AppendAsync("by node"u8.ToArray());

        await using FeedPeer copy = await FeedPeer.StartAsync("7.7.1", key: key);
        await copy.ConnectAsync(await node.ListenAsync());
        await copy.WaitHeldAsync(0, 41);
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task A_folder_written_by_node_is_continued_by_us(string release)
    {
        using TempFolder folder = TempFolder.Create();
        await using (FeedPeer node = await FeedPeer.StartAsync(release, folder.Path)) await node.AppendSeededAsync(Seed, 40, BlockSize);

        await using OurFeed ours = OurFeed.Create(folder.Path);
        ours.Feed.Length.Should().Be(40);
        ours.Feed.HeldBlocks.Should().Be(40);
        await ours.AppendAsync("by us"u8.ToArray());

        await using FeedPeer copy = await FeedPeer.StartAsync("6.9.2", key: ours.Key);
        await copy.ConnectAsync(ours.Listen());
        await copy.WaitHeldAsync(0, 41);
        (await copy.HashAsync(0, 40)).Sha256.Should().Be(Sha256Of.Seeded(Seed, 0, 40L * BlockSize));
        (await copy.GetAsync(40)).Should().Equal("by us"u8.ToArray());
    }
}
