using System.Net;
using DatFs.Discovery;
using DatFs.Drives;
using DatFs.Evidence;
using DatFs.FileSystem;
using DatFs.Replication;
using DatMount.Platform.Fuse;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DatMount.Posix;

/// <summary>How a <see cref="MountedDrive"/> is reached and shown.</summary>
internal sealed record MountedDriveOptions
{
    /// <summary>As the command line's --io-timeout.</summary>
    public TimeSpan IoTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Put a relay between the peers.</summary>
    public bool Relayed { get; init; }

    /// <summary>The relay holds everything back from the start.</summary>
    public bool Paused { get; init; }

    /// <summary>Nobody is dialled.</summary>
    public bool Offline { get; init; }

    /// <summary>Show this version for ever.</summary>
    public long? Version { get; init; }

    /// <summary>Further settings of the mount.</summary>
    public FuseMountOptions Fuse { get; init; } = new() { UnmountGrace = TimeSpan.FromSeconds(1) };

    /// <summary>Where the drive is kept; null = a folder of its own that goes with the mount.</summary>
    public string? Storage { get; init; }
}

/// <summary>
/// A real drive mounted on a fresh folder, put together as the program does it: reached over sockets on loopback, kept on disk, always
/// unmounted at the end.
/// </summary>
internal sealed class MountedDrive : IAsyncDisposable
{
    private readonly TempFolder? _temporary;
    private readonly Replicator _replicator;
    private readonly Swarm _swarm;

    private MountedDrive(IDrive drive, DatFileSystem files, FuseMount mount, Replicator replicator, Swarm swarm, Relay? relay, string storage, TempFolder? temporary)
    {
        Drive = drive;
        Files = files;
        Mount = mount;
        _replicator = replicator;
        _swarm = swarm;
        Line = relay;
        Storage = storage;
        _temporary = temporary;
    }

    public IDrive Drive { get; }

    public DatFileSystem Files { get; }

    public FuseMount Mount { get; }

    /// <summary>The mount point.</summary>
    public string Folder => Mount.MountPoint;

    /// <summary>Root of the kept drives.</summary>
    public string Storage { get; }

    /// <summary>What lies between the peers.</summary>
    public Relay? Line { get; }

    public bool AnyPeer => _replicator.AnyPeer;

    public string this[string path] => Folder + (path.StartsWith('/') ? path : "/" + path);

    /// <summary>Mounts; comes back once the newest metadata is here, unless nobody can be reached.</summary>
    public static async Task<MountedDrive> CreateAsync(SharedDrive shared, MountedDriveOptions? options = null)
    {
        MountedTree.RequireFuse();
        options ??= new MountedDriveOptions();
        CancellationToken ct = TestContext.Current.CancellationToken;
        TempFolder? temporary = options.Storage is null ? TempFolder.Create("reader") : null;
        string storage = options.Storage ?? temporary!.Path;
        Relay? relay = options.Relayed || options.Paused ? Relay.To(shared.Port) : null;
        if (options.Paused) relay!.Pause();

        Replicator replicator = new(new ReplicatorOptions { OfflineAfter = options.IoTimeout, FetchTimeout = options.IoTimeout });
        Swarm swarm = new(replicator);
        IDrive drive = await DriveOpener.OpenAsync(
            DriveReference.Parse(shared.Key.ToHex()), new DriveOpenOptions { StorageRoot = storage, Network = replicator, Offline = options.Offline }, ct);
        if (!options.Offline) swarm.Add(new PeerAddress(IPAddress.Loopback.ToString(), relay?.Port ?? shared.Port));
        DatFileSystem files = new(drive, new MountFsOptions
        {
            Version = options.Version,
            IoTimeout = options.IoTimeout,
            Progress = () => replicator.Traffic.Sum(feed => feed.DownloadedBytes),
            Connected = () => replicator.AnyPeer,
        });
        FuseMount mount = await FuseMount.MountAsync(files, MountedTree.FreshFolder(), options.Fuse, NullLogger.Instance, ct);
        MountedDrive mounted = new(drive, files, mount, replicator, swarm, relay, storage, temporary);
        if (options.Paused || options.Offline) return mounted;
        try
        {
            await drive.ReadyAsync(ct);
            return mounted;
        }
        catch
        {
            await mounted.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until all metadata is here: from then on names and attributes need no peer.</summary>
    public void UntilMetadataIsHere(SharedDrive shared) =>
        Shell.Until(() => Drive.Status.MetadataHeld == shared.Metadata.Length, "all metadata");

    public async ValueTask DisposeAsync()
    {
        Line?.Resume();
        await Mount.UnmountAsync(lazyAfterGrace: true, CancellationToken.None);
        await Mount.Completion.WaitAsync(TimeSpan.FromSeconds(20));
        await Files.DisposeAsync();
        await _swarm.DisposeAsync();
        await _replicator.DisposeAsync();
        await Drive.DisposeAsync();
        if (Line is not null) await Line.DisposeAsync();
        Directory.Delete(Folder);
        _temporary?.Dispose();
    }
}
