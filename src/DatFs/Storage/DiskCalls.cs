using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DatFs.Storage;

/// <summary>What .NET has no call for: freeing a range, making names durable, and opening what may not be a file without waiting.</summary>
internal static partial class DiskCalls
{
    private const int KeepSize = 1;
    private const int PunchHoleFlag = 2;
    private const int NotSupported = 95;
    private const int NoSystemCall = 38;
    private const int Interrupted = 4;
    private const int CloseOnExecLinux = 0x80000;
    private const int CloseOnExecMac = 0x1000000;
    private const int AccessDenied = 13;
    private const int NonBlockingLinux = 0x800;
    private const int NonBlockingMac = 0x4;

    /// <summary>Frees the bytes of a range, on Linux; elsewhere, and on file systems without holes, they stay.</summary>
    public static void PunchHole(SafeFileHandle file, long offset, long length)
    {
        if (!OperatingSystem.IsLinux()) return;
        while (fallocate(file, PunchHoleFlag | KeepSize, offset, length) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            if (error is NotSupported or NoSystemCall) return;
            if (error != Interrupted) throw new IOException($"a range of a file could not be freed (error {error})", error);
        }
    }

    /// <summary>Makes the names in a folder durable. Windows does so by itself.</summary>
    public static void SyncFolder(string path, bool mayBeClosed = false)
    {
        if (OperatingSystem.IsWindows()) return;
        int folder = open(path, OperatingSystem.IsMacOS() ? CloseOnExecMac : CloseOnExecLinux);
        if (folder < 0)
        {
            // Nothing of ours can be done about a folder above that nobody lets us read.
            if (mayBeClosed && Marshal.GetLastPInvokeError() == AccessDenied) return;
            throw new IOException($"{path} could not be opened (error {Marshal.GetLastPInvokeError()})", Marshal.GetLastPInvokeError());
        }

        int result = fsync(folder);
        int error = Marshal.GetLastPInvokeError();
        _ = close(folder);
        if (result != 0) throw new IOException($"{path} could not be synchronised (error {error})", error);
    }

    /// <summary>Opens a file of someone else's folder; a pipe in its place must not make the reader wait for a writer.</summary>
    public static SafeFileHandle OpenForReading(string path)
    {
        if (OperatingSystem.IsWindows()) return File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        int file = open(path, OperatingSystem.IsMacOS() ? CloseOnExecMac | NonBlockingMac : CloseOnExecLinux | NonBlockingLinux);
        if (file < 0) throw new IOException($"{path} could not be opened (error {Marshal.GetLastPInvokeError()})", Marshal.GetLastPInvokeError());
        return new SafeFileHandle(file, ownsHandle: true);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int file);

    [LibraryImport("libc")]
    private static partial int close(int file);
}
