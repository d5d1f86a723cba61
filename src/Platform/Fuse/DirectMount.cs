using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace DatMount.Platform.Fuse;

/// <summary>The privileged way: open /dev/fuse and mount(2) (platform.md §2).</summary>
internal static class DirectMount
{
    private const string Device = "/dev/fuse";

    public static SafeFileHandle Mount(string path, string source, FuseMountOptions options)
    {
        int fd = Libc.Open(Device, Libc.O_RDWR | Libc.O_CLOEXEC);
        if (fd < 0) throw DeviceFailure(Marshal.GetLastPInvokeError());
        var device = new SafeFileHandle(fd, ownsHandle: true);
        if (Libc.Mount(source, path, MountTable.Type, Flags(options), Data(fd, options)) == 0) return device;
        int errno = Marshal.GetLastPInvokeError();
        device.Dispose();
        throw errno switch
        {
            Errno.EPERM => new MountException(MountFailure.AccessDenied,
                "mounting is not permitted here; run as root or with fuse3 installed, and give a container the right to mount (--cap-add SYS_ADMIN)"),
            Errno.EBUSY => new MountException(MountFailure.Busy, $"{path} is busy; unmount what is there first"),
            Errno.ENODEV => new MountException(MountFailure.NoDevice, "this kernel has no FUSE; load it: modprobe fuse"),
            _ => new MountException(MountFailure.Other, $"mounting on {path} failed: {Marshal.GetPInvokeErrorMessage(errno)}"),
        };
    }

    public static MountException DeviceFailure(int errno) => errno switch
    {
        Errno.ENOENT or Errno.ENODEV or 6 => new MountException(MountFailure.NoDevice,
            $"{Device} does not exist; load FUSE (modprobe fuse), or give the container the device (--device {Device})"),
        Errno.EACCES or Errno.EPERM => new MountException(MountFailure.DeviceRefused,
            $"{Device} can't be opened by this user; make it accessible: chmod 0666 {Device}"),
        _ => new MountException(MountFailure.DeviceRefused, $"{Device} can't be opened: {Marshal.GetPInvokeErrorMessage(errno)}"),
    };

    public static nuint Flags(FuseMountOptions options)
    {
        nuint flags = Libc.MS_NOSUID | Libc.MS_NODEV;
        if (options.ReadOnly) flags |= Libc.MS_RDONLY;
        if (options.NoExec) flags |= Libc.MS_NOEXEC;
        if (options.NoAtime) flags |= Libc.MS_NOATIME;
        if (options.Sync) flags |= Libc.MS_SYNCHRONOUS;
        if (options.DirSync) flags |= Libc.MS_DIRSYNC;
        return flags;
    }

    public static string Data(int fd, FuseMountOptions options)
    {
        var data = new StringBuilder();
        data.Append(CultureInfo.InvariantCulture, $"fd={fd},rootmode=40000,user_id={Libc.EffectiveUser()},group_id={Libc.EffectiveGroup()}");
        data.Append(",default_permissions");
        if (options.AllowOther) data.Append(",allow_other");
        if (options.MaxRead > 0) data.Append(CultureInfo.InvariantCulture, $",max_read={options.MaxRead}");
        return data.ToString();
    }
}
