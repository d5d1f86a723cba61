using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Drives;

/// <summary>
/// Where drives are kept (hypercore.md §17.1): one folder for each under the root, named by its discovery key. In it "drive/" is exactly a
/// hyperdrive folder; beside it lies what is DatMount's own. Open at most once at a time.
/// </summary>
public sealed class DriveStore : IDisposable
{
    private readonly IRandomAccessFile _lock;

    private DriveStore(DiskFolder folder, IRandomAccessFile held) => (Folder, _lock) = (folder, held);

    /// <summary>The drive's folder.</summary>
    public IStorageFolder Folder { get; }

    /// <summary>The feeds.</summary>
    public IStorageFolder Drive => Folder.Folder("drive");

    /// <summary>The user's data folder for drives (command-line.md).</summary>
    public static string DefaultRoot()
    {
        if (OperatingSystem.IsWindows() || OperatingSystem.IsMacOS())
            return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "DatMount");
        string? data = Environment.GetEnvironmentVariable("XDG_DATA_HOME");
        if (!string.IsNullOrEmpty(data)) return Path.Combine(data, "datmount");
        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        return Environment.IsPrivilegedProcess || home.Length == 0 ? "/var/lib/datmount" : Path.Combine(home, ".local", "share", "datmount");
    }

    /// <summary>Opens the folder of a drive and holds it for this process.</summary>
    /// <exception cref="DatException"><see cref="DatError.Locked"/>.</exception>
    public static DriveStore Open(string root, DiscoveryKey drive)
    {
        DiskFolder folder = new(Path.Combine(root, drive.ToHex()));
        return new DriveStore(folder, folder.Open("lock", FileUse.Exclusive)!);
    }

    /// <summary>Discovery keys of the drives kept under a root.</summary>
    public static IEnumerable<DiscoveryKey> Kept(string root)
    {
        if (!Directory.Exists(root)) yield break;
        foreach (string folder in Directory.EnumerateDirectories(root))
            if (DiscoveryKey.TryParseHex(Path.GetFileName(folder), out DiscoveryKey key)) yield return key;
    }

    /// <summary>The key of a kept drive, where its feeds are here.</summary>
    public static FeedKey? KeyOf(string root, DiscoveryKey drive)
    {
        using IRandomAccessFile? file = new DiskFolder(Path.Combine(root, drive.ToHex(), "drive", "metadata")).Open("key", FileUse.Read);
        Span<byte> key = stackalloc byte[FeedKey.Size];
        return file is not null && file.Read(0, key) == key.Length ? FeedKey.From(key) : null;
    }

    /// <inheritdoc/>
    public void Dispose() => _lock.Dispose();
}
