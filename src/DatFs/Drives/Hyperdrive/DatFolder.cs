using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Storage;

namespace DatFs.Drives.Hyperdrive;

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
    public Feed OpenMetadata(FeedKey key) => Feed.Open(new FeedFiles(_files, DriveFolder.MetadataPrefix), ReadOnly(key));

    /// <summary>Opens the content feed as it is now. Its bytes may be the user's own files, so each block is checked when it is read.</summary>
    public Feed OpenContent(FeedKey key, Feed metadata)
    {
        _index?.Extend(metadata);
        IRandomAccessFile? userFiles = _index is null ? null : new DatFolderContent(_folder.DisplayName, _index);
        return Feed.Open(new FeedFiles(_files, DriveFolder.ContentPrefix) { Data = userFiles }, ReadOnly(key));
    }

    /// <summary>The key of the content feed, once it was begun.</summary>
    public FeedKey? ContentKey()
    {
        using IRandomAccessFile? file = _files.Open(DriveFolder.ContentPrefix + "key", FileUse.Read);
        Span<byte> key = stackalloc byte[FeedKey.Size];
        return file is not null && file.Read(0, key) == key.Length ? FeedKey.From(key) : null;
    }

    /// <summary>Equal as long as the program that owns the folder has added nothing.</summary>
    public string Stamp()
    {
        string[] names = [DriveFolder.MetadataPrefix + "signatures", DriveFolder.MetadataPrefix + "bitfield", DriveFolder.ContentPrefix + "signatures", DriveFolder.ContentPrefix + "bitfield"];
        return string.Join('|', names.Select(name => new FileInfo(Path.Combine(_files.DisplayName, name)))
            .Select(file => file.Exists ? $"{file.Length}:{file.LastWriteTimeUtc.Ticks}" : ""));
    }

    private FeedOptions ReadOnly(FeedKey key) => new() { Key = key, ReadOnly = true, VerifyReads = true, Time = _time };
}
