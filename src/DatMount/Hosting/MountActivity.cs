using DatFs.FileSystem;
using DatFs.Replication;
using DatMount.Commands;
using DatMount.Platform.Fuse;
using Microsoft.Extensions.Logging;

namespace DatMount.Hosting;

/// <summary>A drive that is mounted. The mount comes up at once; until the newest metadata is here its root answers and everything else waits.</summary>
internal sealed class MountActivity(MountRequest request, TimeProvider time, ILoggerFactory loggers) : IActivity, IStatusSource
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _stopping = new(1);
    private DriveSession? _session;
    private FuseMount? _mount;
    private bool _ready;

    public string Announcement => _session is { } session
        ? $"mounted {session.Drive.Key.ToDiscoveryKey()} (version {request.Version ?? session.Drive.Live.Version.ToString(System.Globalization.CultureInfo.InvariantCulture)}) at {request.Mountpoint}{(session.Drive.Status.ReadOnlyBecause is { } why ? $", read-only: {why}" : "")}"
        : $"mounting at {request.Mountpoint}";

    public Task Completion => _ended.Task;

    public DriveSession? Session => _session;

    public async Task StartAsync(CancellationToken ct)
    {
        _session = await DriveSession.OpenAsync(request.Drive, $"mounted at {request.Mountpoint}", request.Settings with { ReadOnly = request.ReadOnly }, time, loggers, ct);
        if ((request.Version ?? _session.LinkedVersion) is not null) await MountAsync((await _session.ViewAsync(request.Version, ct)).Version, ct);
        else
        {
            await MountAsync(null, ct);
            await _session.ReadyAsync(ct);
        }

        _ready = true;
    }

    public async Task<UnmountReply> StopAsync(bool lazy, CancellationToken ct)
    {
        await _stopping.WaitAsync(ct);
        try
        {
            if (_mount is { } mount) await mount.UnmountAsync(lazy, ct);
            else _ended.TrySetResult();
            return new UnmountReply(true, "unmounted");
        }
        catch (MountException busy)
        {
            return new UnmountReply(false, busy.Message);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            return new UnmountReply(false, $"{request.Mountpoint} is still in use");
        }
        finally
        {
            _stopping.Release();
        }
    }

    public bool AddPeer(PeerAddress address)
    {
        _session?.Peers.Add(address);
        return _session is not null;
    }

    public DriveReport Report() => _session is { } session
        ? session.Report("mounted at", request.Mountpoint, _ready, _mount?.Counters.Requests ?? 0)
        : new DriveReport(Environment.ProcessId, "mounting at", request.Mountpoint, "", "", false, false, 0, 0, 0, 0, 0, 0, null, [], [], 0, 0, 0);

    /// <summary>Calls back, off the drive's own thread, after each new version is shown.</summary>
    public IDisposable ObserveVersions(Action shown) => _session!.Drive.Observe(_ => Task.Run(shown));

    public string StatusJson() => System.Text.Json.JsonSerializer.Serialize(Report(), ControlJson.Default.DriveReport) + "\n";

    public string PeersText() => string.Concat(Report().Peers.Select(peer =>
        $"{TerminalText.Escape(peer.Address)} {peer.State} {peer.BytesReceived} bytes in, {peer.BytesSent} bytes out\n"));

    private async Task MountAsync(long? version, CancellationToken ct)
    {
        DatFileSystem files = new(_session!.Drive, new MountFsOptions
        {
            Version = version,
            ReadOnly = request.ReadOnly,
            IoTimeout = request.Settings.IoTimeout,
            FollowForeignLinks = request.FollowForeignLinks,
            Progress = () => _session.Received,
            Connected = () => _session.AnyPeer,
            Status = this,
            Time = time,
        });
        _mount = await FuseMount.MountAsync(files, request.Mountpoint, request.Platform.Apply(new FuseMountOptions
        {
            AllowOther = request.AllowOther,
            ReadOnly = request.ReadOnly || version is not null,
            RefuseMountPoint = RefuseOwnStorage,
            Time = time,
        }), loggers.CreateLogger("datmount.fuse"), ct);
        _ = _mount.Completion.ContinueWith(_ => _ended.TrySetResult(), TaskScheduler.Default);
    }

    /// <summary>Storage below our own mount would wait for itself, and so would a drive's own folder.</summary>
    private string? RefuseOwnStorage(string mountpoint)
    {
        if (_session!.ReadsFrom(mountpoint)) return $"{mountpoint} is in {_session.Folder}, which the drive is read from; mount it somewhere else";
        string storage = _session.StorageFolder;
        bool inside = storage.StartsWith(mountpoint.TrimEnd('/') + "/", StringComparison.Ordinal) || storage == mountpoint;
        return inside ? $"{mountpoint} holds DatMount's own storage; mount somewhere else, or move the storage with --storage" : null;
    }

    public async ValueTask DisposeAsync()
    {
        if (_mount is not null) await _mount.DisposeAsync();
        if (_session is not null) await _session.DisposeAsync();
        _stopping.Dispose();
    }
}
