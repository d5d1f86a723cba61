using DatFs.Storage;
using Microsoft.Win32.SafeHandles;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// The block bytes of a dat folder's content feed, which are nothing but the user's files (hyperdrive.md §6.2). Files change and go at any time, so
/// what is read here is worth nothing until its hash was checked. Names come from the network: none leads out of the folder, through a
/// link or otherwise, or into ".dat".
/// </summary>
internal sealed class DatFolderContent(string root, DatFolderIndex index) : IRandomAccessFile
{
    /// <summary>Links followed on the way to one file.</summary>
    public const int MaxLinks = 40;

    private readonly string _root = Path.TrimEndingDirectorySeparator(Path.GetFullPath(root));

    public long Length => index.End;

    /// <summary>Reads as far as files hold the bytes; fewer than asked where one is missing or too short.</summary>
    public int Read(long offset, Span<byte> into)
    {
        int done = 0;
        while (done < into.Length)
        {
            int count = ReadSome(offset + done, into[done..]);
            if (count == 0) break;
            done += count;
        }

        return done;
    }

    public void Write(long offset, ReadOnlySpan<byte> data) => throw ReadOnly();

    public void SetLength(long length) => throw ReadOnly();

    public void PunchHole(long offset, long length) => throw ReadOnly();

    public void Sync()
    {
    }

    public void Dispose()
    {
    }

    private int ReadSome(long position, Span<byte> into)
    {
        foreach (DatFolderIndex.Range range in index.At(position))
        {
            if (Resolve(range.Parts) is not { } path) continue;
            try
            {
                using SafeFileHandle file = DiskCalls.OpenForReading(path);
                int count = RandomAccess.Read(file, into[..(int)Math.Min(into.Length, range.End - position)], position - range.Start);
                if (count > 0) return count;
            }
            catch (Exception notAFile) when (notAFile is IOException or UnauthorizedAccessException or NotSupportedException)
            {
                // Gone, a folder now, or not for us: the bytes are not here, and an older name may have them.
            }
        }

        return 0;
    }

    /// <summary>The file that holds a range, if there is one.</summary>
    internal FileInfo? Find(DatFolderIndex.Range range) => Resolve(range.Parts) is { } path && new FileInfo(path) is { Exists: true } file ? file : null;

    /// <summary>The path of a file inside the folder, links inside it followed; null when the name leads anywhere else.</summary>
    internal string? Resolve(string[] parts)
    {
        if (!Array.TrueForAll(parts, IsPlain)) return null;
        List<string> at = [];
        Stack<string> ahead = new(parts.Reverse());
        int links = 0;
        while (ahead.TryPop(out string? name))
        {
            if (name is "" or ".") continue;
            if (name == "..")
            {
                if (at.Count == 0) return null;
                at.RemoveAt(at.Count - 1);
                continue;
            }

            if (at.Count == 0 && name.Equals(DriveFolder.DatFolderName, StringComparison.OrdinalIgnoreCase)) return null;
            string path = Path.Join(_root, string.Join(Path.DirectorySeparatorChar, at), name);
            if (new FileInfo(path).LinkTarget is not { } target)
            {
                at.Add(name);
                continue;
            }

            if (++links > MaxLinks) return null;
            if (Path.IsPathRooted(target))
            {
                if (!target.StartsWith(_root + Path.DirectorySeparatorChar, StringComparison.Ordinal)) return null;
                target = target[(_root.Length + 1)..];
                at.Clear();
            }

            foreach (string part in target.Split('/', Path.DirectorySeparatorChar).Reverse()) ahead.Push(part);
        }

        return at.Count == 0 ? null : Path.Join(_root, string.Join(Path.DirectorySeparatorChar, at));
    }

    private static bool IsPlain(string name) =>
        name is not ("" or "." or "..") && name.AsSpan().IndexOfAny('/', '\0', Path.DirectorySeparatorChar) < 0 && !(OperatingSystem.IsWindows() && name.Contains(':', StringComparison.Ordinal));

    private static DatException ReadOnly() => new(DatError.NotWritable, "a folder of the dat tool is only read");
}
