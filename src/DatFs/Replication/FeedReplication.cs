using System.Collections.Concurrent;
using DatFs.Feeds;

namespace DatFs.Replication;

/// <summary>
/// One joined feed: who waits for what, which ranges are downloaded, what is asked of whom, and what has to be announced. Guarded by the
/// replicator's lock; the feed's own events arrive on foreign threads and are handed over through a queue.
/// </summary>
internal sealed class FeedReplication : IBlockSource, IFeedObserver, IDisposable
{
    /// <summary>Ranges downloaded at a time; a caller that needs more has lost track.</summary>
    public const int MaxRanges = 4096;
    /// <summary>What a block of a feed that nothing is known of is taken to weigh.</summary>
    public const int UnknownBlock = 16 * 1024;

    private readonly Replicator _owner;
    private readonly IDisposable _observation;
    private readonly ConcurrentDictionary<long, bool> _accepting = new();
    private readonly Dictionary<long, Fetch> _blocks = [];
    private readonly List<Fetch> _offsets = [];
    private readonly List<Fetch> _lengths = [];
    private double _average;

    public FeedReplication(Replicator owner, Feed feed, bool first)
    {
        _owner = owner;
        Feed = feed;
        First = first;
        Announcements = new Announcements(this);
        _observation = feed.Observe(this);
    }

    public Feed Feed { get; }
    /// <summary>The drive's own feed: its newest block is always wanted.</summary>
    public bool First { get; }
    public bool Frozen { get; private set; }
    /// <summary>Left; nothing more is asked.</summary>
    public bool Left { get; private set; }
    public Announcements Announcements { get; }
    public List<PeerChannel> Channels { get; } = [];
    public List<DownloadRange> Ranges { get; } = [];
    /// <summary>Fetches that no peer is asked for, by priority, in order of arrival.</summary>
    public LinkedList<Fetch>[] Queues { get; } = [new(), new(), new(), new()];
    /// <summary>Blocks asked of a peer, or being stored: each is asked of one peer at a time.</summary>
    public Dictionary<long, PendingRequest> Reserved { get; } = [];
    /// <summary>The request that is to make the length grow.</summary>
    public PendingRequest? Probe { get; set; }
    /// <summary>Background work rests until then after the disk failed (milliseconds of the replicator's clock).</summary>
    public double PausedUntil { get; set; }
    /// <summary>What a block is likely to weigh: smoothed over those received, before the first the mean of the signed feed.</summary>
    public double AverageBlock => _average > 0 ? _average : Feed.Length > 0 ? (double)Feed.ByteLength / Feed.Length : UnknownBlock;

    public long DownloadedBlocks { get; private set; }
    public long DownloadedBytes { get; private set; }
    public long UploadedBlocks { get; private set; }
    public long UploadedBytes { get; private set; }

    /// <summary>The owner of a feed asks for nothing unless somebody waits (wire-protocol.md §5.1).</summary>
    public bool Downloading => !Feed.Writable;

    public IReadOnlyCollection<Fetch> Offsets => _offsets;
    public IReadOnlyCollection<Fetch> Lengths => _lengths;

    // --- IBlockSource ---------------------------------------------------------------------------------------------------

    public async ValueTask FetchAsync(long index, FetchPriority priority, CancellationToken ct)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ct.ThrowIfCancellationRequested();
        if (Feed.HasBlock(index)) return;
        FetchWaiter waiter;
        lock (_owner.Gate)
        {
            ThrowIfStopped();
            if (!_blocks.TryGetValue(index, out Fetch? fetch)) _blocks.Add(index, fetch = new Fetch(this, FetchKind.Block, index, _owner.NowMs));
            waiter = Add(fetch, priority);
            // The block may have been stored between the look above and this lock; whoever stored it did not see this wait.
            if (Feed.HasBlock(index)) Complete(fetch);
            else _owner.Scheduler.Pump();
        }

        await WaitAsync(waiter, ct);
    }

    public async ValueTask FetchOffsetAsync(long byteOffset, long start, long end, FetchPriority priority, CancellationToken ct)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteOffset);
        ArgumentOutOfRangeException.ThrowIfLessThan(end, start + 1);
        if (byteOffset == 0 || end - start == 1)
        {
            await FetchAsync(start, priority, ct);
            return;
        }

        ct.ThrowIfCancellationRequested();
        FetchWaiter waiter;
        lock (_owner.Gate)
        {
            ThrowIfStopped();
            Fetch? fetch = _offsets.Find(f => f.Target == byteOffset);
            if (fetch is null) _offsets.Add(fetch = new Fetch(this, FetchKind.Offset, byteOffset, _owner.NowMs) { Start = start, End = end });
            waiter = Add(fetch, priority);
            _owner.Scheduler.Pump();
        }

        await WaitAsync(waiter, ct);
    }

    public async ValueTask FetchLengthAsync(long minLength, FetchPriority priority, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        if (Feed.Length >= minLength) return;
        FetchWaiter waiter;
        lock (_owner.Gate)
        {
            ThrowIfStopped();
            Fetch? fetch = _lengths.Find(f => f.Target == minLength);
            if (fetch is null) _lengths.Add(fetch = new Fetch(this, FetchKind.Length, minLength, _owner.NowMs));
            waiter = Add(fetch, priority);
            if (Feed.Length >= minLength) Complete(fetch);
            else _owner.Scheduler.Pump();
        }

        await WaitAsync(waiter, ct);
    }

    public IDisposable Download(long start, long end, DownloadOrder order, FetchPriority priority)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        DownloadRange range = new(this, start, end, order, priority);
        lock (_owner.Gate)
        {
            if (Ranges.Count >= MaxRanges) throw new DatException(DatError.Invalid, $"more than {MaxRanges} ranges are being downloaded");
            Ranges.Add(range);
            foreach (PeerChannel channel in Channels) channel.SendWants();
            _owner.Scheduler.Pump();
        }

        return range;
    }

    public void Remove(DownloadRange range)
    {
        lock (_owner.Gate)
        {
            if (!Ranges.Remove(range)) return;
            foreach (PeerChannel channel in Channels) channel.Cursors.RemoveAll(c => c.Range == range);
        }
    }

    private void ThrowIfStopped()
    {
        if (Frozen) throw ForkedError();
        if (Left) throw new DatException(DatError.Offline, $"feed {Feed.DiscoveryKey} is not shared any more");
    }

    private DatException ForkedError() =>
        new(DatError.Forked, $"feed {Feed.DiscoveryKey}: its owner signed two histories, so nothing new is taken from it");

    private FetchWaiter Add(Fetch fetch, FetchPriority priority)
    {
        FetchWaiter waiter = new(fetch, priority, _owner.NowMs);
        fetch.Waiters.Add(waiter);
        fetch.UpdatePriority();
        if (fetch.Kind == FetchKind.Block && Reserved.TryGetValue(fetch.Target, out PendingRequest? asked))
        {
            // Asked already, perhaps when nobody waited for it.
            asked.Fetch = fetch;
            fetch.Request = asked;
            fetch.Asked = true;
            _owner.Scheduler.Hedging.Watch(asked);
        }
        else if (fetch.Request is null && fetch.Kind != FetchKind.Length) Enqueue(fetch);
        foreach (PeerChannel channel in Channels) channel.WantBlock(fetch.FirstBlock);
        return waiter;
    }

    private static async ValueTask WaitAsync(FetchWaiter waiter, CancellationToken ct)
    {
        using CancellationTokenRegistration cancel = ct.UnsafeRegister(static (state, token) =>
        {
            FetchWaiter cancelled = (FetchWaiter)state!;
            cancelled.Fetch.Feed.Withdraw(cancelled, token);
        }, waiter);
        await waiter.Done.Task;
    }

    private void Withdraw(FetchWaiter waiter, CancellationToken ct)
    {
        lock (_owner.Gate)
        {
            Fetch fetch = waiter.Fetch;
            if (!fetch.Waiters.Remove(waiter)) return;
            Withdrawn(fetch);
        }

        waiter.Done.TrySetCanceled(ct);
    }

    // --- State, under the replicator's lock -----------------------------------------------------------------------------

    /// <summary>Puts a fetch at the end of the queue of its priority.</summary>
    public void Enqueue(Fetch fetch)
    {
        LinkedList<Fetch> queue = Queues[(int)fetch.Priority];
        if (fetch.Node.List == queue) return;
        fetch.Node.List?.Remove(fetch.Node);
        queue.AddLast(fetch.Node);
    }

    /// <summary>Ends a fetch: its readers go on.</summary>
    public void Complete(Fetch fetch)
    {
        Drop(fetch);
        fetch.Complete();
    }

    /// <summary>Ends a fetch: its readers get the reason.</summary>
    public void Fail(Fetch fetch, DatException reason)
    {
        Drop(fetch);
        fetch.Fail(reason);
    }

    /// <summary>Ends the waits of a fetch that have lasted so long; others of the same fetch go on.</summary>
    public void Fail(Fetch fetch, double sinceOrBefore, DatException reason)
    {
        for (int i = fetch.Waiters.Count - 1; i >= 0; i--)
        {
            FetchWaiter waiter = fetch.Waiters[i];
            if (waiter.Since > sinceOrBefore) continue;
            fetch.Waiters.RemoveAt(i);
            waiter.Done.TrySetException(reason);
        }

        Withdrawn(fetch);
    }

    // With fewer readers a fetch is perhaps less urgent, and without any it is over.
    private void Withdrawn(Fetch fetch)
    {
        if (fetch.Waiters.Count == 0)
        {
            Drop(fetch);
            return;
        }

        fetch.UpdatePriority();
        if (fetch.Node.List is not null) Enqueue(fetch);
    }

    private void Drop(Fetch fetch)
    {
        fetch.Node.List?.Remove(fetch.Node);
        if (fetch.Kind == FetchKind.Block) _blocks.Remove(fetch.Target);
        else (fetch.Kind == FetchKind.Offset ? _offsets : _lengths).Remove(fetch);
    }

    /// <summary>The reader's wait for a block, if there is one.</summary>
    public Fetch? FetchOf(long index) => _blocks.GetValueOrDefault(index);

    /// <summary>Every fetch, in a list of its own.</summary>
    public List<Fetch> AllFetches() => [.. _blocks.Values, .. _offsets, .. _lengths];

    /// <summary>True while anybody waits.</summary>
    public bool HasFetches => _blocks.Count + _offsets.Count + _lengths.Count > 0;

    /// <summary>Blocks by which the ranges of interest are found (wire-protocol.md §5.2).</summary>
    public IEnumerable<long> WaitedBlocks()
    {
        foreach (LinkedList<Fetch> queue in Queues)
        {
            foreach (Fetch fetch in queue) yield return fetch.FirstBlock;
        }

        foreach (Fetch fetch in _lengths) yield return fetch.FirstBlock;
    }

    /// <summary>Ends what the feed's present state answers.</summary>
    public void Satisfy()
    {
        for (int i = _lengths.Count - 1; i >= 0; i--)
        {
            if (Feed.Length >= _lengths[i].Target) Complete(_lengths[i]);
        }

        for (int i = _offsets.Count - 1; i >= 0; i--) TryNarrow(_offsets[i]);
    }

    /// <summary>Looks where a byte can be by now. False = the wait for it is over: its place is known, or the storage failed.</summary>
    public bool TryNarrow(Fetch fetch)
    {
        (long start, long end) = (fetch.Start, fetch.End);
        try
        {
            if (Feed.TrySeek(fetch.Target, ref start, ref end, out _) || start >= end)
            {
                Complete(fetch);
                return false;
            }
        }
        catch (DatException unreadable)
        {
            Fail(fetch, unreadable);
            return false;
        }

        (fetch.Start, fetch.End) = (start, end);
        return true;
    }

    /// <summary>Ends the waits for blocks that came otherwise than from a peer.</summary>
    public void Satisfy(long start, long end)
    {
        foreach (Fetch fetch in _blocks.Values.Where(f => f.Target >= start && f.Target < end).ToArray()) Complete(fetch);
    }

    /// <summary>Looks at blocks again that were assigned and came back, or were given up.</summary>
    public void Reconsider(long start, long end)
    {
        foreach (PeerChannel channel in Channels)
        {
            foreach (RangeCursor cursor in channel.Cursors) cursor.Add(start, end);
        }
    }

    /// <summary>Blocks are here no more: those that are to be downloaded again may be with peers that had them from us.</summary>
    public void Missed(long start, long end)
    {
        Reconsider(start, end);
        if (!Ranges.Exists(range => range.Start < end && range.End > start)) return;
        foreach (PeerChannel channel in Channels) channel.WantAgain(start, end);
    }

    /// <summary>A block came from a peer.</summary>
    public void CountDownload(long bytes)
    {
        double before = AverageBlock;
        DownloadedBlocks++;
        DownloadedBytes += bytes;
        _average = before + (bytes - before) / 16;
    }

    /// <summary>A block went to a peer.</summary>
    public void CountUpload(long bytes)
    {
        UploadedBlocks++;
        UploadedBytes += bytes;
    }

    /// <summary>Stops for good (hypercore.md §12.4).</summary>
    public void Freeze()
    {
        Frozen = true;
        Abandon(ForkedError());
    }

    /// <summary>Stops because the feed was left.</summary>
    public void Leave()
    {
        Left = true;
        Ranges.Clear();
        Abandon(new DatException(DatError.Offline, $"feed {Feed.DiscoveryKey} is not shared any more"));
    }

    private void Abandon(DatException reason)
    {
        foreach (Fetch fetch in AllFetches()) Fail(fetch, reason);
        foreach (PeerChannel channel in Channels) channel.Ended = true;
    }

    /// <summary>Marks a block as coming from a peer while it is stored, so that <see cref="BlocksAdded"/> does not take it for an append.</summary>
    public void BeginAccept(long index) => _accepting[index] = true;

    /// <summary>Ends <see cref="BeginAccept"/>.</summary>
    public void EndAccept(long index) => _accepting.TryRemove(index, out _);

    // --- IFeedObserver: any thread, perhaps inside the feed's own lock ----------------------------------------------------

    public void LengthChanged(Feed feed, long oldLength, long newLength) => _owner.Post(this, FeedEventKind.Grown, oldLength, newLength - oldLength);

    public void BlocksAdded(Feed feed, long start, long count)
    {
        if (count == 1 && _accepting.ContainsKey(start)) return;
        _owner.Post(this, FeedEventKind.Added, start, count);
    }

    public void BlocksCleared(Feed feed, long start, long count) => _owner.Post(this, FeedEventKind.Cleared, start, count);

    public void Dispose() => _observation.Dispose();
}

/// <summary>What happened to a feed outside replication.</summary>
internal enum FeedEventKind
{
    Grown,
    Added,
    Cleared,
}

/// <summary>A change of a feed on its way to the replicator's lock.</summary>
internal readonly record struct FeedEvent(FeedReplication Feed, FeedEventKind Kind, long Start, long Count);
