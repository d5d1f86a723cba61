using System.Globalization;
using System.Text;

namespace DatMount.Platform.Fuse;

/// <summary>A process that keeps a mount busy.</summary>
/// <param name="Pid">Its number.</param>
/// <param name="Name">Its name, as ps shows it.</param>
/// <param name="Use">What it has there: "working folder", "root folder", "program", "open file", "mapped file".</param>
public readonly record struct MountHolder(int Pid, string Name, string Use)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name} (pid {Pid}, {Use})");

    /// <summary>Looks through /proc without following anything; processes of others are seen only by root.</summary>
    internal static List<MountHolder> Find(string mountPoint)
    {
        var found = new List<MountHolder>();
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out int pid)) continue;
            if (UseBy(folder, mountPoint) is not { } use) continue;
            found.Add(new MountHolder(pid, NameOf(folder), use));
        }

        return found;
    }

    private static string? UseBy(string folder, string mountPoint)
    {
        if (Inside(Target(folder + "/cwd"), mountPoint)) return "working folder";
        if (Inside(Target(folder + "/root"), mountPoint)) return "root folder";
        if (Inside(Target(folder + "/exe"), mountPoint)) return "program";
        try
        {
            foreach (string fd in Directory.EnumerateFileSystemEntries(folder + "/fd"))
                if (Inside(Target(fd), mountPoint)) return "open file";
            foreach (string line in File.ReadLines(folder + "/maps"))
                if (line.IndexOf('/', StringComparison.Ordinal) is var at and >= 0 && Inside(line[at..], mountPoint)) return "mapped file";
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            // It ended meanwhile, or is not ours to look at.
            return null;
        }

        return null;
    }

    private static string NameOf(string folder)
    {
        try
        {
            return File.ReadAllText(folder + "/comm").TrimEnd('\n');
        }
        catch (IOException)
        {
            return "?";
        }
    }

    private static bool Inside(string? path, string mountPoint) =>
        path is not null && path.StartsWith(mountPoint, StringComparison.Ordinal)
        && (path.Length == mountPoint.Length || path[mountPoint.Length] == '/');

    private static unsafe string? Target(string link)
    {
        byte* buffer = stackalloc byte[Libc.PATH_MAX];
        nint length = Libc.ReadLink(link, buffer, Libc.PATH_MAX);
        return length < 0 ? null : Encoding.UTF8.GetString(buffer, (int)length);
    }
}
