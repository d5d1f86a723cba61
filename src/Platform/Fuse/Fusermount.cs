using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace DatMount.Platform.Fuse;

/// <summary>What fusermount3 gave: the device, and for auto_unmount the socket it watches.</summary>
internal readonly record struct FusermountResult(SafeFileHandle Device, SafeFileHandle? Watched);

/// <summary>The unprivileged way: the setuid program of fuse3 mounts and passes the descriptor back over a socket (platform.md §2).</summary>
internal static class Fusermount
{
    private static readonly string[] s_names = ["fusermount3", "fusermount"];
    private static readonly string[] s_folders = ["/usr/bin", "/bin", "/usr/local/bin"];

    /// <summary>Between looks at whether the program died without a word.</summary>
    private const int PollMs = 100;

    /// <summary>What is kept of its error output.</summary>
    private const int MaxErrorText = 4096;

    public static string? Find()
    {
        string[] folders = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries), .. s_folders];
        foreach (string name in s_names)
            foreach (string folder in folders)
                if (File.Exists(Path.Combine(folder, name))) return Path.Combine(folder, name);
        return null;
    }

    public static Task<FusermountResult> MountAsync(string path, string source, FuseMountOptions options, ILogger log, CancellationToken ct) =>
        Task.Run(() => Mount(path, source, options, log, ct), ct);

    /// <summary>0 or an errno.</summary>
    public static async Task<int> UnmountAsync(string path, bool lazy, CancellationToken ct)
    {
        using Process process = Start(Program(), lazy ? ["-u", "-z", "--", path] : ["-u", "--", path], null);
        string error = await process.StandardError.ReadToEndAsync(ct);
        await process.WaitForExitAsync(ct);
        if (process.ExitCode == 0) return 0;
        if (error.Contains("busy", StringComparison.OrdinalIgnoreCase)) return Errno.EBUSY;
        return error.Contains("not found", StringComparison.Ordinal) || error.Contains("nvalid argument", StringComparison.Ordinal)
            ? Errno.EINVAL
            : Errno.EPERM;
    }

    private static unsafe FusermountResult Mount(string path, string source, FuseMountOptions options, ILogger log, CancellationToken ct)
    {
        string program = Program();
        int* ends = stackalloc int[2];
        if (Libc.SocketPair(Libc.AF_UNIX, Libc.SOCK_STREAM, 0, ends) != 0)
            throw new MountException(MountFailure.Other, "no socket for fusermount3: " + Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError()));
        var ours = new SafeFileHandle(ends[0], ownsHandle: true);
        var theirs = new SafeFileHandle(ends[1], ownsHandle: true);
        SafeFileHandle? device = null;
        try
        {
            Libc.Fcntl(ends[0], Libc.F_SETFD, Libc.FD_CLOEXEC);
            Process process;
            using (theirs)
                process = Start(program, ["-o", Options(source, options), "--", path], ends[1].ToString(CultureInfo.InvariantCulture));

            var error = new StringBuilder();
            process.ErrorDataReceived += (_, line) =>
            {
                if (line.Data is null) return;
                FuseLog.Fusermount(log, line.Data);
                lock (error)
                    if (error.Length < MaxErrorText) error.AppendLine(line.Data);
            };
            process.BeginErrorReadLine();
            device = Receive(ends[0], process, ct);
            if (device is null)
            {
                process.WaitForExit();
                lock (error) throw Failure(error.ToString().Trim(), path);
            }

            // With auto_unmount it goes on living and unmounts when our end closes.
            if (options.AutoUnmount) return new FusermountResult(device, ours);
            process.WaitForExit();
            process.Dispose();
            return new FusermountResult(device, null);
        }
        finally
        {
            if (device is null || !options.AutoUnmount) ours.Dispose();
        }
    }

    private static string Program() => Find()
        ?? throw new MountException(MountFailure.NoFusermount, "fusermount3 is not installed; install the package fuse3 (apt install fuse3)");

    private static Process Start(string program, string[] arguments, string? socket)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardError = true, UseShellExecute = false };
        // The messages below are matched in English.
        start.Environment["LC_ALL"] = "C";
        if (socket is not null) start.Environment["_FUSE_COMMFD"] = socket;
        return Process.Start(start) ?? throw new MountException(MountFailure.NoFusermount, program + " could not be started");
    }

    /// <summary>One byte with one descriptor beside it; null when the program ended without.</summary>
    private static unsafe SafeFileHandle? Receive(int socket, Process process, CancellationToken ct)
    {
        var wait = new Libc.PollEntry { Fd = socket, Events = Libc.POLLIN };
        while (true)
        {
            ct.ThrowIfCancellationRequested();
            bool gone = process.HasExited;
            int ready = Libc.Poll(&wait, 1, PollMs);
            if (ready > 0) break;
            if (ready == 0 && gone) return null;
        }

        const int controlLength = 24;
        byte* control = stackalloc byte[controlLength];
        byte one = 0;
        var part = new IoVec((nint)(&one), 1);
        var message = new Libc.MessageHeader { Parts = &part, PartCount = 1, Control = control, ControlLength = controlLength };
        nint received = Libc.ReceiveMessage(socket, &message, Libc.MSG_CMSG_CLOEXEC);
        if (received <= 0 || message.ControlLength < 20) return null;
        int level = *(int*)(control + 8);
        int type = *(int*)(control + 12);
        return level == Libc.SOL_SOCKET && type == Libc.SCM_RIGHTS ? new SafeFileHandle(*(int*)(control + 16), ownsHandle: true) : null;
    }

    /// <summary>The option list; commas and backslashes in the source are escaped.</summary>
    internal static string Options(string source, FuseMountOptions options)
    {
        var list = new StringBuilder("fsname=");
        list.Append(source.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(",", "\\,", StringComparison.Ordinal));
        list.Append(",subtype=datmount,default_permissions,nosuid,nodev");
        void If(bool set, string option)
        {
            if (set) list.Append(',').Append(option);
        }

        If(options.ReadOnly, "ro");
        If(options.NoExec, "noexec");
        If(options.NoAtime, "noatime");
        If(options.Sync, "sync");
        If(options.DirSync, "dirsync");
        // fusermount3 knows no allow_root: everybody is let in, and the session turns others away.
        If(options.AllowOther || options.AllowRoot, "allow_other");
        If(options.AutoUnmount, "auto_unmount");
        if (options.MaxRead > 0) list.Append(CultureInfo.InvariantCulture, $",max_read={options.MaxRead}");
        return list.ToString();
    }

    internal static MountException Failure(string error, string path)
    {
        bool Says(string text) => error.Contains(text, StringComparison.OrdinalIgnoreCase);
        if (Says("user_allow_other"))
            return new(MountFailure.AllowOtherRefused, "allow_other is not permitted to ordinary users; add the line user_allow_other to /etc/fuse.conf");
        if (Says("device not found") || Says("modprobe fuse")) return DirectMount.DeviceFailure(Errno.ENOENT);
        if (Says("/dev/fuse")) return DirectMount.DeviceFailure(Errno.EACCES);
        if (Says("no write access") || Says("bad mount point") || Says("user has no"))
            return new(MountFailure.AccessDenied, $"{path} is not yours to mount on; choose a folder you own ({error})");
        if (Says("not permitted"))
            return new(MountFailure.AccessDenied, $"fusermount3 may not mount here ({error}); in a container it needs the right to mount");
        return new(MountFailure.Other, error.Length == 0 ? "fusermount3 failed without saying why" : error);
    }
}
