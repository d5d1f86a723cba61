using DatFs.Feeds;
using Microsoft.Extensions.Time.Testing;

namespace DatFs.CrashPoints;

/// <summary>What is done with feeds in stories and checks alike.</summary>
internal static class FeedUse
{
    /// <summary>A clock that stands still: nothing happens that was not asked for.</summary>
    public static FeedOptions Options => new() { VerifyReads = true, Time = new FakeTimeProvider() };

    public static Feed InMemory(FeedOptions options) => Feed.Open(new FeedFiles(new Storage.MemoryFolder()), options);

    /// <summary>A request and its answer, as between two peers.</summary>
    public static async Task FetchAsync(Feed from, Feed to, long block, bool hash = false, Func<Proof, Proof>? change = null)
    {
        Broken.If(!from.TryProve(block, to.DigestFor(block), hash, new RemoteTree(), out Proof proof, out BlockLease lease), $"{from} cannot prove block {block}");
        using (lease)
        {
            ProofOutcome outcome = await to.AcceptAsync(change?.Invoke(proof) ?? proof, CancellationToken.None);
            Broken.If(outcome is ProofOutcome.Rejected or ProofOutcome.Forked, $"block {block} was {outcome}");
        }
    }

    public static bool Holds(Feed feed, long block, ReadOnlySpan<byte> content)
    {
        if (!feed.TryRead(block, out BlockLease lease)) return false;
        using (lease) return lease.Memory.Span.SequenceEqual(content);
    }

    /// <summary>The hash that the feed proves for a block, whether it is held or not.</summary>
    public static NodeHash LeafHash(Feed feed, long block)
    {
        Broken.If(!feed.TryProve(block, Digest.Nothing, hashOnly: true, new RemoteTree(), out Proof proof, out _), $"{feed} cannot prove the hash of block {block}");
        return proof.Nodes[0].Hash;
    }
}

/// <summary>A promise was broken.</summary>
internal sealed class Broken(string what) : Exception(what)
{
    public static void If(bool broken, string what)
    {
        if (broken) throw new Broken(what);
    }
}
