using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;

namespace DatFs.Unit;

/// <summary>An owner's feed and a copy of it as files in memory that can be damaged, and what a peer who has seen everything still knows.</summary>
internal sealed class DamagedFeed
{
    private static readonly byte[] s_secret = MakeSecret();

    /// <summary>The folders as they are after each batch, oldest first; the last one is damaged.</summary>
    private readonly List<MemoryFolder> _states = [];

    private DamagedFeed(bool writer) => IsWriter = writer;

    public bool IsWriter { get; }

    public MemoryFolder Folder { get; private set; } = new();

    /// <summary>The owner's folder, undamaged.</summary>
    public MemoryFolder Whole { get; private set; } = new();

    /// <summary>The feed of an owner, or the copy of a reader who has fetched everything after each batch.</summary>
    public static async Task<DamagedFeed> CreateAsync(bool writer, params int[] batches)
    {
        DamagedFeed made = new(writer);
        await using Feed owner = Feed.Open(new FeedFiles(made.Whole), new FeedOptions { SecretKey = s_secret });
        MemoryFolder copy = new();
        await using Feed reader = Feed.Open(new FeedFiles(copy), new FeedOptions { Key = owner.Key });
        foreach (int batch in batches)
        {
            long first = owner.Length;
            await owner.AppendAsync([.. Enumerable.Range(0, batch).Select(i => (ReadOnlyMemory<byte>)Content(first + i))], default);
            if (!writer) await FetchAllAsync(owner, reader);
            await reader.FlushAsync(default);
            made._states.Add((writer ? made.Whole : copy).Clone());
        }

        made.Folder = made._states[^1].Clone();
        made.Whole = made.Whole.Clone();
        return made;
    }

    public static byte[] Content(long block) => SeededBytes.Take(3, 100 * block, (int)(block * 7 % 31));

    /// <summary>Puts a file back to what it was after an earlier batch.</summary>
    public void TakeBack(string name, int batches) => RecordedFeed.Write(Folder, name, RecordedFeed.Read(_states[batches - 1], name)!);

    public void Cut(string name, int bytes)
    {
        byte[] content = RecordedFeed.Read(Folder, name)!;
        content.Length.Should().BeGreaterThan(bytes);
        RecordedFeed.Write(Folder, name, content[..bytes]);
    }

    public void Change(string name, Action<byte[]> change)
    {
        byte[] content = RecordedFeed.Read(Folder, name)!;
        change(content);
        RecordedFeed.Write(Folder, name, content);
    }

    /// <summary>Entries of tree nodes read as never written.</summary>
    public void LoseNodes(params long[] nodes) => Change("tree", tree =>
    {
        foreach (long node in nodes) tree.AsSpan((int)TreeFile.OffsetOf(node), SleepHeader.TreeEntry).Clear();
    });

    public void LoseSignature(long length) => Change("signatures", slots => slots.AsSpan(SleepHeader.Size + (int)(length - 1) * SleepHeader.SignatureEntry, SleepHeader.SignatureEntry).Clear());

    public Feed Open(bool appendAfterLoss = false) => Feed.Open(new FeedFiles(Folder), IsWriter
        ? new FeedOptions { SecretKey = s_secret, VerifyReads = true, AppendAfterLoss = appendAfterLoss }
        : new FeedOptions { VerifyReads = true });

    /// <summary>Another machine's copy of everything that was ever signed.</summary>
    public Feed OpenPeer() => Feed.Open(new FeedFiles(Whole.Clone()), new FeedOptions { ReadOnly = true });

    /// <summary>Every block that counts as held has its right bytes and can be proven; answers which these are.</summary>
    public static async Task<List<long>> HeldAsync(Feed feed)
    {
        List<long> held = [];
        await using Feed judge = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = feed.Key });
        for (long block = feed.FirstHeld(0, feed.Length); block < feed.Length; block = feed.FirstHeld(block + 1, feed.Length))
        {
            feed.TryProve(block, judge.DigestFor(block), false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue($"block {block} counts as held");
            proof.Value!.Value.ToArray().Should().Equal(Content(block), $"block {block}");
            (await judge.AcceptAsync(proof, default)).Should().BeOneOf([ProofOutcome.Accepted, ProofOutcome.AcceptedLonger], $"block {block}");
            lease.Dispose();
            held.Add(block);
        }

        return held;
    }

    /// <summary>Fetches everything that is missing.</summary>
    public static async Task FetchAllAsync(Feed from, Feed to)
    {
        for (long block = from.Length - 1; block >= 0; block--)
        {
            if (to.HasBlock(block)) continue;
            from.TryProve(block, to.DigestFor(block), false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
            (await to.AcceptAsync(proof, default)).Should().BeOneOf([ProofOutcome.Accepted, ProofOutcome.AcceptedLonger], $"block {block}");
            lease.Dispose();
        }
    }

    private static byte[] MakeSecret()
    {
        byte[] secret = new byte[SecretKey.Size];
        using SecretKey key = SecretKey.FromSeed([.. Enumerable.Repeat((byte)5, SecretKey.SeedSize)]);
        key.CopyTo(secret);
        return secret;
    }
}
