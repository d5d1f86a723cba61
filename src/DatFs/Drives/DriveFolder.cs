using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Drives;

/// <summary>Which kind of drive lies in a folder (hypercore.md §17, §17.1).</summary>
internal enum DriveLayout
{
    /// <summary>None.</summary>
    None,
    /// <summary>A hyperdrive's own: metadata/ and content/.</summary>
    Hyperdrive,
    /// <summary>A hyperdb's: source/.</summary>
    Hyperdb,
    /// <summary>The dat tool's: .dat/ beside the user's files, which are the content.</summary>
    Dat,
    /// <summary>dat-node's that keeps every version: metadata.* and content.* with the bytes.</summary>
    DatArchival,
}

/// <summary>Tells the layouts apart by where the first key lies.</summary>
internal static class DriveFolder
{
    public const string DatFolderName = ".dat";
    public const string MetadataPrefix = "metadata.";
    public const string ContentPrefix = "content.";
    private const string KeyName = "key";

    /// <exception cref="DatException">Invalid: more than one. Unsupported: a dat folder from before SLEEP.</exception>
    public static DriveLayout LayoutOf(IStorageFolder folder)
    {
        DriveLayout[] found = [.. Candidates(folder).Where(candidate => candidate.Files.Exists(candidate.Key)).Select(candidate => candidate.Layout)];
        if (found.Length > 1) throw new DatException(DatError.Invalid, $"{folder.DisplayName} holds more than one drive ({string.Join(", ", found)}); name the one you mean by its key");
        if (found.Length == 1) return found[0];
        if (folder.Folder(DatFolderName).List().Count > 0)
            throw new DatException(DatError.Unsupported, $"{folder.DisplayName} belongs to a dat tool from before 2017, whose storage cannot be read; name the drive by its key");
        return DriveLayout.None;
    }

    /// <summary>The drive's key, null when there is none or not exactly one.</summary>
    public static FeedKey? KeyOf(IStorageFolder folder)
    {
        FeedKey? key = null;
        Span<byte> bytes = stackalloc byte[FeedKey.Size];
        foreach ((DriveLayout _, IStorageFolder files, string name) in Candidates(folder))
        {
            using IRandomAccessFile? file = files.Open(name, FileUse.Read);
            if (file is null || file.Length != FeedKey.Size || file.Read(0, bytes) != bytes.Length) continue;
            if (key is not null) return null;
            key = FeedKey.From(bytes);
        }

        return key;
    }

    private static (DriveLayout Layout, IStorageFolder Files, string Key)[] Candidates(IStorageFolder folder) =>
    [
        (DriveLayout.Hyperdrive, folder.Folder("metadata"), KeyName),
        (DriveLayout.Hyperdb, folder.Folder("source"), KeyName),
        (DriveLayout.Dat, folder.Folder(DatFolderName), MetadataPrefix + KeyName),
        (DriveLayout.DatArchival, folder, MetadataPrefix + KeyName),
    ];
}
