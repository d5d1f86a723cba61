namespace DatFs.Drives.Hyperdb;

/// <summary>A key that is not the same in two versions; null where it does not exist.</summary>
public sealed record DatabaseDifference(string Key, DatabaseKey? Left, DatabaseKey? Right);

/// <summary>What came before (hyperdb-multiwriter.md §11).</summary>
public sealed partial class DatabaseView
{
    /// <summary>Every entry that led to this version, each after all that it covers; where that leaves a choice, by writer's key.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async IAsyncEnumerable<DatabaseEntry> HistoryAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken ct)
    {
        int writers = _heads.Length == 0 ? 0 : _heads.Max(head => head.ClockLength);
        long[] end = new long[writers], at = new long[writers];
        DatabaseEntry?[] next = new DatabaseEntry?[writers];
        for (int number = 0; number < writers; number++)
        {
            end[number] = _heads.Max(head => head.Known(number));
            at[number] = 1;
        }

        int[] order = [.. Enumerable.Range(0, writers).OrderBy(number => _database.WriterKey(number).ToHex(), StringComparer.Ordinal)];
        while (true)
        {
            int chosen = -1;
            foreach (int number in order)
            {
                if (at[number] >= end[number]) continue;
                next[number] ??= await _database.EntryAsync(new EntryId(number, at[number]), ct);
                if (!IsDue(next[number]!, at, end)) continue;
                chosen = number;
                break;
            }

            // Clocks that wait for each other are no writer's; then the order does not matter.
            if (chosen < 0) chosen = Array.FindIndex(order, number => at[number] < end[number]) is >= 0 and int first ? order[first] : -1;
            if (chosen < 0) yield break;
            yield return next[chosen]!;
            next[chosen] = null;
            at[chosen]++;
        }
    }

    /// <summary>Every entry that led to this version, each before all that it covers; read as far as is asked for.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async IAsyncEnumerable<DatabaseEntry> NewestFirstAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken ct)
    {
        int writers = _heads.Length == 0 ? 0 : _heads.Max(head => head.ClockLength);
        List<DatabaseEntry> open = [];
        for (int number = 0; number < writers; number++)
            if (_heads.Max(head => head.Known(number)) is >= 2 and long length) open.Add(await _database.EntryAsync(new EntryId(number, length - 1), ct));
        while (open.Count > 0)
        {
            // Of each writer the newest is open, and knows all that his earlier ones do.
            DatabaseEntry next = open.Where(entry => !open.Exists(other => other.Covers(entry))).OrderBy(entry => entry.Writer.ToHex(), StringComparer.Ordinal).FirstOrDefault() ?? open[0];
            yield return next;
            open.Remove(next);
            if (next.Seq > 1) open.Add(await _database.EntryAsync(new EntryId(next.Id.Writer, next.Seq - 1), ct));
        }
    }

    /// <summary>The entries that a key has had, newest first: each before all that it covers.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<IReadOnlyList<DatabaseEntry>> KeyHistoryAsync(string key, CancellationToken ct)
    {
        Dictionary<EntryId, DatabaseEntry> found = [];
        Queue<DatabaseEntry> open = new(await GetAsync(key, ct, deletes: true));
        while (open.TryDequeue(out DatabaseEntry? entry))
        {
            if (!found.TryAdd(entry.Id, entry)) continue;
            foreach (DatabaseEntry earlier in await (await BeforeAsync(entry, ct)).GetAsync(key, ct, deletes: true)) open.Enqueue(earlier);
        }

        List<DatabaseEntry> left = [.. found.Values.OrderBy(entry => entry.Writer.ToHex(), StringComparer.Ordinal).ThenByDescending(entry => entry.Seq)];
        List<DatabaseEntry> ordered = [];
        while (left.Count > 0)
        {
            DatabaseEntry next = left.Find(entry => !left.Exists(other => other.Covers(entry))) ?? left[0];
            left.Remove(next);
            ordered.Add(next);
        }

        return ordered;
    }

    /// <summary>What an entry's writer saw when it was written.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public ValueTask<DatabaseView> BeforeAsync(DatabaseEntry entry, CancellationToken ct)
    {
        long[] before = new long[entry.ClockLength];
        for (int number = 0; number < before.Length; number++) before[number] = number == entry.Id.Writer ? entry.Seq : entry.Known(number);
        return _database.AtAsync(before, ct);
    }

    /// <summary>Keys whose visible entries differ from those of another version of the same database. Parts that both share are not read.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async IAsyncEnumerable<DatabaseDifference> DiffAsync(DatabaseView other, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken ct)
    {
        Stack<(TrieGroup? Left, TrieGroup? Right)> open = new([(TrieWalk.Root(_heads), TrieWalk.Root(other._heads))]);
        while (open.TryPop(out (TrieGroup? Left, TrieGroup? Right) pair))
        {
            if ((pair.Left ?? pair.Right) is not { } any) continue;
            if (pair.Left is not null && pair.Right is not null && pair.Left.HasSame(pair.Right)) continue;
            DatabaseEntry[] left = pair.Left is null ? [] : await _walk.EntriesAsync(pair.Left, ct);
            DatabaseEntry[] right = pair.Right is null ? [] : await _walk.EntriesAsync(pair.Right, ct);
            if (any.Digit == KeyPath.End)
            {
                foreach (DatabaseDifference difference in Differences(left, right)) yield return difference;
                continue;
            }

            int fork = TrieWalk.NextFork([.. left, .. right], any.Index);
            TrieGroup?[] none = new TrieGroup?[KeyPath.DigitValues];
            TrieGroup?[] lefts = left.Length == 0 ? none : TrieWalk.Split(left, fork), rights = right.Length == 0 ? none : TrieWalk.Split(right, fork);
            foreach (int digit in s_reverse) open.Push((lefts[digit], rights[digit]));
        }
    }

    private static IEnumerable<DatabaseDifference> Differences(DatabaseEntry[] left, DatabaseEntry[] right)
    {
        Dictionary<string, DatabaseKey> lefts = Keys(left).Where(key => key.IsLive).ToDictionary(key => key.Key, StringComparer.Ordinal);
        Dictionary<string, DatabaseKey> rights = Keys(right).Where(key => key.IsLive).ToDictionary(key => key.Key, StringComparer.Ordinal);
        foreach (string key in lefts.Keys.Union(rights.Keys, StringComparer.Ordinal))
        {
            DatabaseKey? l = lefts.GetValueOrDefault(key), r = rights.GetValueOrDefault(key);
            if (l is null || r is null || !l.Entries.Select(entry => entry.Id).SequenceEqual(r.Entries.Select(entry => entry.Id))) yield return new DatabaseDifference(key, l, r);
        }
    }

    private static bool IsDue(DatabaseEntry entry, long[] at, long[] end)
    {
        for (int number = 0; number < at.Length; number++)
            if (number != entry.Id.Writer && at[number] < Math.Min(entry.Known(number), end[number])) return false;
        return true;
    }
}
