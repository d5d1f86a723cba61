using System.Runtime.CompilerServices;
using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdb;

/// <summary>Who writes, what they disagree about and what they did (hyperdb-multiwriter.md §10, §11, §16).</summary>
internal sealed partial class HyperdbDrive : IDriveWriters
{
    /// <summary>Blocks of a file that are compared to tell whether two versions are the same: 64 MiB of usual ones.</summary>
    public const int MaxHashesCompared = 1024;

    private volatile IConflictChoice? _choice;

    public IDriveWriters? Writers => this;

    public IConflictChoice? Choice
    {
        get => _choice;
        set
        {
            _choice = value;
            Refresh();
        }
    }

    public FeedKey? OwnKey => _database.LocalKey;

    public bool IsAuthorized => _database.IsAuthorized;

    public async ValueTask<IReadOnlyList<DriveWriterFacts>> ListAsync(CancellationToken ct)
    {
        DatabaseView view = await _database.LatestAsync(ct);
        Dictionary<FeedKey, DatabaseEntry> grants = await GrantsAsync(view, ct);
        List<DriveWriterFacts> facts = [];
        foreach (Writer writer in _database.AllWriters)
        {
            if (!writer.Authorized && writer.Key != OwnKey) continue;
            DatabaseEntry? grant = grants.GetValueOrDefault(writer.Key);
            facts.Add(new DriveWriterFacts(writer.Key, writer.Key == OwnKey, writer.Authorized, Math.Max(0, writer.Feed.Length - 1))
            {
                Label = _notes.LabelOf(writer.Key),
                AuthorizedBy = grant?.Writer,
                AuthorizedAt = grant?.Seq ?? 0,
                LastMs = LastTime(writer),
                IgnoredFrom = _notes.IgnoredFrom(writer.Key),
            });
        }

        return facts;
    }

    public ValueTask<bool> AuthorizeAsync(FeedKey key, CancellationToken ct)
    {
        if (!Writable) throw new DatException(DatError.NotWritable, "only who may write can let others write, and nobody has let this machine yet");
        return _database.AuthorizeAsync(key, ct);
    }

    public void Label(FeedKey key, string? label)
    {
        CheckKnown(key);
        if (label is not null && (label.Length is 0 or > IDriveWriters.MaxLabel || label.Any(c => char.IsControl(c) || c is '/' or '\\')))
            throw new DatException(DatError.Invalid, $"a label has 1 to {IDriveWriters.MaxLabel} characters, none of them a slash or a control character");
        _notes.Label(key, label);
        Refresh();
    }

    public void Ignore(FeedKey key, long? from)
    {
        CheckKnown(key);
        if (key == OwnKey) throw new DatException(DatError.Invalid, "that is this machine's own key; what it wrote can be removed or replaced");
        if (from < 1) throw new DatException(DatError.Invalid, "entries are counted from 1");
        _notes.Ignore(key, from);
        Refresh();
    }

    public async IAsyncEnumerable<DriveConflict> ConflictsAsync([EnumeratorCancellation] CancellationToken ct)
    {
        HyperdbView view = (HyperdbView)await ReadyAsync(ct);
        if (view.Database.Heads.Count == 0) yield break;
        await foreach (DatabaseKey key in view.Database.IterateAsync("", new DatabaseListing(), ct))
        {
            if (key.Entries.Count > 1 && await view.ConflictAsync(key.Key, ct) is { } conflict) yield return conflict;
        }
    }

    public async IAsyncEnumerable<DriveLogEntry> LogAsync(DrivePath? path, [EnumeratorCancellation] CancellationToken ct)
    {
        DatabaseView view = ((HyperdbView)await ReadyAsync(ct)).Database;
        if (path is { IsRoot: false } one)
        {
            foreach (DatabaseEntry entry in await view.KeyHistoryAsync(one.Text, ct)) yield return Told(entry);
            yield break;
        }

        await foreach (DatabaseEntry entry in view.NewestFirstAsync(ct)) yield return Told(entry);
    }

    /// <summary>True when two versions have the same bytes for certain: as many, cut alike, with the same hashes, as far as these are here.</summary>
    public bool IsSameContent(DatabaseEntry one, DatabaseEntry other)
    {
        if (HyperdbView.StatOf(one) is not { } a || HyperdbView.StatOf(other) is not { } b || a.Mode != b.Mode || a.Size != b.Size || a.Blocks != b.Blocks) return false;
        if (a.LinkName is not null || b.LinkName is not null) return a.LinkName.AsSpan().SequenceEqual(b.LinkName);
        if (_database.WriterOf(one).Content is not { } first || _database.WriterOf(other).Content is not { } second) return a.Size == 0;
        for (long block = 0; block < Math.Min(a.Blocks ?? 0, MaxHashesCompared + 1); block++)
        {
            if (block == MaxHashesCompared || !first.TryLeaf(a.Offset + block, out NodeHash left) || !second.TryLeaf(b.Offset + block, out NodeHash right) || left != right) return false;
        }

        return true;
    }

    private static DriveLogEntry Told(DatabaseEntry entry)
    {
        HyperdbStat? stat = HyperdbView.StatOf(entry);
        DriveChangeKind kind = entry.Deleted ? DriveChangeKind.Delete : entry.Key.Length == 0 ? DriveChangeKind.Authorize : DriveChangeKind.Put;
        return new DriveLogEntry(entry.Writer, entry.Seq, kind, DrivePath.From(entry.Key), stat?.Size, stat?.Mtime);
    }

    private void CheckKnown(FeedKey key)
    {
        if (!_database.AllWriters.Any(writer => writer.Key == key)) throw new DatException(DatError.NotFound, "the drive has no such writer; 'datmount writers' lists them");
    }

    // Whoever looks again sees what was noted meanwhile.
    private void Refresh()
    {
        lock (_lock)
        {
            HyperdbView before = _live, after = new(this, before.Database, before.Version);
            _live = after;
            foreach (Action<DriveChange> observer in _observers.ToArray()) Call(observer, new DriveChange(before, after, null));
        }
    }

    private long? LastTime(Writer writer)
    {
        for (long seq = writer.Feed.Length - 1; seq >= 1; seq--)
        {
            if (!_database.TryEntry(new EntryId(writer.Number, seq), out DatabaseEntry entry)) return null;
            if (HyperdbView.StatOf(entry) is { } stat) return stat.Mtime;
        }

        return null;
    }

    // The entry that first named each writer: a list grows only where somebody is let write.
    private async ValueTask<Dictionary<FeedKey, DatabaseEntry>> GrantsAsync(DatabaseView view, CancellationToken ct)
    {
        Dictionary<FeedKey, DatabaseEntry> grants = [];
        for (int number = 0; number < view.Lengths.Length; number++)
        {
            Writer writer = _database.AllWriters[number];
            for (long seq = view.Lengths[number] - 1; seq >= 1;)
            {
                (DatabaseEntry entry, long listAt, FeedKey[] keys) = await _database.ListAtAsync(writer, seq, ct);
                foreach (FeedKey key in keys)
                {
                    // Everybody's own first list names himself and the maker, and lets nobody in.
                    if (key != writer.Key && key != Key && (!grants.TryGetValue(key, out DatabaseEntry? known) || known.Covers(entry) || known.Id.Writer == number)) grants[key] = entry;
                }

                seq = listAt - 1;
            }
        }

        return grants;
    }
}
