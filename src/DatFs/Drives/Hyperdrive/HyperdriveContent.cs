using System.Buffers;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// The bytes of one file: a range of blocks in the content feed (hyperdrive.md §5.2). Block sizes are whatever the writer chose; what the
/// attributes claim is checked against the tree before a byte is given out.
/// </summary>
internal sealed class HyperdriveContent(HyperdriveDrive drive, HyperStat stat) : IFileContent
{
    /// <summary>The size in which nearly every writer cuts files: a first guess where a byte lies.</summary>
    public const int UsualBlockSize = 65536;

    /// <summary>Blocks fetched ahead at a time, at most.</summary>
    public const int MaxPrefetchBlocks = 256;

    public long Size => stat.Size;

    public long Blocks => stat.Blocks;

    public ValueTask<ContentLease> ReadAsync(long offset, int length, FetchPriority priority, CancellationToken ct)
    {
        long count = Math.Min(length, Size - offset);
        if (count <= 0 || offset < 0) return ValueTask.FromResult(default(ContentLease));
        Feed? feed = drive.Content;
        if (feed is not null && TryGuess(feed, offset, out long block, out long within) && feed.TryRead(block, out BlockLease lease))
        {
            if (within + count <= lease.Memory.Length)
                return ValueTask.FromResult(new ContentLease(new ReadOnlySequence<byte>(lease.Memory.Slice((int)within, (int)count)), new Owner([lease])));
            lease.Dispose();
        }

        return ReadBlocksAsync(offset, count, priority, ct);
    }

    public void Prefetch(long offset, long length, FetchPriority priority)
    {
        if (drive.Content is not { } feed || length <= 0 || offset >= Size || Blocks == 0) return;
        long first = stat.Offset + Math.Min(Blocks - 1, offset / UsualBlockSize);
        long last = Math.Min(stat.Offset + Blocks, stat.Offset + ((Math.Min(Size, offset + length) + UsualBlockSize - 1) / UsualBlockSize));
        last = Math.Min(last, first + MaxPrefetchBlocks);
        if (last > first && feed.FirstMissing(first, last) < last) drive.Prefetch(first, last, priority);
    }

    public long LocalBytes()
    {
        if (drive.Content is not { } feed) return 0;
        long held = 0;
        for (long block = stat.Offset; block < stat.Offset + stat.Blocks; block++)
            if (feed.HasBlock(block) && feed.TryGetSize(block, out long size)) held += size;
        return Math.Min(held, Size);
    }

    // Right for every archive with 64 KiB blocks, certain once the tree confirms the block's place.
    private bool TryGuess(Feed feed, long offset, out long block, out long within)
    {
        block = stat.Offset + (offset / UsualBlockSize);
        within = offset % UsualBlockSize;
        return Blocks == (Size + UsualBlockSize - 1) / UsualBlockSize && block < stat.Offset + Blocks
            && feed.TryGetOffset(block, out long at) && at + within == stat.ByteOffset + offset;
    }

    private async ValueTask<ContentLease> ReadBlocksAsync(long offset, long count, FetchPriority priority, CancellationToken ct)
    {
        Feed feed = await drive.ContentAsync(ct);
        long end = checked(stat.Offset + Blocks);
        List<BlockLease> leases = [];
        try
        {
            (long block, long within) = await LocateAsync(feed, offset, end, priority, ct);
            Segment? first = null, last = null;
            long rest = count;
            while (rest > 0)
            {
                if (block >= end) throw new DatException(DatError.Corrupt, "a file is shorter than its entry says");
                if (rest > UsualBlockSize) Prefetch(offset + count - rest, rest, priority);
                BlockLease lease = await feed.ReadAsync(block++, priority, ct);
                leases.Add(lease);
                if (within >= lease.Memory.Length)
                {
                    within -= lease.Memory.Length;
                    continue;
                }

                ReadOnlyMemory<byte> piece = lease.Memory.Slice((int)within, (int)Math.Min(rest, lease.Memory.Length - within));
                within = 0;
                rest -= piece.Length;
                last = last is null ? first = new Segment(piece) : last.Append(piece);
            }

            return new ContentLease(new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length), new Owner(leases));
        }
        catch
        {
            foreach (BlockLease lease in leases) lease.Dispose();
            throw;
        }
    }

    private async ValueTask<(long Block, long Within)> LocateAsync(Feed feed, long offset, long end, FetchPriority priority, CancellationToken ct)
    {
        if (Blocks == 0) throw new DatException(DatError.Corrupt, "a file has a size but no blocks");
        long guess = stat.Offset + (offset / UsualBlockSize);
        if (Blocks == (Size + UsualBlockSize - 1) / UsualBlockSize && guess < end)
        {
            (await feed.ReadAsync(guess, priority, ct)).Dispose();
            if (TryGuess(feed, offset, out long block, out long within)) return (block, within);
        }

        (long found, long inside) = await feed.SeekAsync(checked(stat.ByteOffset + offset), stat.Offset, end, priority, ct);
        if (found < stat.Offset || found >= end) throw new DatException(DatError.Corrupt, "a file's place in the content feed is not where its entry says");
        return (found, inside);
    }

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
