using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdb;

/// <summary>Who may write, what is newest, and how the writers' feeds are followed (hyperdb-multiwriter.md §7, §14).</summary>
public sealed partial class Database
{
    /// <summary>Blocks behind the announced length among which a readable entry is looked for.</summary>
    public const int MaxHeadsTried = 4096;

    /// <summary>How long a view waits, once, for the feed of a writer of whom nothing is here yet.</summary>
    public static readonly TimeSpan NewcomerPatience = TimeSpan.FromSeconds(1);

    /// <summary>How long after the disk failed it is tried again to take over what was read: nobody may write again to remind us.</summary>
    public static readonly TimeSpan DiskRest = TimeSpan.FromSeconds(5);

    /// <summary>A writer's feed is fetched whole in the background while no more than this many bytes of it are missing.</summary>
    public const long BulkBytes = 16L << 20;

    /// <summary>The database as it is now, after the newest entry of every writer was fetched or could not be had (§7).</summary>
    /// <exception cref="DatException">Offline, TimedOut: not even the source is here. Corrupt, Unsupported, Io.</exception>
    public async ValueTask<DatabaseView> LatestAsync(CancellationToken ct)
    {
        Feed source = _writers[0].Feed;
        if (source.Length == 0)
        {
            if (source.Source is null) throw new DatException(DatError.Offline, "nothing of this database is stored here, and it is used without peers");
            await source.WaitForLengthAsync(1, FetchPriority.Interactive, ct);
        }

        return await ViewAsync(true, ct);
    }

    /// <summary>The database as far as it is held here; never waits.</summary>
    /// <exception cref="DatException">Unsupported, Io.</exception>
    public DatabaseView Held()
    {
        ValueTask<DatabaseView> view = ViewAsync(false, CancellationToken.None);
        return view.IsCompletedSuccessfully ? view.Result : view.AsTask().GetAwaiter().GetResult();
    }

    private async ValueTask<DatabaseView> ViewAsync(bool fetch, CancellationToken ct)
    {
        lock (_gate)
        {
            if (!_authorized) Authorize();
        }

        Dictionary<int, DatabaseEntry?> newest = [];
        long[] lengths = new long[_writers.Length];
        bool stale = false;

        // Lists read in one round authorize writers that come in the next.
        for (bool more = true; more;)
        {
            more = false;
            if (fetch) await AwaitNewcomersAsync(ct);
            foreach (Writer writer in _writers)
            {
                if (newest.ContainsKey(writer.Number) || (!writer.Authorized && writer != _local)) continue;
                if (writer.Number >= lengths.Length) Array.Resize(ref lengths, writer.Number + 1);
                long length = lengths[writer.Number] = writer.Feed.Length;
                if (length < 2) continue;
                DatabaseEntry? entry = await NewestAsync(writer, length, fetch, ct);
                newest.Add(writer.Number, entry);
                lengths[writer.Number] = entry is null ? 1 : entry.Seq + 1;
                stale |= entry?.Seq != length - 1;
                more = true;
            }
        }

        return new DatabaseView(this, DatabaseEntry.Uncovered([.. newest.Values.OfType<DatabaseEntry>()]), lengths) { IsStale = stale };
    }

    // That somebody may write is known before what was written: peers tell of a feed only when they are asked for it.
    private async ValueTask AwaitNewcomersAsync(CancellationToken ct)
    {
        Writer[] newcomers = [.. _writers.Where(writer => writer.Authorized && writer.Feed is { Length: 0, Source: not null } && writer.TryAwait())];
        if (newcomers.Length == 0) return;
        using CancellationTokenSource patience = new(NewcomerPatience, _time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, patience.Token);
        await Task.WhenAll(newcomers.Select(AwaitAsync));

        async Task AwaitAsync(Writer writer)
        {
            try
            {
                await writer.Feed.WaitForLengthAsync(1, FetchPriority.Interactive, either.Token);
            }
            catch (Exception vain) when (vain is DatException { Error: DatError.Offline or DatError.TimedOut } || (vain is OperationCanceledException && !ct.IsCancellationRequested))
            {
                DatabaseLog.Stuck(_log, Key.ToDiscoveryKey(), $"nothing is known yet of writer {writer.Feed.DiscoveryKey}");
            }
        }
    }

    // What cannot be had or read is passed over: what lies before it can still be shown.
    private async ValueTask<DatabaseEntry?> NewestAsync(Writer writer, long length, bool fetch, CancellationToken ct)
    {
        for (long seq = length - 1; seq >= 1 && seq > length - 1 - MaxHeadsTried; seq--)
        {
            try
            {
                EntryId id = new(writer.Number, seq);
                if (fetch && seq == length - 1) return await EntryAsync(id, ct);
                if (TryEntry(id, out DatabaseEntry entry)) return entry;
            }
            catch (DatException failure) when (failure.Error is DatError.Corrupt or DatError.Offline or DatError.TimedOut)
            {
                DatabaseLog.Stuck(_log, Key.ToDiscoveryKey(), failure.Message);
            }
        }

        return null;
    }

    /// <summary>The database as it was when these many blocks of each writer were known.</summary>
    internal async ValueTask<DatabaseView> AtAsync(long[] lengths, CancellationToken ct)
    {
        List<DatabaseEntry> newest = [];
        for (int number = 0; number < lengths.Length; number++)
            if (lengths[number] >= 2) newest.Add(await EntryAsync(new EntryId(number, lengths[number] - 1), ct));
        return new DatabaseView(this, DatabaseEntry.Uncovered(newest), lengths);
    }

    /// <summary>An earlier version (§11), as <see cref="DatabaseView.Version"/> tells it.</summary>
    /// <exception cref="DatException">Invalid: not a version. NotFound: an unknown writer. Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<DatabaseView> CheckoutAsync(ReadOnlyMemory<byte> version, CancellationToken ct)
    {
        List<(FeedKey Writer, long Seq)> named = DatabaseVersion.Parse(version.Span);
        if (named.Exists(head => FindWriter(head.Writer) is null)) await LatestAsync(ct);

        List<DatabaseEntry> heads = [];
        foreach ((FeedKey key, long seq) in named)
        {
            Writer writer = FindWriter(key) ?? throw new DatException(DatError.NotFound, "the version names a writer that this database does not have");
            heads.Add(await EntryAsync(new EntryId(writer.Number, seq), ct));
        }

        long[] lengths = new long[heads.Count == 0 ? 0 : heads.Max(head => head.ClockLength)];
        for (int number = 0; number < lengths.Length; number++) lengths[number] = heads.Max(head => head.Known(number));
        return new DatabaseView(this, [.. heads], lengths);
    }

    // Marks whoever the source's list leads to, and begins to replicate them; all over again after the disk failed in it. The caller has the gate.
    private void Authorize()
    {
        Queue<Writer> found = new([_writers[0]]);
        HashSet<int> seen = [0];
        while (found.TryDequeue(out Writer? writer))
        {
            writer.Authorized = true;
            Join(writer);
            foreach (int number in writer.List?.Numbers ?? [])
                if (seen.Add(number)) found.Enqueue(_writers[number]);
        }

        if (_local is not null) OpenContent(_local);
        _authorized = true;
    }

    private void Join(Writer writer)
    {
        Join(writer.Feed);
        OpenContent(writer);
        if (writer.Content is { } feed) Join(feed);
        Follow(writer);
    }

    // A feed that is another one already is nobody's content.
    private void OpenContent(Writer writer)
    {
        if (writer.Content is not null || !_storage.HasContent || writer.List?.ContentFeed is not { } content) return;
        if (_numbers.ContainsKey(content) || _joinedKeys.Contains(content) || Array.Exists(_writers, other => other.Content?.Key == content)) return;
        writer.Content = _storage.OpenContent(writer, content);
    }

    private void Join(Feed feed)
    {
        if (_network is null || !_joinedKeys.Add(feed.Key)) return;
        _joined.Add(_network.Join(feed));
    }

    // The newest block is what tells of other writers; the rest comes as well while it is little.
    private static void Follow(Writer writer)
    {
        Feed feed = writer.Feed;
        if (feed.Writable || feed.Source is not { } source) return;
        double missing = feed.Length == 0 ? 0 : (double)feed.ByteLength / feed.Length * (feed.Length - feed.HeldBlocks);
        if (missing <= BulkBytes) writer.Following ??= source.Download(0, long.MaxValue, DownloadOrder.NewestFirst, FetchPriority.Metadata);
        if (writer.Following is null) writer.Want(source, feed.Length - 1);
    }
}
