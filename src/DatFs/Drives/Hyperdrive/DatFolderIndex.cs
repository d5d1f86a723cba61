using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// Which file of a dat folder holds which bytes of the content feed (hyperdrive.md §6.2): each put names its range and its file. Grows with the
/// metadata and forgets nothing, for an old range may still be in a file. Any thread may call.
/// </summary>
internal sealed class DatFolderIndex
{
    /// <summary>Ranges looked at for one position, where archives lay files over each other.</summary>
    public const int MaxOverlapping = 4096;

    private readonly Lock _lock = new();
    private readonly List<Range> _ranges = [];
    private readonly List<long> _unread = [];
    private long _next = 1;

    /// <summary>Where the last known range ends: no byte of the content feed is stored beyond.</summary>
    public long End { get; private set; }

    /// <summary>Takes in what the metadata feed got since the last time. Nodes that are not held name no file yet, broken ones never.</summary>
    public void Extend(Feed metadata)
    {
        lock (_lock)
        {
            int known = _ranges.Count;
            _unread.RemoveAll(seq => TryTake(metadata, seq));
            for (; _next < metadata.Length; _next++)
            {
                if (!TryTake(metadata, _next)) _unread.Add(_next);
            }

            if (_ranges.Count == known) return;
            _ranges.Sort(static (a, b) => (a.Start, a.Seq).CompareTo((b.Start, b.Seq)));
            long end = 0;
            for (int i = 0; i < _ranges.Count; i++)
            {
                end = Math.Max(end, _ranges[i].End);
                _ranges[i] = _ranges[i] with { EndSoFar = end };
            }

            End = end;
        }
    }

    /// <summary>The ranges that contain a position of the content feed, the newest first.</summary>
    public IReadOnlyList<Range> At(long position)
    {
        List<Range> found = [];
        lock (_lock)
        {
            int low = 0, high = _ranges.Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (_ranges[middle].Start <= position) low = middle + 1;
                else high = middle;
            }

            for (int i = low - 1, looked = 0; i >= 0 && _ranges[i].EndSoFar > position && looked < MaxOverlapping; i--, looked++)
            {
                if (_ranges[i].End > position) found.Add(_ranges[i]);
            }
        }

        found.Sort(static (a, b) => b.Seq.CompareTo(a.Seq));
        return found;
    }

    /// <summary>All ranges, those of the newest entries first.</summary>
    public IReadOnlyList<Range> NewestFirst()
    {
        Range[] all;
        lock (_lock) all = [.. _ranges];
        Array.Sort(all, static (a, b) => b.Seq.CompareTo(a.Seq));
        return all;
    }

    private bool TryTake(Feed metadata, long seq)
    {
        if (!metadata.TryRead(seq, out BlockLease block)) return false;
        using (block)
        {
            if (RangeOf(seq, block.Memory.Span) is { } range) _ranges.Add(range);
        }

        return true;
    }

    private static Range? RangeOf(long seq, ReadOnlySpan<byte> block)
    {
        try
        {
            HyperNode node = HyperCodec.DecodeNode(seq, block);
            return node.Stat is { Size: > 0, Blocks: > 0 } stat ? new Range(stat.ByteOffset, checked(stat.ByteOffset + stat.Size), seq, node.Parts)
            {
                FirstBlock = stat.Offset,
                EndBlock = checked(stat.Offset + stat.Blocks),
                ImportedMs = stat.Time,
            } : null;
        }
        catch (DatException unreadable) when (unreadable.Error == DatError.Corrupt)
        {
            return null;
        }
    }

    /// <summary>Bytes [Start, End) of the content feed are in the file of these components, if it is still the one that was imported.</summary>
    internal sealed record Range(long Start, long End, long Seq, string[] Parts)
    {
        /// <summary>The first block of the file.</summary>
        public long FirstBlock { get; init; }

        /// <summary>The block after its last.</summary>
        public long EndBlock { get; init; }

        /// <summary>When the entry was made, in milliseconds since 1970.</summary>
        public long ImportedMs { get; init; }

        /// <summary>The greatest end of this range and of all that begin before it.</summary>
        public long EndSoFar { get; init; }
    }
}
