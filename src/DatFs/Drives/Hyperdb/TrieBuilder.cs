namespace DatFs.Drives.Hyperdb;

/// <summary>
/// The index of a new entry over all that its writer sees (hyperdb-multiwriter.md §9). One worker for each head walks its tries along the new
/// path; they take turns as the reference's readers do, so that lists come out in the same order.
/// </summary>
internal sealed class TrieBuilder(Database database, string key, KeyPath path)
{
    private readonly SortedDictionary<int, List<EntryId>[]> _buckets = [];
    private readonly Queue<Read> _reads = new();
    private readonly HashSet<Read> _met = [];

    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<Trie> BuildAsync(IReadOnlyList<DatabaseEntry> heads, CancellationToken ct)
    {
        foreach (DatabaseEntry head in heads) Step(head, 0);
        while (_reads.TryDequeue(out Read read))
        {
            DatabaseEntry entry = await database.EntryAsync(read.Entry, ct);
            if (read.Digit >= 0)
            {
                if (entry.Key != key) Add(read.Index, read.Digit, read.Entry);
                continue;
            }

            if (entry.Path.Length < read.Index || entry.Path.Diverges(path, 0) < read.Index)
                throw new DatException(DatError.Corrupt, $"the index of the database leads to {entry}, which does not lie there");
            Step(entry, read.Index);
        }

        return Trie.Of(_buckets);
    }

    private void Step(DatabaseEntry head, int index)
    {
        for (int i = index; i < path.Length; i++)
        {
            int digit = path[i];
            TrieBucket? bucket = head.Trie.At(i);
            for (int other = 0; bucket is { } lists && other < KeyPath.DigitValues; other++)
            {
                // What lies under our own digit is told better by entries closer to us; at the end, all but the key's own is kept.
                if (other == digit && digit != KeyPath.End) continue;
                foreach (EntryId pointer in lists[other])
                {
                    if (digit == KeyPath.End) Later(new Read(pointer, i, other));
                    else Add(i, other, pointer);
                }
            }

            int own = head.Path[i];
            if (own == digit && (own != KeyPath.End || head.Key == key)) continue;
            Add(i, own, head.Id);
            if (digit == KeyPath.End || bucket is not { } fork || fork[digit] is not [EntryId first, .. ReadOnlySpan<EntryId> others]) return;

            // The reference goes on with the first one after it has begun with the others.
            foreach (EntryId pointer in others) Later(new Read(pointer, i + 1, -1));
            Later(new Read(first, i + 1, -1));
            return;
        }
    }

    private void Later(Read read)
    {
        if (_met.Add(read)) _reads.Enqueue(read);
    }

    private void Add(int index, int digit, EntryId entry)
    {
        if (!_buckets.TryGetValue(index, out List<EntryId>[]? lists)) _buckets.Add(index, lists = [[], [], [], [], []]);
        if (!lists[digit].Contains(entry)) lists[digit].Add(entry);
    }

    /// <summary>An entry that has to be read: to go on with it from an index, or, with a digit, to be kept there if it is of another key.</summary>
    private readonly record struct Read(EntryId Entry, int Index, int Digit);
}
