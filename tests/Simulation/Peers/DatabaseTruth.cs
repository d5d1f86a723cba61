using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Feeds;

namespace DatMount.Simulation;

/// <summary>A change that a writer wants to make.</summary>
internal readonly record struct TrueChange(string Key, byte[]? Value, bool Deleted)
{
    /// <summary>The value; none is not an empty one.</summary>
    public ReadOnlyMemory<byte>? Bytes => Value is null ? default(ReadOnlyMemory<byte>?) : Value;
}

/// <summary>Changes that a writer is about to make together.</summary>
internal sealed class TrueAttempt(TrueChange[] changes)
{
    public TrueChange[] Changes => changes;

    /// <summary>First block that they became; -1 = they are not signed.</summary>
    public long First { get; set; } = -1;
}

/// <summary>Who may write, or wants to, and every block that was signed.</summary>
internal sealed class TrueWriter(int number, byte[] seed, FeedKey key)
{
    public int Number => number;

    public FeedKey Key => key;

    /// <summary>The source leads to it in the end.</summary>
    public bool Invited { get; set; } = true;

    /// <summary>Blocks, the header first.</summary>
    public List<byte[]> Blocks { get; } = [];

    /// <summary>What the blocks from the second on say.</summary>
    public List<TrueEntry> Entries { get; } = [];

    /// <summary>What it is about to do.</summary>
    public List<TrueAttempt> Attempts { get; } = [];

    public SecretKey Secret() => SecretKey.FromSeed(seed);
}

/// <summary>
/// The blocks of every writer of a database. What a writer has signed counts for ever: nothing else may ever be found in its place, and it comes
/// back with all of it after whatever befell it.
/// </summary>
internal sealed class DatabaseTruth
{
    private readonly World _world;
    private readonly Dictionary<FeedKey, TrueWriter> _byKey = [];
    private string? _agreed;
    private string _agreedBy = "";

    public DatabaseTruth(World world, Rng rng, int writers)
    {
        _world = world;
        for (int number = 0; number < writers; number++)
        {
            byte[] seed = rng.Bytes(SecretKey.SeedSize);
            using SecretKey secret = SecretKey.FromSeed(seed);
            TrueWriter writer = new(number, seed, secret.PublicKey);
            Writers.Add(writer);
            _byKey.Add(writer.Key, writer);
        }
    }

    /// <summary>All of them, the source first.</summary>
    public List<TrueWriter> Writers { get; } = [];

    public FeedKey Key => Writers[0].Key;

    /// <summary>Versions that somebody has seen.</summary>
    public List<byte[]> Versions { get; } = [];

    /// <summary>Every key ever written.</summary>
    public IEnumerable<string> Keys => Writers.SelectMany(writer => writer.Entries).Select(entry => entry.Key).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);

    public TrueWriter? Find(FeedKey key) => _byKey.GetValueOrDefault(key);

    /// <summary>A writer is about to make changes together.</summary>
    public static TrueAttempt Attempt(TrueWriter writer, TrueChange[] changes)
    {
        TrueAttempt attempt = new(changes);
        writer.Attempts.Add(attempt);
        return attempt;
    }

    /// <summary>Changes were acknowledged, as these entries.</summary>
    public void Acknowledge(TrueWriter writer, TrueAttempt attempt, IReadOnlyList<DatabaseEntry> entries)
    {
        writer.Attempts.Remove(attempt);
        _world.Check(attempt.First >= 0, $"w{writer.Number}: changes were acknowledged that nobody signed");
        for (int i = 0; i < entries.Count; i++)
            _world.Check(entries[i].Writer == writer.Key && entries[i].Seq == attempt.First + i, $"w{writer.Number}: change {i} is acknowledged as {entries[i]}, and was signed as block {attempt.First + i}");
    }

    /// <summary>Changes were refused, and their writer goes on.</summary>
    public void Withdraw(TrueWriter writer, TrueAttempt attempt)
    {
        writer.Attempts.Remove(attempt);
        _world.Check(attempt.First < 0, $"w{writer.Number}: changes failed, and block {attempt.First} is one of them all the same");
    }

    /// <summary>A writer has blocks that are signed; some of them may be new.</summary>
    public void Signed(TrueWriter writer, Feed feed, long start, long end)
    {
        for (long seq = start; seq < end; seq++)
        {
            if (Read(writer, feed, seq) is not { } bytes) return;
            if (seq < writer.Blocks.Count)
            {
                Compare($"w{writer.Number}", writer, seq, bytes);
                continue;
            }

            _world.Check(seq == writer.Blocks.Count, $"w{writer.Number} signed block {seq} after {writer.Blocks.Count}");
            if (seq == 0)
            {
                _world.Check(bytes.AsSpan().SequenceEqual(EntryCodec.Header), $"w{writer.Number} begins with {Convert.ToHexString(bytes)}");
                writer.Blocks.Add(bytes);
                continue;
            }

            // What is signed is the whole of something attempted.
            List<TrueEntry> entries = [];
            for (long at = seq; at < end && Read(writer, feed, at) is { } block; at++)
            {
                entries.Add(TrueEntry.Read(_world, this, writer, at, block));
                if (_world.Failure is not null) return;
                writer.Blocks.Add(block);
                writer.Entries.Add(entries[^1]);
            }

            for (int taken = 0; taken < entries.Count;)
            {
                TrueAttempt? attempt = writer.Attempts.Find(one => one.First < 0 && one.Changes.Length <= entries.Count - taken && one.Changes.Index().All(change => entries[taken + change.Index].Is(change.Item)));
                if (attempt is null)
                {
                    _world.Fail($"w{writer.Number} signed block {entries[taken].Seq}, '{entries[taken].Key}', as the beginning of nothing it meant to do");
                    return;
                }

                attempt.First = entries[taken].Seq;
                taken += attempt.Changes.Length;
            }

            return;
        }
    }

    /// <summary>A writer came back: whatever it had signed is there, and what else it attempted never was.</summary>
    public void Reconcile(TrueWriter writer, Feed feed)
    {
        _world.Check(feed.Length >= writer.Blocks.Count, $"w{writer.Number} had signed {writer.Blocks.Count} blocks and came back with {feed.Length}");
        Signed(writer, feed, 0, feed.Length);
        writer.Attempts.Clear();
    }

    /// <summary>Somebody holds a block.</summary>
    public void See(string who, Feed feed, long seq)
    {
        if (Find(feed.Key) is not { } writer) return;
        _world.Check(seq < writer.Blocks.Count, $"{who} has block {seq} of w{writer.Number}, who signed {writer.Blocks.Count}");
        if (Read(writer, feed, seq) is { } bytes && seq < writer.Blocks.Count) Compare(who, writer, seq, bytes);
    }

    /// <summary>Somebody knows of so many blocks.</summary>
    public void SeeLength(string who, FeedKey key, long length)
    {
        if (Find(key) is { } writer) _world.Check(length <= writer.Blocks.Count, $"{who} believes in {length} blocks of w{writer.Number}, who signed {writer.Blocks.Count}");
    }

    /// <summary>All who are shown the same say the same.</summary>
    public void Agree(string who, string answers)
    {
        _agreedBy = _agreed is null ? who : _agreedBy;
        _agreed ??= answers;
        _world.Check(_agreed == answers, $"{_agreedBy} answers\n{_agreed}\nand {who} answers\n{answers}");
    }

    private void Compare(string who, TrueWriter writer, long seq, byte[] bytes) =>
        _world.Check(bytes.AsSpan().SequenceEqual(writer.Blocks[(int)seq]), $"{who} has other bytes in block {seq} of w{writer.Number} than were signed first");

    private byte[]? Read(TrueWriter writer, Feed feed, long seq)
    {
        if (feed.TryRead(seq, out BlockLease block))
        {
            using (block) return block.Memory.ToArray();
        }

        _world.Fail($"block {seq} of w{writer.Number} was said to be there and is not");
        return null;
    }
}
