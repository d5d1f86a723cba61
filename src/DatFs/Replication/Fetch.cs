using DatFs.Feeds;

namespace DatFs.Replication;

/// <summary>What a reader can wait for.</summary>
internal enum FetchKind
{
    /// <summary>The bytes of block <see cref="Fetch.Target"/>.</summary>
    Block,
    /// <summary>The tree nodes that locate byte <see cref="Fetch.Target"/>.</summary>
    Offset,
    /// <summary>A signed length of at least <see cref="Fetch.Target"/>.</summary>
    Length,
}

/// <summary>One thing that readers wait for, however many they are: it is asked once, as urgently as the most urgent of them needs it.</summary>
internal sealed class Fetch
{
    public Fetch(FeedReplication feed, FetchKind kind, long target, double nowMs)
    {
        LastHopeMs = nowMs;
        Feed = feed;
        Kind = kind;
        Target = target;
        Node = new LinkedListNode<Fetch>(this);
    }

    public FeedReplication Feed { get; }
    public FetchKind Kind { get; }
    public long Target { get; }
    public List<FetchWaiter> Waiters { get; } = [];

    /// <summary>Place in the queue of its priority while it is not asked of a peer.</summary>
    public LinkedListNode<Fetch> Node { get; }

    /// <summary>For <see cref="FetchKind.Offset"/>: the blocks among which the byte lies, as far as known.</summary>
    public long Start { get; set; }
    /// <inheritdoc cref="Start"/>
    public long End { get; set; }

    /// <summary>A block near which a peer has to have something.</summary>
    public long FirstBlock => Kind switch
    {
        FetchKind.Block => Target,
        FetchKind.Offset => Start,
        _ => Math.Max(0, Target - 1),
    };

    /// <summary>Set while a peer is asked.</summary>
    public PendingRequest? Request { get; set; }
    /// <summary>When a connected peer last had it or was asked for it, or the wait began, in milliseconds of the replicator's clock.</summary>
    public double LastHopeMs { get; set; }
    /// <summary>A peer was asked at least once.</summary>
    public bool Asked { get; set; }
    /// <summary>Answers that did not help, for <see cref="FetchKind.Offset"/>.</summary>
    public int Attempts { get; set; }

    public FetchPriority Priority { get; private set; } = FetchPriority.Background;

    public void UpdatePriority()
    {
        FetchPriority most = FetchPriority.Background;
        foreach (FetchWaiter waiter in Waiters) most = waiter.Priority < most ? waiter.Priority : most;
        Priority = most;
    }

    public void Complete()
    {
        foreach (FetchWaiter waiter in Waiters) waiter.Done.TrySetResult();
    }

    public void Fail(DatException reason)
    {
        foreach (FetchWaiter waiter in Waiters) waiter.Done.TrySetException(reason);
    }
}

/// <summary>One reader that waits.</summary>
internal sealed class FetchWaiter(Fetch fetch, FetchPriority priority, double since)
{
    public Fetch Fetch { get; } = fetch;
    public FetchPriority Priority { get; } = priority;
    /// <summary>Start of the wait, in milliseconds of the replicator's clock.</summary>
    public double Since { get; } = since;
    public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>Which answer a request expects.</summary>
internal enum RequestKind
{
    /// <summary>A block's bytes.</summary>
    Block,
    /// <summary>A block's proof without bytes.</summary>
    Hash,
    /// <summary>The block that holds a byte offset, whichever it is (wire-protocol.md §5.6).</summary>
    Seek,
}

/// <summary>A request that a peer has not answered yet.</summary>
internal sealed class PendingRequest(PeerChannel channel, RequestKind kind, long index, FetchPriority priority, long cost, double sentAt)
{
    public PeerChannel Channel { get; } = channel;
    public RequestKind Kind { get; } = kind;
    public long Index { get; } = index;
    public FetchPriority Priority { get; } = priority;
    /// <summary>Bytes charged to the connection's window.</summary>
    public long Cost { get; } = cost;
    /// <summary>Milliseconds of the replicator's clock.</summary>
    public double SentAt { get; } = sentAt;
    /// <summary>The reader's wait that it answers.</summary>
    public Fetch? Fetch { get; set; }
    /// <summary>The same block asked of a second peer while this request is unanswered, and the other way round.</summary>
    public PendingRequest? Twin { get; set; }
}
