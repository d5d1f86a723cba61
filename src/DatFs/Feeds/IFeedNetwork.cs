namespace DatFs.Feeds;

/// <summary>
/// The connections of one drive, as a drive format sees them: it hands over each feed it opens. Implemented by replication.
/// </summary>
public interface IFeedNetwork
{
    /// <summary>
    /// Replicates the feed on every connection of the drive, now and later, and becomes its <see cref="Feed.Source"/>.
    /// The first feed joined is the first on every connection, so it is the drive's own (wire-protocol.md §3.1). Disposing leaves.
    /// </summary>
    IDisposable Join(Feed feed);
}
