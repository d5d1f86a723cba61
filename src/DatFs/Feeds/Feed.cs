using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>
/// One append-only, signed feed (hypercore.md): the public door of this folder. Owns its six files and what is known from them.
/// Invariants: what is visible was verified against a signature of the owner; what was appended is durable before anyone sees it, so no two
/// blocks are ever signed for one index; the length never decreases while the feed is open.
/// Any thread may call anything. Changes take turns; readers wait neither for a turn nor for the disk to synchronise.
/// </summary>
public sealed partial class Feed : IAsyncDisposable
{
    private readonly FeedOptions _options;
    private readonly FeedTree _tree;
    private readonly Bitfield _bits;
    private readonly SecretKey? _secret;

    // The turn of whoever changes the tree, and the turn of whoever makes changes durable; the latter is taken last.
    private readonly SemaphoreSlim _turn = new(1);
    private readonly SemaphoreSlim _flushTurn = new(1);

    // Guards the moment in which bits and length change together. Odd while that happens: see Consistent.
    private readonly Lock _commit = new();
    private long _version;

    private volatile IFeedObserver[] _observers = [];
    private volatile DatException? _failure;
    private volatile bool _forked;
    private volatile bool _disposed;

    private Feed(FeedTree tree, SecretKey? secret, FeedOptions options, long claimed)
    {
        _tree = tree;
        _bits = tree.Bits;
        _secret = secret;
        _options = options;
        _claimed = claimed;
        DiscoveryKey = tree.Key.ToDiscoveryKey();
        _flushTimer = options.Time.CreateTimer(_ => _ = FlushInBackground(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Public key.</summary>
    public FeedKey Key => _tree.Key;

    /// <summary>Public name.</summary>
    public DiscoveryKey DiscoveryKey { get; }

    /// <summary>The secret key is here and may be used.</summary>
    public bool Writable => _secret is not null && !_tree.Store.ReadOnly && !_tree.Store.HasForeignData && !_forked;

    /// <summary>Blocks in the largest verified tree.</summary>
    public long Length => _tree.Length;

    /// <summary>Bytes in the largest verified tree.</summary>
    public long ByteLength => _tree.ByteLength;

    /// <summary>The owner signed two histories; frozen.</summary>
    public bool IsForked => _forked;

    /// <summary>Blocks held here.</summary>
    public long HeldBlocks => _bits.Held;

    /// <summary>Blocks that were signed here once and could not be recovered; appending waits until peers have given them back.</summary>
    public long LostBlocks => Math.Max(0, Volatile.Read(ref _claimed) - Length);

    /// <summary>Where missing blocks come from; null = nowhere.</summary>
    public IBlockSource? Source { get; set; }

    /// <summary>Where the feed is stored now.</summary>
    public FeedFiles Files => _tree.Store.Files;

    /// <summary>True when the block's bytes are held.</summary>
    public bool HasBlock(long index) => _bits.HasBlock(index);

    /// <summary>First block in [start, end) that is not held, or end.</summary>
    public long FirstMissing(long start, long end) => _bits.FirstMissing(Math.Max(0, start), end);

    /// <summary>First block in [start, end) that is held, or end.</summary>
    public long FirstHeld(long start, long end) => _bits.FirstHeld(Math.Max(0, start), end);

    /// <summary>True when the tree node is stored and trusted.</summary>
    public bool HasNode(long treeIndex) => _bits.HasNode(treeIndex);

    /// <summary>Adds an observer until the returned object is disposed.</summary>
    public IDisposable Observe(IFeedObserver observer)
    {
        lock (_commit) _observers = [.. _observers, observer];
        return new Observation(this, observer);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_disposed) return;
        _disposed = true;
        await _flushTimer.DisposeAsync();
        await _turn.WaitAsync();
        await _flushTurn.WaitAsync();
        try
        {
            if (_failure is null) Write();
        }
        finally
        {
            foreach (FeedStore store in _retired) store.Dispose();
            _tree.Store.Dispose();
            _secret?.Dispose();
            _flushTurn.Release();
            _turn.Release();
        }
    }

    /// <summary>Names the feed without giving its key away.</summary>
    public override string ToString() => $"feed {DiscoveryKey}";

    /// <summary>
    /// Runs a question about the tree so that it sees no change half done. The question may run more than once.
    /// </summary>
    private T Consistent<T, TArgument>(TArgument argument, Func<Feed, TArgument, T> question)
    {
        for (SpinWait wait = default; ; wait.SpinOnce())
        {
            long before = Volatile.Read(ref _version);
            if ((before & 1) != 0) continue;
            T answer = question(this, argument);
            Interlocked.MemoryBarrier();
            if (Volatile.Read(ref _version) == before) return answer;
        }
    }

    /// <summary>Makes a change of bits and length that nobody sees half done.</summary>
    private void InOneMoment<TArgument>(in TArgument argument, Action<Feed, TArgument> change)
    {
        lock (_commit)
        {
            Interlocked.Increment(ref _version);
            try
            {
                change(this, argument);
            }
            finally
            {
                Interlocked.Increment(ref _version);
            }
        }
    }

    private void Announce(long oldLength, long newLength, long start, long count)
    {
        foreach (IFeedObserver observer in _observers)
        {
            if (newLength > oldLength) observer.LengthChanged(this, oldLength, newLength);
            if (count > 0) observer.BlocksAdded(this, start, count);
        }

        if (newLength > oldLength) WakeLengthWaiters();
    }

    private void AnnounceCleared(long start, long count)
    {
        foreach (IFeedObserver observer in _observers) observer.BlocksCleared(this, start, count);
    }

    /// <summary>Refuses changes after a failure that left open what is on the disk.</summary>
    private void CheckChangeable()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_failure is { } failure)
            throw new DatException(failure.Error, $"The feed in {Files.Folder.DisplayName} has to be opened again: {failure.Message}", failure);
    }

    /// <summary>What a synchronisation left undone cannot be told from what it did: nothing more is written until the feed is opened again.</summary>
    private DatException Fail(Exception cause)
    {
        DatException failure = DiskError("written", cause);
        _failure ??= failure;
        return failure;
    }

    private DatException DiskError(string verb, Exception cause) =>
        cause as DatException ?? new DatException(DatError.Io, $"The feed in {Files.Folder.DisplayName} could not be {verb}: {cause.Message}", cause);

    private static bool IsDiskError(Exception e) => e is IOException or UnauthorizedAccessException or DatException { Error: DatError.Io };

    private sealed class Observation(Feed feed, IFeedObserver observer) : IDisposable
    {
        private bool _ended;

        public void Dispose()
        {
            lock (feed._commit)
            {
                if (_ended) return;
                _ended = true;
                int at = Array.LastIndexOf(feed._observers, observer);
                feed._observers = [.. feed._observers[..at], .. feed._observers[(at + 1)..]];
            }
        }
    }
}
