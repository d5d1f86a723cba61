using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>
/// Blocks whose bytes lie in files of someone else, who may change them at any time (hyperdrive.md §6.2). They count as held, for readers and
/// peers alike, but never on disk, and each is checked whenever it is read.
/// </summary>
public sealed partial class Feed
{
    private volatile IRandomAccessFile? _lender;

    /// <summary>Where the bytes of lent blocks lie, at their place in the feed; null = nowhere. Only ever read; the feed does not dispose it.</summary>
    internal IRandomAccessFile? Lender
    {
        get => _lender;
        set => _lender = value;
    }

    /// <summary>True when the block counts as held although its bytes are not stored here.</summary>
    internal bool IsLent(long index) => _bits.IsLent(index);

    /// <summary>Counts those of the blocks [start, end) as lent whose leaves are known and that are not held.</summary>
    /// <param name="start">First block.</param>
    /// <param name="end">The one after the last.</param>
    /// <param name="check">Leave out those whose bytes are not the right ones now.</param>
    internal void Lend(long start, long end, bool check)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        end = Math.Min(end, Length);
        for (long block = FirstMissing(start, end), first = block; first < end; first = block = FirstMissing(block, end))
        {
            while (block < end && !HasBlock(block) && HasNode(2 * block) && (!check || IsAtLender(block))) block++;
            if (block > first) Lend(first, block);
            else block++;
        }
    }

    private void Lend(long start, long end)
    {
        InOneMoment((start, end), static (feed, of) =>
        {
            for (long block = of.start; block < of.end; block++) feed._bits.Lend(block);
        });
        Announce(Length, Length, start, end - start);
    }

    private bool IsAtLender(long block)
    {
        if (!TryReadVerified(block, lent: true, out BlockLease lease)) return false;
        lease.Dispose();
        return true;
    }
}
