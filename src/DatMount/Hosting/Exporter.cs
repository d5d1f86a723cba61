using DatFs;
using DatFs.Drives;
using DatFs.Feeds;
using DatMount.Commands;

namespace DatMount.Hosting;

/// <summary>Progress of an export, for whoever shows it. Bytes and counts so far.</summary>
internal sealed class ExportProgress
{
    public long Files;
    public long Bytes;
    public long Unchanged;
    public List<string> LeftOut { get; } = [];
}

/// <summary>
/// Writes one version of a drive into a folder. Resumable: a file is written under a temporary name and renamed when it is whole, and a file
/// of the right size and time is not written again. Names come from strangers: each was checked by the drive's gate, nothing is followed
/// through a symbolic link, links that leave the folder are left out, and depth is bounded.
/// </summary>
internal sealed class Exporter(IDriveView view, string folder, ExportProgress progress)
{
    /// <summary>Deeper than any honest archive, shallow enough for every path limit of the systems exported to.</summary>
    internal const int MaxDepth = 200;

    /// <summary>Bytes asked for at a time; the next piece is prefetched while one is written.</summary>
    internal const int PieceBytes = 1 << 20;

    private const long PrefetchBytes = 8L << 20;
    private const string TemporaryName = ".datmount-part";

    public Task RunAsync(CancellationToken ct)
    {
        Directory.CreateDirectory(folder);
        return DirectoryAsync(DrivePath.Root, folder, 0, ct);
    }

    private async Task DirectoryAsync(DrivePath path, string target, int depth, CancellationToken ct)
    {
        if (depth > MaxDepth)
        {
            progress.LeftOut.Add($"{path}: more than {MaxDepth} folders deep");
            return;
        }

        IReadOnlyList<DriveEntry>? entries = await view.ListAsync(path, ct);
        foreach (DriveEntry entry in entries ?? [])
        {
            string place = Path.Combine(target, entry.Path.Name);
            switch (entry.Kind)
            {
                case EntryKind.Directory:
                    EnsureRealFolder(place);
                    await DirectoryAsync(entry.Path, place, depth + 1, ct);
                    break;
                case EntryKind.Symlink:
                    Link(entry, place, depth);
                    break;
                default:
                    await FileAsync(entry, place, ct);
                    break;
            }
        }
    }

    private static void EnsureRealFolder(string place)
    {
        DirectoryInfo at = new(place);
        if (at.LinkTarget is not null || File.Exists(place))
            throw new CommandException(ExitCode.Refused, $"{place} is in the way: the drive has a folder of that name; move it and export again");
        at.Create();
    }

    private async Task FileAsync(DriveEntry entry, string place, CancellationToken ct)
    {
        DateTime modified = DateTime.UnixEpoch.AddMilliseconds(Math.Min(entry.MtimeMs, (long)(DateTime.MaxValue - DateTime.UnixEpoch).TotalMilliseconds - 1));
        FileInfo existing = new(place);
        if (existing.Exists && existing.LinkTarget is null && existing.Length == entry.Size && existing.LastWriteTimeUtc == modified)
        {
            progress.Unchanged++;
            return;
        }

        if (Directory.Exists(place)) throw new CommandException(ExitCode.Refused, $"{place} is in the way: the drive has a file of that name; move it and export again");
        // Not beside the name but instead of it: a name may already be as long as names can be.
        string temporary = Path.Combine(Path.GetDirectoryName(place)!, TemporaryName);
        File.Delete(temporary);
        try
        {
            await WriteAsync(entry, temporary, ct);
        }
        catch (DatException failure)
        {
            throw new DatException(failure.Error, $"{entry.Path} could not be read: {failure.Message}; run the same command again to go on from here", failure);
        }

        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(temporary, (UnixFileMode)(entry.Mode & 0b111_111_111) | UnixFileMode.UserRead);
        File.SetLastWriteTimeUtc(temporary, modified);
        File.Move(temporary, place, overwrite: true);
        progress.Files++;
    }

    private async Task WriteAsync(DriveEntry entry, string temporary, CancellationToken ct)
    {
        IFileContent content = view.OpenContent(entry);
        await using FileStream output = new(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
        for (long at = 0; at < content.Size; at += PieceBytes)
        {
            content.Prefetch(at + PieceBytes, PrefetchBytes, FetchPriority.ReadAhead);
            using ContentLease piece = await content.ReadAsync(at, (int)Math.Min(PieceBytes, content.Size - at), FetchPriority.Interactive, ct);
            foreach (ReadOnlyMemory<byte> part in piece.Data) await output.WriteAsync(part, ct);
            progress.Bytes += piece.Data.Length;
        }
    }

    private void Link(DriveEntry entry, string place, int depth)
    {
        string target = System.Text.Encoding.UTF8.GetString(entry.LinkTarget.Span);
        if (!StaysInside(target, depth))
        {
            progress.LeftOut.Add($"{entry.Path}: a link to {target}, outside the folder");
            return;
        }

        FileInfo existing = new(place);
        if (existing.LinkTarget == target)
        {
            progress.Unchanged++;
            return;
        }

        if (existing.LinkTarget is not null) existing.Delete();
        File.CreateSymbolicLink(place, target);
        progress.Files++;
    }

    /// <summary>A link may climb at most to the root of the export.</summary>
    internal static bool StaysInside(string target, int depth)
    {
        if (target.Length == 0 || target[0] == '/' || target.Contains('\0', StringComparison.Ordinal)) return false;
        foreach (string component in target.Split('/'))
        {
            if (component is "" or ".") continue;
            depth += component == ".." ? -1 : 1;
            if (depth < 0) return false;
        }

        return true;
    }
}
