using System.Buffers;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// The bytes of one file: a range of blocks in the content feed (hyperdrive.md §5.2). Block sizes are whatever the writer chose; what the
/// attributes claim is checked against the tree before a byte is given out, and never used for a size in memory.
/// </summary>
internal sealed class HyperdriveContent(IContentFeed drive, HyperStat stat) : IFileContent
{
    /// <summary>The size in which nearly every writer cuts files: a first guess where a byte lies.</summary>
    public const int UsualBlockSize = 65536;

    /// <summary>Blocks fetched ahead by one call, at most.</summary>
    public const int MaxPrefetchBlocks = 256;

    /// <summary>Blocks passed over by one read because none of its bytes lie there.</summary>
    public const int MaxPassedBlocks = 4096;

    private volatile bool _placeChecked;

    public long Size => stat.Size;

    public long Blocks => stat.Blocks;

    // Both are below 2^53, so nothing overflows here.
    private long End => stat.Offset + stat.Blocks;

    private bool HasUsualBlocks => Blocks == (Size + UsualBlockSize - 1) / UsualBlockSize;

    public ValueTask<ContentLease> ReadAsync(long offset, int length, FetchPriority priority, CancellationToken ct)
    {
        long count = offset < 0 ? 0 : Math.Min(length, Size - offset);
        if (count <= 0) return ValueTask.FromResult(default(ContentLease));
        Feed? feed = drive.Content;
        if (feed is not null && TryGuess(feed, offset, out long block, out long within) && feed.TryRead(block, out BlockLease lease))
        {
            if (within + count <= lease.Memory.Length && IsPlaced(feed))
                return ValueTask.FromResult(new ContentLease(new ReadOnlySequence<byte>(lease.Memory.Slice((int)within, (int)count)), new Owner([lease])));
            lease.Dispose();
        }

        return ReadBlocksAsync(offset, count, priority, ct);
    }

    public void Prefetch(long offset, long length, FetchPriority priority)
    {
        if (drive.Content is null || length <= 0 || offset < 0 || offset >= Size || Blocks == 0) return;
        long first = BlockNear(offset), last = BlockNear(Math.Min(Size - 1, offset + Math.Min(length, Size) - 1)) + 1;
        drive.Prefetch(first, Math.Min(last, first + MaxPrefetchBlocks), priority);
    }

    public long LocalBytes()
    {
        if (drive.Content is not { } feed) return 0;
        long held = 0, end = Math.Min(End, feed.Length);
        for (long start = feed.FirstHeld(stat.Offset, end); start < end;)
        {
            long stop = feed.FirstMissing(start, end);
            held += BytesOf(feed, start, stop);
            start = feed.FirstHeld(stop, end);
        }

        return Math.Min(held, Size);
    }

    private static long BytesOf(Feed feed, long start, long end)
    {
        if (feed.TryGetOffset(start, out long from) && (end == feed.Length ? feed.ByteLength : feed.TryGetOffset(end, out long to) ? to : -1) is >= 0 and long until) return until - from;
        long sum = 0;
        for (long block = start; block < end; block++)
            if (feed.TryGetSize(block, out long size)) sum += size;
        return sum;
    }

    // Exact for usual blocks; for others the average tells.
    private long BlockNear(long offset)
    {
        long index = HasUsualBlocks ? offset / UsualBlockSize : (long)((Int128)offset * Blocks / Size);
        return stat.Offset + Math.Min(index, Blocks - 1);
    }

    // Right for every archive with 64 KiB blocks, certain once the tree confirms the block's place.
    private bool TryGuess(Feed feed, long offset, out long block, out long within)
    {
        block = stat.Offset + (offset / UsualBlockSize);
        within = offset % UsualBlockSize;
        return HasUsualBlocks && block < End && feed.TryGetOffset(block, out long at) && at + within == stat.ByteOffset + offset;
    }

    // The entry names the file's first byte twice, by block and by position. They must agree, as soon as both are known (§5.2).
    private bool IsPlaced(Feed feed)
    {
        if (_placeChecked || !feed.TryGetOffset(stat.Offset, out long at)) return true;
        if (at != stat.ByteOffset) return false;
        _placeChecked = true;
        return true;
    }

    private async ValueTask<ContentLease> ReadBlocksAsync(long offset, long count, FetchPriority priority, CancellationToken ct)
    {
        if (Blocks == 0) throw new DatException(DatError.Corrupt, "a file has a size but no blocks");
        Feed feed = await drive.ContentAsync(ct);
        long last = Math.Min(End, BlockNear(offset + count - 1) + 1);
        using IDisposable? ahead = FetchTogether(feed, BlockNear(offset), last, priority);
        (long block, long within) = await LocateAsync(feed, offset, priority, ct);
        List<BlockLease> leases = [];
        try
        {
            Segment? first = null, tail = null;
            for (long rest = count, passed = 0; rest > 0;)
            {
                if (block >= End) throw new DatException(DatError.Corrupt, "a file is shorter than its entry says");
                BlockLease lease = await feed.ReadAsync(block++, priority, ct);
                leases.Add(lease);
                if (!IsPlaced(feed)) throw Misplaced();
                if (within >= lease.Memory.Length)
                {
                    // A guess may lie in a short block before the right one.
                    within -= lease.Memory.Length;
                    if (++passed > MaxPassedBlocks) throw new DatException(DatError.Corrupt, "a file has too many blocks without bytes");
                    continue;
                }

                ReadOnlyMemory<byte> piece = lease.Memory.Slice((int)within, (int)Math.Min(rest, lease.Memory.Length - within));
                within = 0;
                rest -= piece.Length;
                tail = tail is null ? first = new Segment(piece) : tail.Append(piece);
            }

            return new ContentLease(new ReadOnlySequence<byte>(first!, 0, tail!, tail!.Memory.Length), new Owner(leases));
        }
        catch
        {
            foreach (BlockLease lease in leases) lease.Dispose();
            throw;
        }
    }

    private static IDisposable? FetchTogether(Feed feed, long start, long end, FetchPriority priority)
    {
        end = Math.Min(end, start + MaxPrefetchBlocks);
        return end - start > 1 && feed.FirstMissing(start, end) < end ? feed.Source?.Download(start, end, DownloadOrder.Ascending, priority) : null;
    }

    private async ValueTask<(long Block, long Within)> LocateAsync(Feed feed, long offset, FetchPriority priority, CancellationToken ct)
    {
        if (TryGuess(feed, offset, out long block, out long within)) return (block, within);
        (long start, long end) = (stat.Offset, End);
        if (!feed.TrySeek(stat.ByteOffset + offset, ref start, ref end, out _) && HasUsualBlocks && start < end)
        {
            // The proof of the block tells where it begins.
            (await feed.ReadAsync(stat.Offset + (offset / UsualBlockSize), priority, ct)).Dispose();
            if (TryGuess(feed, offset, out block, out within)) return (block, within);
        }

        (block, within) = await feed.SeekAsync(stat.ByteOffset + offset, stat.Offset, End, priority, ct);
        if (block < stat.Offset || block >= End) throw Misplaced();
        return (block, within);
    }

    private static DatException Misplaced() => new(DatError.Corrupt, "a file does not lie in the content feed where its entry says");

    private sealed class Owner(List<BlockLease> leases) : IDisposable
    {
        public void Dispose()
        {
            foreach (BlockLease lease in leases) lease.Dispose();
        }
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory) => Memory = memory;

        public Segment Append(ReadOnlyMemory<byte> memory)
        {
            Segment next = new(memory) { RunningIndex = RunningIndex + Memory.Length };
            Next = next;
            return next;
        }
    }
}
