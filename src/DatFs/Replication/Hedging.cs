using DatFs.Feeds;

namespace DatFs.Replication;

/// <summary>
/// Second requests for blocks that a reader waits for and a peer is slow to send (wire-protocol.md §8.3 point 8). The first valid answer wins;
/// the other one stays asked for until it comes, so that its peer is not taken for one that sends what nobody wants. Guarded by the
/// replicator's lock.
/// </summary>
internal sealed class Hedging
{
    /// <summary>No answer is late before this.</summary>
    public const double MinWaitMs = 100;
    /// <summary>One request in so many may be a second one.</summary>
    public const int OneIn = 20;
    /// <summary>Second requests before there were that many first ones.</summary>
    public const int Initial = 2;

    private readonly HashSet<PendingRequest> _waitedFor = [];
    private long _asked;

    /// <summary>Second requests sent so far.</summary>
    public long Sent { get; private set; }

    /// <summary>A request left for a peer.</summary>
    public void Asked(PendingRequest request)
    {
        _asked++;
        Watch(request);
    }

    /// <summary>Looks after a request as soon as a reader waits for its answer.</summary>
    public void Watch(PendingRequest request)
    {
        if (request is { Kind: RequestKind.Block, Fetch.Priority: FetchPriority.Interactive }) _waitedFor.Add(request);
    }

    /// <summary>A request ended, whatever way.</summary>
    public void Ended(PendingRequest request) => _waitedFor.Remove(request);

    /// <summary>Milliseconds until the next answer is late; those that are late already wait for a better moment.</summary>
    public double NextMs(double now)
    {
        double next = double.MaxValue;
        foreach (PendingRequest request in _waitedFor)
        {
            if (request.Twin is not null || request.Channel.Feed.Channels.Count < 2) continue;
            double left = DueAt(request, OtherFor(request)) - now;
            if (left > 0) next = Math.Min(next, left);
        }

        return next;
    }

    /// <summary>Late requests, each with the quickest other peer that has the block and room for it, as far as the budget goes.</summary>
    public List<(PendingRequest Late, PeerChannel Other)> Late(double now)
    {
        List<(PendingRequest, PeerChannel)> late = [];
        foreach (PendingRequest request in _waitedFor)
        {
            if (request.Twin is not null || request.Fetch is not { Waiters.Count: > 0 }) continue;
            if (Sent >= Initial + _asked / OneIn) break;
            if (OtherFor(request) is not { } other || now < DueAt(request, other)) continue;
            late.Add((request, other));
            Sent++;
        }

        return late;
    }

    // Late is what either of the two would have answered by now: a reader does not wait long for a block that the background asked of a slow peer.
    private static double DueAt(PendingRequest request, PeerChannel? other)
    {
        double usual = request.Channel.Peer.Window.SmoothedMs;
        if (other?.Peer.Window.SmoothedMs is > 0 and var quicker) usual = Math.Min(usual, quicker);
        return request.SentAt + Math.Max(2 * usual, MinWaitMs);
    }

    private static PeerChannel? OtherFor(PendingRequest request)
    {
        PeerChannel? best = null;
        foreach (PeerChannel channel in request.Channel.Feed.Channels)
        {
            if (channel == request.Channel || channel.Ended || channel.Blocks.ContainsKey(request.Index)) continue;
            if (!channel.Remote.Contains(request.Index) || !channel.Peer.Window.HasRoom(FetchPriority.Interactive)) continue;
            if (best is null || channel.Peer.Rank < best.Peer.Rank) best = channel;
        }

        return best;
    }
}
