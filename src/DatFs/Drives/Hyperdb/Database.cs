using System.Collections.Concurrent;
using System.Threading.Channels;
using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DatFs.Drives.Hyperdb;

/// <summary>How a database is opened.</summary>
public sealed record DatabaseOptions
{
    /// <summary>Each writer has a second feed for the bytes that values point at (hyperdb-multiwriter.md §13).</summary>
    public bool ContentFeeds { get; init; }

    /// <summary>Where feeds are replicated; null = nowhere.</summary>
    public IFeedNetwork? Network { get; init; }

    /// <summary>Make no key pair of our own where there is none: entries can only be read.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>How feeds are opened.</summary>
    public FeedOptions Feeds { get; init; } = new();

    /// <summary>The source is replicated already, and stays so until whoever joined it leaves.</summary>
    internal bool SourceIsJoined { get; init; }

    /// <summary>Where troubles are told.</summary>
    public ILogger Log { get; init; } = NullLogger.Instance;

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>
/// A key-value database of several writers (hyperdb-multiwriter.md): one feed for each, and in each entry an index over all that its writer
/// saw. Owns the writers' feeds. Invariants: our numbers of writers never change while it is open; whoever the source's list leads to is
/// replicated and shown, nobody else is; an entry of our own is durable before anyone sees it. Views are immutable; <see cref="Live"/> is the
/// newest that is held, replaced by one task that is poked when a feed grows. Any thread may call.
/// </summary>
public sealed partial class Database : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly Lock _stepping = new();
    private readonly DatabaseStorage _storage;
    private readonly IFeedNetwork? _network;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Dictionary<FeedKey, int> _numbers = [];
    private readonly HashSet<FeedKey> _joinedKeys = [];
    private readonly List<IDisposable> _joined = [];
    private readonly ConcurrentDictionary<EntryId, DatabaseEntry> _pending = new();
    private readonly Channel<bool> _poked = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _closing = new();
    private readonly ITimer _again;
    private readonly Ear _ear;
    private readonly Writer? _local;
    private volatile Writer[] _writers = [];
    private volatile DatabaseView _live;
    private Task _following = Task.CompletedTask;
    private volatile bool _authorized;
    private bool _disposed;

    private Database(Feed source, Feed? local, DatabaseStorage storage, DatabaseOptions options)
    {
        _storage = storage;
        _network = options.Network;
        _time = options.Time;
        _log = options.Log;
        _ear = new Ear(this);
        _again = _time.CreateTimer(static self => ((Database)self!).Poke(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        lock (_gate)
        {
            if (options.SourceIsJoined) _joinedKeys.Add(source.Key);
            Writer first = Add(source);
            _local = local is not null ? Add(local) : source.Writable ? first : null;
            Authorize();
        }

        _live = new DatabaseView(this, [], []);
    }

    /// <summary>The database's key: its source's.</summary>
    public FeedKey Key => _writers[0].Key;

    /// <summary>The key of the feed that this machine may append to, which others have to authorize; null = none.</summary>
    public FeedKey? LocalKey => _local?.Key;

    /// <summary>True when what is written here is shown by others.</summary>
    public bool IsAuthorized => _local is { Authorized: true };

    /// <summary>Those who may write, the source first.</summary>
    public IReadOnlyList<FeedKey> Writers
    {
        get
        {
            lock (_gate) return [.. _writers.Where(writer => writer.Authorized).Select(writer => writer.Key)];
        }
    }

    /// <summary>The newest view of what is held here.</summary>
    public DatabaseView Live => _live;

    /// <summary>Raised after <see cref="Live"/> was replaced, with the view before and the one after, on the task that does so: return at once.</summary>
    public event Action<DatabaseView, DatabaseView>? Changed;

    internal IReadOnlyList<Writer> AllWriters => _writers;

    /// <summary>Makes a new database in a folder, as the reference lays one out (§12), or opens the one that lies there.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">How.</param>
    /// <param name="key">The source's key pair; null = a new one.</param>
    /// <param name="ct">Cancels.</param>
    /// <exception cref="DatException">Locked, KeyMismatch, Corrupt, Unsupported, Io.</exception>
    public static async ValueTask<Database> CreateAsync(IStorageFolder folder, DatabaseOptions options, SecretKey? key, CancellationToken ct)
    {
        DatabaseStorage storage = new(folder, options);
        return await StartAsync(storage.CreateSource(key), storage, options, ct);
    }

    /// <summary>Opens a database, or begins a copy of one.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="key">The database's key; null = whatever lies in the folder.</param>
    /// <param name="options">How.</param>
    /// <param name="ct">Cancels.</param>
    /// <exception cref="DatException">NotFound, Locked, KeyMismatch, Corrupt, Unsupported, Io.</exception>
    public static async ValueTask<Database> OpenAsync(IStorageFolder folder, FeedKey? key, DatabaseOptions options, CancellationToken ct)
    {
        DatabaseStorage storage = new(folder, options);
        return await StartAsync(storage.OpenSource(key), storage, options, ct);
    }

    /// <summary>Takes a source over that was opened before it was known what it is.</summary>
    internal static async ValueTask<Database> StartAsync(Feed source, DatabaseStorage storage, DatabaseOptions options, CancellationToken ct)
    {
        Feed? local = null;
        Database? database = null;
        try
        {
            if (source.Writable && source.Length == 0) await source.AppendAsync([EntryCodec.Header], ct);
            if (!source.Writable) local = storage.OpenLocal(create: !options.ReadOnly);
            if (local is { Writable: true, Length: 0 }) await local.AppendAsync([EntryCodec.Header], ct);
            database = new Database(source, local, storage, options);
            database.Begin();
            return database;
        }
        catch
        {
            // By now there may be feeds of others, too, open and replicated.
            IAsyncDisposable?[] open = database is null ? [local, source] : [database];
            foreach (IAsyncDisposable? one in open)
                if (one is not null) await CloseAsync(one);
            throw;
        }
    }

    private static async ValueTask CloseAsync(IAsyncDisposable what)
    {
        try
        {
            await what.DisposeAsync();
        }
        catch (DatException)
        {
            // Why it was to be closed tells more.
            return;
        }
    }

    // Reads what is held, which opens the feeds of those who may write.
    private void Begin()
    {
        _live = Held();
        Poke();
        _following = _time.Run(FollowAsync);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        await _time.CancelAsync(_closing);
        await _following;
        await _again.DisposeAsync();
        await _writing.WaitAsync();
        List<Exception> failures = [];
        foreach (Writer writer in _writers) writer.StopFollowing();
        lock (_gate)
        {
            foreach (IDisposable joined in _joined) joined.Dispose();
        }

        foreach (Feed feed in _writers.SelectMany(writer => (Feed?[])[writer.Content, writer.Feed]).OfType<Feed>())
        {
            try
            {
                await feed.DisposeAsync();
            }
            catch (DatException failure)
            {
                // The others are closed all the same.
                failures.Add(failure);
            }
        }

        _closing.Dispose();
        if (failures.Count > 0) throw failures[0];
    }

    internal FeedKey WriterKey(int number) => _writers[number].Key;

    internal Writer WriterOf(DatabaseEntry entry) => _writers[entry.Id.Writer];

    private void Poke() => _poked.Writer.TryWrite(true);

    private async Task FollowAsync()
    {
        try
        {
            while (true)
            {
                await _poked.Reader.ReadAsync(_closing.Token);
                Step();
            }
        }
        catch (Exception over) when (over is ObjectDisposedException || (over is OperationCanceledException && _closing.IsCancellationRequested))
        {
            // Closed: no step can follow.
        }
    }

    private void Step()
    {
        lock (_stepping) StepInTurn();
    }

    private void StepInTurn()
    {
        try
        {
            DatabaseView before = _live, after = Held();
            foreach (Writer writer in _writers)
                if (writer.Authorized) Follow(writer);
            if (after.Heads.Select(head => head.Id).SequenceEqual(before.Heads.Select(head => head.Id))) return;
            _live = after;
            Tell(before, after);
        }
        catch (DatException failure)
        {
            TryAgainLater(failure);
        }
    }

    private void TryAgainLater(DatException failure)
    {
        if (failure.Error == DatError.Io) _again.Change(DiskRest, Timeout.InfiniteTimeSpan);
        DatabaseLog.Stuck(_log, Key.ToDiscoveryKey(), failure.Message);
    }

    private void Tell(DatabaseView before, DatabaseView after)
    {
        try
        {
            Changed?.Invoke(before, after);
        }
        catch (Exception failure)
        {
            // An observer's fault must not end the news.
            DatabaseLog.ObserverFailed(_log, Key.ToDiscoveryKey(), failure);
        }
    }

    private sealed class Ear(Database database) : IFeedObserver
    {
        public void LengthChanged(Feed feed, long oldLength, long newLength) => database.Poke();

        public void BlocksAdded(Feed feed, long start, long count) => database.Poke();

        public void BlocksCleared(Feed feed, long start, long count)
        {
        }
    }
}
