using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>
/// A drive as a file system: the public door of this folder, called by the adapters of operating systems and by nothing else.
/// Owns the table of living nodes, the handles, and the virtual folder <c>.dat</c>; the drive belongs to the caller.
/// Invariants: a handle shows for its life what it was opened on; a change of the drive is in the table before it is announced;
/// no lock is held while waiting or notifying; answers that are held here complete synchronously; every wait ends with the
/// I/O timeout. Nothing is written yet: calls that change something answer <see cref="FsError.ReadOnly"/>.
/// </summary>
public sealed partial class DatFileSystem : IMountFs
{
    /// <summary>Size in bytes in which statfs counts.</summary>
    private const uint VolumeBlock = 4096;

    /// <summary>A call that meets a new version each time it looks gives up after so many.</summary>
    internal const int MaxOvertaken = 100;

    private readonly IDrive _drive;
    private readonly MountFsOptions _options;
    private readonly Patience _patience;
    private readonly Lock _gate = new();
    private readonly NodeTable _nodes;
    private readonly NoticeQueue _notices = new();
    private readonly CancellationTokenSource _ended = new();
    private readonly IDisposable _changes;
    private readonly Space _live = new(SpaceKind.Live);
    private readonly Space _root;
    private readonly long _mountedNs;

    // Guarded by the gate; replaced only together with the nodes it concerns.
    private IDriveView _newest;
    private bool _ready;
    private long _firstShown;

    /// <summary>Shows a drive. It may still be empty here: the root answers at once, everything else waits for the newest metadata.</summary>
    public DatFileSystem(IDrive drive, MountFsOptions? options = null)
    {
        _drive = drive;
        _options = options ?? new MountFsOptions();
        _patience = new Patience(_options.IoTimeout, _options.Time, _options.Progress, _options.Connected);
        _mountedNs = Nanoseconds(_options.Time.GetUtcNow().ToUnixTimeMilliseconds());
        _log = new ChangeLog(_options.Time);
        _root = _options.Version is { } version ? new Space(SpaceKind.Version, version, Space.MountAlias) : _live;
        _nodes = new NodeTable(new NodeName(_root, DrivePath.Root));
        _nodes.Root.Stale = true;
        Capabilities = new MountCapabilities
        {
            ReadOnly = _options.ReadOnly || _options.Version is not null,
            CaseSensitive = true,
            Symlinks = true,
            HardLinks = false,
            Xattrs = true,
            LiveChanges = _options.Version is null,
            MaxName = EntryName.MaxBytes,
            VolumeName = _options.VolumeName,
        };
        lock (_gate)
        {
            _newest = drive.Live;
            _changes = drive.Observe(OnChange);
            if (drive.Live.Version > _newest.Version) _newest = drive.Live;
        }

        // Without a caller: who asks meanwhile waits on its own, and when it fails the next one asks again.
        _ = ViewAsync(_root, _ended.Token).AsTask();
    }

    /// <inheritdoc/>
    public MountCapabilities Capabilities { get; }

    /// <summary>Living nodes, the root included; open handles keep theirs.</summary>
    public int LivingNodes
    {
        get
        {
            lock (_gate) return _nodes.Count;
        }
    }

    /// <inheritdoc/>
    public ValueTask<Result<VolumeInfo>> StatAsync(CancellationToken ct)
    {
        IDriveView newest;
        lock (_gate) newest = _newest;
        ulong bytes = (ulong)Math.Max(0, _drive.Status.ContentBytes);
        ulong files = (ulong)Math.Max(0, (_root.View ?? newest).KnownEntries ?? 0);
        return new(new VolumeInfo((bytes / VolumeBlock) + (bytes % VolumeBlock == 0 ? 0UL : 1UL), 0, files, 0, VolumeBlock, EntryName.MaxBytes));
    }

    /// <inheritdoc/>
    public IDisposable Subscribe(IMountNotifier notifier) => _notices.Subscribe(notifier);

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _changes.Dispose();
        _ended.Cancel();
        return ValueTask.CompletedTask;
    }

    /// <summary>
    /// The view of a tree, when no waiting is needed for it. Live counts as known once the drive said that its head is.
    /// </summary>
    private bool TryView(Space space, out IDriveView view)
    {
        if (space.Kind == SpaceKind.Version)
        {
            view = space.View!;
            return view is not null;
        }

        lock (_gate)
        {
            view = _newest;
            return _ready;
        }
    }

    private ValueTask<Result<IDriveView>> ViewAsync(Space space, CancellationToken ct) =>
        TryView(space, out IDriveView view) ? new(Result.Of(view)) : WaitForViewAsync(space, ct);

    private async ValueTask<Result<IDriveView>> WaitForViewAsync(Space space, CancellationToken ct)
    {
        Result<IDriveView> ready = await ReadyAsync(ct);
        if (!ready.Ok || space.Kind != SpaceKind.Version) return ready;
        Result<IDriveView> fixedView = await CheckoutAsync(space.Version, ct);
        if (fixedView.Ok) space.View = fixedView.Value;
        return fixedView;
    }

    private ValueTask<Result<IDriveView>> CheckoutAsync(long version, CancellationToken ct) =>
        _patience.RunAsync((_drive, version), static (s, token) => s._drive.CheckoutAsync(s.version, token), ct);

    /// <summary>The newest view, once the drive's head is known.</summary>
    private async ValueTask<Result<IDriveView>> ReadyAsync(CancellationToken ct)
    {
        Result<IDriveView> ready = await _patience.RunAsync(_drive, static (drive, token) => drive.ReadyAsync(token), ct);
        if (!ready.Ok) return ready;
        var notices = new Notices();
        lock (_gate)
        {
            // Its announcement may come later than the answer; nothing of the tree was handed out before.
            if (ready.Value.Version > _newest.Version) _newest = ready.Value;
            BeginShowing(notices);
            ready = Result.Of(_newest);
        }

        _notices.Post(notices);
        return ready;
    }

    /// <summary>From the present view on names are handed out. Before it only the root was: no older name can be in anybody's cache. Gate held.</summary>
    private void BeginShowing(Notices notices)
    {
        if (_ready) return;
        _ready = true;
        _firstShown = _newest.Version;
        notices.Attributes(NodeId.Root);
    }

    private ValueTask<Result<DriveEntry?>> FindAsync(IDriveView view, DrivePath path, CancellationToken ct) =>
        _patience.RunAsync((view, path), static (s, token) => s.view.FindAsync(s.path, token), ct);

    private Node? Find(NodeId id)
    {
        lock (_gate) return _nodes.Find(id);
    }

    private static long Nanoseconds(long milliseconds)
    {
        const long perMillisecond = 1_000_000;
        return Math.Clamp(milliseconds, long.MinValue / perMillisecond, long.MaxValue / perMillisecond) * perMillisecond;
    }

    private static byte[] Text(string text) => System.Text.Encoding.UTF8.GetBytes(text);
}
