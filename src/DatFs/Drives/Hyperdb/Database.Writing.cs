using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdb;

/// <summary>A change to be written: a put, or a deletion where <paramref name="Deleted"/>.</summary>
/// <param name="Key">One leading slash is dropped.</param>
/// <param name="Value">Null = none.</param>
/// <param name="Deleted">A tombstone is written, also for a key that does not exist.</param>
public readonly record struct DatabaseWrite(string Key, ReadOnlyMemory<byte>? Value, bool Deleted = false);

/// <summary>Writing (hyperdb-multiwriter.md §6, §9, §10): what is seen when a change begins is what it replaces. Changes take turns.</summary>
public sealed partial class Database
{
    private readonly SemaphoreSlim _writing = new(1);

    /// <summary>Writes a value over all that is visible of a key.</summary>
    /// <exception cref="DatException">NotWritable, Invalid, Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<DatabaseEntry> PutAsync(string key, ReadOnlyMemory<byte>? value, CancellationToken ct) => (await WriteAsync([new DatabaseWrite(key, value)], ct))[0];

    /// <summary>Writes a tombstone over all that is visible of a key.</summary>
    /// <exception cref="DatException">NotWritable, Invalid, Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<DatabaseEntry> DeleteAsync(string key, CancellationToken ct) => (await WriteAsync([new DatabaseWrite(key, null, true)], ct))[0];

    /// <summary>Writes changes one after the other under one signature: all of them are here after a crash, or none.</summary>
    /// <exception cref="DatException">NotWritable, Invalid, Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<IReadOnlyList<DatabaseEntry>> WriteAsync(IReadOnlyList<DatabaseWrite> changes, CancellationToken ct)
    {
        if (changes.Count == 0) return [];
        await _writing.WaitAsync(ct);
        try
        {
            return await CommitAsync(changes, null, ct);
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Writes what is prepared while nobody else writes: bytes go to our content feed first, and the changes that it answers with name them.</summary>
    /// <exception cref="DatException">NotWritable, Invalid, Offline, TimedOut, Corrupt, Io.</exception>
    internal ValueTask<IReadOnlyList<DatabaseEntry>> WriteAsync(Func<Feed, ValueTask<IReadOnlyList<DatabaseWrite>>> prepare, CancellationToken ct) => WriteAsync(prepare, null, ct);

    /// <summary>The same, unless what the changes would replace is not as expected: then none is written, and none is answered.</summary>
    /// <exception cref="DatException">NotWritable, Invalid, Offline, TimedOut, Corrupt, Io.</exception>
    internal async ValueTask<IReadOnlyList<DatabaseEntry>> WriteAsync(
        Func<Feed, ValueTask<IReadOnlyList<DatabaseWrite>>> prepare, Func<DatabaseView, ValueTask<bool>>? expected, CancellationToken ct)
    {
        await _writing.WaitAsync(ct);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            Feed content = OwnContent(_local ?? throw NotWritable()) ?? throw NotWritable();
            IReadOnlyList<DatabaseWrite> changes = await prepare(content);
            return changes.Count == 0 ? [] : await CommitAsync(changes, null, ct, expected);
        }
        finally
        {
            _writing.Release();
        }
    }

    /// <summary>Lets somebody write (§10). There is no way back. False when they may already.</summary>
    /// <exception cref="DatException">NotWritable, Unsupported (too many writers), Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<bool> AuthorizeAsync(FeedKey key, CancellationToken ct)
    {
        await _writing.WaitAsync(ct);
        try
        {
            if (FindWriter(key) is { Authorized: true }) return false;
            if (_local is null) throw NotWritable();
            int number;
            lock (_gate) number = NumberOf(key);
            await CommitAsync([new DatabaseWrite("", null)], _writers[number], ct);
            return true;
        }
        finally
        {
            _writing.Release();
        }
    }

    private async ValueTask<DatabaseEntry[]> CommitAsync(
        IReadOnlyList<DatabaseWrite> changes, Writer? newcomer, CancellationToken ct, Func<DatabaseView, ValueTask<bool>>? expected = null)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Writer local = _local ?? throw NotWritable();
        DatabaseView view = Held();
        if (expected is not null && !await expected(view)) return [];
        if (local.Feed.Length > 1 && local.List is null) throw new DatException(DatError.Corrupt, "our own newest entry cannot be read, so nothing can be written after it");

        // Entries seen may know of blocks that are not here yet; what their tries name is known then.
        long[] lengths = [.. view.Lengths];
        foreach (DatabaseEntry head in view.Heads)
        {
            if (head.ClockLength > lengths.Length) Array.Resize(ref lengths, head.ClockLength);
            for (int number = 0; number < head.ClockLength; number++) lengths[number] = Math.Max(lengths[number], head.Known(number));
        }

        long first = local.Feed.Length;
        FeedKey[] list = ListOf(local, newcomer);
        int[] numbers = [.. list.Select(key => FindWriter(key)!.Number)];
        int[] stored = new int[_writers.Length];
        for (int at = 0; at < numbers.Length; at++) stored[numbers[at]] = at;
        long inflate = local.List is { } known && known.Keys.Length == list.Length ? known.Seq : first;
        List<ReadOnlyMemory<byte>> blocks = [];
        DatabaseEntry[] entries = new DatabaseEntry[changes.Count];
        try
        {
            for (int i = 0; i < changes.Count; i++)
            {
                long seq = first + i;
                IReadOnlyList<DatabaseEntry> heads = i == 0 ? view.Heads : [entries[i - 1]];
                string key = Check(changes[i]);
                KeyPath path = KeyPath.Of(key);
                Trie trie = await new TrieBuilder(this, key, path).BuildAsync(heads, ct);
                long[] clock = [.. numbers.Select(number => number == local.Number ? seq + 1 : number < lengths.Length ? lengths[number] : 0)];
                bool inflated = inflate == seq;
                EntryMessage message = new(
                    key, changes[i].Value?.ToArray(), changes[i].Deleted, trie.Encode(stored), clock, inflate, inflated ? list : [], inflated ? OwnContent(local)?.Key : null);
                byte[] block = EntryCodec.Encode(message);

                // What every reader would refuse is never signed.
                _ = EntryCodec.Decode(seq, block);
                if (block.Length > Feed.MaxBlockSize) throw new DatException(DatError.Invalid, $"the value of {key} is too large");
                blocks.Add(block);
                long[] ours = new long[numbers.Max() + 1];
                for (int at = 0; at < numbers.Length; at++) ours[numbers[at]] = clock[at];
                entries[i] = new DatabaseEntry(new EntryId(local.Number, seq), local.Key, message, path, trie, ours);
                _pending[entries[i].Id] = entries[i];
            }

            await local.Feed.AppendAsync(blocks, CancellationToken.None);
            foreach (DatabaseEntry entry in entries) _cache.Add(entry.Id, entry, entry.Weight);
        }
        finally
        {
            foreach (DatabaseEntry? entry in entries)
                if (entry is not null) _pending.TryRemove(entry.Id, out _);
        }

        if (inflate == first) LearnOwn(local, first, blocks[0].Span);
        Step();
        return entries;
    }

    // The entry is signed: a disk that keeps the newcomers out for now is no reason to say that it is not.
    private void LearnOwn(Writer local, long seq, ReadOnlySpan<byte> block)
    {
        try
        {
            lock (_gate) Learn(local, seq, EntryCodec.Decode(seq, block));
        }
        catch (DatException failure) when (failure.Error == DatError.Io)
        {
            TryAgainLater(failure);
        }
    }

    // Our own earlier order, then whoever came since (§6).
    private FeedKey[] ListOf(Writer local, Writer? newcomer)
    {
        lock (_gate)
        {
            FeedKey[] earlier = local.List?.Keys ?? [];
            return [.. earlier, .. _writers.Where(writer => writer.Authorized || writer == local || writer == newcomer).Select(writer => writer.Key).Except(earlier)];
        }
    }

    private Feed? OwnContent(Writer local)
    {
        if (!_storage.HasContent) return null;
        lock (_gate)
        {
            if (local.Content is { } known) return known;
            using SecretKey secret = DatabaseStorage.ContentSecret(local.Feed) ?? throw NotWritable();
            return local.Content = _storage.OpenContent(local, secret.PublicKey);
        }
    }

    private static string Check(DatabaseWrite change)
    {
        string key = KeyPath.Normalise(change.Key);
        if (System.Text.Encoding.UTF8.GetByteCount(key) > EntryCodec.MaxKeyLength || key.AsSpan().Count('/') >= EntryCodec.MaxComponents) throw new DatException(DatError.Invalid, "the key is too long");
        return key;
    }

    private static DatException NotWritable() => new(DatError.NotWritable, "this machine has no feed of its own in the database");
}
