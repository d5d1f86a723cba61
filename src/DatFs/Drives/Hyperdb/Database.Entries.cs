using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdb;

/// <summary>Entries, read and renumbered, and the writers that their lists make known (hyperdb-multiwriter.md §6, §7).</summary>
public sealed partial class Database
{
    /// <summary>Memory kept for decoded entries, in bytes.</summary>
    public const long CachedBytes = 64L << 20;

    private readonly WeightedCache<EntryId, DatabaseEntry> _cache = new(CachedBytes);
    private long _decoded;

    /// <summary>Entries decoded so far: what answers cost.</summary>
    public long Decoded => Volatile.Read(ref _decoded);

    /// <summary>An entry that can be had without waiting for a peer.</summary>
    /// <exception cref="DatException">Corrupt, Io.</exception>
    internal bool TryEntry(EntryId id, out DatabaseEntry entry)
    {
        if (_pending.TryGetValue(id, out entry!)) return true;
        if (_cache.TryGet(id, out DatabaseEntry? cached))
        {
            entry = cached;
            return true;
        }

        Writer writer = _writers[id.Writer];
        if (!writer.Feed.TryRead(id.Seq, out BlockLease block)) return false;
        using (block)
        {
            EntryBlock stored = Decode(writer, id.Seq, block);
            if (ListFor(writer, id.Seq, stored) is not { } list)
            {
                if (!writer.Feed.TryRead(stored.Message.Inflate!.Value, out BlockLease listBlock)) return false;
                using (listBlock) list = Inflate(writer, stored.Message.Inflate.Value, listBlock);
            }

            entry = Number(writer, id, stored, list);
            return true;
        }
    }

    /// <summary>An entry. Completes synchronously when it is held.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    internal ValueTask<DatabaseEntry> EntryAsync(EntryId id, CancellationToken ct) =>
        TryEntry(id, out DatabaseEntry entry) ? ValueTask.FromResult(entry) : FetchAsync(id, ct);

    private async ValueTask<DatabaseEntry> FetchAsync(EntryId id, CancellationToken ct)
    {
        Writer writer = _writers[id.Writer];
        using BlockLease block = await writer.Feed.ReadAsync(id.Seq, FetchPriority.Interactive, ct);
        EntryBlock stored = Decode(writer, id.Seq, block);
        WriterList? list = ListFor(writer, id.Seq, stored);
        if (list is null)
        {
            using BlockLease listBlock = await writer.Feed.ReadAsync(stored.Message.Inflate!.Value, FetchPriority.Interactive, ct);
            list = Inflate(writer, stored.Message.Inflate.Value, listBlock);
        }

        return Number(writer, id, stored, list);
    }

    /// <summary>The list of writers under which an entry was written, the entry that holds it, and its block.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    internal async ValueTask<(DatabaseEntry Entry, long Seq, FeedKey[] Keys)> ListAtAsync(Writer writer, long seq, CancellationToken ct)
    {
        using BlockLease named = await writer.Feed.ReadAsync(seq, FetchPriority.Interactive, ct);
        long at = Decode(writer, seq, named).Message.Inflate!.Value;
        using BlockLease block = await writer.Feed.ReadAsync(at, FetchPriority.Interactive, ct);
        EntryBlock stored = Decode(writer, at, block);
        return (await EntryAsync(new EntryId(writer.Number, at), ct), at, stored.Message.Feeds);
    }

    private static EntryBlock Decode(Writer writer, long seq, BlockLease block)
    {
        try
        {
            return EntryCodec.Decode(seq, block.Memory.Span);
        }
        catch (DatException refused) when (refused.Error == DatError.Corrupt)
        {
            throw Corrupt(writer, refused.Message);
        }
    }

    // The list that numbers an entry, where it is known already or in the entry itself.
    private WriterList? ListFor(Writer writer, long seq, EntryBlock stored) =>
        stored.IsInflated ? Learn(writer, seq, stored) : KnownList(writer) is { } list && list.Seq >= stored.Message.Inflate ? list : null;

    // Whoever reads by a list finds the feeds of those it names; one that is being learned is waited for.
    private WriterList? KnownList(Writer writer)
    {
        WriterList? list = writer.List;
        if (_authorized) return list;
        lock (_gate) return writer.List;
    }

    private WriterList Inflate(Writer writer, long seq, BlockLease block)
    {
        EntryBlock stored = Decode(writer, seq, block);
        if (!stored.IsInflated) throw Corrupt(writer, $"database block {seq} holds no list of writers, though another names it");
        return Learn(writer, seq, stored);
    }

    // Takes a list over; keys that it names for the first time become writers.
    private WriterList Learn(Writer writer, long seq, EntryBlock stored)
    {
        lock (_gate)
        {
            FeedKey[] keys = stored.Message.Feeds;
            WriterList? known = writer.List;
            if (known is not null && !Continues(keys, seq, known)) throw Corrupt(writer, $"the list of writers in database block {seq} is no continuation of the earlier one");
            if (known is not null && known.ContentFeed is not null && stored.Message.ContentFeed is { } content && content != known.ContentFeed) throw Corrupt(writer, $"database block {seq} names another content feed");
            if (known is not null && seq <= known.Seq) return known;
            if (!keys.Contains(writer.Key)) throw Corrupt(writer, $"the list of writers in database block {seq} does not name its own");
            int[] numbers = [.. keys.Select(NumberOf)];
            WriterList list = new(seq, keys, numbers, stored.Message.ContentFeed ?? known?.ContentFeed);
            _authorized = false;
            writer.List = list;
            Authorize();
            return list;
        }
    }

    private static bool Continues(FeedKey[] keys, long seq, WriterList known)
    {
        int shared = Math.Min(keys.Length, known.Keys.Length);
        if (!keys.AsSpan(0, shared).SequenceEqual(known.Keys.AsSpan(0, shared))) return false;
        return seq < known.Seq ? keys.Length <= known.Keys.Length : keys.Length >= known.Keys.Length;
    }

    private Writer? FindWriter(FeedKey key)
    {
        lock (_gate) return _numbers.TryGetValue(key, out int number) ? _writers[number] : null;
    }

    private int NumberOf(FeedKey key)
    {
        if (_numbers.TryGetValue(key, out int number)) return number;
        if (_writers.Length >= EntryCodec.MaxWriters) throw new DatException(DatError.Unsupported, $"the database has more than {EntryCodec.MaxWriters} writers");
        return Add(_storage.OpenPeer(key)).Number;
    }

    private Writer Add(Feed feed)
    {
        Writer writer = new(_writers.Length, feed);
        _numbers.Add(feed.Key, writer.Number);
        _writers = [.. _writers, writer];
        _joined.Add(feed.Observe(_ear));
        return writer;
    }

    private DatabaseEntry Number(Writer writer, EntryId id, EntryBlock stored, WriterList list)
    {
        long[] stamps = stored.Message.Clock;
        if (stamps.Length > list.Keys.Length) throw Corrupt(writer, $"database block {id.Seq} has a clock for more writers than are listed");
        int highest = -1;
        foreach (int number in list.Numbers.AsSpan(0, stamps.Length)) highest = Math.Max(highest, number);
        long[] clock = new long[highest + 1];
        for (int at = 0; at < stamps.Length; at++) clock[list.Numbers[at]] = stamps[at];
        if (id.Writer >= clock.Length || clock[id.Writer] != id.Seq + 1) throw Corrupt(writer, $"the clock of database block {id.Seq} does not count itself");
        foreach (EntryId pointer in stored.Trie.Pointers)
            if (pointer.Seq >= id.Seq && list.Numbers[pointer.Writer] == id.Writer) throw Corrupt(writer, $"database block {id.Seq} points at itself");

        DatabaseEntry entry = new(id, writer.Key, stored.Message, stored.Path, stored.Trie.Renumber(list.Numbers), clock);
        Interlocked.Increment(ref _decoded);
        _cache.Add(id, entry, entry.Weight);
        return entry;
    }

    private static DatException Corrupt(Writer writer, string why) => new(DatError.Corrupt, $"writer {writer.Feed.DiscoveryKey}: {why}");
}
