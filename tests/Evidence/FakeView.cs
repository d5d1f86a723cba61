using System.Buffers;
using DatFs.Drives;
using DatFs.Feeds;

namespace DatFs.Evidence;

/// <summary>One version of a <see cref="FakeDrive"/>.</summary>
internal sealed class FakeView : IDriveView
{
    private readonly FakeDrive _drive;
    private readonly Dictionary<DrivePath, (FakeEntry Entry, long Seq)> _put;
    private readonly Dictionary<DrivePath, DriveEntry> _entries = [];
    private readonly Dictionary<DrivePath, List<DriveEntry>> _listings = [];

    public FakeView(FakeDrive drive, long version, Dictionary<DrivePath, (FakeEntry Entry, long Seq)> put, DateTimeOffset time, long newBytes = 0)
    {
        (_drive, _put, Version, Time, NewBytes) = (drive, put, version, time, newBytes);
        Dictionary<DrivePath, long> implicitTimes = new() { [DrivePath.Root] = 0 };
        foreach ((DrivePath path, (FakeEntry entry, _)) in put)
        {
            for (DrivePath above = path; !above.IsRoot;)
            {
                above = above.Parent;
                implicitTimes[above] = Math.Max(implicitTimes.GetValueOrDefault(above), entry.MtimeMs);
            }
        }

        foreach ((DrivePath path, (FakeEntry entry, long seq)) in put)
        {
            if (entry.Kind == EntryKind.Directory || !implicitTimes.ContainsKey(path)) Add(Explicit(path, entry, seq));
        }

        foreach ((DrivePath path, long mtime) in implicitTimes)
        {
            if (!_entries.ContainsKey(path))
                Add(new DriveEntry { Path = path, Kind = EntryKind.Directory, Mode = 0x1ED, MtimeMs = mtime, CtimeMs = mtime, Identity = mtime });
        }

        foreach (List<DriveEntry> listing in _listings.Values)
            listing.Sort((a, b) => System.Text.Encoding.UTF8.GetBytes(a.Path.Name).AsSpan().SequenceCompareTo(System.Text.Encoding.UTF8.GetBytes(b.Path.Name)));
    }

    public long Version { get; }

    public DateTimeOffset Time { get; }

    public long? KnownEntries => _put.Values.LongCount(put => put.Entry.Kind != EntryKind.Directory);

    public long NewBytes { get; }

    public FakeView With(long version, (string Path, FakeEntry? Entry)[] changes, DateTimeOffset time)
    {
        Dictionary<DrivePath, (FakeEntry, long)> put = new(_put);
        foreach ((string path, FakeEntry? entry) in changes)
        {
            if (entry is null) put.Remove(DrivePath.From(path));
            else put[DrivePath.From(path)] = (entry, version);
        }

        return new FakeView(_drive, version, put, time, changes.Sum(change => (long)(change.Entry?.Content.Length ?? 0)));
    }

    public ValueTask<DriveEntry?> FindAsync(DrivePath path, CancellationToken ct)
    {
        Task? wait = _drive.AskedAsync(new FakeCall(FakeAsk.Find, path, Version), ct);
        return wait is null ? new(_entries.GetValueOrDefault(path)) : After(wait, path);

        async ValueTask<DriveEntry?> After(Task wait, DrivePath path)
        {
            await wait;
            return _entries.GetValueOrDefault(path);
        }
    }

    public ValueTask<IReadOnlyList<DriveEntry>?> ListAsync(DrivePath path, CancellationToken ct)
    {
        Task? wait = _drive.AskedAsync(new FakeCall(FakeAsk.List, path, Version), ct);
        return wait is null ? new(Listing(path)) : After(wait, path);

        async ValueTask<IReadOnlyList<DriveEntry>?> After(Task wait, DrivePath path)
        {
            await wait;
            return Listing(path);
        }
    }

    public IFileContent OpenContent(DriveEntry entry) => new FakeContent(_drive, entry);

    private List<DriveEntry>? Listing(DrivePath path) =>
        _entries.GetValueOrDefault(path) is { Kind: EntryKind.Directory } ? _listings.GetValueOrDefault(path) ?? [] : null;

    private void Add(DriveEntry entry)
    {
        _entries.Add(entry.Path, entry);
        if (entry.Path.IsRoot) return;
        if (!_listings.TryGetValue(entry.Path.Parent, out List<DriveEntry>? listing)) _listings.Add(entry.Path.Parent, listing = []);
        listing.Add(entry);
    }

    private static DriveEntry Explicit(DrivePath path, FakeEntry entry, long seq) => new()
    {
        Path = path,
        Kind = entry.Kind,
        Mode = entry.Mode,
        Uid = 0,
        Gid = 0,
        Size = entry.ClaimedSize ?? (entry.Kind == EntryKind.Symlink ? entry.Target.Length : entry.Content.Length),
        MtimeMs = entry.MtimeMs,
        CtimeMs = entry.MtimeMs,
        LinkTarget = System.Text.Encoding.UTF8.GetBytes(entry.Target),
        Seq = seq,
        Writer = entry.Writer,
        Identity = (entry, seq),
        FormatState = entry,
    };

    private sealed class FakeContent(FakeDrive drive, DriveEntry entry) : IFileContent
    {
        private const int BlockSize = 65536;
        private readonly byte[] _content = ((FakeEntry)entry.FormatState!).Content;

        public long Size => entry.Size;

        public long Blocks => (_content.Length + BlockSize - 1) / BlockSize;

        public long LocalBytes() => drive.Local?.Invoke(entry.Path) ?? _content.Length;

        public void Prefetch(long offset, long length, FetchPriority priority)
        {
            lock (drive.Prefetched) drive.Prefetched.Add((entry.Path, offset, length));
        }

        public ValueTask<ContentLease> ReadAsync(long offset, int length, FetchPriority priority, CancellationToken ct)
        {
            Task? wait = drive.AskedAsync(new FakeCall(FakeAsk.Read, entry.Path, entry.Seq, offset, length), ct);
            return wait is null ? new(Lease(offset, length)) : After(wait, offset, length);

            async ValueTask<ContentLease> After(Task wait, long offset, int length)
            {
                await wait;
                return Lease(offset, length);
            }
        }

        private ContentLease Lease(long offset, int length)
        {
            long count = Math.Clamp(Size - offset, 0, length);
            if (offset + count > _content.Length) throw new DatException(DatError.Corrupt, "the file is shorter than it claims");
            drive.LeaseTaken();
            return new ContentLease(new ReadOnlySequence<byte>(_content, (int)offset, (int)count), new Given(drive));
        }
    }

    private sealed class Given(FakeDrive drive) : IDisposable
    {
        public void Dispose() => drive.LeaseGivenBack();
    }
}
