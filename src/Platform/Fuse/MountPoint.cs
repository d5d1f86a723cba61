using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;

namespace DatMount.Platform.Fuse;

/// <summary>Looks at a mount point before mounting: says what is wrong with it, clears a dead mount of ours (platform.md §2).</summary>
internal static class MountPoint
{
    /// <summary>A living but stuck mount must not hold us.</summary>
    private static readonly TimeSpan s_probe = TimeSpan.FromSeconds(5);

    /// <summary>The absolute path with links resolved, as mountinfo shows it.</summary>
    public static string Resolve(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (RealPath(full, out string resolved) == 0) return resolved;
        // A dead mount can't be resolved, its parent can.
        string? parent = Path.GetDirectoryName(full);
        return parent is not null && RealPath(parent, out resolved) == 0 ? Path.Combine(resolved, Path.GetFileName(full)) : full;
    }

    public static async Task CheckAsync(string path, FuseMountOptions options, ILogger log, CancellationToken ct)
    {
        if (options.RefuseMountPoint?.Invoke(path) is { } reason) throw new MountException(MountFailure.Refused, reason);
        int errno = await ProbeAsync(path, options.Time, ct);
        MountEntry? mounted = MountTable.At(path);
        if (mounted is { Type: MountTable.Type })
        {
            if (errno != Errno.ENOTCONN)
                throw new MountException(MountFailure.AlreadyMounted, $"{path} is already mounted; unmount it first: fusermount3 -u {path}");
            await Unmounting.DetachAsync(path, ct);
            FuseLog.StaleRemoved(log, path);
            errno = await ProbeAsync(path, options.Time, ct);
        }

        switch (errno)
        {
            case 0:
                break;
            case Errno.ENOENT:
                throw new MountException(MountFailure.Missing, $"{path} does not exist; make it first: mkdir -p {path}");
            case Errno.ENOTDIR:
                throw new MountException(MountFailure.NotDirectory, $"{path} is not a folder; name one to mount on");
            case Errno.EACCES or Errno.EPERM:
                throw new MountException(MountFailure.AccessDenied, $"{path} can't be read; mount on a folder of your own");
            case Errno.ENOTCONN:
                throw new MountException(MountFailure.AlreadyMounted,
                    $"a dead mount of another program is on {path}; remove it first: fusermount3 -uz {path}");
            default:
                throw new MountException(MountFailure.Other, $"{path} can't be opened: {Marshal.GetPInvokeErrorMessage(errno)}");
        }

        if (File.Exists(path)) throw new MountException(MountFailure.NotDirectory, $"{path} is a file; name a folder to mount on");
        if (!options.NonEmpty && Directory.EnumerateFileSystemEntries(path).Any())
            throw new MountException(MountFailure.NotEmpty, $"{path} is not empty; choose an empty folder, or hide what it holds with -o nonempty");
    }

    /// <summary>
    /// Opens and closes it: unlike stat, which the kernel may answer from its cache, this always asks the file system behind.
    /// </summary>
    private static async Task<int> ProbeAsync(string path, TimeProvider time, CancellationToken ct)
    {
        Task<int> open = Task.Run(
            () =>
            {
                int fd = Libc.Open(path + "/", Libc.O_RDONLY | Libc.O_CLOEXEC);
                if (fd < 0) return Marshal.GetLastPInvokeError();
                Libc.Close(fd);
                return 0;
            },
            ct);
        try
        {
            return await open.WaitAsync(s_probe, time, ct);
        }
        catch (TimeoutException)
        {
            throw new MountException(MountFailure.AlreadyMounted, $"the mount on {path} does not answer; remove it first: fusermount3 -uz {path}");
        }
    }

    private static unsafe int RealPath(string path, out string resolved)
    {
        byte* buffer = stackalloc byte[Libc.PATH_MAX];
        if (Libc.RealPath(path, buffer) is null)
        {
            resolved = path;
            return Marshal.GetLastPInvokeError();
        }

        resolved = Marshal.PtrToStringUTF8((nint)buffer)!;
        return 0;
    }
}
