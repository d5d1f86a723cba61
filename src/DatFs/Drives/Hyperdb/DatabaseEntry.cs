using DatFs.Crypto;

namespace DatFs.Drives.Hyperdb;

/// <summary>One put or deletion of one writer (hyperdb-multiwriter.md §2), with the writers numbered as this machine numbers them. Immutable.</summary>
public sealed class DatabaseEntry
{
    private readonly long[] _clock;

    internal DatabaseEntry(EntryId id, FeedKey writer, EntryMessage message, KeyPath path, Trie trie, long[] clock)
    {
        Id = id;
        Writer = writer;
        Key = message.Key;
        Value = message.Value is { } value ? (ReadOnlyMemory<byte>?)value : null;
        Deleted = message.Deleted;
        Path = path;
        Trie = trie;
        _clock = clock;
        Weight = 256 + 2L * Key.Length + (message.Value?.Length ?? 0) + 8L * clock.Length + message.Trie.Length + trie.Weight + path.Length / 4;
    }

    /// <summary>Who wrote it.</summary>
    public FeedKey Writer { get; }

    /// <summary>Its block in the writer's feed, from 1.</summary>
    public long Seq => Id.Seq;

    /// <summary>The key, as stored.</summary>
    public string Key { get; }

    /// <summary>The value; null = none, which is not an empty one.</summary>
    public ReadOnlyMemory<byte>? Value { get; }

    /// <summary>True for a deletion. It may carry a value all the same (§15).</summary>
    public bool Deleted { get; }

    internal EntryId Id { get; }

    internal KeyPath Path { get; }

    internal Trie Trie { get; }

    /// <summary>About how many bytes of memory it takes.</summary>
    internal long Weight { get; }

    /// <summary>Writers that the clock may know.</summary>
    internal int ClockLength => _clock.Length;

    /// <summary>How many blocks of a writer were known when it was written (§6).</summary>
    internal long Known(int writer) => writer < _clock.Length ? _clock[writer] : 0;

    /// <summary>True when whoever wrote this had seen the other (§6).</summary>
    internal bool Covers(DatabaseEntry other) => Id != other.Id && Known(other.Id.Writer) > other.Id.Seq;

    /// <summary>Those that none of the others covers, each once, by writer.</summary>
    internal static DatabaseEntry[] Uncovered(IReadOnlyList<DatabaseEntry> entries)
    {
        if (entries.Count < 2) return [.. entries];
        return [.. entries.DistinctBy(entry => entry.Id).Where(entry => !entries.Any(other => other.Covers(entry))).OrderBy(entry => entry.Id.Writer).ThenBy(entry => entry.Id.Seq)];
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Key} ({Writer} {Seq})";
}
