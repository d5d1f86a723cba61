using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>One version of a hyperdrive: the tree whose head is that node (hyperdrive.md §4). Unusable names are left out, modes masked, kinds decided by mask.</summary>
internal sealed class HyperdriveView(HyperdriveDrive drive, NodeSource nodes, long version) : IDriveView
{
    private const uint KindMask = 0xF000;
    private const uint DirectoryMode = 0x4000;
    private const uint LinkMode = 0xA000;
    private const uint PermissionMask = 0x1FF;
    private const uint ImplicitMode = 0x1ED;
    private const int MaxNameBytes = 255;

    private readonly AppendTree _tree = new(nodes, version);

    public long Version => version;

    public DateTimeOffset Time => version > 0 && nodes.TryGet(version, out HyperNode head) && head.Stat is { } stat
        ? DateTimeOffset.UnixEpoch.AddMilliseconds(Math.Min(TimeOf(stat), (long)(DateTimeOffset.MaxValue - DateTimeOffset.UnixEpoch).TotalMilliseconds))
        : DateTimeOffset.UnixEpoch;

    public long? KnownEntries => null;

    public async ValueTask<DriveEntry?> FindAsync(DrivePath path, CancellationToken ct)
    {
        string[] parts = path.Components();
        if (!Array.TrueForAll(parts, IsUsable)) return null;
        TreePlace? place = await _tree.FindAsync(parts, FetchPriority.Interactive, ct);
        if (path.IsRoot) return Directory(path, place);
        return place is { Exists: true } found ? Entry(path, found) : null;
    }

    public async ValueTask<IReadOnlyList<DriveEntry>?> ListAsync(DrivePath path, CancellationToken ct)
    {
        string[] parts = path.Components();
        if (!Array.TrueForAll(parts, IsUsable)) return null;
        TreePlace? place = await _tree.FindAsync(parts, FetchPriority.Interactive, ct);
        if (place is not { } found) return path.IsRoot ? [] : null;
        if (!path.IsRoot && Entry(path, found).Kind != EntryKind.Directory) return null;
        List<DriveEntry> entries = [];
        foreach ((string name, TreePlace child) in await _tree.ListAsync(found, parts.Length, FetchPriority.Interactive, ct))
            if (IsUsable(name) && child.Exists) entries.Add(Entry(path.Child(name), child));
        entries.Sort(static (a, b) => CompareUtf8(a.Path.Name, b.Path.Name));
        return entries;
    }

    public IFileContent OpenContent(DriveEntry entry) =>
        entry.FormatState is HyperStat stat ? new HyperdriveContent(drive, stat) : throw new ArgumentException("the entry is of another drive", nameof(entry));

    internal static bool IsUsable(string name) =>
        name.Length > 0 && name is not "." and not ".." && !name.AsSpan().ContainsAny('\0', '/') && System.Text.Encoding.UTF8.GetByteCount(name) <= MaxNameBytes;

    private static DriveEntry Entry(DrivePath path, TreePlace place)
    {
        if (place.Children.Length > 0 || place.Own is not { } own || (own.Stat!.Mode & KindMask) == DirectoryMode) return Directory(path, place);
        HyperStat stat = own.Stat!;
        bool link = (stat.Mode & KindMask) == LinkMode && stat.LinkName is { Length: > 0 };
        return new DriveEntry
        {
            Path = path,
            Kind = link ? EntryKind.Symlink : EntryKind.File,
            Mode = stat.Mode & PermissionMask,
            Size = link ? stat.LinkName!.Length : IsData(stat.Mode) ? stat.Size : 0,
            MtimeMs = stat.Mtime,
            CtimeMs = stat.Ctime,
            LinkTarget = link ? stat.LinkName : default(ReadOnlyMemory<byte>),
            Seq = own.Seq,
            Identity = own.Seq,
            FormatState = IsData(stat.Mode) ? stat : stat with { Size = 0, Blocks = 0 },
        };
    }

    private static DriveEntry Directory(DrivePath path, TreePlace? place)
    {
        HyperStat? stat = place?.Own?.Stat is { } own && (own.Mode & KindMask) == DirectoryMode ? own : null;
        HyperStat? times = stat ?? place?.Newest.Stat;
        return new DriveEntry
        {
            Path = path,
            Kind = EntryKind.Directory,
            Mode = stat is null ? ImplicitMode : stat.Mode & PermissionMask,
            MtimeMs = times?.Mtime ?? 0,
            CtimeMs = times?.Ctime ?? 0,
            Seq = stat is null ? -1 : place!.Value.Own!.Seq,
            Identity = place?.Newest.Seq ?? 0L,
        };
    }

    private static bool IsData(uint mode) => (mode & KindMask) is 0 or 0x8000 or LinkMode;

    private static long TimeOf(HyperStat stat) => stat.Ctime != 0 ? stat.Ctime : stat.Mtime;

    private static int CompareUtf8(string a, string b) => System.Text.Encoding.UTF8.GetBytes(a).AsSpan().SequenceCompareTo(System.Text.Encoding.UTF8.GetBytes(b));
}
