using System.Collections.Concurrent;
using System.Text.Encodings.Web;
using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using Microsoft.Extensions.Logging;

namespace DatFs.Drives.Hyperdb;

/// <summary>
/// A drive of several writers (hyperdb-multiwriter.md §15, §16): paths are keys of a database, values attributes, and the bytes lie in the
/// content feed of whoever wrote the entry. Versions are numbered by <see cref="VersionTable"/>: the live view never goes
/// back, and its number is on the disk before anyone sees it. Used by the opener of drives; any thread may call.
/// </summary>
internal sealed partial class HyperdbDrive : IDrive
{
    /// <summary>Changed paths told one by one; of more it is only said that everything may have changed.</summary>
    public const int MaxChangedPaths = 4096;

    private readonly Lock _lock = new();
    private readonly Database _database;
    private readonly VersionTable _versions;
    private readonly WriterNotes _notes;
    private readonly IDisposable? _held;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly List<Action<DriveChange>> _observers = [];
    private readonly HashSet<DrivePath> _hidden = [];
    private readonly ConcurrentDictionary<int, WriterContent> _contents = new();
    private volatile HyperdbView _live;
    private bool _disposed;

    /// <summary>Takes a database, the table of its versions and the notes about its writers over.</summary>
    public HyperdbDrive(Database database, VersionTable versions, WriterNotes notes, IDisposable? held, TimeProvider time, ILogger log)
    {
        (_database, _versions, _notes, _held, _time, _log) = (database, versions, notes, held, time, log);
        _live = new HyperdbView(this, new DatabaseView(database, [], []), 0);
        database.Changed += Follow;
        Publish(database.Live);
    }

    public FeedKey Key => _database.Key;

    public string Format => EntryCodec.Protocol;

    public bool Writable => _database.IsAuthorized;

    public IDriveView Live => _live;

    public Database Database => _database;

    /// <summary>What is noted about writers.</summary>
    public WriterNotes Notes => _notes;

    /// <summary>Versions that lost stand beside the one that is shown.</summary>
    public bool ShowsLosers { get; init; } = true;

    public DriveStatus Status
    {
        get
        {
            int hidden;
            lock (_lock) hidden = _hidden.Count;
            Feed[] feeds = [.. _database.AllWriters.Select(writer => writer.Feed)], contents = [.. _database.AllWriters.Select(writer => writer.Content).OfType<Feed>()];
            return new DriveStatus(Live.Version, feeds.Sum(feed => feed.Length), feeds.Sum(feed => feed.HeldBlocks), contents.Sum(feed => feed.Length), contents.Sum(feed => feed.HeldBlocks), contents.Sum(feed => feed.ByteLength))
            {
                HiddenNames = hidden,
                VersionText = Convert.ToHexStringLower(_live.Database.Version),
                VersionAlias = VersionTable.AliasOf(_live.Database.Version),
                ReadOnlyBecause = _database.LocalKey is null || Writable ? null : "nobody has let this machine write yet: 'datmount writer' prints the key that a writer has to authorize",
            };
        }
    }

    public async ValueTask<IDriveView> ReadyAsync(CancellationToken ct)
    {
        DatabaseView latest = await _database.LatestAsync(ct);
        CheckIsDrive();
        Publish(latest);
        return Live;
    }

    public async ValueTask<IDriveView> CheckoutAsync(long version, CancellationToken ct)
    {
        if (version == 0) return new HyperdbView(this, new DatabaseView(_database, [], []), 0);
        byte[] bytes = _versions.Find(version) ?? throw new DatException(DatError.NotFound, $"this machine has not numbered a version {version}; the newest is {_versions.Count}");
        try
        {
            return new HyperdbView(this, await _database.CheckoutAsync(bytes, ct), version);
        }
        catch (DatException failure) when (failure.Error is DatError.Offline or DatError.TimedOut)
        {
            throw new DatException(failure.Error, $"version {version} is not stored here, and no peer gave it: {failure.Message}", failure);
        }
    }

    public async ValueTask<long?> VersionOfAsync(string text, CancellationToken ct)
    {
        if (_versions.FindAlias(text) is { } known) return known;
        if (text.Length <= 2 * FeedKey.Size || text.Length % 2 != 0 || !text.All(char.IsAsciiHexDigit)) return null;
        DatabaseView view = await _database.CheckoutAsync(Convert.FromHexString(text), ct);
        return _versions.NumberOf(view.Version, _time.GetUtcNow());
    }

    public async ValueTask<long> VersionAtAsync(DateTimeOffset time, CancellationToken ct)
    {
        long at = time.ToUnixTimeMilliseconds(), now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        long[] lengths = [.. _live.Database.Lengths];
        for (int writer = 0; writer < lengths.Length; writer++)
        {
            long found = 1, seen = 0;
            for (long seq = 1; seq < lengths[writer]; seq++)
            {
                // A deletion has the time of the entry before it; what lies in the future tells nothing (hyperdrive.md §4).
                DatabaseEntry entry = await _database.EntryAsync(new EntryId(writer, seq), ct);
                if (HyperdbView.StatOf(entry) is { } stat && (stat.Ctime != 0 ? stat.Ctime : stat.Mtime) is var told && told <= now) seen = Math.Max(seen, told);
                if (seen > at) break;
                found = seq + 1;
            }

            lengths[writer] = Math.Min(found, lengths[writer]);
        }

        return _versions.NumberOf((await _database.AtAsync(lengths, ct)).Version, _time.GetUtcNow());
    }

    public IDisposable Observe(Action<DriveChange> observer)
    {
        lock (_lock) _observers.Add(observer);
        return new Leaving(this, observer);
    }

    /// <summary>The content feed behind an entry.</summary>
    public WriterContent ContentOf(DatabaseEntry entry) => _contents.GetOrAdd(entry.Id.Writer, static (_, writer) => new WriterContent(writer), _database.WriterOf(entry));

    /// <summary>Counts an entry that no file system can show, once for each path.</summary>
    public void Hide(DrivePath directory, string name)
    {
        DrivePath path = directory.Child(name);
        lock (_lock)
        {
            if (_hidden.Count >= HyperdriveDrive.MaxHiddenNames || !_hidden.Add(path)) return;
        }

        HyperdriveLog.Hidden(_log, JavaScriptEncoder.Default.Encode(path.Text.Length > EntryNames.MaxBytes ? path.Text[..EntryNames.MaxBytes] + "…" : path.Text));
    }

    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
        }

        _database.Changed -= Follow;
        foreach (WriterContent content in _contents.Values) content.Dispose();
        try
        {
            await _database.DisposeAsync();
        }
        finally
        {
            _versions.Dispose();
            _held?.Dispose();
        }
    }

    private void CheckIsDrive()
    {
        if (_database.AllWriters[0].List is { ContentFeed: null }) throw new DatException(DatError.Unsupported, "this is a multi-writer database without files (hyperdb), not a drive");
    }

    private void Follow(DatabaseView before, DatabaseView after)
    {
        try
        {
            Publish(after);
        }
        catch (DatException failure)
        {
            DatabaseLog.Stuck(_log, Key.ToDiscoveryKey(), failure.Message);
        }
    }

    private void Publish(DatabaseView after)
    {
        lock (_lock)
        {
            // What another thread has shown meanwhile may be newer than this.
            HyperdbView before = _live;
            if (after.Heads.Count == 0 || before.Database.Heads.Any(shown => after.Heads.All(head => head.Id != shown.Id && !head.Covers(shown)))) return;
            if (after.Heads.Select(head => head.Id).SequenceEqual(before.Database.Heads.Select(head => head.Id))) return;
            HyperdbView view = new(this, after, _versions.NumberOf(after.Version, _time.GetUtcNow()));
            _live = view;
            if (_observers.Count == 0) return;
            (List<DrivePath>? changed, List<DrivePath>? disputed) = ChangedPaths(before.Database, after);
            DriveChange change = new(before, view, changed) { Disputed = disputed };
            foreach (Action<DriveChange> observer in _observers.ToArray()) Call(observer, change);
        }
    }

    // What is held tells them at once; else everything may have changed.
    private static (List<DrivePath>? Changed, List<DrivePath>? Disputed) ChangedPaths(DatabaseView before, DatabaseView after)
    {
        HashSet<DrivePath> paths = [];
        List<DrivePath> disputed = [];
        IAsyncEnumerator<DatabaseDifference> differences = after.DiffAsync(before, default).GetAsyncEnumerator(new CancellationToken(canceled: true));
        try
        {
            while (true)
            {
                ValueTask<bool> next = differences.MoveNextAsync();
                if (!next.IsCompletedSuccessfully)
                {
                    _ = next.AsTask().ContinueWith(static task => task.Exception, TaskScheduler.Default);
                    return (null, null);
                }

                // Copies of a conflict stand beside, under names of their own.
                if (!next.Result) return (disputed.Count > 0 ? null : [.. paths], disputed);
                if (paths.Count > MaxChangedPaths) return (null, null);
                DatabaseDifference one = differences.Current;
                if (one.Left?.Entries.Count > 1 || one.Right?.Entries.Count > 1) disputed.Add(DrivePath.From(one.Key));
                for (DrivePath path = DrivePath.From(one.Key); !path.IsRoot && paths.Add(path); path = path.Parent)
                {
                }
            }
        }
        catch (Exception failure) when (failure is DatException or OperationCanceledException)
        {
            // Whoever needs the broken entry hears of it.
            return (null, null);
        }
    }

    private void Call(Action<DriveChange> observer, DriveChange change)
    {
        try
        {
            observer(change);
        }
        catch (Exception failure)
        {
            // One observer's fault must not keep the news from the others.
            DatabaseLog.ObserverFailed(_log, Key.ToDiscoveryKey(), failure);
        }
    }

    private sealed class Leaving(HyperdbDrive drive, Action<DriveChange> observer) : IDisposable
    {
        public void Dispose()
        {
            lock (drive._lock) drive._observers.Remove(observer);
        }
    }
}
