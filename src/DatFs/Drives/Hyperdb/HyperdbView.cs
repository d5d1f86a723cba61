using DatFs.Drives.Hyperdrive;

namespace DatFs.Drives.Hyperdb;

/// <summary>
/// One version of a multi-writer drive (hyperdb-multiwriter.md §15, §16). Directories are wherever live keys lie below; of several entries of
/// one path every machine shows the same one, and the files that lost stand beside it, read-only, under names that tell who wrote them.
/// </summary>
internal sealed partial class HyperdbView(HyperdbDrive drive, DatabaseView database, long version) : IDriveView
{
    /// <summary>The bits of a mode that entries keep.</summary>
    public const uint PermissionMask = 0x1FF;

    private const uint WriteBits = 0x92;
    private const uint ImplicitMode = 0x1ED;
    private static readonly long s_maxTime = DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();

    public long Version => version;

    public DatabaseView Database => database;

    /// <summary>Whose view it is.</summary>
    public HyperdbDrive Drive => drive;

    public DateTimeOffset Time => DateTimeOffset.UnixEpoch.AddMilliseconds(
        Math.Min(database.Heads.Select(head => StatOf(head) is { } stat ? Math.Max(stat.Ctime, stat.Mtime) : 0).DefaultIfEmpty().Max(), s_maxTime));

    public long? KnownEntries => null;

    /// <summary>The attributes in an entry; null for a deletion, and where they cannot be read.</summary>
    public static HyperdbStat? StatOf(DatabaseEntry entry) =>
        !entry.Deleted && entry.Value is { } value && HyperdbStat.TryDecode(value.Span, out HyperdbStat? stat) ? stat : null;

    public async ValueTask<DriveEntry?> FindAsync(DrivePath path, CancellationToken ct)
    {
        if (path.IsRoot) return Directory(path, null);
        string[] parts = path.Components();
        if (!Array.TrueForAll(parts, EntryNames.IsUsable)) return null;
        string key = string.Join('/', parts);
        IReadOnlyList<DatabaseEntry> own = await GetAsync(key, ct);
        if (Entry(path, own, await HasBelowAsync(key, ct)) is { } entry) return entry;
        if (own.Count > 0) throw new DatException(DatError.Corrupt, $"the attributes of {path} cannot be read");

        // What stands beside a path is found where it is shown.
        if (!path.Name.Contains(EntryNames.BesideMark, StringComparison.Ordinal) && !path.Name.Contains(ConflictNames.Mark, StringComparison.Ordinal)) return null;
        IReadOnlyList<DriveEntry>? siblings = await ListAsync(path.Parent, ct);
        return siblings?.FirstOrDefault(one => one.Path == path);
    }

    public async ValueTask<IReadOnlyList<DriveEntry>?> ListAsync(DrivePath path, CancellationToken ct)
    {
        string[] parts = path.Components();
        if (!Array.TrueForAll(parts, EntryNames.IsUsable)) return null;
        string key = string.Join('/', parts);
        IReadOnlyList<DatabaseName> names = await NamesAsync(key, ct);
        if (names.Count == 0 && !path.IsRoot && Entry(path, await GetAsync(key, ct), false)?.Kind != EntryKind.Directory) return null;
        List<DriveEntry> entries = [];
        List<(DrivePath Path, DatabaseEntry Loser)> beside = [];
        foreach (DatabaseName name in names)
        {
            if (!EntryNames.IsUsable(name.Name) || Entry(path.Child(name.Name), name.Own?.Entries ?? [], name.Below is not null) is not { } entry)
            {
                drive.Hide(path, name.Name);
                continue;
            }

            entries.Add(entry);
            if (name.Own is { Entries.Count: > 1 } || entry.Kind == EntryKind.Directory)
                foreach (DatabaseEntry loser in Losers(entry, name.Own?.Entries ?? [])) beside.Add((entry.Path, loser));
        }

        if (!ShowsLosers(path)) beside.Clear();
        // Of two that would have one name, on every machine the same gets the plain one.
        HashSet<string> taken = ConflictNames.Taken(entries.Select(entry => entry.Path.Name));
        foreach ((DrivePath winner, DatabaseEntry loser) in beside.OrderByDescending(one => StatOf(one.Loser)!.Mtime).ThenByDescending(one => one.Loser.Writer.ToHex(), StringComparer.Ordinal))
        {
            HyperdbStat stat = StatOf(loser)!;
            if (ConflictNames.Take(winner.Name, loser.Writer, loser.Seq, stat.Mtime, drive.Notes.LabelOf(loser.Writer), taken) is not { } name) continue;
            DriveEntry entry = FileOrLink(path.Child(name), loser, stat);
            entries.Add(entry with { Mode = entry.Mode & ~WriteBits, Identity = (entry.Identity, ConflictNames.Mark) });
        }

        entries.Sort(static (a, b) => EntryNames.Compare(a.Path.Name, b.Path.Name));
        return entries;
    }

    public IFileContent OpenContent(DriveEntry entry)
    {
        if (entry.FormatState is not DatabaseEntry own || StatOf(own) is not { } stat) throw new ArgumentException("the entry is of another drive", nameof(entry));
        return Content(own, stat);
    }

    private HyperdriveContent Content(DatabaseEntry own, HyperdbStat stat)
    {
        bool isData = (stat.Mode & HyperStat.KindMask) is 0 or HyperStat.RegularFile;
        return new HyperdriveContent(drive.ContentOf(own), new HyperStat(stat.Mode, 0, 0, isData ? stat.Size ?? 0 : 0, isData ? stat.Blocks ?? 0 : 0, stat.Offset, stat.ByteOffset, stat.Mtime, stat.Ctime, null));
    }

    // Directories win over files, then what was chosen, then the later over the earlier, then the larger key (§16).
    private DriveEntry? Entry(DrivePath path, IReadOnlyList<DatabaseEntry> own, bool hasChildren)
    {
        DatabaseEntry? explicitly = Latest(own.Where(entry => StatOf(entry) is { } stat && KindOf(stat) == EntryKind.Directory));
        if (hasChildren || explicitly is not null) return Directory(path, explicitly);
        return Winner(path, [.. Files(own)]) is { } winner ? FileOrLink(path, winner, StatOf(winner)!) with { Losers = own.Count - 1 } : null;
    }

    private static IEnumerable<DatabaseEntry> Files(IEnumerable<DatabaseEntry> entries) => entries.Where(entry => StatOf(entry) is { } stat && KindOf(stat) != EntryKind.Directory);

    private static DatabaseEntry? Latest(IEnumerable<DatabaseEntry> entries) =>
        entries.OrderByDescending(entry => StatOf(entry)!.Mtime).ThenByDescending(entry => entry.Writer.ToHex(), StringComparer.Ordinal).FirstOrDefault();

    private DatabaseEntry? Winner(DrivePath path, DatabaseEntry[] files)
    {
        if (files.Length < 2 || drive.Choice is not { } choice) return Latest(files);
        DriveSide[] sides = [.. files.OrderBy(entry => entry.Writer.ToHex(), StringComparer.Ordinal).Select(Side)];
        DriveSide? chosen = choice.Choose(path, sides);
        return chosen is null ? Latest(files) : Array.Find(files, entry => entry.Writer == chosen.Writer && entry.Seq == chosen.Seq) ?? Latest(files);
    }

    // The same bytes written twice are no conflict.
    private IEnumerable<DatabaseEntry> Losers(DriveEntry shown, IReadOnlyList<DatabaseEntry> own) =>
        Files(own).Where(entry => shown.FormatState is not DatabaseEntry winner || (entry.Id != winner.Id && !drive.IsSameContent(entry, winner)));

    private static DriveEntry Directory(DrivePath path, DatabaseEntry? own)
    {
        HyperdbStat? stat = own is null ? null : StatOf(own);
        return new DriveEntry
        {
            Path = path,
            Kind = EntryKind.Directory,
            Mode = stat is null ? ImplicitMode : stat.Mode & PermissionMask,
            Uid = stat?.Uid,
            Gid = stat?.Gid,
            MtimeMs = stat?.Mtime ?? 0,
            CtimeMs = stat?.Ctime ?? 0,
            Seq = own?.Seq ?? -1,
            Writer = own?.Writer.ToHex(),
            Identity = own is null ? "implicit" : own.Id,
        };
    }

    private static DriveEntry FileOrLink(DrivePath path, DatabaseEntry own, HyperdbStat stat)
    {
        EntryKind kind = KindOf(stat);
        bool isData = (stat.Mode & HyperStat.KindMask) is 0 or HyperStat.RegularFile;
        return new DriveEntry
        {
            Path = path,
            Kind = kind,
            Mode = stat.Mode & PermissionMask,
            Uid = stat.Uid,
            Gid = stat.Gid,
            Size = kind == EntryKind.Symlink ? stat.LinkName!.Length : isData ? stat.Size ?? 0 : 0,
            MtimeMs = stat.Mtime,
            CtimeMs = stat.Ctime,
            LinkTarget = kind == EntryKind.Symlink ? stat.LinkName : default(ReadOnlyMemory<byte>),
            Seq = own.Seq,
            Writer = own.Writer.ToHex(),
            Identity = own.Id,
            FormatState = own,
        };
    }

    private static EntryKind KindOf(HyperdbStat stat) => (stat.Mode & HyperStat.KindMask) switch
    {
        HyperStat.Directory => EntryKind.Directory,
        HyperStat.Link when stat.LinkName is { Length: > 0 } => EntryKind.Symlink,
        _ => EntryKind.File,
    };
}
