using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>Answers at once that a block which is not held cannot be had.</summary>
internal sealed class NoSource(string why) : IBlockSource
{
    public ValueTask FetchAsync(long index, FetchPriority priority, CancellationToken ct) => ValueTask.FromException(NotHeld());

    public ValueTask FetchOffsetAsync(long byteOffset, long start, long end, FetchPriority priority, CancellationToken ct) => ValueTask.FromException(NotHeld());

    public ValueTask FetchLengthAsync(long minLength, FetchPriority priority, CancellationToken ct) => ValueTask.FromException(NotHeld());

    public IDisposable Download(long start, long end, DownloadOrder order, FetchPriority priority) => new Nothing();

    private DatException NotHeld() => new(DatError.Offline, why);

    private sealed class Nothing : IDisposable
    {
        public void Dispose()
        {
        }
    }
}

/// <summary>Serves what is stored and asks for nothing: what peers would send could not be stored in a folder that is only read.</summary>
internal sealed class ServingOnly(IFeedNetwork? network, string why) : IFeedNetwork
{
    public IDisposable Join(Feed feed)
    {
        IDisposable? joined = network?.Join(feed);
        feed.Source = new NoSource(why);
        return new Membership(feed, joined);
    }

    private sealed class Membership(Feed feed, IDisposable? joined) : IDisposable
    {
        public void Dispose()
        {
            feed.Source = null;
            joined?.Dispose();
        }
    }
}
