using System.Runtime.InteropServices;

namespace DatMount.Hosting;

/// <summary>The few calls of the operating system that a program going to the background needs and .NET has no name for.</summary>
internal static partial class Posix
{
    private const int ReadWrite = 2;
    private const int WriteAndSearch = 3;

    [LibraryImport("libc", EntryPoint = "geteuid")]
    public static partial uint GetUid();

    [LibraryImport("libc", EntryPoint = "getegid")]
    public static partial uint GetGid();

    [LibraryImport("libc", EntryPoint = "setsid", SetLastError = true)]
    private static partial int SetSid();

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "dup2", SetLastError = true)]
    private static partial int Dup2(int from, int to);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "access", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Access(string path, int mode);

    /// <summary>Leaves the terminal: a session of its own, the three standard streams on /dev/null.</summary>
    public static void LeaveTerminal()
    {
        _ = SetSid();
        int none = Open("/dev/null", ReadWrite);
        if (none < 0) return;
        for (int stream = 0; stream <= 2; stream++) _ = Dup2(none, stream);
        if (none > 2) _ = Close(none);
    }

    /// <summary>True when the folder can be searched and written by us and by nobody unexpected: only its owner may change its mode.</summary>
    public static bool OwnedByUs(string path)
    {
        if (OperatingSystem.IsWindows() || Access(path, WriteAndSearch) != 0) return false;
        try
        {
            File.SetUnixFileMode(path, File.GetUnixFileMode(path));
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }
}
