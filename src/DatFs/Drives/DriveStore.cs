using System.Diagnostics;
using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Drives;

/// <summary>
/// Where drives are kept (hypercore.md §17.1): one folder for each under the root, named by its discovery key. In it "drive/" is exactly a
/// folder of the format, which the reference opens as it is; beside it lies what is DatMount's own. Held by one process at a time, which
/// leaves its name in "holder.json" for the message of the next one.
/// </summary>
public sealed class DriveStore : IDisposable
{
    internal const string RecordName = "drive.json";
    internal const string HolderName = "holder.json";
    private const string LockName = "lock";

    private readonly IRandomAccessFile _lock;

    private DriveStore(DiskFolder folder, IRandomAccessFile held) => (Folder, _lock) = (folder, held);

    /// <summary>The drive's folder.</summary>
    public IStorageFolder Folder { get; }

    /// <summary>The feeds.</summary>
    public IStorageFolder Drive => Folder.Folder("drive");

    /// <summary>What is noted about the drive; null = nothing yet, or nothing readable.</summary>
    public DriveRecord? Record => JsonFile.Read(Folder, RecordName, DriveJson.Default.DriveRecord);

    /// <summary>The user's data folder for drives (command-line.md).</summary>
    public static string DefaultRoot() => DefaultRoot(
        Environment.GetEnvironmentVariable("XDG_DATA_HOME"), Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), Environment.IsPrivilegedProcess);

    /// <summary>The home comes from the password file when HOME is unset; a relative XDG folder is to be ignored, by its specification.</summary>
    internal static string DefaultRoot(string? xdgDataHome, string home, bool privileged)
    {
        if (OperatingSystem.IsWindows() || OperatingSystem.IsMacOS())
            return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "DatMount");
        if (Path.IsPathRooted(xdgDataHome)) return Path.Combine(xdgDataHome, "datmount");
        return privileged || home.Length == 0 ? "/var/lib/datmount" : Path.Combine(home, ".local", "share", "datmount");
    }

    /// <summary>Opens the folder of a drive and holds it for this process.</summary>
    /// <param name="root">Where drives are kept.</param>
    /// <param name="drive">Public name of the drive.</param>
    /// <param name="purpose">What for, as another process is told: "mounted at /mnt".</param>
    /// <exception cref="DatException"><see cref="DatError.Locked"/>, naming the process that has it; Io.</exception>
    public static DriveStore Open(string root, DiscoveryKey drive, string? purpose = null)
    {
        DiskFolder folder = new(Path.Combine(root, drive.ToHex()));
        try
        {
            IRandomAccessFile held = folder.Open(LockName, FileUse.Exclusive)!;
            try
            {
                JsonFile.Write(folder, HolderName, new DriveHolder(Environment.ProcessId, ProcessName, purpose), DriveJson.Default.DriveHolder);
                return new DriveStore(folder, held);
            }
            catch
            {
                held.Dispose();
                throw;
            }
        }
        catch (DatException failure) when (failure.Error == DatError.Locked)
        {
            throw new DatException(DatError.Locked, $"the drive {drive} is in use by {DescribeHolder(folder)}; end that first", failure);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new DatException(DatError.Io, $"{folder.DisplayName} cannot be used: {failure.Message}", failure);
        }
    }

    /// <summary>Notes what is known about the drive, durably.</summary>
    public void Write(DriveRecord record)
    {
        if (Record != record) JsonFile.Write(Folder, RecordName, record, DriveJson.Default.DriveRecord);
    }

    /// <summary>Discovery keys of the drives kept under a root.</summary>
    public static IEnumerable<DiscoveryKey> Kept(string root)
    {
        if (!Directory.Exists(root)) yield break;
        foreach (string folder in Directory.EnumerateDirectories(root))
            if (DiscoveryKey.TryParseHex(Path.GetFileName(folder), out DiscoveryKey key)) yield return key;
    }

    /// <summary>What is noted about a kept drive, without holding it.</summary>
    public static DriveRecord? RecordOf(string root, DiscoveryKey drive) =>
        JsonFile.Read(new DiskFolder(Path.Combine(root, drive.ToHex())), RecordName, DriveJson.Default.DriveRecord);

    /// <summary>The key of a kept drive, where its feeds are here or in the folder that is noted.</summary>
    public static FeedKey? KeyOf(string root, DiscoveryKey drive)
    {
        FeedKey? key = DriveFolder.KeyOf(new DiskFolder(Path.Combine(root, drive.ToHex())).Folder("drive"));
        if (key is null && RecordOf(root, drive)?.Folder is { } elsewhere && Path.IsPathRooted(elsewhere)) key = DriveFolder.KeyOf(new DiskFolder(elsewhere));
        return key is { } found && found.ToDiscoveryKey() == drive ? found : null;
    }

    /// <inheritdoc/>
    public void Dispose() => _lock.Dispose();

    private static string ProcessName => Path.GetFileNameWithoutExtension(Environment.ProcessPath) ?? "datmount";

    // Written right after the lock was taken: one that died without a successor is not mistaken for the holder.
    private static string DescribeHolder(DiskFolder folder)
    {
        if (JsonFile.Read(folder, HolderName, DriveJson.Default.DriveHolder) is not { } holder || !IsRunning(holder.Pid)) return "another process";
        string name = string.Concat(holder.Process.Where(c => !char.IsControl(c)));
        string purpose = holder.Purpose is { } noted ? ", " + string.Concat(noted.Where(c => !char.IsControl(c))) : "";
        return $"{name}{purpose} (pid {holder.Pid})";
    }

    private static bool IsRunning(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            return true;
        }
        catch (Exception unknown) when (unknown is ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }
}
