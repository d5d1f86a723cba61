using System.Text.Encodings.Web;
using System.Threading.Channels;
using DatFs.Crypto;
using DatFs.Feeds;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// A single-writer hyperdrive (hyperdrive.md): a metadata feed with one node for each change, and a content feed with the bytes. Owns both
/// feeds and what is known of the tree. Invariants: the live view is the newest whose head is held, it never goes back, and observers hear
/// of each step in order from the one task that makes the steps; the content feed is the one that metadata block 0 names. Used by the
/// opener of drives and by whoever holds an <see cref="IDrive"/>; any thread may call.
/// </summary>
internal sealed partial class HyperdriveDrive : IDrive, IContentFeed, IFeedObserver
{
    /// <summary>Metadata is fetched whole in the background while no more than this many bytes of it are missing (§7).</summary>
    public const long BulkMetadataBytes = 16L << 20;

    /// <summary>Versions behind the announced length among which a held head is looked for.</summary>
    public const int MaxHeadsTried = 4096;

    /// <summary>Hidden names counted one by one.</summary>
    public const int MaxHiddenNames = 4096;

    private readonly Lock _lock = new();
    private readonly Feed _metadata;
    private readonly NodeSource _nodes;
    private readonly HyperdriveParts _parts;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly List<Action<DriveChange>> _observers = [];
    private readonly List<IDisposable> _joined = [];
    private readonly HashSet<DrivePath> _hidden = [];
    private readonly CancellationTokenSource _closing = new();
    private readonly Channel<bool> _poked = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Task _steps;
    private TaskCompletionSource _stepped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private HyperdriveView _live;
    private bool _disposed;

    /// <summary>Takes a metadata feed over and goes as far as what is held leads, before it returns.</summary>
    public HyperdriveDrive(Feed metadata, HyperdriveParts parts, IFeedNetwork? network, TimeProvider? time = null, ILogger? log = null)
    {
        _metadata = metadata;
        _parts = parts;
        _network = network;
        _time = time ?? TimeProvider.System;
        _log = log ?? NullLogger.Instance;
        _nodes = new NodeSource(metadata);
        _live = new HyperdriveView(this, _nodes, 0);
        _joined.Add(metadata.Observe(this));
        if (network is not null) _joined.Add(network.Join(metadata));
        _settled = parts.Settle is null;
        Step();
        Poke();
        _steps = _time.Run(StepsAsync);
    }

    /// <summary>As the other, where the drive has its place on the disk.</summary>
    public HyperdriveDrive(Feed metadata, Func<FeedKey, Feed> openContent, IFeedNetwork? network, IDisposable? held = null)
        : this(metadata, new HyperdriveParts(openContent, null, held), network)
    {
    }

    public FeedKey Key => _metadata.Key;

    public string Format => _successor?.Format ?? HyperCodec.DriveType;

    public bool Writable => _successor?.Writable ?? _metadata.Writable;

    public IDriveWriter? Writer => _successor?.Writer;

    public IDriveWriters? Writers => _successor?.Writers;

    public IDriveView Live => _successor?.Live ?? Volatile.Read(ref _live);

    /// <summary>What is known of the tree, for counting what look-ups cost.</summary>
    public NodeSource Nodes => _nodes;

    public DriveStatus Status
    {
        get
        {
            if (_successor is { } successor) return successor.Status;
            int hidden;
            lock (_lock) hidden = _hidden.Count;
            return new DriveStatus(Live.Version, _metadata.Length, _metadata.HeldBlocks, Content?.Length ?? 0, Content?.HeldBlocks ?? 0, Content?.ByteLength ?? 0) { HiddenNames = hidden, ReadOnlyBecause = _parts.ReadOnlyBecause };
        }
    }

    public async ValueTask<IDriveView> ReadyAsync(CancellationToken ct)
    {
        if (_metadata.Length == 0)
        {
            if (_metadata.Source is null) throw new DatException(DatError.Offline, "nothing of this drive is stored here, and it is used without peers");
            await _metadata.WaitForLengthAsync(1, FetchPriority.Interactive, ct);
        }

        await KnownAsync(ct);
        if (_successor is { } successor) return await successor.ReadyAsync(ct);
        long newest = _metadata.Length - 1;
        if (Live.Version >= newest) return Live;
        await _nodes.GetAsync(newest, FetchPriority.Interactive, ct);
        while (Live.Version < newest)
        {
            Task step = Volatile.Read(ref _stepped).Task;
            if (Live.Version >= newest) break;
            Poke();
            await _time.WaitAsync(step, ct);
        }

        return Live;
    }

    public async ValueTask<IDriveView> CheckoutAsync(long version, CancellationToken ct)
    {
        if (_successor is { } successor) return await successor.CheckoutAsync(version, ct);
        long newest = Math.Max(0, _metadata.Length - 1);
        if (version < 0 || version > newest)
            throw new DatException(DatError.NotFound, newest == 0 ? $"there is no version {version}: no change is known yet" : $"there is no version {version}; the newest is {newest}");
        try
        {
            if (version > 0) await _nodes.GetAsync(version, FetchPriority.Interactive, ct);
        }
        catch (DatException failure) when (failure.Error is DatError.Offline or DatError.TimedOut)
        {
            throw new DatException(failure.Error, $"version {version} is not stored here, and no peer gave it: {failure.Message}", failure);
        }

        return new HyperdriveView(this, _nodes, version);
    }

    public async ValueTask<long> VersionAtAsync(DateTimeOffset time, CancellationToken ct)
    {
        if (_successor is { } successor) return await successor.VersionAtAsync(time, ct);
        long newest = Live.Version, found = 0, seen = 0;
        long at = time.ToUnixTimeMilliseconds(), now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        using IDisposable? ahead = _metadata.FirstMissing(1, newest + 1) <= newest ? _metadata.Source?.Download(1, newest + 1, DownloadOrder.Ascending, FetchPriority.Interactive) : null;
        for (long version = 1; version <= newest; version++)
        {
            // A deletion has the time of the node before it; what lies in the future tells nothing (§4).
            HyperNode node = await _nodes.GetAsync(version, FetchPriority.Interactive, ct);
            if (node.Stat is { } stat && stat.Time <= now) seen = Math.Max(seen, stat.Time);
            if (seen > at) break;
            found = version;
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

    /// <summary>Counts an entry that no file system can show, once for each path.</summary>
    public void Hide(DrivePath directory, string name)
    {
        DrivePath path = directory.Child(name);
        lock (_lock)
        {
            if (_hidden.Count >= MaxHiddenNames || !_hidden.Add(path)) return;
        }

        HyperdriveLog.Hidden(_log, JavaScriptEncoder.Default.Encode(path.Text.Length > EntryNames.MaxBytes ? path.Text[..EntryNames.MaxBytes] + "…" : path.Text));
    }

    public void LengthChanged(Feed feed, long oldLength, long newLength) => Poke();

    public void BlocksAdded(Feed feed, long start, long count)
    {
        if (feed != _metadata) _ahead?.Arrived(start, count);
        else if (start == 0 || start + count - 1 > Live.Version) Poke();
    }

    public void BlocksCleared(Feed feed, long start, long count)
    {
    }

    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
        }

        await _time.CancelAsync(_closing);
        await _steps;
        _adopted.TrySetCanceled();
        _known.TrySetCanceled();
        foreach (IDisposable range in _wanted.Values) range.Dispose();
        _bulk?.Dispose();
        _ahead?.Dispose();
        foreach (IDisposable joined in _joined) joined.Dispose();
        _closing.Dispose();
        try
        {
            if (_successor is { } successor) await successor.DisposeAsync();
            else await CloseFeedsAsync(_metadata, Content);
        }
        finally
        {
            _parts.Held?.Dispose();
        }
    }

    /// <summary>Closes both feeds; what the disk refuses of one leaves the other neither open nor locked.</summary>
    internal static async ValueTask CloseFeedsAsync(Feed metadata, Feed? content)
    {
        try
        {
            if (content is not null) await content.DisposeAsync();
        }
        finally
        {
            await metadata.DisposeAsync();
        }
    }

    private sealed class Leaving(Action leave) : IDisposable
    {
        public void Dispose() => leave();
    }
}
