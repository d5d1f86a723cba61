using DatFs.Crypto;

namespace DatFs.Replication;

/// <summary>How far a connection has come.</summary>
public enum PeerState
{
    /// <summary>The peer has not shown yet that it has the key.</summary>
    Connecting,
    /// <summary>Replicating.</summary>
    Connected,
    /// <summary>Over.</summary>
    Closed,
}

/// <summary>Why a connection ended.</summary>
public enum PeerEnd
{
    /// <summary>One of the two sides ended it in order.</summary>
    Closed,
    /// <summary>The stream broke, or the peer fell silent.</summary>
    Failed,
    /// <summary>The peer broke the protocol or sent a wrong proof.</summary>
    Violation,
    /// <summary>Another connection to the same peer is kept instead (discovery.md §8.4).</summary>
    Duplicate,
    /// <summary>The peer lied twice and is refused for a while.</summary>
    Banned,
    /// <summary>The connection led back to us.</summary>
    Ourselves,
    /// <summary>All peers together took too much memory, and this one most of it.</summary>
    TooHeavy,
}

/// <summary>One connection, at one moment.</summary>
/// <param name="Address">host:port of the transport.</param>
/// <param name="Initiated">We dialled.</param>
/// <param name="State">How far it has come.</param>
/// <param name="Age">Since it was opened.</param>
/// <param name="BytesReceived">On the wire, all frames.</param>
/// <param name="BytesSent">On the wire, all frames.</param>
/// <param name="ReceiveRate">Bytes per second since the last look at least a second ago.</param>
/// <param name="SendRate">Bytes per second since the last look at least a second ago.</param>
/// <param name="InFlight">Requests that the peer has not answered.</param>
/// <param name="InFlightBytes">Bytes expected from them.</param>
/// <param name="WindowBytes">Bytes that may be expected at a time.</param>
/// <param name="TimedOut">Requests the peer left unanswered.</param>
/// <param name="Score">1 = reliable; halved when the peer falls silent.</param>
/// <param name="AnswerTime">Smoothed time from request to answer.</param>
/// <param name="Feeds">Channels.</param>
public sealed record PeerStatus(
    string Address, bool Initiated, PeerState State, TimeSpan Age,
    long BytesReceived, long BytesSent, double ReceiveRate, double SendRate,
    int InFlight, long InFlightBytes, long WindowBytes, int TimedOut, double Score, TimeSpan AnswerTime,
    IReadOnlyList<PeerFeedStatus> Feeds)
{
    /// <summary>What it takes of each bound.</summary>
    public IReadOnlyList<BudgetLine> Budget { get; init; } = [];
}

/// <summary>One feed on one connection.</summary>
/// <param name="Feed">Public name of the feed.</param>
/// <param name="ClaimedLength">Blocks the peer says there are: unverified, never to be shown as a version or size (wire-protocol.md §9.2).</param>
/// <param name="Informed">The peer has told what it has.</param>
/// <param name="Interested">The peer asked what we have.</param>
/// <param name="Legacy">The peer speaks as hypercore 6.9 does.</param>
/// <param name="InFlight">Requests that the peer has not answered.</param>
public sealed record PeerFeedStatus(DiscoveryKey Feed, long ClaimedLength, bool Informed, bool Interested, bool Legacy, int InFlight);

/// <summary>What was replicated of one feed since it was joined. Bytes are those of blocks, without frames and proofs.</summary>
public sealed record FeedTraffic(DiscoveryKey Feed, long DownloadedBlocks, long DownloadedBytes, long UploadedBlocks, long UploadedBytes, bool Frozen);
