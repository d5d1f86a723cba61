using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// One version of a hyperdrive: the tree whose head is that node (hyperdrive.md §4). Names that no file system can show are left out and
/// counted; modes are masked and kinds decided by mask (§3). Where a file and a directory have one path the directory has it, and the file
/// is shown beside it, read-only.
/// </summary>
internal sealed class HyperdriveView(HyperdriveDrive drive, NodeSource nodes, long version) : IDriveView
{
    private const uint PermissionMask = 0x1FF;
    private const uint WriteBits = 0x92;
    private const uint ImplicitMode = 0x1ED;

    // Deletions before the head that are looked through for a time.
    private const int MaxTimeless = 64;

    private static readonly long s_maxTime = DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();

    private readonly AppendTree _tree = new(nodes, version);

    public long Version => version;

    public DateTimeOffset Time => DateTimeOffset.UnixEpoch.AddMilliseconds(Math.Min(NewestTime(), s_maxTime));

    public long? KnownEntries => null;

    public async ValueTask<DriveEntry?> FindAsync(DrivePath path, CancellationToken ct)
    {
        if (path.IsRoot) return await RootAsync(ct);
        string[] parts = path.Components();
        if (!Array.TrueForAll(parts, EntryNames.IsUsable)) return null;
        TreePlace? place = await _tree.FindAsync(parts, FetchPriority.Interactive, ct);
        if (place is { Exists: true } found)
        {
            if (!found.HasChildren && found.Own!.Stat is null) throw new DatException(DatError.Corrupt, $"the attributes of metadata block {found.Own.Seq} cannot be read");
            return Entry(path, found);
        }

        // A file beside a directory is found where it is shown.
        if (!path.Name.Contains(EntryNames.BesideMark, StringComparison.Ordinal)) return null;
        IReadOnlyList<DriveEntry>? siblings = await ListAsync(path.Parent, ct);
        return siblings?.FirstOrDefault(entry => entry.Path == path);
    }

    public async ValueTask<IReadOnlyList<DriveEntry>?> ListAsync(DrivePath path, CancellationToken ct)
    {
        string[] parts = path.Components();
        if (!Array.TrueForAll(parts, EntryNames.IsUsable)) return null;
        if (await _tree.NewestAsync(parts, FetchPriority.Interactive, ct) is not { } newest) return path.IsRoot ? [] : null;
        if (nodes.Listings.TryGet((newest.Seq, parts.Length), out DriveEntry[]? known)) return known;
        if (!path.IsRoot)
        {
            TreePlace place = (await _tree.FindAsync(parts, FetchPriority.Interactive, ct))!;
            if (!place.Exists || KindOf(place) != EntryKind.Directory) return null;
        }

        List<(string Name, TreePlace Place)> places = await _tree.ListAsync(newest, parts.Length, FetchPriority.Interactive, ct);
        DriveEntry[] entries = Show(path, places);
        nodes.Listings.Add((newest.Seq, parts.Length), entries, entries.Length);
        return entries;
    }

    public IFileContent OpenContent(DriveEntry entry) =>
        entry.FormatState is HyperStat stat ? new HyperdriveContent(drive, stat) : throw new ArgumentException("the entry is of another drive", nameof(entry));

    /// <summary>The path under which the file of a path is shown that is a directory as well; null where there is none. Only what is held is looked at.</summary>
    internal DrivePath? BesideOf(DrivePath path)
    {
        ValueTask<TreePlace?> found = _tree.FindAsync(path.Components(), FetchPriority.Metadata, new CancellationToken(canceled: true));
        return found.IsCompletedSuccessfully && found.Result is { } place && HidesFile(place) && EntryNames.Beside(path.Name) is { } name ? path.Parent.Child(name) : null;
    }

    private DriveEntry[] Show(DrivePath path, List<(string Name, TreePlace Place)> places)
    {
        List<DriveEntry> entries = new(places.Count);
        List<(string Name, HyperNode Own)>? beside = null;
        foreach ((string name, TreePlace place) in places)
        {
            if (!place.Exists) continue;
            if (!EntryNames.IsUsable(name) || (!place.HasChildren && place.Own!.Stat is null))
            {
                drive.Hide(path, name);
                continue;
            }

            entries.Add(Entry(path.Child(name), place));
            if (HidesFile(place) && EntryNames.Beside(name) is { } other) (beside ??= []).Add((other, place.Own!));
        }

        if (beside is not null)
        {
            HashSet<string> taken = [.. entries.Select(entry => entry.Path.Name)];
            foreach ((string name, HyperNode own) in beside.OrderBy(one => one.Own.Seq))
                if (taken.Add(name)) entries.Add(Beside(path.Child(name), own));
        }

        entries.Sort(static (a, b) => EntryNames.Compare(a.Path.Name, b.Path.Name));
        return [.. entries];
    }

    // The root's attributes must not wait for every name in it: until these are held, those of a root without an entry of its own are shown.
    private async ValueTask<DriveEntry> RootAsync(CancellationToken ct)
    {
        if (version == 0) return Directory(DrivePath.Root, null, 0L);
        TreePlace? place = _tree.HoldsRoot() ? await _tree.FindAsync([], FetchPriority.Interactive, ct) : null;
        return Directory(DrivePath.Root, place, place is null ? (version, "incomplete") : version);
    }

    private DriveEntry Entry(DrivePath path, TreePlace place)
    {
        EntryKind kind = KindOf(place);
        return kind == EntryKind.Directory ? Directory(path, place, place.Newest.Seq) : FileOrLink(path, kind, place.Own!, place.Own!.Seq);
    }

    private static DriveEntry FileOrLink(DrivePath path, EntryKind kind, HyperNode own, object identity)
    {
        HyperStat stat = own.Stat!;
        bool isData = (stat.Mode & HyperStat.KindMask) is 0 or HyperStat.RegularFile;
        return new DriveEntry
        {
            Path = path,
            Kind = kind,
            Mode = stat.Mode & PermissionMask,
            Uid = stat.Uid,
            Gid = stat.Gid,
            Size = kind == EntryKind.Symlink ? stat.LinkName!.Length : isData ? stat.Size : 0,
            MtimeMs = stat.Mtime,
            CtimeMs = stat.Ctime,
            LinkTarget = kind == EntryKind.Symlink ? stat.LinkName : default(ReadOnlyMemory<byte>),
            Seq = own.Seq,
            Identity = identity,
            FormatState = isData ? stat : stat with { Size = 0, Blocks = 0 },
        };
    }

    private static DriveEntry Beside(DrivePath path, HyperNode own)
    {
        DriveEntry entry = FileOrLink(path, KindOf(own.Stat!), own, (own.Seq, EntryNames.BesideMark));
        return entry with { Mode = entry.Mode & ~WriteBits };
    }

    private DriveEntry Directory(DrivePath path, TreePlace? place, object identity)
    {
        HyperStat? stat = place?.Own is { Stat: not null } && !HidesFile(place) ? place.Own.Stat : null;
        long time = place?.Time is > 0 and long told ? told : path.IsRoot ? NewestTime() : 0;
        return new DriveEntry
        {
            Path = path,
            Kind = EntryKind.Directory,
            Mode = stat is null ? ImplicitMode : stat.Mode & PermissionMask,
            Uid = stat?.Uid,
            Gid = stat?.Gid,
            MtimeMs = stat?.Mtime ?? time,
            CtimeMs = stat?.Ctime ?? time,
            Seq = stat is null ? -1 : place!.Own!.Seq,
            Identity = identity,
        };
    }

    private static EntryKind KindOf(TreePlace place) =>
        place.HasChildren || place.Own is not { Stat: { } stat } ? EntryKind.Directory : KindOf(stat);

    // Sockets, devices and the like are shown as empty files, and so is a link that leads nowhere (reliability.md §4).
    private static EntryKind KindOf(HyperStat stat) => (stat.Mode & HyperStat.KindMask) switch
    {
        HyperStat.Directory => EntryKind.Directory,
        HyperStat.Link when stat.LinkName is { Length: > 0 } => EntryKind.Symlink,
        _ => EntryKind.File,
    };

    // Without a type an entry is a file if it has blocks (§3); without blocks it only says what the directory is like.
    private static bool HidesFile(TreePlace place) =>
        place is { HasChildren: true, Own.Stat: { } stat } && KindOf(stat) != EntryKind.Directory && ((stat.Mode & HyperStat.KindMask) != 0 || stat.Blocks > 0);

    private long NewestTime()
    {
        for (long seq = version; seq > 0 && seq > version - MaxTimeless; seq--)
        {
            if (!nodes.IsHeld(seq)) break;
            if (TryTime(seq) is > 0 and long time) return time;
        }

        return 0;
    }

    private long? TryTime(long seq)
    {
        try
        {
            return nodes.TryGet(seq, out HyperNode node) ? node.Stat?.Time : null;
        }
        catch (DatException)
        {
            // Another block than the head is broken: it tells no time, and whoever needs it hears of it.
            return null;
        }
    }
}
