namespace DatFs.Feeds;

/// <summary>Who waits for a block: order of service within a connection (wire-protocol.md §8.3 point 3). Lower values go first.</summary>
public enum FetchPriority
{
    /// <summary>A reader is blocked in the kernel.</summary>
    Interactive,
    /// <summary>Ahead of a reader of an open file.</summary>
    ReadAhead,
    /// <summary>Metadata synchronised in the background.</summary>
    Metadata,
    /// <summary>Everything else.</summary>
    Background,
}

/// <summary>The order in which a range is downloaded.</summary>
public enum DownloadOrder
{
    /// <summary>Lowest index first.</summary>
    Ascending,
    /// <summary>Highest index first: the newest metadata arrives before the old.</summary>
    NewestFirst,
}

/// <summary>
/// Where a feed gets what it does not hold. Declared here and implemented by replication, so that no arrow points back.
/// All methods complete once the feed itself has stored the verified result; they throw <see cref="DatException"/> with
/// <see cref="DatError.Offline"/> or <see cref="DatError.TimedOut"/>, and <see cref="OperationCanceledException"/>.
/// </summary>
public interface IBlockSource
{
    /// <summary>Gets one block into the feed.</summary>
    ValueTask FetchAsync(long index, FetchPriority priority, CancellationToken ct);

    /// <summary>Gets the tree nodes that locate a byte offset within blocks [start, end), and the block itself where a peer sends it.</summary>
    ValueTask FetchOffsetAsync(long byteOffset, long start, long end, FetchPriority priority, CancellationToken ct);

    /// <summary>
    /// Asks peers for a longer signed length. Completes when the feed's length is at least <paramref name="minLength"/>.
    /// </summary>
    ValueTask FetchLengthAsync(long minLength, FetchPriority priority, CancellationToken ct);

    /// <summary>Keeps downloading blocks [start, end) that are not held until the returned object is disposed. end = <see cref="long.MaxValue"/> follows the feed as it grows.</summary>
    IDisposable Download(long start, long end, DownloadOrder order, FetchPriority priority);
}

/// <summary>Hears of changes of a feed. Called after the state can be read, on the thread that made the change: return at once.</summary>
public interface IFeedObserver
{
    /// <summary>The verified length grew.</summary>
    void LengthChanged(Feed feed, long oldLength, long newLength);

    /// <summary>Blocks [start, start+count) are now held.</summary>
    void BlocksAdded(Feed feed, long start, long count);

    /// <summary>Blocks [start, start+count) are no longer held.</summary>
    void BlocksCleared(Feed feed, long start, long count);
}
