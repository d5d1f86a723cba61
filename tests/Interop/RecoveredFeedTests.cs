using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>Folders that a crash left half written, opened once by us: each hypercore release goes on with them.</summary>
public sealed class RecoveredFeedTests : IDisposable
{
    private const int Seed = 23;
    private const int BlockSize = 500;
    private const int TreeBits = SleepHeader.Size + BitfieldPage.DataBytes;

    private readonly TempFolder _temp = TempFolder.Create("recovered");

    /// <summary>What the power left of a feed of 40 blocks and an append of 30 more.</summary>
    public static TheoryData<string, string> Crashes
    {
        get
        {
            TheoryData<string, string> data = [];
            foreach (string release in FeedPeer.Versions)
            {
                foreach (string crash in (string[])["bits not written", "data bits not written", "tree bits not written", "parents lost", "signature not written"]) data.Add(release, crash);
            }

            return data;
        }
    }

    public static TheoryData<string> Releases => [.. FeedPeer.Versions];

    public void Dispose() => _temp.Dispose();

    [Theory, MemberData(nameof(Crashes))]
    public async Task Node_continues_an_owners_folder_after_our_recovery(string release, string crash)
    {
        int expected = crash == "signature not written" ? 40 : 70;
        string folder = _temp.File("owner");
        string key = await CrashAsync(folder, crash, forOldPrograms: release == "6.9.2");
        await using (OurFeed ours = OurFeed.Create(folder))
        {
            ours.Feed.Length.Should().Be(expected);
            ours.Feed.LostBlocks.Should().Be(0);
        }

        await using FeedPeer node = await FeedPeer.StartAsync(release, folder);
        node.Info.Should().BeEquivalentTo(new { Key = key, Writable = true, Length = expected, ByteLength = expected * BlockSize, Held = expected });
        (await node.HashAsync(0, expected)).Sha256.Should().Be(Sha256Of.Seeded(Seed, 0, (long)expected * BlockSize));
        await node.AppendAsync("by node"u8.ToArray());

        await using OurFeed copy = OurFeed.Clone(key);
        await copy.ConnectAsync(await node.ListenAsync());
        using IDisposable download = copy.DownloadAll();
        await copy.UntilAsync(feed => feed.HeldBlocks == expected + 1);
        copy.Sha256(expected).Should().Be(Sha256Of.Seeded(Seed, 0, (long)expected * BlockSize));
        (await copy.ReadAsync(expected)).Should().Equal("by node"u8.ToArray());
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task Node_completes_a_copy_after_our_recovery(string release)
    {
        bool old = release == "6.9.2";
        await using OurFeed owner = OurFeed.Create(forOldPrograms: old);
        await owner.AppendSeededAsync(Seed, 100, BlockSize);
        string folder = _temp.File("copy");
        await FetchAsync(owner.Feed, folder, old, Enumerable.Range(0, 30));
        byte[] before = File.ReadAllBytes(Path.Combine(folder, "bitfield"));
        await FetchAsync(owner.Feed, folder, old, Enumerable.Range(50, 20));

        // The first sector of the page is new, and so is the last one with the index that says everything is here; the rest is old.
        byte[] torn = File.ReadAllBytes(Path.Combine(folder, "bitfield"));
        before.AsSpan(512).CopyTo(torn.AsSpan(512));
        torn.AsSpan(SleepHeader.Size + BitfieldPage.Size).Fill(0xFF);
        File.WriteAllBytes(Path.Combine(folder, "bitfield"), torn);
        int held;
        await using (Feed ours = Feed.Open(new FeedFiles(new DiskFolder(folder)), new FeedOptions { VerifyReads = true }))
        {
            ours.Length.Should().Be(100);
            held = (int)ours.HeldBlocks;
            held.Should().BeInRange(30, 50);
        }

        await using FeedPeer node = await FeedPeer.StartAsync(release, folder, owner.Key);
        node.Info.Should().BeEquivalentTo(new { Writable = false, Length = 100, Held = held });
        await node.ConnectAsync(owner.Listen());
        await node.WaitHeldAsync(0, 100);
        (await node.HashAsync(0, 100)).Sha256.Should().Be(Sha256Of.Seeded(Seed, 0, 100L * BlockSize));
    }

    private static async Task<string> CrashAsync(string folder, string crash, bool forOldPrograms)
    {
        await using (OurFeed ours = OurFeed.Create(folder, forOldPrograms)) await ours.AppendSeededAsync(Seed, 40, BlockSize);
        byte[] bits = File.ReadAllBytes(Path.Combine(folder, "bitfield"));
        byte[] signatures = File.ReadAllBytes(Path.Combine(folder, "signatures"));
        string key;
        await using (OurFeed ours = OurFeed.Create(folder))
        {
            key = ours.Key;
            await ours.AppendAsync([.. Enumerable.Range(40, 30).Select(i => SeededBytes.Take(Seed, (long)i * BlockSize, BlockSize))]);
        }

        byte[] after = File.ReadAllBytes(Path.Combine(folder, "bitfield"));
        switch (crash)
        {
            case "data bits not written":
                after.AsSpan(TreeBits).CopyTo(bits.AsSpan(TreeBits));
                break;
            case "tree bits not written":
                after.AsSpan(0, TreeBits).CopyTo(bits);
                break;
            case "parents lost":
                byte[] tree = File.ReadAllBytes(Path.Combine(folder, "tree"));
                foreach (int node in (int[])[81, 87, 95, 63, 135]) tree.AsSpan((int)TreeFile.OffsetOf(node), SleepHeader.TreeEntry).Clear();
                File.WriteAllBytes(Path.Combine(folder, "tree"), tree);
                break;
            case "signature not written":
                File.WriteAllBytes(Path.Combine(folder, "signatures"), signatures);
                break;
        }

        File.WriteAllBytes(Path.Combine(folder, "bitfield"), bits);
        return key;
    }

    private static async Task FetchAsync(Feed from, string folder, bool old, IEnumerable<int> blocks)
    {
        FeedOptions options = new() { Key = from.Key, BitfieldEntrySize = old ? SleepHeader.OldBitfieldEntry : SleepHeader.BitfieldEntry };
        await using Feed copy = Feed.Open(new FeedFiles(new DiskFolder(folder)), options);
        foreach (int block in blocks)
        {
            from.TryProve(block, copy.DigestFor(block), false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
            (await copy.AcceptAsync(proof, CancellationToken.None)).Should().BeOneOf(ProofOutcome.Accepted, ProofOutcome.AcceptedLonger);
            lease.Dispose();
        }
    }
}
