using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>Where the bytes of files lie: a content feed that may not be known yet.</summary>
internal interface IContentFeed
{
    /// <summary>The feed, null until it is known.</summary>
    Feed? Content { get; }

    /// <summary>The feed, once it is known.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Unsupported, Corrupt, KeyMismatch.</exception>
    ValueTask<Feed> ContentAsync(CancellationToken ct);

    /// <summary>Fetches blocks ahead of a reader, without waiting.</summary>
    void Prefetch(long start, long end, FetchPriority priority);
}
