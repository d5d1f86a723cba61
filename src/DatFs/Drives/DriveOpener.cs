using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using DatFs.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

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

    /// <summary>Make no writer's key of our own for a drive of several writers where there is none yet.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Leave versions that lost a conflict out of listings.</summary>
    public bool HideConflicts { get; init; }

    /// <summary>What the drive is opened for, as another process is told that wants it too: "mounted at /mnt".</summary>
    public string? Purpose { get; init; }

    /// <summary>Where the dat tool keeps secret keys; null = "~/.dat/secret_keys".</summary>
    public string? DatSecretKeys { get; init; }

    /// <summary>Where the drive's troubles are told.</summary>
    public ILogger Log { get; init; } = NullLogger.Instance;

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
    public static async ValueTask<IDrive> OpenAsync(DriveReference reference, DriveOpenOptions options, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        string root = options.StorageRoot ?? DriveStore.DefaultRoot();
        IFeedNetwork? peers = options.Offline ? null : options.Network;
        string? path = reference.Folder;
        FeedKey key = path is not null ? KeyIn(path) : reference.Key ?? DriveStore.KeyOf(root, FindKept(root, reference))!.Value;
        DriveStore store = DriveStore.Open(root, key.ToDiscoveryKey(), options.Purpose);
        try
        {
            path ??= FolderOf(key, store);
            return path is null ? await OpenKeptAsync(key, store, peers, store, options) : await OpenFolderAsync(path, key, store, peers, options, ct);
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <summary>The key of a drive that is named by it, or lies here; null when it has to be looked up elsewhere, or is nowhere.</summary>
    public static FeedKey? KeyOf(DriveReference reference, string root)
    {
        if (reference.Folder is { } folder) return DriveFolder.KeyOf(new DiskFolder(folder));
        if (reference.Key is not null) return reference.Key;
        return IsKept(reference, root) || reference.Prefix is not null ? DriveStore.KeyOf(root, FindKept(root, reference)) : null;
    }

    /// <summary>
    /// Makes a new drive of several writers, whose maker this machine is, and answers its key. With <paramref name="folder"/> its feeds lie there, as the
    /// reference has them, else where drives are kept.
    /// </summary>
    /// <exception cref="DatException">Invalid: not a name, or something lies there. Locked, Io.</exception>
    public static async ValueTask<FeedKey> CreateAsync(string? folder, string? name, DriveOpenOptions options, CancellationToken ct)
    {
        string root = options.StorageRoot ?? DriveStore.DefaultRoot();
        if (name is not null)
        {
            if (!DriveReference.IsName(name)) throw new DatException(DatError.Invalid, $"a name has letters, digits, '.', '_' and '-', at most {DriveReference.MaxName}");
            if (DriveStore.Kept(root).Any(kept => DriveStore.RecordOf(root, kept)?.Name == name)) throw new DatException(DatError.Invalid, $"a drive called {name} is kept already; choose another name");
        }

        if (folder is not null && Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
            throw new DatException(DatError.Invalid, $"{folder} is not empty; name a new folder for the drive's feeds");
        using SecretKey secret = SecretKey.Generate();
        using DriveStore store = DriveStore.Open(root, secret.PublicKey.ToDiscoveryKey(), options.Purpose);
        DatabaseOptions how = new() { ContentFeeds = true, Feeds = new FeedOptions { Time = options.Time }, Log = options.Log, Time = options.Time };
        await using Database made = await Database.CreateAsync(folder is null ? store.Drive : new DiskFolder(folder), how, secret, ct);
        store.Write(new DriveRecord(EntryCodec.Protocol) { Name = name, Folder = folder });
        return made.Key;
    }

    /// <summary>True when a reference names a drive that is kept here, and nobody needs to be asked for its key.</summary>
    public static bool IsKept(DriveReference reference, string root) =>
        reference.Name is { } name && DriveStore.Kept(root).Any(drive => DriveStore.RecordOf(root, drive)?.Name == name && DriveStore.KeyOf(root, drive) is not null);

    // A drive that lives in a user's folder is not begun anew because it was named by its key.
    private static string? FolderOf(FeedKey key, DriveStore store) => store.Record?.Folder is { } folder && DriveFolder.KeyOf(new DiskFolder(folder)) == key ? folder : null;

    private static FeedKey KeyIn(string path)
    {
        DiskFolder folder = new(path);
        _ = DriveFolder.LayoutOf(folder);
        return DriveFolder.KeyOf(folder) ?? throw new DatException(DatError.NotFound, $"{path} holds no drive: neither a hyperdrive, of one writer or several, nor a folder of the dat tool");
    }

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

    private static async ValueTask<IDrive> OpenKeptAsync(FeedKey key, DriveStore store, IFeedNetwork? peers, IDisposable held, DriveOpenOptions options, string? readOnlyBecause = null)
    {
        DriveLayout layout = DriveFolder.LayoutOf(store.Drive);
        FeedOptions feeds = new() { Key = key, Time = options.Time };
        if (layout == DriveLayout.Hyperdb) return await StartDatabaseAsync(null, store.Drive, feeds, peers, store, held, options);
        FeedFiles place = new(store.Drive.Folder("metadata"));
        bool stored = layout == DriveLayout.Hyperdrive;
        if (stored && store.Record is null) store.Write(new DriveRecord(Hyperdrive));
        Feed metadata = Feed.Open(stored ? place : new FeedFiles(new MemoryFolder()), feeds);
        HyperdriveParts parts = new(ContentIn(store.Drive, feeds), stored ? null : SettleAsync, held) { ReadOnlyBecause = readOnlyBecause, Becomes = stored ? null : BecomeAsync };
        return await StartAsync(metadata, parts, peers, options);

        async ValueTask<IDrive> BecomeAsync(Feed source, CancellationToken ct)
        {
            FeedFiles at = new(store.Drive.Folder("source"));
            if (!at.HasKey) await source.RehomeAsync(at, ct);
            return await StartDatabaseAsync(source, store.Drive, feeds, peers, store, null, options);
        }

        async ValueTask SettleAsync(CancellationToken ct)
        {
            if (!place.HasKey) await metadata.RehomeAsync(place, ct);
            store.Write(store.Record ?? new DriveRecord(Hyperdrive));
        }
    }

    private static async ValueTask<IDrive> OpenFolderAsync(string path, FeedKey key, DriveStore store, IFeedNetwork? peers, DriveOpenOptions options, CancellationToken ct)
    {
        DiskFolder folder = new(path);
        DriveLayout layout = DriveFolder.LayoutOf(folder);
        DriveRecord record = store.Record ?? new DriveRecord(Hyperdrive);
        if (layout == DriveLayout.Hyperdb)
        {
            Feed source = OpenInPlace(folder.Folder("source"), new FeedOptions { Key = key, Time = options.Time }, out FeedOptions feeds);
            store.Write(record with { Kind = EntryCodec.Protocol, Folder = path });
            return await StartDatabaseAsync(source, folder, feeds, peers, store, store, options, isJoined: false);
        }

        if (layout == DriveLayout.Hyperdrive)
        {
            Feed metadata = OpenInPlace(folder.Folder("metadata"), new FeedOptions { Key = key, Time = options.Time }, out FeedOptions feeds);
            store.Write(record with { Folder = path });
            HyperdriveParts parts = new(ContentIn(folder, feeds), null, store);
            return await (feeds.ReadOnly ? StartReadOnlyAsync(metadata, parts, peers, $"{path} can only be read by this user", options) : StartAsync(metadata, parts, peers, options));
        }

        DatFolder dat = new(folder, layout, options.Time);
        DatFolderNetwork network = await DatFolderNetwork.OpenAsync(dat, key, peers, options.Time, options.Log, store);
        IDrive drive;
        try
        {
            store.Write(record with { Folder = path });
            drive = await OpenKeptAsync(key, store, network, network, options, dat.IsOwners ? WhyReadOnly(path, layout, key, options) : null);
        }
        catch
        {
            network.Dispose();
            throw;
        }

        try
        {
            await network.ShowAsync(ct);
            return drive;
        }
        catch
        {
            await drive.DisposeAsync();
            throw;
        }
    }

    private static string WhyReadOnly(string path, DriveLayout layout, FeedKey key, DriveOpenOptions options)
    {
        if (layout == DriveLayout.DatArchival) return $"{path} is written by dat-node, and only read here";
        string keys = options.DatSecretKeys ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".dat", "secret_keys");
        string whose = File.Exists(DatFolder.SecretKeyPath(keys, key.ToDiscoveryKey())) ? "the dat tool of this user" : "the dat tool, though not by this user: the secret key is not in " + keys;
        return $"{path} is written by {whose}, and only read here";
    }

    private static ValueTask<HyperdriveDrive> StartReadOnlyAsync(Feed metadata, HyperdriveParts parts, IFeedNetwork? peers, string why, DriveOpenOptions options) =>
        StartAsync(metadata, parts with { ReadOnlyBecause = why }, new ServingOnly(peers, "these bytes are not in the folder any more: " + why), options);

    // Someone else's folder, or one on a read-only disk, can still be read.
    private static Feed OpenInPlace(IStorageFolder folder, FeedOptions wanted, out FeedOptions options)
    {
        FeedFiles place = new(folder);
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

    private static async ValueTask<HyperdriveDrive> StartAsync(Feed metadata, HyperdriveParts parts, IFeedNetwork? network, DriveOpenOptions options)
    {
        try
        {
            return new HyperdriveDrive(metadata, parts, network, options.Time, options.Log);
        }
        catch
        {
            await metadata.DisposeAsync();
            throw;
        }
    }

    private static async ValueTask<IDrive> StartDatabaseAsync(
        Feed? source, IStorageFolder folder, FeedOptions feeds, IFeedNetwork? peers, DriveStore store, IDisposable? held, DriveOpenOptions options, bool isJoined = true)
    {
        DatabaseOptions how = new()
        {
            ContentFeeds = true,
            Network = peers,
            ReadOnly = options.ReadOnly || feeds.ReadOnly,
            Feeds = feeds with { Key = null },
            Log = options.Log,
            Time = options.Time,
            SourceIsJoined = source is not null && isJoined,
        };
        DatabaseStorage storage = new(folder, how);
        Database database = await Database.StartAsync(source ?? storage.OpenSource(feeds.Key), storage, how, CancellationToken.None);
        VersionTable? versions = null;
        try
        {
            store.Write((store.Record ?? new DriveRecord(EntryCodec.Protocol)) with { Kind = EntryCodec.Protocol });
            versions = VersionTable.Open(store.Folder);
            return new HyperdbDrive(database, versions, WriterNotes.Open(store.Folder), held, options.Time, options.Log) { ShowsLosers = !options.HideConflicts };
        }
        catch
        {
            versions?.Dispose();
            await database.DisposeAsync();
            throw;
        }
    }
}
