using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdb;

/// <summary>The content feed of one writer, as readers of its files see it (hyperdb-multiwriter.md §13): an offset means the feed of whoever wrote the entry.</summary>
internal sealed class WriterContent(Writer writer) : IContentFeed, IFeedObserver, IDisposable
{
    private readonly Lock _gate = new();
    private ReadAheadRanges? _ahead;
    private IDisposable? _observing;

    public Feed? Content => writer.Content;

    public ValueTask<Feed> ContentAsync(CancellationToken ct) =>
        writer.Content is { } feed ? ValueTask.FromResult(feed) : throw new DatException(DatError.Corrupt, "a file was written by somebody without a content feed");

    public void Prefetch(long start, long end, FetchPriority priority)
    {
        if (writer.Content is not { } feed) return;
        lock (_gate)
        {
            _observing ??= feed.Observe(this);
            _ahead ??= new ReadAheadRanges(feed);
        }

        _ahead.Add(start, end, priority);
    }

    public void LengthChanged(Feed feed, long oldLength, long newLength)
    {
    }

    public void BlocksAdded(Feed feed, long start, long count) => _ahead?.Arrived(start, count);

    public void BlocksCleared(Feed feed, long start, long count)
    {
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _observing?.Dispose();
            _ahead?.Dispose();
        }
    }
}
