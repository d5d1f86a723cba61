using DatFs.Crypto;
using Microsoft.Extensions.Logging;

namespace DatFs.Replication;

/// <summary>Everything replication says. Feeds appear by their shortened discovery key, never by their key.</summary>
internal static partial class ReplicationLog
{
    [LoggerMessage(1, LogLevel.Information, "Connected to {Peer}")]
    public static partial void Connected(ILogger log, string peer);

    [LoggerMessage(2, LogLevel.Information, "Connection to {Peer} is over ({End}): {Reason}")]
    public static partial void Disconnected(ILogger log, string peer, PeerEnd end, string reason);

    [LoggerMessage(3, LogLevel.Warning, "{Peer} sent a wrong proof for block {Block} of feed {Feed}")]
    public static partial void Rejected(ILogger log, string peer, DiscoveryKey feed, long block);

    [LoggerMessage(4, LogLevel.Error, "Feed {Feed} was signed twice by its owner, as shown by {Peer}; it is frozen here")]
    public static partial void Forked(ILogger log, DiscoveryKey feed, string peer);

    [LoggerMessage(5, LogLevel.Error, "Block {Block} of feed {Feed} could not be stored")]
    public static partial void NotStored(ILogger log, DiscoveryKey feed, long block, Exception error);

    [LoggerMessage(6, LogLevel.Warning, "Block {Block} of feed {Feed} could not be sent to {Peer}")]
    public static partial void NotServed(ILogger log, string peer, DiscoveryKey feed, long block, Exception error);

    [LoggerMessage(7, LogLevel.Debug, "No connection to {Address}, next try in {Delay}: {Reason}")]
    public static partial void DialFailed(ILogger log, string address, TimeSpan delay, string reason);

    [LoggerMessage(8, LogLevel.Information, "Listening on {Address}")]
    public static partial void Listening(ILogger log, string address);

    [LoggerMessage(9, LogLevel.Warning, "An incoming connection could not be taken")]
    public static partial void AcceptFailed(ILogger log, Exception error);
}
