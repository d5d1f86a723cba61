using System.Collections.Concurrent;
using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Wire;
using Microsoft.Extensions.Logging;

namespace DatFs.Replication;

/// <summary>
/// The connections of one drive (wire-protocol.md §5, §8): the public door of this folder. Feeds are joined, the first one is first on
/// every connection; connections come from a dialer, a listener or discovery and are run here to their end.
/// Invariants: nothing is asked of a peer that it did not announce; a block is asked of one peer at a time, and of a second one only
/// when a reader waits and the first is slow; nothing unverified reaches a feed; a peer that lies costs its own connection only. All state changes under one lock inside which no I/O happens;
/// hashing, disk and sockets run outside. One timer for everything, asleep when nothing is pending. Any thread may call.
/// </summary>
public sealed class Replicator : IFeedNetwork, IAsyncDisposable
{
    /// <summary>Connections of one drive at a time.</summary>
    public const int MaxPeers = 256;

    private const double TickMs = 250;

    private readonly List<PeerConnection> _connections = [];
    private readonly List<FeedReplication> _feeds = [];
    private readonly PeerBans _bans = new();
    private readonly ConcurrentQueue<FeedEvent> _events = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly ITimer _tick;
    private readonly long _start;
    private TaskCompletionSource _peerCame = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource? _idle;
    private double _tickAt = double.MaxValue;
    private bool _eventsScheduled;
    private bool _disposed;

    /// <summary>Creates a replicator without feeds and connections.</summary>
    public Replicator(ReplicatorOptions options)
    {
        Options = options;
        Time = options.Time;
        Scheduler = new RequestScheduler(this);
        Budget = new Budget(this);
        _start = Time.GetTimestamp();
        _tick = Time.CreateTimer(static self => ((Replicator)self!).Tick(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Settings.</summary>
    public ReplicatorOptions Options { get; }

    /// <summary>Channels of feeds unknown here that a peer may hold open (wire-protocol.md §9.1): all there are, unless the drive is known to have one writer.</summary>
    public int MaxUnknownChannels { get; set; } = WireConnection.MaxChannels;

    /// <summary>Every bound on what peers may take: the limit, what is used of it now, the most that was, and how often it was exceeded.</summary>
    public IReadOnlyList<BudgetLine> Limits
    {
        get
        {
            lock (Gate) return Budget.Lines();
        }
    }

    /// <summary>Raised after a peer connected or left, on a thread of the replicator: return at once.</summary>
    public event Action<Replicator>? PeersChanged;

    /// <summary>Says why there may be no peer, for the error of a reader that waited in vain; set by who looks for peers.</summary>
    public Func<string?>? ExplainOffline { get; set; }

    /// <summary>True when at least one peer has shown that it has the key.</summary>
    public bool AnyPeer
    {
        get
        {
            lock (Gate) return _connections.Exists(c => c.State == PeerState.Connected);
        }
    }

    /// <summary>The connections at this moment.</summary>
    public IReadOnlyList<PeerStatus> Peers
    {
        get
        {
            lock (Gate) return [.. _connections.Where(c => c.State != PeerState.Closed).Select(c => c.Status())];
        }
    }

    /// <summary>What was replicated, feed by feed, in the order in which they were joined.</summary>
    public IReadOnlyList<FeedTraffic> Traffic
    {
        get
        {
            lock (Gate) return [.. _feeds.Select(f => new FeedTraffic(f.Feed.DiscoveryKey, f.DownloadedBlocks, f.DownloadedBytes, f.UploadedBlocks, f.UploadedBytes, f.Frozen))];
        }
    }

    /// <summary>Public name of the drive, once its first feed is joined.</summary>
    public DiscoveryKey? DiscoveryKey
    {
        get
        {
            lock (Gate) return FirstFeed?.Feed.DiscoveryKey;
        }
    }

    /// <summary>What takes part in every connection beside replication; set before there is one.</summary>
    internal IConnectionExtension? Extension { get; set; }

    internal Lock Gate { get; } = new();
    internal TimeProvider Time { get; }
    internal ILogger Log => Options.Log;
    internal RequestScheduler Scheduler { get; }
    internal Budget Budget { get; }
    internal PeerBans Bans => _bans;
    internal double NowMs => Time.GetElapsedTime(_start).TotalMilliseconds;
    internal List<FeedReplication> Feeds => _feeds;
    internal List<PeerConnection> Connections => _connections;
    internal FeedReplication? FirstFeed => _feeds.Find(f => f.First);

    /// <inheritdoc/>
    public IDisposable Join(Feed feed)
    {
        lock (Gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (FeedOf(feed.Key) is not null) throw new DatException(DatError.Invalid, $"feed {feed.DiscoveryKey} is joined already");
            FeedReplication joined = new(this, feed, _feeds.Count == 0);
            _feeds.Add(joined);
            feed.Source = joined;
            foreach (PeerConnection connection in _connections) connection.OpenChannels();
            Scheduler.Pump();
            return new Membership(this, joined);
        }
    }

    /// <summary>Runs one connection, of either direction, from its first byte to its end. Takes the transport over.</summary>
    /// <exception cref="DatException">Invalid: no feed is joined, so nothing could be said.</exception>
    public async Task<PeerEnd> RunAsync(ITransport transport, CancellationToken ct) => (await RunConnectionAsync(transport, null, ct)).End;

    /// <summary>As <see cref="RunAsync"/>, telling also who the peer said it was. <paramref name="connected"/> is called once the peer has shown that it has the key.</summary>
    internal async Task<(PeerEnd End, string Remote, string? Reason)> RunConnectionAsync(ITransport transport, Action? connected, CancellationToken ct)
    {
        await using PeerConnection connection = new(this, transport, connected);
        FeedKey? first = null;
        bool refused;
        lock (Gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            FeedKey key = FirstFeed?.Feed.Key ?? throw new DatException(DatError.Invalid, "no feed was joined, so there is nothing to replicate");
            if (transport.Initiator) first = key;
            refused = _connections.Count >= MaxPeers;
            if (!refused) _connections.Add(connection);
            Budget.Counted(_connections.Count, refused);
        }

        if (refused) return (PeerEnd.Failed, "", "no room for more connections");
        try
        {
            using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(ct, _stopping.Token);
            await connection.RunAsync(first, stop.Token);
            return (connection.End, connection.Name, connection.EndReason);
        }
        finally
        {
            lock (Gate) Remove(connection);
        }
    }

    /// <summary>True while a peer that named itself so is connected from there.</summary>
    internal bool HasPeer(string name)
    {
        lock (Gate) return _connections.Exists(connection => connection.State == PeerState.Connected && connection.Name == name);
    }

    /// <summary>Completes when <see cref="AnyPeer"/> is true.</summary>
    public async ValueTask WaitForPeerAsync(CancellationToken ct)
    {
        while (!AnyPeer)
        {
            Task came;
            lock (Gate) came = _peerCame.Task;
            if (!AnyPeer) await Time.WaitAsync(came, ct);
        }
    }

    /// <summary>Closes all connections; waiting readers fail with <see cref="DatError.Offline"/>. Joined feeds stay open.</summary>
    public async ValueTask DisposeAsync()
    {
        Task idle;
        lock (Gate)
        {
            if (_disposed) return;
            _disposed = true;
            _idle = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_connections.Count == 0) _idle.TrySetResult();
            idle = _idle.Task;
            foreach (FeedReplication feed in _feeds) Leave(feed);
        }

        await Time.CancelAsync(_stopping);
        await idle;
        await _tick.DisposeAsync();
        Budget.Dispose();
        _stopping.Dispose();
    }

    private static void Leave(FeedReplication feed)
    {
        feed.Dispose();
        if (feed.Feed.Source == feed) feed.Feed.Source = null;
        feed.Leave();
    }

    // --- Under the lock -----------------------------------------------------------------------------------------------

    internal FeedReplication? FeedOf(FeedKey key) => _feeds.Find(f => f.Feed.Key == key && !f.Left);

    internal FeedReplication? FeedOf(DiscoveryKey key) => _feeds.Find(f => f.Feed.DiscoveryKey == key && !f.Left);

    /// <summary>
    /// Decides whether a connection whose peer just named itself is kept; of two to the same peer both ends keep the same (discovery.md §8.4).
    /// Anybody can borrow the name of a peer that he has met, and would come in its place: the same peer is only who comes from the same host.
    /// </summary>
    internal bool Admit(PeerConnection connection)
    {
        ReadOnlySpan<byte> own = Options.Id.Span;
        ReadOnlySpan<byte> id = connection.RemoteId;
        connection.Suspect = _bans.IsSuspect(connection.Name, NowMs);
        if (_bans.IsBanned(connection.Name, NowMs))
        {
            connection.Close(PeerEnd.Banned, "the peer sent wrong proofs before");
            return false;
        }

        if (id.Length != own.Length) return true;
        if (id.SequenceEqual(own))
        {
            connection.Dismiss(PeerEnd.Ourselves, "the connection led back to us");
            return false;
        }

        foreach (PeerConnection other in _connections)
        {
            if (other == connection || other.State != PeerState.Connected || other.Name != connection.Name) continue;
            int order = id.SequenceCompareTo(own);
            bool dropNew = connection.Initiator ? order < 0 : order > 0;
            (dropNew ? connection : other).Dismiss(PeerEnd.Duplicate, "another connection to the same peer is kept");
            return !dropNew;
        }

        return true;
    }

    /// <summary>Notes a wrong proof.</summary>
    internal void Strike(PeerConnection connection) => _bans.Strike(connection.Name, NowMs);

    /// <summary>Stops a feed whose owner signed two histories.</summary>
    internal void Freeze(FeedReplication feed, PeerConnection shownBy)
    {
        if (feed.Frozen) return;
        feed.Freeze();
        foreach (PeerChannel channel in feed.Channels) Scheduler.Abandon(channel);
        ReplicationLog.Forked(Log, feed.Feed.DiscoveryKey, shownBy.Address);
    }

    internal void Remove(PeerConnection connection)
    {
        _connections.Remove(connection);
        if (_connections.Count == 0) _idle?.TrySetResult();
        if (_peerCame.Task.IsCompleted) _peerCame = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>Says why a wait is in vain.</summary>
    internal DatException WaitError(Fetch fetch)
    {
        string what = fetch.Kind switch
        {
            FetchKind.Block => $"block {fetch.Target} of feed {fetch.Feed.Feed.DiscoveryKey}",
            FetchKind.Offset => $"byte {fetch.Target} of feed {fetch.Feed.Feed.DiscoveryKey}",
            _ => $"feed {fetch.Feed.Feed.DiscoveryKey} up to block {fetch.Target - 1}",
        };
        if (!_connections.Exists(c => c.State == PeerState.Connected))
            return new DatException(DatError.Offline, $"{what} is not here, and no peer is connected{(ExplainOffline?.Invoke() is { } why ? ": " + why : "")}");
        return fetch.Asked
            ? new DatException(DatError.TimedOut, $"{what} was asked for, but no peer sent it in time")
            : new DatException(DatError.Offline, $"{what} is not here, and no connected peer has it");
    }

    // --- Events and time ------------------------------------------------------------------------------------------------

    /// <summary>Hands over a change of a feed. Called on any thread, perhaps inside the feed's own lock, so ours is not taken here.</summary>
    internal void Post(FeedReplication feed, FeedEventKind kind, long start, long count)
    {
        _events.Enqueue(new FeedEvent(feed, kind, start, count));
        if (!Interlocked.Exchange(ref _eventsScheduled, true)) Time.Queue(static self => self.HandleEvents(), this);
    }

    private void HandleEvents()
    {
        Volatile.Write(ref _eventsScheduled, false);
        lock (Gate)
        {
            while (_events.TryDequeue(out FeedEvent change)) Handle(change);
            Scheduler.Pump();
        }
    }

    private static void Handle(FeedEvent change)
    {
        FeedReplication feed = change.Feed;
        if (feed.Left) return;
        if (change.Kind == FeedEventKind.Grown)
        {
            feed.Satisfy();
        }
        else if (change.Kind == FeedEventKind.Added)
        {
            feed.Announcements.Appended(change.Start, change.Count);
            feed.Satisfy();
            feed.Satisfy(change.Start, change.Start + change.Count);
        }
        else
        {
            feed.Announcements.Cleared(change.Start, change.Count);
            feed.Missed(change.Start, change.Start + change.Count);
        }
    }

    /// <summary>Makes sure that the timer runs while anything depends on time.</summary>
    internal void ArmTick()
    {
        double due = double.MaxValue;
        foreach (FeedReplication feed in _feeds)
        {
            if (feed.Announcements.Pending) due = Announcements.MaxDelayMs;
            else if (feed.HasFetches || feed.PausedUntil > NowMs) due = Math.Min(due, TickMs);
        }

        due = Math.Min(due, Scheduler.Hedging.NextMs(NowMs));
        if (due > TickMs && _connections.Exists(c => c.HasRequests)) due = TickMs;
        if (due == double.MaxValue || _disposed) return;

        // Timers count whole milliseconds: less would come too early, and again and again until the time is there.
        due = Math.Ceiling(due);
        double at = NowMs + due;
        if (at >= _tickAt) return;
        _tickAt = at;
        _tick.Change(TimeSpan.FromMilliseconds(due), Timeout.InfiniteTimeSpan);
    }

    private void Tick()
    {
        lock (Gate)
        {
            _tickAt = double.MaxValue;
            if (_disposed) return;
            double now = NowMs;
            foreach (PeerConnection connection in _connections)
            {
                if (!connection.HasRequests) continue;
                connection.NoticeProgress();
                if (!Scheduler.ExpireRequests(connection)) connection.Close(PeerEnd.Failed, "the peer does not answer requests");
            }

            foreach (FeedReplication feed in _feeds)
            {
                feed.Announcements.Tick(now);
                if (feed.HasFetches) Scheduler.ExpireFetches(feed);
            }

            Scheduler.Pump();
        }
    }

    internal void PeerReady(PeerConnection connection)
    {
        ReplicationLog.Connected(Log, connection.Address);
        lock (Gate) _peerCame.TrySetResult();
        Extension?.Opened(connection);
        PeersChanged?.Invoke(this);
    }

    internal void PeerLeft(PeerConnection connection)
    {
        if (connection.WasReady) Extension?.Closed(connection);
        PeersChanged?.Invoke(this);
    }

    private sealed class Membership(Replicator owner, FeedReplication feed) : IDisposable
    {
        public void Dispose()
        {
            lock (owner.Gate)
            {
                if (feed.Left) return;
                feed.Announcements.Cleared(0, feed.Feed.Length);
                Leave(feed);
                if (!feed.First) owner._feeds.Remove(feed);
                foreach (PeerChannel channel in feed.Channels.ToArray()) owner.Scheduler.Abandon(channel);
                owner.Scheduler.Pump();
            }
        }
    }
}
