using System.Runtime.InteropServices;

namespace DatMount.Platform.Fuse;

/// <summary>Takes mounts away: umount2(2), or fusermount3 where that is not allowed. All answer 0 or an errno.</summary>
internal static class Unmounting
{
    public static async Task<int> TryAsync(string path, bool lazy, CancellationToken ct)
    {
        // It may wait for the file system, so never on the caller's thread.
        int errno = await Task.Run(() => Libc.Unmount(path, lazy ? Libc.MNT_DETACH : 0) == 0 ? 0 : Marshal.GetLastPInvokeError(), ct);
        if (errno is not (Errno.EPERM or Errno.EACCES)) return errno;
        return await Fusermount.UnmountAsync(path, lazy, ct);
    }

    public static async Task DetachAsync(string path, CancellationToken ct)
    {
        int errno = await TryAsync(path, lazy: true, ct);
        if (errno is 0 or Errno.EINVAL) return;
        throw new MountException(MountFailure.Busy,
            $"the dead mount on {path} can't be removed ({Marshal.GetPInvokeErrorMessage(errno)}); try: fusermount3 -uz {path}");
    }
}
