using System.Runtime.InteropServices;
using DatFs.Feeds;
using DatFs.Wire;

namespace DatFs.Replication;

/// <summary>
/// Decides what is asked of whom and what an answer means (wire-protocol.md §5.4, §8.3). Holds no thread and does no I/O: every method runs
/// under the replicator's lock and leaves quickly. Interactive reads first, then read-ahead, metadata, background; within a priority
/// what somebody waits for comes before ranges.
/// </summary>
internal sealed class RequestScheduler(Replicator owner)
{
    /// <summary>A request unanswered for this long goes to another peer (wire-protocol.md §8.3 point 9).</summary>
    public const double RequestTimeoutMs = 10_000;
    /// <summary>A request of a peer that goes on answering others is given up after this.</summary>
    public const double SlowRequestTimeoutMs = 60_000;
    /// <summary>A seek unanswered for this long is replaced by guesses: peers are silent when they lack the bytes (§5.6).</summary>
    public const double SeekTimeoutMs = 3_000;
    /// <summary>Silences in a row after which a connection is closed.</summary>
    public const int MaxTimeoutsInRow = 3;
    /// <summary>Answers to an offset that bring it no nearer.</summary>
    public const int MaxOffsetAttempts = 64;
    /// <summary>Blocks of a range asked of one peer before it is the next one's turn.</summary>
    public const int RunBlocks = 8;
    /// <summary>Rest of background work after the disk failed.</summary>
    public const double PauseMs = 10_000;

    private static readonly FetchPriority[] s_priorities = [FetchPriority.Interactive, FetchPriority.ReadAhead, FetchPriority.Metadata, FetchPriority.Background];
    private readonly List<Cork> _corks = [];
    private readonly List<RemoteBitfield> _others = [];

    /// <summary>Second requests for readers that wait too long.</summary>
    public Hedging Hedging { get; } = new();

    /// <summary>Sends all requests that there is room for.</summary>
    public void Pump()
    {
        foreach (FetchPriority priority in s_priorities)
        {
            foreach (FeedReplication feed in owner.Feeds)
            {
                if (feed.Frozen) continue;
                AssignFetches(feed, priority);
            }

            foreach (FeedReplication feed in owner.Feeds)
            {
                if (feed.Frozen || feed.PausedUntil > owner.NowMs) continue;
                if (ProbePriority(feed, priority) == priority && priority < FetchPriority.Metadata) AssignProbe(feed, priority);
                AssignRanges(feed, priority);
                if (ProbePriority(feed, priority) == priority && priority >= FetchPriority.Metadata) AssignProbe(feed, priority);
            }
        }

        foreach ((PendingRequest late, PeerChannel other) in Hedging.Late(owner.NowMs)) AskTwin(late, other);
        foreach (Cork cork in _corks) cork.Dispose();
        _corks.Clear();
        foreach (PeerConnection peer in owner.Connections) peer.Corked = false;
        owner.ArmTick();
    }

    private void AskTwin(PendingRequest late, PeerChannel other)
    {
        PendingRequest twin = new(other, RequestKind.Block, late.Index, late.Priority, late.Cost, owner.NowMs) { Twin = late };
        late.Twin = twin;
        Send(twin, new RequestMessage(late.Index, 0, false, DigestFor(other, late.Index)));
    }

    private void AssignFetches(FeedReplication feed, FetchPriority priority)
    {
        LinkedListNode<Fetch>? next = feed.Queues[(int)priority].First;
        while (next is not null && HasRoom(feed, priority))
        {
            Fetch fetch = next.Value;
            next = next.Next;
            PeerChannel? best = null;
            foreach (PeerChannel channel in feed.Channels)
            {
                if (!channel.Peer.Window.HasRoom(priority) || !CanAnswer(channel, fetch)) continue;
                if (channel.Peer.Stalls && OthersAnswer(channel, fetch.FirstBlock)) continue;
                if (best is null || channel.Peer.Rank < best.Peer.Rank) best = channel;
            }

            if (best is null) continue;
            if (fetch.Kind == FetchKind.Block) AskBlock(best, fetch.Target, priority, fetch);
            else AskOffset(best, fetch, priority);
        }
    }

    private static bool HasRoom(FeedReplication feed, FetchPriority priority)
    {
        foreach (PeerChannel channel in feed.Channels)
        {
            if (!channel.Ended && channel.Peer.Window.HasRoom(priority)) return true;
        }

        return false;
    }

    private static bool CanAnswer(PeerChannel channel, Fetch fetch)
    {
        if (channel.Ended) return false;
        if (fetch.Kind == FetchKind.Block) return !fetch.Feed.Reserved.ContainsKey(fetch.Target) && channel.Remote.Contains(fetch.Target);
        if (!MaySeek(channel, fetch)) return GuessBlock(channel, fetch) >= 0;
        return channel.Seek is null && channel.Remote.NextSet(fetch.Start, fetch.End) >= 0;
    }

    // A responder that is shorter than us could end exactly at the offset, and then drops the connection (§5.6).
    private static bool MaySeek(PeerChannel channel, Fetch fetch) =>
        fetch.Attempts == 0 && !channel.SeekFails && channel.LastSeekSent != fetch.Target && channel.RemoteLength >= fetch.Feed.Feed.Length && fetch.Target < fetch.Feed.Feed.ByteLength;

    private static long GuessBlock(PeerChannel channel, Fetch fetch)
    {
        long middle = fetch.Start + (fetch.End - fetch.Start) / 2;
        long guess = channel.Remote.NextSet(middle, fetch.End);
        if (guess < 0) guess = channel.Remote.PrevSet(middle, fetch.Start);
        return guess >= 0 && !channel.Hashes.ContainsKey(guess) && !fetch.Feed.Reserved.ContainsKey(guess) ? guess : -1;
    }

    private void AssignRanges(FeedReplication feed, FetchPriority priority)
    {
        foreach (DownloadRange range in feed.Ranges)
        {
            if (range.Priority != priority) continue;
            // In turns, so that nobody's part lies far ahead of what the others bring; in runs, whose uncles are shared (§8.3 point 7).
            for (bool more = true; more;)
            {
                more = false;
                foreach (PeerChannel channel in feed.Channels) more |= !channel.Peer.Stalls && AssignRun(feed, channel, range, RunBlocks);
            }

            // Last, so that it is not asked again and again for the very block that the others could send.
            foreach (PeerChannel channel in feed.Channels)
            {
                if (channel.Peer.Stalls && !channel.Peer.HasRequests) AssignRun(feed, channel, range, 1);
            }
        }
    }

    private bool AssignRun(FeedReplication feed, PeerChannel channel, DownloadRange range, int most)
    {
        FetchPriority priority = range.Priority;
        int asked = 0;
        while (asked < most && !channel.Ended && channel.Peer.Window.HasRoom(priority) && !HoldsBack(feed, priority) && TryNext(feed, channel, range, out long index))
        {
            AskBlock(channel, index, priority, feed.FetchOf(index));
            asked++;
        }

        return asked > 0;
    }

    private bool TryNext(FeedReplication feed, PeerChannel channel, DownloadRange range, out long index)
    {
        RangeCursor cursor = channel.CursorOf(range);
        if (range.Priority == FetchPriority.Background && feed.Channels.Count > 1)
        {
            _others.Clear();
            foreach (PeerChannel other in feed.Channels)
            {
                if (other != channel && !other.Ended) _others.Add(other.Remote);
            }

            if (cursor.TryNextRare(channel.Remote, CollectionsMarshal.AsSpan(_others), feed.Feed, feed.Reserved, out index)) return true;
        }

        return cursor.TryNext(channel.Remote, feed.Feed, feed.Reserved, out index);
    }

    // The answers of a first burst would each carry a full proof and a signature to check; after one answer they stop at known nodes (§8.3 point 4).
    private static bool HoldsBack(FeedReplication feed, FetchPriority priority) =>
        priority == FetchPriority.Background && feed.Feed.Length == 0 && feed.Reserved.Count > 0;

    private static FetchPriority ProbePriority(FeedReplication feed, FetchPriority current)
    {
        FetchPriority priority = FetchPriority.Metadata;
        if (current > FetchPriority.Metadata) return priority;
        foreach (Fetch fetch in feed.Lengths) priority = fetch.Priority < priority ? fetch.Priority : priority;
        return priority;
    }

    // A peer announced more than is verified: one small answer brings the signature of its whole length (§8.3 point 6).
    private void AssignProbe(FeedReplication feed, FetchPriority priority)
    {
        if (feed.Probe is not null) return;
        PeerChannel? best = null;
        long head = -1;
        long length = feed.Feed.Length;
        foreach (PeerChannel channel in feed.Channels)
        {
            if (channel.Ended || channel.RemoteLength <= length || !channel.Peer.Window.HasRoom(priority)) continue;
            long newest = channel.Remote.PrevSet(channel.RemoteLength - 1, length);
            if (newest < 0 || channel.Hashes.ContainsKey(newest)) continue;
            if (best is null || IsBetter(channel, newest, best, head)) (best, head) = (channel, newest);
        }

        if (best is null) return;
        foreach (long index in feed.Reserved.Keys)
        {
            if (index >= length && !(priority == FetchPriority.Interactive && index < head)) return;
        }

        if (feed.First && !feed.Reserved.ContainsKey(head)) feed.Probe = AskBlock(best, head, priority, feed.FetchOf(head));
        else feed.Probe = AskHash(best, head, priority, null);
    }

    // Who claims most is asked first, unless it has failed to prove a claim before: a lie must not keep the truth away (§9.2).
    private static bool IsBetter(PeerChannel one, long newest, PeerChannel other, long head)
    {
        if (one.Peer.Stalls != other.Peer.Stalls) return other.Peer.Stalls;
        if (one.Peer.TimeoutsInRow != other.Peer.TimeoutsInRow) return one.Peer.TimeoutsInRow < other.Peer.TimeoutsInRow;
        return newest > head || newest == head && one.Peer.Rank < other.Peer.Rank;
    }

    private PendingRequest AskBlock(PeerChannel channel, long index, FetchPriority priority, Fetch? fetch)
    {
        FeedReplication feed = channel.Feed;
        PendingRequest request = new(channel, RequestKind.Block, index, priority, CostOf(feed, index), owner.NowMs) { Fetch = fetch };
        feed.Reserved.Add(index, request);
        Send(request, new RequestMessage(index, 0, false, DigestFor(channel, index)));
        return request;
    }

    private PendingRequest AskHash(PeerChannel channel, long index, FetchPriority priority, Fetch? fetch)
    {
        PendingRequest request = new(channel, RequestKind.Hash, index, priority, 1024, owner.NowMs) { Fetch = fetch };
        Send(request, new RequestMessage(index, 0, true, DigestFor(channel, index)));
        return request;
    }

    // No reader may suffer for what is damaged elsewhere in the tree: an answer with the whole proof is always right, and shows whether it can be stored.
    private static ulong DigestFor(PeerChannel channel, long index)
    {
        try
        {
            return channel.Peer.Suspect ? 0 : channel.Feed.Feed.DigestFor(index);
        }
        catch (DatException)
        {
            return 0;
        }
    }

    private static long CostOf(FeedReplication feed, long index)
    {
        try
        {
            return feed.Feed.TryGetSize(index, out long size) ? size : (long)feed.AverageBlock;
        }
        catch (DatException)
        {
            return (long)feed.AverageBlock;
        }
    }

    private void AskOffset(PeerChannel channel, Fetch fetch, FetchPriority priority)
    {
        if (MaySeek(channel, fetch))
        {
            long index = channel.Remote.NextSet(fetch.Start, fetch.End);
            PendingRequest request = new(channel, RequestKind.Seek, index, priority, (long)fetch.Feed.AverageBlock, owner.NowMs) { Fetch = fetch };
            Send(request, new RequestMessage(index, fetch.Target, false, DigestFor(channel, index)));
            return;
        }

        // Of the two blocks of a pair only the bytes of one tell where the border lies (hypercore.md §12.6).
        long guess = GuessBlock(channel, fetch);
        if (fetch.End - fetch.Start <= 2) AskBlock(channel, guess, priority, fetch);
        else AskHash(channel, guess, priority, fetch);
    }

    private void Send(PendingRequest request, RequestMessage message)
    {
        PeerConnection peer = request.Channel.Peer;
        if (!peer.Corked)
        {
            peer.Corked = true;
            _corks.Add(peer.Wire.Cork());
        }

        peer.Asked(request.Cost);
        if (request.Fetch is { } fetch)
        {
            fetch.Node.List?.Remove(fetch.Node);
            fetch.Request = request;
            fetch.Asked = true;
        }

        Hedging.Asked(request);
        request.Channel.Send(request, message);
    }

    /// <summary>An answer was verified and stored, or not.</summary>
    public void Settle(PeerChannel channel, PendingRequest? request, Proof proof, ProofOutcome outcome)
    {
        FeedReplication feed = channel.Feed;
        bool stored = outcome is ProofOutcome.Accepted or ProofOutcome.AcceptedLonger or ProofOutcome.AlreadyHeld;
        if (request is not null)
        {
            if (stored) channel.Peer.Answered(request.Cost, owner.NowMs - request.SentAt);
            if (stored && request.Twin is { } slower) slower.Channel.Peer.Window.Outrun(owner.NowMs - slower.SentAt);
            End(request);
        }

        if (stored && proof.Value is { } value)
        {
            if (outcome != ProofOutcome.AlreadyHeld)
            {
                feed.CountDownload(value.Length);
                feed.Announcements.Downloaded(proof.Index, channel, owner.NowMs);
            }

            if (feed.FetchOf(proof.Index) is { } fetch) feed.Complete(fetch);
        }

        if (stored) feed.Satisfy();
        if (request is not null) Resume(request, stored);
    }

    /// <summary>The disk refused an answer: nobody's fault among the peers, and no reason to ask again at once.</summary>
    public void SettleFailed(PeerChannel channel, PendingRequest? request, long index, DatException reason)
    {
        FeedReplication feed = channel.Feed;
        feed.PausedUntil = owner.NowMs + PauseMs;
        if (request is not null) End(request);
        if (feed.FetchOf(index) is { } waited) feed.Fail(waited, reason);
        if (request?.Fetch is { } fetch && fetch.Node.List is null && fetch.Waiters.Count > 0) feed.Fail(fetch, reason);
        feed.Reconsider(index, index + 1);
    }

    private void End(PendingRequest request)
    {
        FeedReplication feed = request.Channel.Feed;
        request.Channel.Peer.Window.Ended(request.Cost);
        Hedging.Ended(request);
        if (feed.Probe == request) feed.Probe = null;
        PendingRequest? twin = request.Twin;
        if (twin is not null)
        {
            twin.Twin = null;
            twin.Fetch ??= request.Fetch;
        }

        if (request.Kind == RequestKind.Block && feed.Reserved.GetValueOrDefault(request.Index) == request)
        {
            // What a second peer is asked for is not asked of a third.
            if (twin is null) feed.Reserved.Remove(request.Index);
            else feed.Reserved[request.Index] = twin;
        }

        if (request.Fetch?.Request == request) request.Fetch.Request = twin;
    }

    // What an answer did not bring is asked again: of another peer, or in another way.
    private static void Resume(PendingRequest request, bool answered)
    {
        FeedReplication feed = request.Channel.Feed;
        if (request.Kind == RequestKind.Block && !feed.Feed.HasBlock(request.Index)) Requeue(feed, request.Index);
        if (request.Fetch is not { Kind: FetchKind.Offset } fetch || !feed.Offsets.Contains(fetch)) return;
        if (!feed.TryNarrow(fetch)) return;
        if (answered) fetch.Attempts++;
        if (fetch.Attempts <= MaxOffsetAttempts) feed.Enqueue(fetch);
        else feed.Fail(fetch, new DatException(DatError.TimedOut, $"feed {feed.Feed.DiscoveryKey}: no peer could locate byte {fetch.Target}"));
    }

    private static void Requeue(FeedReplication feed, long index)
    {
        feed.Reconsider(index, index + 1);
        if (feed.FetchOf(index) is { Request: null } fetch) feed.Enqueue(fetch);
    }

    /// <summary>Takes back what a peer has not answered, when it left (or a feed was left).</summary>
    public void Abandon(PeerChannel channel)
    {
        List<PendingRequest> requests = [.. channel.Blocks.Values, .. channel.Hashes.Values];
        if (channel.Seek is { } seek) requests.Add(seek);
        foreach (PendingRequest request in requests) GiveUp(request);
    }

    /// <summary>The peer took blocks back: what was asked of it there will not be answered, and is asked elsewhere at once. False = nothing was.</summary>
    public bool Refused(PeerChannel channel, UnhaveMessage unhave)
    {
        bool IsIn(PendingRequest request) => request.Index >= unhave.Start && request.Index - unhave.Start < unhave.Length;
        PendingRequest[] refused = [.. channel.Blocks.Values.Where(IsIn), .. channel.Hashes.Values.Where(IsIn)];
        foreach (PendingRequest request in refused)
        {
            Fetch? fetch = request.Fetch;
            GiveUp(request);
            // Who has taken a block back was not slow to send it: when nobody else has it either, the reader is told so.
            if (fetch is { Request: null }) fetch.Asked = false;
        }

        return refused.Length > 0;
    }

    private void GiveUp(PendingRequest request)
    {
        request.Channel.Forget(request);
        End(request);
        Resume(request, false);
    }

    /// <summary>Finds the requests of one connection that have waited too long. False = it should be closed.</summary>
    public bool ExpireRequests(PeerConnection peer)
    {
        double now = owner.NowMs;
        bool silent = now - peer.LastProgressMs >= RequestTimeoutMs;
        bool expired = peer.IsSilent;
        foreach (PeerChannel channel in peer.Channels)
        {
            if (channel.Seek is { } seek && now - seek.SentAt >= SeekTimeoutMs)
            {
                channel.SeekFails = true;
                GiveUp(seek);
            }

            expired |= Expire(channel, channel.Blocks, now, silent);
            expired |= Expire(channel, channel.Hashes, now, silent);
            if (!peer.Stalls) continue;
            Relieve(channel, channel.Blocks, now);
            Relieve(channel, channel.Hashes, now);
        }

        if (!expired) return true;
        return peer.TimedOut() < MaxTimeoutsInRow;
    }

    private bool Expire(PeerChannel channel, Dictionary<long, PendingRequest> requests, double now, bool silent)
    {
        List<PendingRequest>? late = null;
        foreach (PendingRequest request in requests.Values)
        {
            double age = now - request.SentAt;
            if (age < RequestTimeoutMs) continue;
            if (silent || age >= SlowRequestTimeoutMs || OthersHave(channel, request.Index)) (late ??= []).Add(request);
        }

        if (late is null) return false;
        foreach (PendingRequest request in late)
        {
            channel.Peer.CountTimeout();
            GiveUp(request);
        }

        return true;
    }

    // Readers do not wait for a peer that stalls where another one sends. Its answers may still come, and are welcome.
    private void Relieve(PeerChannel channel, Dictionary<long, PendingRequest> requests, double now)
    {
        foreach (PendingRequest request in requests.Values.ToArray())
        {
            if (now - request.SentAt >= PeerConnection.StallMs && OthersAnswer(channel, request.Index)) GiveUp(request);
        }
    }

    private static bool OthersAnswer(PeerChannel channel, long index)
    {
        foreach (PeerChannel other in channel.Feed.Channels)
        {
            if (other != channel && !other.Ended && !other.Peer.Stalls && other.Remote.Contains(index)) return true;
        }

        return false;
    }

    private static bool OthersHave(PeerChannel channel, long index)
    {
        foreach (PeerChannel other in channel.Feed.Channels)
        {
            if (other != channel && !other.Ended && other.Remote.Contains(index)) return true;
        }

        return false;
    }

    /// <summary>Ends the waits that no peer answers (§9.2: a reader never hangs because peers are slow or absent).</summary>
    public void ExpireFetches(FeedReplication feed)
    {
        double now = owner.NowMs;
        double offline = owner.Options.OfflineAfter.TotalMilliseconds;
        double timeout = owner.Options.FetchTimeout.TotalMilliseconds;
        foreach (Fetch fetch in feed.AllFetches())
        {
            if (fetch.Request is not null || AnyoneHas(fetch)) fetch.LastHopeMs = now;
            double patience = now - fetch.LastHopeMs >= offline ? Math.Min(offline, timeout) : timeout;
            if (fetch.Waiters.Exists(waiter => now - waiter.Since >= patience)) feed.Fail(fetch, now - patience, owner.WaitError(fetch));
        }
    }

    private static bool AnyoneHas(Fetch fetch)
    {
        foreach (PeerChannel channel in fetch.Feed.Channels)
        {
            if (channel.Ended) continue;
            if (fetch.Kind == FetchKind.Block ? channel.Remote.Contains(fetch.Target)
                : fetch.Kind == FetchKind.Offset ? channel.Remote.NextSet(fetch.Start, fetch.End) >= 0
                : channel.RemoteLength >= fetch.Target) return true;
        }

        return false;
    }
}
