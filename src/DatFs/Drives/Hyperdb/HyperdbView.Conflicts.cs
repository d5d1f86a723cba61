namespace DatFs.Drives.Hyperdb;

/// <summary>Several versions of one path, and writers whom this machine leaves out (hyperdb-multiwriter.md §16).</summary>
internal sealed partial class HyperdbView
{
    /// <summary>What writers disagree about at a key; null when the same bytes are all there is.</summary>
    public async ValueTask<DriveConflict?> ConflictAsync(string key, CancellationToken ct)
    {
        DrivePath path = DrivePath.From(key);
        IReadOnlyList<DatabaseEntry> own = await GetAsync(key, ct);
        if (own.Count < 2 || Entry(path, own, await HasBelowAsync(key, ct)) is not { } shown) return null;
        HashSet<EntryId> losers = [.. Losers(shown, own).Select(entry => entry.Id)];
        if (losers.Count == 0 && own.All(entry => !entry.Deleted)) return null;
        Dictionary<(string? Writer, long Seq), DrivePath> beside = [];
        if (losers.Count > 0)
        {
            foreach (DriveEntry sibling in await ListAsync(path.Parent, ct) ?? [])
                if (sibling.FormatState is DatabaseEntry entry && entry.Key == key) beside.TryAdd((sibling.Writer, sibling.Seq), sibling.Path);
        }

        List<DriveSide> sides = [];
        foreach (DatabaseEntry entry in own)
        {
            DriveSide side = Side(entry) with { Shown = beside.TryGetValue((entry.Writer.ToHex(), entry.Seq), out DrivePath at) ? at : null };
            if (shown.FormatState is DatabaseEntry winner && winner.Id == entry.Id) sides.Insert(0, side with { Shown = path });
            else if (entry.Deleted || losers.Contains(entry.Id)) sides.Add(side);
        }

        return new DriveConflict(path, sides);
    }

    /// <summary>Everything visible of a key; none when only deletions are left.</summary>
    public ValueTask<IReadOnlyList<DatabaseEntry>> EntriesAsync(string key, CancellationToken ct) => GetAsync(key, ct);

    /// <summary>What an entry is, and its bytes; null for a deletion, and where its attributes cannot be read.</summary>
    public (EntryKind Kind, uint Mode, IFileContent Content)? Open(DatabaseEntry entry) =>
        StatOf(entry) is { } stat ? (KindOf(stat), stat.Mode & PermissionMask, Content(entry, stat)) : null;

    /// <summary>An entry as conflicts list it.</summary>
    public static DriveSide Side(DatabaseEntry entry) =>
        StatOf(entry) is { } stat ? new DriveSide(entry.Writer, entry.Seq, false, stat.Size ?? 0, stat.Mtime) : new DriveSide(entry.Writer, entry.Seq, true, 0, 0);

    // Tools that look for files of their own do not expect others below a directory of theirs.
    private bool ShowsLosers(DrivePath directory) => drive.ShowsLosers && !directory.Components().Any(part => part.StartsWith('.'));

    private async ValueTask<IReadOnlyList<DatabaseEntry>> GetAsync(string key, CancellationToken ct)
    {
        if (!drive.Notes.IgnoresAny) return await database.GetAsync(key, ct);
        IReadOnlyList<DatabaseEntry> left = await WithoutIgnoredAsync(key, await database.GetAsync(key, ct, deletes: true), ct);
        return left.Any(entry => !entry.Deleted) ? left : [];
    }

    private async ValueTask<bool> HasBelowAsync(string key, CancellationToken ct) =>
        drive.Notes.IgnoresAny ? (await NamesAsync(key, ct)).Count > 0 : await database.FirstBelowAsync(key, ct) is not null;

    // With somebody left out, what he deleted or wrote over is seen only by going through all keys.
    private async ValueTask<IReadOnlyList<DatabaseName>> NamesAsync(string key, CancellationToken ct)
    {
        if (!drive.Notes.IgnoresAny) return await database.ListAsync(key, ct);
        string prefix = key.Length == 0 ? "" : key + "/";
        Dictionary<string, DatabaseName> names = new(StringComparer.Ordinal);
        await foreach (DatabaseKey found in database.IterateAsync(key, new DatabaseListing { Deletes = true, After = true }, ct))
        {
            if (!found.Key.StartsWith(prefix, StringComparison.Ordinal)) continue;
            DatabaseKey left = new(found.Key, await WithoutIgnoredAsync(found.Key, found.Entries, ct));
            if (!left.IsLive) continue;
            string name = DatabaseView.NameOf(found.Key, prefix);
            DatabaseName known = names.GetValueOrDefault(name) ?? new DatabaseName(name, null, null);
            names[name] = found.Key.Length == prefix.Length + name.Length ? known with { Own = left } : known with { Below = known.Below ?? left };
        }

        return [.. names.Values];
    }

    // Instead of an entry left out stands what it replaced.
    private async ValueTask<IReadOnlyList<DatabaseEntry>> WithoutIgnoredAsync(string key, IReadOnlyList<DatabaseEntry> entries, CancellationToken ct)
    {
        if (!entries.Any(drive.Notes.Ignores)) return entries;
        Queue<DatabaseEntry> open = new(entries);
        HashSet<EntryId> seen = [];
        List<DatabaseEntry> left = [];
        while (open.TryDequeue(out DatabaseEntry? entry))
        {
            if (!seen.Add(entry.Id)) continue;
            if (!drive.Notes.Ignores(entry))
            {
                left.Add(entry);
                continue;
            }

            foreach (DatabaseEntry earlier in await (await database.BeforeAsync(entry, ct)).GetAsync(key, ct, deletes: true)) open.Enqueue(earlier);
        }

        return DatabaseEntry.Uncovered(left);
    }
}
