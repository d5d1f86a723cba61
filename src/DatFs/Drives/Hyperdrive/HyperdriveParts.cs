using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>What a drive needs of the place where it is stored.</summary>
/// <param name="OpenContent">Opens the content feed that the header names.</param>
/// <param name="Settle">
/// Called once, before <paramref name="OpenContent"/>, when block 0 has shown that the feed is a hyperdrive: the moment to give it a place
/// on the disk (hypercore.md §20). Null = it has one.
/// </param>
/// <param name="Held">Disposed last, with the drive.</param>
internal sealed record HyperdriveParts(Func<FeedKey, Feed> OpenContent, Func<CancellationToken, ValueTask>? Settle = null, IDisposable? Held = null)
{
    /// <summary>
    /// Takes the feed over, before <see cref="Settle"/>, when block 0 has shown that it is the source of a multi-writer drive; the drive
    /// answered stands behind this one from then on. Null = such a feed is refused.
    /// </summary>
    public Func<Feed, CancellationToken, ValueTask<IDrive>>? Becomes { get; init; }

    /// <summary>Why nothing can be written where the drive lies, as a sentence for the user; null = no such reason.</summary>
    public string? ReadOnlyBecause { get; init; }
}
