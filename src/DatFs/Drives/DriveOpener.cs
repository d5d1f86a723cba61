using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using DatFs.Storage;

namespace DatFs.Drives;

/// <summary>How a drive is opened.</summary>
public sealed record DriveOpenOptions
{
    /// <summary>Root of the kept drives; null = <see cref="DriveStore.DefaultRoot"/>.</summary>
    public string? StorageRoot { get; init; }

    /// <summary>Where feeds are replicated; null = nowhere.</summary>
    public IFeedNetwork? Network { get; init; }

    /// <summary>Use only what is stored.</summary>
    public bool Offline { get; init; }

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>Opens a drive however it was named: the way from a reference to an <see cref="IDrive"/>.</summary>
public static class DriveOpener
{
    /// <summary>Opens a drive; it may not be ready yet (<see cref="IDrive.ReadyAsync"/>).</summary>
    /// <exception cref="DatException">NotFound, Locked, KeyMismatch, Corrupt, Unsupported, Io.</exception>
    public static ValueTask<IDrive> OpenAsync(DriveReference reference, DriveOpenOptions options, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        string root = options.StorageRoot ?? DriveStore.DefaultRoot();
        if (reference.Folder is { } folder) return ValueTask.FromResult<IDrive>(OpenFolder(folder, options));
        FeedKey key = reference.Key ?? FindKept(root, reference.Prefix!);
        DriveStore store = DriveStore.Open(root, key.ToDiscoveryKey());
        try
        {
            return ValueTask.FromResult<IDrive>(OpenHyperdrive(store.Drive, key, readOnly: false, options, store));
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    private static FeedKey FindKept(string root, string prefix)
    {
        FeedKey[] found = [.. DriveStore.Kept(root)
            .Select(drive => (Drive: drive, Key: DriveStore.KeyOf(root, drive)))
            .Where(kept => kept.Key is { } key && (kept.Drive.ToHex().StartsWith(prefix, StringComparison.Ordinal) || key.ToHex().StartsWith(prefix, StringComparison.Ordinal)))
            .Select(kept => kept.Key!.Value)];
        return found.Length switch
        {
            1 => found[0],
            0 => throw new DatException(DatError.NotFound, "no drive is kept here whose key begins so; name the whole key"),
            _ => throw new DatException(DatError.Invalid, $"{found.Length} kept drives begin so; give more digits"),
        };
    }

    private static HyperdriveDrive OpenFolder(string path, DriveOpenOptions options)
    {
        DiskFolder folder = new(path);
        if (folder.Folder("metadata").Exists("key")) return OpenHyperdrive(folder, null, readOnly: false, options, null);
        throw new DatException(DatError.NotFound, $"{path} holds no drive: neither a hyperdrive nor a folder of the dat tool");
    }

    private static HyperdriveDrive OpenHyperdrive(IStorageFolder folder, FeedKey? key, bool readOnly, DriveOpenOptions options, IDisposable? held)
    {
        Feed metadata = Feed.Open(new FeedFiles(folder.Folder("metadata")), new FeedOptions { Key = key, ReadOnly = readOnly, Time = options.Time });
        return new HyperdriveDrive(metadata, new HyperdriveParts(content => Feed.Open(new FeedFiles(folder.Folder("content")), new FeedOptions { Key = content, ReadOnly = readOnly, Time = options.Time }), null, held), options.Network, options.Time);
    }
}
