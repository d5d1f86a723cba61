namespace DatMount.Hosting;

/// <summary>
/// Where the running processes of one user can be found: a folder of mode 0700 that holds one socket for each of them,
/// named by process id. Nothing else lives in it, so a leftover of a killed process is simply removed.
/// </summary>
internal static class RuntimeFolder
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    public static string Path()
    {
        string? named = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        if (!string.IsNullOrEmpty(named) && Directory.Exists(named)) return System.IO.Path.Combine(named, "datmount");
        uint uid = Posix.GetUid();
        return uid == 0 ? "/run/datmount" : System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"datmount-{uid}");
    }

    /// <summary>Makes the folder and refuses one that others could have prepared.</summary>
    public static string Ensure()
    {
        string path = Path();
        if (OperatingSystem.IsWindows()) return Directory.CreateDirectory(path).FullName;
        DirectoryInfo folder = Directory.CreateDirectory(path, OwnerOnly);
        if (folder.LinkTarget is not null || !Posix.OwnedByUs(path))
            throw new UnauthorizedAccessException($"the folder for control sockets, {path}, belongs to someone else; remove it or set XDG_RUNTIME_DIR");
        if (File.GetUnixFileMode(path) != OwnerOnly) File.SetUnixFileMode(path, OwnerOnly);
        return path;
    }

    public static string SocketOf(int processId) => System.IO.Path.Combine(Path(), processId + ".sock");

    public static IReadOnlyList<string> Sockets()
    {
        string path = Path();
        return Directory.Exists(path) ? Directory.GetFiles(path, "*.sock") : [];
    }
}
