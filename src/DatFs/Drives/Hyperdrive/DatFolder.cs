using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Storage;

namespace DatFs.Drives.Hyperdrive;

/// <summary>Blocks [Start, End) whose bytes a folder is likely to have.</summary>
/// <param name="Start">First block.</param>
/// <param name="End">The one after the last.</param>
/// <param name="MayHaveChanged">The file was written after it was imported: each block is to be checked before anyone is told of it.</param>
internal readonly record struct FolderRange(long Start, long End, bool MayHaveChanged);

/// <summary>
/// A folder of the dat tool or of dat-node (hyperdrive.md §6.2): which files its feeds are, and whose it is. Nothing is ever written into it.
/// </summary>
internal sealed class DatFolder
{
    private const string OwnerMark = "ogd";
    private const string SecretKeyName = "secret_key";

    private readonly DiskFolder _folder;
    private readonly IStorageFolder _files;
    private readonly TimeProvider _time;
    private readonly DatFolderIndex? _index;

    public DatFolder(DiskFolder folder, DriveLayout layout, TimeProvider time)
    {
        _folder = folder;
        _time = time;
        _files = layout == DriveLayout.Dat ? folder.Folder(DriveFolder.DatFolderName) : folder;
        if (layout == DriveLayout.Dat) _index = new DatFolderIndex();
    }

    /// <summary>The archive was made here: the dat tool keeps its secret key in the user's home, dat-node in the folder.</summary>
    public bool IsOwners => _files.Exists(DriveFolder.MetadataPrefix + (_index is null ? SecretKeyName : OwnerMark));

    /// <summary>Where the dat tool keeps the secret key of an archive of this user's.</summary>
    public static string SecretKeyPath(string secretKeys, DiscoveryKey drive) => Path.Combine(secretKeys, drive.ToHex()[..2], drive.ToHex()[2..]);

    /// <summary>Opens the metadata feed as it is now; it does not see what is written later.</summary>
    public Feed OpenMetadata(FeedKey key)
    {
        Feed metadata = Feed.Open(new FeedFiles(_files, DriveFolder.MetadataPrefix), ReadOnly(key));
        _index?.Extend(metadata);
        return metadata;
    }

    /// <summary>Opens the content feed as it is now, for its tree and bits; null before it was begun.</summary>
    public Feed? OpenContent() => ContentKey() is { } key ? Feed.Open(new FeedFiles(_files, DriveFolder.ContentPrefix), ReadOnly(key)) : null;

    /// <summary>Opens the bytes of the content feed, which may change at any time; null where there are none yet.</summary>
    public IRandomAccessFile? OpenBytes() => _index is { } index ? new DatFolderContent(_folder.DisplayName, index) : _files.Open(DriveFolder.ContentPrefix + "data", FileUse.Read);

    /// <summary>The blocks that are likely to be here, of so many, those of the newest files first.</summary>
    public IEnumerable<FolderRange> Lendable(long length)
    {
        if (_index is not { } index)
        {
            yield return new FolderRange(0, length, false);
            yield break;
        }

        bool isOwners = IsOwners;
        using DatFolderContent content = new(_folder.DisplayName, index);
        foreach (DatFolderIndex.Range range in index.NewestFirst())
        {
            // An owner's entry has the time of its import. A clone's file is newer than its entry by nature.
            if (content.Find(range) is not { } file || file.Length != range.End - range.Start) continue;
            bool isNewer = isOwners && new DateTimeOffset(file.LastWriteTimeUtc).ToUnixTimeMilliseconds() > range.ImportedMs;
            yield return new FolderRange(range.FirstBlock, Math.Min(length, range.EndBlock), isNewer);
        }
    }

    /// <summary>Equal as long as the program that owns the folder has added nothing.</summary>
    public string Stamp()
    {
        string[] names = [DriveFolder.MetadataPrefix + "signatures", DriveFolder.MetadataPrefix + "bitfield", DriveFolder.ContentPrefix + "signatures", DriveFolder.ContentPrefix + "bitfield"];
        return string.Join('|', names.Select(name => new FileInfo(Path.Combine(_files.DisplayName, name)))
            .Select(file => file.Exists ? $"{file.Length}:{file.LastWriteTimeUtc.Ticks}" : ""));
    }

    private FeedKey? ContentKey()
    {
        using IRandomAccessFile? file = _files.Open(DriveFolder.ContentPrefix + "key", FileUse.Read);
        Span<byte> key = stackalloc byte[FeedKey.Size];
        return file is not null && file.Read(0, key) == key.Length ? FeedKey.From(key) : null;
    }

    private FeedOptions ReadOnly(FeedKey key) => new() { Key = key, ReadOnly = true, VerifyReads = true, Time = _time };
}
