using DatFs.Crypto;
using DatFs.Encoding.Schemas.Hyperdrive;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// A single-writer hyperdrive (hyperdrive.md): a metadata feed with one node for each change, and a content feed with the bytes. The newest
/// view is replaced once its head is here; feeds of a few megabytes of metadata are fetched whole, newest first.
/// </summary>
internal sealed class HyperdriveDrive : IDrive, IFeedObserver
{
    /// <summary>Metadata feeds up to this many bytes are fetched whole in the background.</summary>
    public const long BulkMetadataBytes = 16L << 20;

    /// <summary>Changes listed in one step; more count as "everything".</summary>
    public const int MaxChangedPaths = 4096;

    private readonly Lock _lock = new();
    private readonly NodeSource _nodes;
    private readonly Func<FeedKey, Feed> _openContent;
    private readonly IFeedNetwork? _network;
    private readonly List<Action<DriveChange>> _observers = [];
    private readonly List<IDisposable> _joined = [];
    private readonly SemaphoreSlim _advance = new(1);
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Feed _metadata;
    private readonly IDisposable? _held;
    private volatile Feed? _content;
    private IDisposable? _bulk;
    private HyperdriveView _live;

    public HyperdriveDrive(Feed metadata, Func<FeedKey, Feed> openContent, IFeedNetwork? network, IDisposable? held = null)
    {
        _held = held;
        _metadata = metadata;
        _openContent = openContent;
        _network = network;
        _nodes = new NodeSource(metadata);
        _live = new HyperdriveView(this, _nodes, 0);
        _joined.Add(metadata.Observe(this));
        if (network is not null) _joined.Add(network.Join(metadata));
        Poke();
    }

    public FeedKey Key => _metadata.Key;

    public string Format => "hyperdrive";

    public bool Writable => _metadata.Writable;

    public IDriveView Live => Volatile.Read(ref _live);

    public Feed? Content => _content;

    public DriveStatus Status => new(Live.Version, _metadata.Length, _metadata.HeldBlocks, _content?.Length ?? 0, _content?.HeldBlocks ?? 0, _content?.ByteLength ?? 0);

    public async ValueTask<IDriveView> ReadyAsync(CancellationToken ct)
    {
        if (_metadata.Length == 0) await _metadata.WaitForLengthAsync(1, FetchPriority.Interactive, ct);
        await AdvanceAsync(ct);
        return Live;
    }

    public async ValueTask<IDriveView> CheckoutAsync(long version, CancellationToken ct)
    {
        if (version < 0 || version >= Math.Max(1, _metadata.Length)) throw new DatException(DatError.NotFound, $"there is no version {version}; the newest is {Live.Version}");
        if (version > 0) await _nodes.GetAsync(version, FetchPriority.Interactive, ct);
        return new HyperdriveView(this, _nodes, version);
    }

    public async ValueTask<long> VersionAtAsync(DateTimeOffset time, CancellationToken ct)
    {
        long newest = Live.Version, found = 0;
        long at = time.ToUnixTimeMilliseconds(), seen = 0;
        for (long version = 1; version <= newest; version++)
        {
            HyperNode node = await _nodes.GetAsync(version, FetchPriority.Metadata, ct);
            if (node.Stat is { } stat) seen = Math.Max(seen, stat.Ctime != 0 ? stat.Ctime : stat.Mtime);
            if (seen <= at) found = version;
        }

        return found;
    }

    public IDisposable Observe(Action<DriveChange> observer)
    {
        lock (_lock) _observers.Add(observer);
        return new Leaving(() =>
        {
            lock (_lock) _observers.Remove(observer);
        });
    }

    /// <summary>The content feed, once metadata block 0 named it.</summary>
    public async ValueTask<Feed> ContentAsync(CancellationToken ct)
    {
        if (_content is { } known) return known;
        using BlockLease header = await _metadata.ReadAsync(0, FetchPriority.Interactive, ct);
        Adopt(header.Memory.Span);
        return _content!;
    }

    public void Prefetch(long start, long end, FetchPriority priority)
    {
        if (_content?.Source is not { } source) return;
        for (long block = start; block < end; block++)
        {
            if (_content.HasBlock(block)) continue;
            Observed(source.FetchAsync(block, priority, _closing.Token).AsTask());
        }
    }

    public void LengthChanged(Feed feed, long oldLength, long newLength) => Poke();

    public void BlocksAdded(Feed feed, long start, long count)
    {
        if (start == 0 || Live.Version < _metadata.Length - 1) Poke();
    }

    public void BlocksCleared(Feed feed, long start, long count)
    {
    }

    private void Poke() => Observed(Task.Run(() => AdvanceAsync(_closing.Token).AsTask()));

    // A failure here is met again, and told, by whoever reads next.
    private static void Observed(Task task) => _ = task.ContinueWith(static ended => ended.Exception, TaskContinuationOptions.OnlyOnFaulted);

    private async ValueTask AdvanceAsync(CancellationToken ct)
    {
        if (_metadata.Length == 0) return;
        await ContentAsync(ct);
        StartBulk();
        while (true)
        {
            long version = _metadata.Length - 1;
            if (version <= Live.Version)
            {
                _ready.TrySetResult();
                return;
            }

            await _nodes.GetAsync(version, FetchPriority.Interactive, ct);
            await _advance.WaitAsync(ct);
            try
            {
                if (version > Live.Version) await PublishAsync(version, ct);
            }
            finally
            {
                _advance.Release();
            }
        }
    }

    private async ValueTask PublishAsync(long version, CancellationToken ct)
    {
        HyperdriveView before = Volatile.Read(ref _live), after = new(this, _nodes, version);
        List<DrivePath>? changed = [];
        if (before.Version == 0 && version > 1) changed = null;
        else
        {
            if (version - before.Version > MaxChangedPaths) changed = null;
            for (long seq = before.Version + 1; changed is not null && seq <= version; seq++)
            {
                HyperNode node = await _nodes.GetAsync(seq, FetchPriority.Metadata, ct);
                for (int depth = 1; depth <= node.Parts.Length; depth++)
                {
                    DrivePath path = DrivePath.From(node.PathTo(depth));
                    if (!changed.Contains(path)) changed.Add(path);
                }
            }
        }

        Volatile.Write(ref _live, after);
        Action<DriveChange>[] observers;
        lock (_lock) observers = [.. _observers];
        foreach (Action<DriveChange> observer in observers) observer(new DriveChange(before, after, changed));
    }

    private void StartBulk()
    {
        lock (_lock)
        {
            if (_bulk is null && _metadata.ByteLength <= BulkMetadataBytes && _metadata.Source is { } source)
                _bulk = source.Download(0, long.MaxValue, DownloadOrder.NewestFirst, FetchPriority.Metadata);
        }
    }

    private void Adopt(ReadOnlySpan<byte> block)
    {
        Header? header = HyperCodec.DecodeHeader(block);
        if (header?.Type == "hyperdb") throw new DatException(DatError.Unsupported, "this is a multi-writer drive (hyperdb), which this version cannot read yet");
        if (header?.Type != "hyperdrive") throw new DatException(DatError.Unsupported, "this key does not name a hyperdrive: its first block is something else");
        if (header.Content.Length != FeedKey.Size) throw new DatException(DatError.Corrupt, "the drive's header does not name its content feed");
        FeedKey key = FeedKey.From(header.Content.Span);
        lock (_lock)
        {
            if (_content is not null) return;
            Feed content = _openContent(key);
            if (_network is not null) _joined.Add(_network.Join(content));
            _content = content;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        _bulk?.Dispose();
        foreach (IDisposable joined in _joined) joined.Dispose();
        if (_content is not null) await _content.DisposeAsync();
        await _metadata.DisposeAsync();
        _held?.Dispose();
    }

    private sealed class Leaving(Action leave) : IDisposable
    {
        public void Dispose() => leave();
    }
}
