using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using DatFs.Storage;

namespace DatFs.Drives;

/// <summary>How a drive is opened.</summary>
public sealed record DriveOpenOptions
{
    /// <summary>Root of the kept drives; null = <see cref="DriveStore.DefaultRoot()"/>.</summary>
    public string? StorageRoot { get; init; }

    /// <summary>Where feeds are replicated; null = nowhere.</summary>
    public IFeedNetwork? Network { get; init; }

    /// <summary>Use only what is stored: the network is not joined, and what is missing is said at once.</summary>
    public bool Offline { get; init; }

    /// <summary>What the drive is opened for, as another process is told that wants it too: "mounted at /mnt".</summary>
    public string? Purpose { get; init; }

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>
/// Opens a drive however it was named: the way from a reference to an <see cref="IDrive"/>. A drive kept here, or lying in a folder, is read
/// from its disk at once; of an unknown one nothing is written until its first block has told what it is (hypercore.md §20).
/// </summary>
public static class DriveOpener
{
    private const string Hyperdrive = "hyperdrive";

    /// <summary>Opens a drive; it may not be ready yet (<see cref="IDrive.ReadyAsync"/>).</summary>
    /// <exception cref="DatException">NotFound, Invalid, Locked, KeyMismatch, Corrupt, Unsupported, Io.</exception>
    public static ValueTask<IDrive> OpenAsync(DriveReference reference, DriveOpenOptions options, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        string root = options.StorageRoot ?? DriveStore.DefaultRoot();
        if (reference.Folder is { } folder) return ValueTask.FromResult<IDrive>(OpenFolder(folder, root, options));
        FeedKey key = reference.Key ?? DriveStore.KeyOf(root, FindKept(root, reference))!.Value;
        return ValueTask.FromResult<IDrive>(FolderOf(key, root) is { } elsewhere ? OpenFolder(elsewhere, root, options) : OpenKey(key, root, options));
    }

    // A drive that lives in a user's folder is not begun anew because it was named by its key.
    private static string? FolderOf(FeedKey key, string root) =>
        DriveStore.RecordOf(root, key.ToDiscoveryKey())?.Folder is { } folder && DriveFolder.KeyOf(new DiskFolder(folder)) == key ? folder : null;

    private static DiscoveryKey FindKept(string root, DriveReference reference)
    {
        DiscoveryKey[] kept = [.. DriveStore.Kept(root).Where(drive => DriveStore.KeyOf(root, drive) is not null)];
        DiscoveryKey[] found = [.. kept.Where(drive => DriveStore.RecordOf(root, drive)?.Name is { } name && name == reference.Name)];
        if (found.Length == 0 && reference.Prefix is { } prefix)
            found = [.. kept.Where(drive => drive.ToHex().StartsWith(prefix, StringComparison.Ordinal) || DriveStore.KeyOf(root, drive)!.Value.ToHex().StartsWith(prefix, StringComparison.Ordinal))];
        return found.Length switch
        {
            1 => found[0],
            0 => throw new DatException(DatError.NotFound, $"no drive is kept in {root} that is called \"{reference.Name}\" or whose key begins so; name the whole key"),
            _ => throw new DatException(DatError.Invalid, $"{found.Length} kept drives are meant by \"{reference.Name}\"; give more digits of the key"),
        };
    }

    private static HyperdriveDrive OpenKey(FeedKey key, string root, DriveOpenOptions options)
    {
        DriveStore store = DriveStore.Open(root, key.ToDiscoveryKey(), options.Purpose);
        try
        {
            DriveLayout layout = DriveFolder.LayoutOf(store.Drive);
            if (layout == DriveLayout.Hyperdb) throw IsHyperdb();
            FeedOptions feeds = new() { Time = options.Time };
            FeedFiles place = new(store.Drive.Folder("metadata"));
            bool stored = layout == DriveLayout.Hyperdrive;
            if (stored && store.Record is null) store.Write(new DriveRecord(Hyperdrive));
            Feed metadata = Feed.Open(stored ? place : new FeedFiles(new MemoryFolder()), feeds with { Key = key });
            return Open(metadata, new HyperdriveParts(ContentIn(store.Drive, feeds), stored ? null : SettleAsync, store), options.Network, options);

            async ValueTask SettleAsync(CancellationToken settleCt)
            {
                if (!place.HasKey) await metadata.RehomeAsync(place, settleCt);
                store.Write(store.Record ?? new DriveRecord(Hyperdrive));
            }
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    private static HyperdriveDrive OpenFolder(string path, string root, DriveOpenOptions options)
    {
        DiskFolder folder = new(path);
        DriveLayout layout = DriveFolder.LayoutOf(folder);
        if (layout == DriveLayout.Hyperdb) throw IsHyperdb();
        if (layout == DriveLayout.None || DriveFolder.KeyOf(folder) is not { } key)
            throw new DatException(DatError.NotFound, $"{path} holds no drive: neither a hyperdrive nor a folder of the dat tool");
        if (layout != DriveLayout.Hyperdrive) throw new DatException(DatError.Unsupported, $"{path} is a folder of the dat tool, which cannot be read yet");
        DriveStore store = DriveStore.Open(root, key.ToDiscoveryKey(), options.Purpose);
        try
        {
            Feed metadata = OpenInPlace(folder, new FeedOptions { Key = key, Time = options.Time }, out FeedOptions feeds);
            store.Write((store.Record ?? new DriveRecord(Hyperdrive)) with { Folder = path });
            HyperdriveParts parts = new(ContentIn(folder, feeds), null, store);
            if (!feeds.ReadOnly) return Open(metadata, parts, options.Network, options);
            string why = $"{path} can only be read by this user";
            return Open(metadata, parts with { ReadOnlyBecause = why }, new ServingOnly(options.Network, why), options);
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    // Someone else's folder, or one on a read-only disk, can still be read.
    private static Feed OpenInPlace(DiskFolder folder, FeedOptions wanted, out FeedOptions options)
    {
        FeedFiles place = new(folder.Folder("metadata"));
        try
        {
            return Feed.Open(place, options = wanted);
        }
        catch (DatException failure) when (failure.Error == DatError.Io)
        {
            return Feed.Open(place, options = wanted with { ReadOnly = true });
        }
    }

    private static Func<FeedKey, Feed> ContentIn(IStorageFolder folder, FeedOptions options) => key => Feed.Open(new FeedFiles(folder.Folder("content")), options with { Key = key });

    private static HyperdriveDrive Open(Feed metadata, HyperdriveParts parts, IFeedNetwork? network, DriveOpenOptions options) => new(metadata, parts, options.Offline ? null : network);

    private static DatException IsHyperdb() => new(DatError.Unsupported, "this is a multi-writer drive (hyperdb), which this version cannot read yet");
}
