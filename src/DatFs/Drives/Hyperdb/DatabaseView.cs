using System.Runtime.CompilerServices;

namespace DatFs.Drives.Hyperdb;

/// <summary>All that is visible of one key: one entry, or several that nobody has merged yet (a conflict, hyperdb-multiwriter.md §8).</summary>
/// <param name="Key">As stored.</param>
/// <param name="Entries">By writer, none covered by another. Some may be deletions.</param>
public sealed record DatabaseKey(string Key, IReadOnlyList<DatabaseEntry> Entries)
{
    /// <summary>False when only deletions are left.</summary>
    public bool IsLive => Entries.Any(entry => !entry.Deleted);
}

/// <summary>How a database is iterated (§11).</summary>
public sealed record DatabaseListing
{
    /// <summary>Backwards.</summary>
    public bool Reverse { get; init; }

    /// <summary>With keys of which only deletions are left.</summary>
    public bool Deletes { get; init; }

    /// <summary>Without the prefix itself.</summary>
    public bool After { get; init; }
}

/// <summary>
/// A database as it was after certain entries, its heads: same questions, same answers for ever (hyperdb-multiwriter.md §8, §11). Reads the
/// few entries on the way to an answer, and waits for peers where they are not held.
/// </summary>
public sealed partial class DatabaseView
{
    private static readonly int[] s_order = [KeyPath.End, 0, 1, 2, 3];
    private static readonly int[] s_reverse = [3, 2, 1, 0, KeyPath.End];

    private readonly Database _database;
    private readonly TrieWalk _walk;
    private readonly DatabaseEntry[] _heads;

    internal DatabaseView(Database database, DatabaseEntry[] heads, long[] lengths)
    {
        _database = database;
        _walk = new TrieWalk(database);
        _heads = heads;
        Lengths = lengths;
    }

    /// <summary>The newest entries, none covered by another; none for an empty database.</summary>
    public IReadOnlyList<DatabaseEntry> Heads => _heads;

    /// <summary>Some writer has announced more than could be had: this is older than what is known to exist.</summary>
    public bool IsStale { get; internal init; }

    /// <summary>What names this version everywhere (§11); empty for an empty database.</summary>
    public byte[] Version => DatabaseVersion.Format(_heads);

    /// <summary>Blocks of each writer that this was made from, by our numbers.</summary>
    internal long[] Lengths { get; }

    /// <summary>The entries of a key: none when it does not exist, several when writers disagree.</summary>
    /// <param name="key">One leading slash is dropped.</param>
    /// <param name="ct">Cancels.</param>
    /// <param name="deletes">Answer with deletions too where only these are left.</param>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<IReadOnlyList<DatabaseEntry>> GetAsync(string key, CancellationToken ct, bool deletes = false)
    {
        key = KeyPath.Normalise(key);
        KeyPath path = KeyPath.Of(key);
        if (_heads is [{ } only] && TryFollow(only, key, path, out DatabaseEntry? one)) return one is null || (one.Deleted && !deletes) ? [] : [one];
        TrieGroup? found = await _walk.DescendAsync(TrieWalk.Root(_heads), path, path.Length, ct);
        if (found is null) return [];
        DatabaseEntry[] entries = DatabaseEntry.Uncovered([.. (await _walk.EntriesAsync(found, ct)).Where(entry => entry.Key == key)]);
        return deletes || entries.Any(entry => !entry.Deleted) ? entries : [];
    }

    /// <summary>Every key below a prefix of whole components, in the order of their paths (§11).</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async IAsyncEnumerable<DatabaseKey> IterateAsync(string prefix, DatabaseListing listing, [EnumeratorCancellation] CancellationToken ct)
    {
        prefix = KeyPath.Normalise(prefix);
        KeyPath path = KeyPath.Of(prefix);
        Stack<TrieGroup> open = new();
        if (await _walk.DescendAsync(TrieWalk.Root(_heads), path, path.Length - 1, ct) is { } root) open.Push(root);
        int[] order = listing.Reverse ? s_order : s_reverse;
        while (open.TryPop(out TrieGroup? group))
        {
            DatabaseEntry[] entries = await _walk.EntriesAsync(group, ct);
            if (group.Digit == KeyPath.End)
            {
                foreach (DatabaseKey key in Keys(entries))
                {
                    if (!key.Key.StartsWith(prefix, StringComparison.Ordinal) || (!key.IsLive && !listing.Deletes)) continue;
                    if (!((listing.After || prefix.Length == 0) && group.Index == path.Length)) yield return key;
                }

                continue;
            }

            TrieGroup?[] children = TrieWalk.Split(entries, TrieWalk.NextFork(entries, group.Index));
            foreach (int digit in order)
                if (children[digit] is { } child) open.Push(child);
        }
    }

    // While nothing on the way is ambiguous and all of it is here, there is one entry to look at for each step. False otherwise.
    private bool TryFollow(DatabaseEntry head, string key, KeyPath path, out DatabaseEntry? found)
    {
        DatabaseEntry at = head;
        found = null;
        for (int index = 0; ;)
        {
            // An index may lead aside also where the entry itself stays on the way: somebody else's entries lie there.
            int leaves = Math.Min(path.Diverges(at.Path, 0), path.Length - 1);
            if (leaves < Math.Min(index, path.Length - 1)) return false;
            TrieBucket? bucket = at.Trie.From(Math.Min(index, leaves));
            while (bucket is { } aside && aside.Index < leaves)
            {
                if (!aside[path[aside.Index]].IsEmpty) return false;
                bucket = aside.Position + 1 < at.Trie.Count ? new TrieBucket(at.Trie, aside.Position + 1) : null;
            }

            ReadOnlySpan<EntryId> next = bucket is { } fork && fork.Index == leaves ? fork[path[leaves]] : [];
            if (at.Path.Length == path.Length && leaves == path.Length - 1 && at.Path[leaves] == KeyPath.End)
            {
                if (!next.IsEmpty) return false;
                found = at.Key == key ? at : null;
                return true;
            }

            if (next.IsEmpty) return true;
            if (next.Length > 1 || !_database.TryEntry(next[0], out at)) return false;
            index = leaves + 1;
            if (path.Diverges(at.Path, 0) < index) return false;
        }
    }

    private static IEnumerable<DatabaseKey> Keys(DatabaseEntry[] entries) => entries is [{ } one] ? [new DatabaseKey(one.Key, entries)] :
        entries.GroupBy(entry => entry.Key, StringComparer.Ordinal).Select(key => new DatabaseKey(key.Key, DatabaseEntry.Uncovered([.. key])));
}
