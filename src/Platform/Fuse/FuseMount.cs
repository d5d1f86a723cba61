using System.Runtime.InteropServices;
using DatFs.FileSystem;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace DatMount.Platform.Fuse;

/// <summary>
/// The door of this folder: a file system mounted through the Linux kernel's FUSE protocol, without libfuse (platform.md §1-§3).
/// Owns the mount, its /dev/fuse descriptor and the threads that serve it; does not own the <see cref="IMountFs"/>, which must
/// outlive <see cref="Completion"/>. Holds no file system logic. <see cref="Completion"/> ends when the mount is gone, whoever
/// unmounted it; everything in flight is over by then. Any thread may call, except one that answers a call of the file system.
/// </summary>
public sealed class FuseMount : IAsyncDisposable
{
    private static readonly TimeSpan s_retry = TimeSpan.FromMilliseconds(100);

    private readonly FuseSession _session;
    private readonly FuseMountOptions _options;
    private readonly ILogger _log;
    private readonly SafeFileHandle? _watched;
    private readonly string _device;

    private FuseMount(FuseSession session, string mountPoint, string device, FuseMountOptions options, SafeFileHandle? watched, ILogger log)
    {
        _session = session;
        MountPoint = mountPoint;
        _device = device;
        _options = options;
        _watched = watched;
        _log = log;
        Completion = EndAsync();
        session.Notifier.UnmountAsked = OnUnmountAsked;
    }

    /// <summary>The absolute path, links resolved.</summary>
    public string MountPoint { get; }

    /// <summary>Ends when the mount is gone and everything in flight is over.</summary>
    public Task Completion { get; }

    /// <summary>What was done so far.</summary>
    public FuseCounters Counters => _session.Counters;

    /// <summary>Mounts; returns once the kernel and we have agreed and the mount can be used.</summary>
    /// <exception cref="MountException">With a reason and a sentence for the user.</exception>
    public static async Task<FuseMount> MountAsync(
        IMountFs fs, string mountpoint, FuseMountOptions options, ILogger logger, CancellationToken ct)
    {
        ArgumentNullException.ThrowIfNull(fs);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(logger);
        MountCapabilities caps = fs.Capabilities;
        options = options with
        {
            ReadOnly = options.ReadOnly || caps.ReadOnly,
            MaxRead = options.MaxRead > 0 ? options.MaxRead : caps.MaxRead < Negotiation.MaxPages * 4096 ? caps.MaxRead : 0,
        };
        string path = Fuse.MountPoint.Resolve(mountpoint);
        await Fuse.MountPoint.CheckAsync(path, options, logger, ct);
        (SafeFileHandle device, SafeFileHandle? watched) = await OpenAsync(path, options.FsName ?? caps.FsName, options, logger, ct);
        var session = new FuseSession(fs, new DevFuseChannel(device), new SessionOptions
        {
            Threads = options.Threads,
            MaxBackground = options.MaxBackground,
            Uid = options.Uid ?? Libc.EffectiveUser(),
            Gid = options.Gid ?? Libc.EffectiveGroup(),
            OnlyFor = options.AllowRoot && !options.AllowOther ? Libc.EffectiveUser() : null,
            AnnounceAt = options.AnnounceChanges && !options.ReadOnly && Libc.EffectiveUser() == 0 ? path : null,
            Time = options.Time,
        }, logger);
        string number = MountTable.At(path)?.Device ?? "";
        var mount = new FuseMount(session, path, number, options, watched, logger);
        session.Start();
        try
        {
            await session.Ready.WaitAsync(ct);
        }
        catch
        {
            await Unmounting.TryAsync(path, lazy: true, CancellationToken.None);
            await mount.Completion;
            throw;
        }

        ReadAhead.Raise(number, options.ReadAheadKiB, logger);
        FuseLog.Mounted(logger, path);
        return mount;
    }

    /// <summary>
    /// Unmounts and waits for the end. While it is in use, tries again for <see cref="FuseMountOptions.UnmountGrace"/>; then detaches it
    /// when <paramref name="lazyAfterGrace"/> (users keep what they have open, <see cref="Completion"/> ends when the last one leaves).
    /// </summary>
    /// <exception cref="MountException"><see cref="MountFailure.Busy"/>: the message says who uses it.</exception>
    public async ValueTask UnmountAsync(bool lazyAfterGrace, CancellationToken ct)
    {
        long started = _options.Time.GetTimestamp();
        while (!Completion.IsCompleted)
        {
            int errno = await Unmounting.TryAsync(MountPoint, lazy: false, ct);
            // EINVAL, ENOENT: somebody else was faster.
            if (errno is 0 or Errno.EINVAL or Errno.ENOENT)
            {
                await Completion.WaitAsync(ct);
                return;
            }

            if (errno != Errno.EBUSY)
                throw new MountException(MountFailure.Other, $"{MountPoint} can't be unmounted: {Marshal.GetPInvokeErrorMessage(errno)}");
            if (_options.Time.GetElapsedTime(started) < _options.UnmountGrace)
            {
                await Task.Delay(s_retry, _options.Time, ct);
                continue;
            }

            string holders = string.Join(", ", FindHolders());
            if (holders.Length == 0) holders = "a process that can't be seen";
            if (!lazyAfterGrace)
                throw new MountException(MountFailure.Busy, $"{MountPoint} is in use by {holders}; close it there, or detach with -z");
            await Unmounting.DetachAsync(MountPoint, ct);
            FuseLog.Detached(_log, MountPoint, holders);
            return;
        }
    }

    /// <summary>Takes away a mount of ours whose process is gone (platform.md §2); false when there is none at that place.</summary>
    public static async Task<bool> DetachLeftoverAsync(string mountPoint, CancellationToken ct)
    {
        if (MountTable.At(mountPoint) is not { } entry || entry.Type != MountTable.Type) return false;
        await Unmounting.DetachAsync(mountPoint, ct);
        return true;
    }

    /// <summary>Processes that have a working folder, an open or a mapped file in the mount.</summary>
    public IReadOnlyList<MountHolder> FindHolders() => MountHolder.Find(MountPoint);

    /// <summary>Unmounts, by detaching if need be; waits for the end unless somebody still holds it.</summary>
    public ValueTask DisposeAsync() => UnmountAsync(lazyAfterGrace: true, CancellationToken.None);

    private static async Task<FusermountResult> OpenAsync(string path, string source, FuseMountOptions options, ILogger log, CancellationToken ct)
    {
        bool direct = options.Way switch
        {
            MountWay.Direct => true,
            MountWay.Fusermount => false,
            // Nobody watches a mount(2) mount.
            _ => Libc.EffectiveUser() == 0 && !options.AutoUnmount,
        };
        return direct
            ? new FusermountResult(DirectMount.Mount(path, source, options), null)
            : await Fusermount.MountAsync(path, source, options, log, ct);
    }

    private async Task EndAsync()
    {
        await _session.Completion;
        // An aborted connection leaves its mount behind, dead.
        if (_device.Length > 0 && MountTable.Has(MountPoint, _device)) await Unmounting.TryAsync(MountPoint, lazy: true, CancellationToken.None);
        _watched?.Dispose();
        FuseLog.Unmounted(_log, MountPoint);
    }

    private void OnUnmountAsked(string reason)
    {
        FuseLog.UnmountAsked(_log, MountPoint, reason);
        _ = Task.Run(async () =>
        {
            try
            {
                await UnmountAsync(lazyAfterGrace: true, CancellationToken.None);
            }
            catch (MountException failure)
            {
                FuseLog.UnmountFailed(_log, failure);
            }
        });
    }
}
