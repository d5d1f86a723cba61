using DatFs.Drives;
using DatFs.Drives.Hyperdb;

namespace DatFs.Merging;

/// <summary>A path of which writers made different versions, in one view of a drive.</summary>
public sealed class MergeCase
{
    internal MergeCase(DrivePath path, IReadOnlyList<MergeSide> sides, HyperdbDrive drive, IReadOnlyList<DatabaseEntry> entries, HyperdbView view)
    {
        (Path, Sides, Drive, Entries, View) = (path, sides, drive, entries, view);
    }

    /// <summary>The path.</summary>
    public DrivePath Path { get; }

    /// <summary>The versions, deletions too, by writer's key.</summary>
    public IReadOnlyList<MergeSide> Sides { get; }

    internal HyperdbDrive Drive { get; }

    internal HyperdbView View { get; }

    internal IReadOnlyList<DatabaseEntry> Entries { get; }

    /// <summary>What all versions began with. Reads old entries, so it may wait for peers.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<MergeBase> BaseAsync(CancellationToken ct)
    {
        IReadOnlyList<DatabaseEntry> found = await Drive.Database.BaseAsync(DriveMerging.KeyOf(Path), Entries, ct);
        if (found.Count > 1) return MergeBase.Unknown;
        return found.Count == 1 && View.Open(found[0]) is { Kind: EntryKind.File } file ? MergeBase.Of(file.Content) : MergeBase.Empty;
    }
}

/// <summary>Between drives and strategies: what there is to merge, what a strategy makes of it, and writing that.</summary>
public static class DriveMerging
{
    /// <summary>What writers disagree about at a path; null where they do not, and on drives of one writer.</summary>
    /// <param name="view">A view of a drive.</param>
    /// <param name="path">A file.</param>
    /// <param name="ct">Cancels.</param>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public static async ValueTask<MergeCase?> FindAsync(IDriveView view, DrivePath path, CancellationToken ct)
    {
        if (view is not HyperdbView own || path.IsRoot) return null;
        IReadOnlyList<DatabaseEntry> entries = await own.EntriesAsync(KeyOf(path), ct);
        if (entries.Count < 2 || entries.Skip(1).All(entry => own.Drive.IsSameContent(entries[0], entry))) return null;
        MergeSide[] sides = [.. entries.Select(entry => Side(own, entry)).Order(MergeOrder.ByWriter)];
        return new MergeCase(path, sides, own.Drive, entries, own);
    }

    /// <summary>Asks a strategy. That the bytes of a side cannot be had is an answer too.</summary>
    public static async ValueTask<MergeOutcome> ResolveAsync(MergeCase about, IMergeStrategy strategy, CancellationToken ct)
    {
        try
        {
            return await strategy.ResolveAsync(about.Path, await about.BaseAsync(ct), about.Sides, ct);
        }
        catch (DatException failure)
        {
            return MergeOutcome.Failure(failure.Message);
        }
    }

    /// <summary>
    /// Writes merged bytes over exactly the versions that were merged, with the permissions of the one that wins by default. False, and nothing
    /// written, when the path has others by now: look again.
    /// </summary>
    /// <exception cref="DatException">NotWritable, Invalid (a directory in the way, or no bytes to write), Offline, TimedOut, Corrupt, Io.</exception>
    public static async ValueTask<bool> CommitAsync(MergeCase about, MergeOutcome outcome, CancellationToken ct)
    {
        if (outcome.Bytes is not { } bytes) throw new DatException(DatError.Invalid, "only merged bytes can be written");
        using MemoryStream content = new(bytes.ToArray(), writable: false);
        return await ReplaceAsync(about, content, null, ct);
    }

    /// <summary>Settles a conflict with bytes from elsewhere, as <see cref="CommitAsync"/> does with merged ones.</summary>
    /// <param name="about">The conflict.</param>
    /// <param name="content">Read to its end.</param>
    /// <param name="attributes">Null = those of a merge: the permissions of the version that wins by default, and the time of now.</param>
    /// <param name="ct">Cancels.</param>
    /// <exception cref="DatException">As for <see cref="CommitAsync"/>.</exception>
    public static ValueTask<bool> ReplaceAsync(MergeCase about, Stream content, DriveAttributes? attributes, CancellationToken ct) =>
        about.Drive.PutOverAsync(about.Path, content, attributes ?? new DriveAttributes(about.Sides.Min(MergeOrder.WinnerFirst)!.Mode), about.Entries, ct);

    /// <summary>Settles a conflict with one of its versions, which keeps its time and permissions; a deletion deletes. False as for <see cref="CommitAsync"/>.</summary>
    /// <exception cref="DatException">As for <see cref="CommitAsync"/>; Unsupported: the version is a link.</exception>
    public static async ValueTask<bool> TakeAsync(MergeCase about, MergeSide side, CancellationToken ct)
    {
        if (side.Deleted) return await about.Drive.DeleteOverAsync(about.Path, about.Entries, ct);
        if (side.Kind == EntryKind.Symlink) throw new DatException(DatError.Unsupported, $"{side.Label} is a symbolic link, which cannot be written without a mount");
        if (side.Kind == EntryKind.Directory) throw new DatException(DatError.Invalid, $"{side.Label} is a directory, which has the name anyway");
        await using Stream content = side.OpenRead();
        return await ReplaceAsync(about, content, new DriveAttributes(side.Mode, side.MtimeMs), ct);
    }

    internal static string KeyOf(DrivePath path) => path.Text[1..];

    private static MergeSide Side(HyperdbView view, DatabaseEntry entry)
    {
        DriveSide facts = HyperdbView.Side(entry);
        bool own = view.Drive.OwnKey == entry.Writer;
        return view.Open(entry) is { } open ? new MergeSide(facts, open.Kind, open.Mode, open.Content) { IsOwn = own } : new MergeSide(facts, EntryKind.File, 0, null) { IsOwn = own };
    }
}
