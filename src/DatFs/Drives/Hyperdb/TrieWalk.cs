namespace DatFs.Drives.Hyperdb;

/// <summary>
/// All entries, as far as they stand for it, whose paths agree on the digits before <see cref="Index"/>: those of <see cref="Sample"/>, but for
/// the last of them, which is <see cref="Digit"/> (hyperdb-multiwriter.md §4). With the digit 4 they are all candidates for the keys on one path.
/// </summary>
internal sealed class TrieGroup(KeyPath sample, int index, int digit)
{
    private HashSet<EntryId>? _all;

    public KeyPath Sample => sample;

    public int Index => index;

    public int Digit => digit;

    /// <summary>How many entries it has.</summary>
    public int Count { get; private set; }

    /// <summary>One of them, the only one most often.</summary>
    public EntryId First { get; private set; }

    /// <summary>Adds an entry, once.</summary>
    public void Add(EntryId entry)
    {
        if (Count == 0) First = entry;
        else
        {
            if (Count == 1 && entry == First) return;
            _all ??= [First];
            if (!_all.Add(entry)) return;
        }

        Count++;
    }

    /// <summary>Writes all of them.</summary>
    public void CopyTo(EntryId[] into)
    {
        if (_all is null) into[0] = First;
        else _all.CopyTo(into);
    }

    public bool HasSame(TrieGroup other) => Count == other.Count && (_all is null ? First == other.First : _all.SetEquals(other._all!));

    /// <summary>True for an entry that has the group's digits. Others are named by tries that no writer would make.</summary>
    public bool Fits(KeyPath path) => index == 0 || (path.Length >= index && path.Diverges(sample, 0) >= index - 1 && path[index - 1] == digit);
}

/// <summary>
/// Goes down the tries of several heads at once. Each digit string is met once and each entry once in it, so however tries point at one
/// another, a walk ends.
/// </summary>
internal sealed class TrieWalk(Database database)
{
    public static TrieGroup? Root(IReadOnlyList<DatabaseEntry> heads)
    {
        if (heads.Count == 0) return null;
        TrieGroup root = new(heads[0].Path, 0, -1);
        foreach (DatabaseEntry head in heads) root.Add(head.Id);
        return root;
    }

    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<DatabaseEntry[]> EntriesAsync(TrieGroup group, CancellationToken ct)
    {
        EntryId[] members = new EntryId[group.Count];
        group.CopyTo(members);
        DatabaseEntry[] entries = new DatabaseEntry[members.Length];
        for (int at = 0; at < members.Length; at++)
        {
            DatabaseEntry entry = await database.EntryAsync(members[at], ct);
            if (!group.Fits(entry.Path)) throw new DatException(DatError.Corrupt, $"the index of the database leads to {entry}, which does not lie there");
            entries[at] = entry;
        }

        return entries;
    }

    /// <summary>The first index at which a group may have more than one digit.</summary>
    public static int NextFork(DatabaseEntry[] entries, int index)
    {
        int fork = int.MaxValue;
        foreach (DatabaseEntry entry in entries)
        {
            fork = Math.Min(fork, entry.Path.Length - 1);
            if (entry.Trie.From(index) is { } bucket) fork = Math.Min(fork, bucket.Index);
            if (entry != entries[0]) fork = Math.Min(fork, entries[0].Path.Diverges(entry.Path, index));
        }

        return fork;
    }

    /// <summary>The groups one digit further, by digit, where all entries agree up to <paramref name="fork"/>.</summary>
    public static TrieGroup?[] Split(DatabaseEntry[] entries, int fork)
    {
        TrieGroup?[] children = new TrieGroup?[KeyPath.DigitValues];
        foreach (DatabaseEntry entry in entries)
        {
            Child(entry.Path[fork]).Add(entry.Id);
            if (entry.Trie.At(fork) is not { } bucket) continue;
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
                foreach (EntryId pointer in bucket[digit]) Child(digit).Add(pointer);
        }

        return children;

        TrieGroup Child(int digit) => children[digit] ??= new TrieGroup(entries[0].Path, fork + 1, digit);
    }

    /// <summary>The group of all entries that have the first <paramref name="digits"/> digits of a path; null when there is none.</summary>
    public async ValueTask<TrieGroup?> DescendAsync(TrieGroup? group, KeyPath path, int digits, CancellationToken ct)
    {
        while (group is not null && group.Index < digits)
        {
            DatabaseEntry[] entries = await EntriesAsync(group, ct);
            int fork = NextFork(entries, group.Index);
            int agrees = path.Diverges(entries[0].Path, group.Index);
            if (fork >= digits) return agrees >= digits ? group : null;
            if (agrees < fork) return null;
            group = Split(entries, fork)[path[fork]];
        }

        return group;
    }
}
