using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// What is fetched ahead of readers of a content feed: ranges that end when their blocks are here. The oldest ones make room, for those who
/// asked for them have gone on long ago. Any thread may call.
/// </summary>
internal sealed class ReadAheadRanges(Feed content) : IDisposable
{
    /// <summary>Ranges fetched at a time.</summary>
    public const int MaxRanges = 64;

    private readonly Lock _gate = new();
    private readonly List<Ahead> _ranges = [];
    private bool _disposed;

    /// <summary>Ranges being fetched.</summary>
    public int Count
    {
        get
        {
            lock (_gate) return _ranges.Count;
        }
    }

    public void Add(long start, long end, FetchPriority priority)
    {
        start = content.FirstMissing(start, end);
        if (start >= end || content.Source is not { } source) return;
        Ahead? oldest = null;
        lock (_gate)
        {
            if (_disposed || _ranges.Exists(range => range.Start <= start && range.End >= end)) return;
            if (_ranges.Count >= MaxRanges)
            {
                oldest = _ranges[0];
                _ranges.RemoveAt(0);
            }

            _ranges.Add(new Ahead(start, end, source.Download(start, end, DownloadOrder.Ascending, priority)));
        }

        oldest?.Download.Dispose();
        // The last block may have come before the range was in the list.
        Arrived(start, end - start);
    }

    /// <summary>Blocks were stored: ranges of which nothing is missing any more end.</summary>
    public void Arrived(long start, long count)
    {
        List<Ahead>? ended = null;
        lock (_gate)
        {
            for (int i = _ranges.Count - 1; i >= 0; i--)
            {
                Ahead range = _ranges[i];
                if (range.Start >= start + count || range.End <= start || content.FirstMissing(range.Start, range.End) < range.End) continue;
                _ranges.RemoveAt(i);
                (ended ??= []).Add(range);
            }
        }

        foreach (Ahead range in ended ?? []) range.Download.Dispose();
    }

    public void Dispose()
    {
        Ahead[] left;
        lock (_gate)
        {
            _disposed = true;
            left = [.. _ranges];
            _ranges.Clear();
        }

        foreach (Ahead range in left) range.Download.Dispose();
    }

    private sealed record Ahead(long Start, long End, IDisposable Download);
}
