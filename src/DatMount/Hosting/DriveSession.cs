using System.Net;
using DatFs;
using DatFs.Discovery;
using DatFs.Drives;
using DatFs.Replication;
using DatMount.Commands;
using Microsoft.Extensions.Logging;

namespace DatMount.Hosting;

/// <summary>
/// A drive opened with its connections: dialled peers, accepted peers, storage. What mount, share and export have in common.
/// </summary>
internal sealed class DriveSession : IAsyncDisposable
{
    private readonly DriveSettings _settings;
    private readonly TimeProvider _time;
    private readonly Replicator _replicator;
    private readonly Swarm _swarm;
    private PeerListener? _listener;

    private DriveSession(DriveReference reference, IDrive drive, DriveSettings settings, TimeProvider time, Replicator replicator, Swarm swarm)
    {
        Reference = reference;
        Drive = drive;
        _settings = settings;
        _time = time;
        _replicator = replicator;
        _swarm = swarm;
    }

    /// <summary>What the user named.</summary>
    public DriveReference Reference { get; }

    public IDrive Drive { get; }

    /// <summary>Where drives are kept.</summary>
    public string StorageFolder => _settings.StorageRoot ?? DriveStore.DefaultRoot();

    /// <summary>The user's own folder that the drive is read from; null when all of it is kept here.</summary>
    public string? Folder => Reference.Folder ?? DriveStore.RecordOf(StorageFolder, Drive.Key.ToDiscoveryKey())?.Folder;

    /// <summary>Where peers can reach us, null when we do not listen.</summary>
    public string? Listening => _listener?.LocalEndPoint.ToString();

    /// <summary>The drive as typed; "-" takes it from standard input, so that no link shows in the process list or the shell's history.</summary>
    public static string ReadReference(string typed)
    {
        if (typed != "-") return typed;
        string? line = Console.In.ReadLine()?.Trim();
        return string.IsNullOrEmpty(line) ? throw new CommandException(ExitCode.Usage, "no drive was given on standard input") : line;
    }

    /// <summary>Opens a drive for a purpose that others are told who want it too: "mounted at /mnt".</summary>
    public static async Task<DriveSession> OpenAsync(string reference, string purpose, DriveSettings settings, TimeProvider time, ILoggerFactory loggers, CancellationToken ct)
    {
        TimeSpan patience = settings.IoTimeout == TimeSpan.Zero ? Timeout.InfiniteTimeSpan : settings.IoTimeout;
        Replicator replicator = new(new ReplicatorOptions { Time = time, Log = loggers.CreateLogger("datmount.peers"), OfflineAfter = patience, FetchTimeout = patience });
        try
        {
            DriveReference named = DriveReference.Parse(ReadReference(reference));
            IDrive drive = await DriveOpener.OpenAsync(named, new DriveOpenOptions
            {
                StorageRoot = settings.StorageRoot,
                Network = replicator,
                // Nobody is waited for who cannot come.
                Offline = settings.Offline || (settings.Peers.Count == 0 && settings.Listen is null),
                Purpose = purpose,
                Log = loggers.CreateLogger("datmount.drive"),
                Time = time,
            }, ct);
            Swarm swarm = new(replicator);
            DriveSession session = new(named, drive, settings, time, replicator, swarm);
            try
            {
                await session.ConnectAsync(loggers, ct);
                return session;
            }
            catch
            {
                await session.DisposeAsync();
                throw;
            }
        }
        catch
        {
            await replicator.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits for the newest metadata, at most the I/O timeout, and says what to do when it does not come.</summary>
    public async Task<IDriveView> ReadyAsync(CancellationToken ct)
    {
        bool nothing = Drive.Live.Version == 0 && Drive.Status.MetadataLength == 0;
        if (nothing && _settings.Offline) throw new CommandException(ExitCode.NotFound, Explain());
        if (nothing && _settings.Peers.Count == 0 && _listener is null)
            throw new CommandException(ExitCode.NotFound, "nothing of this drive is stored here and no peer is known; name one with --peer host:port, or wait for one with --listen host:port");
        using CancellationTokenSource patience = _settings.IoTimeout == TimeSpan.Zero ? new() : new(_settings.IoTimeout, _time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, patience.Token);
        try
        {
            return await Drive.ReadyAsync(either.Token);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw new CommandException(ExitCode.NotFound, Explain());
        }
        catch (DatException failure) when (failure.Error is DatError.Offline or DatError.TimedOut)
        {
            throw new CommandException(ExitCode.NotFound, Explain(), failure);
        }
    }

    /// <summary>The view a user asked for: null = the newest, else a number or a time.</summary>
    public async Task<IDriveView> ViewAsync(string? version, CancellationToken ct)
    {
        IDriveView live = await ReadyAsync(ct);
        return version is null ? live : await Drive.CheckoutAsync(await VersionArgument.ResolveAsync(version, Drive, _time, ct), ct);
    }

    public DriveReport Report(string activity, string? mountpoint, bool ready, long fileSystemRequests)
    {
        DriveStatus status = Drive.Status;
        IReadOnlyList<PeerStatus> peers = _replicator.Peers;
        return new DriveReport(
            Environment.ProcessId, activity, mountpoint, Drive.Key.ToDiscoveryKey().ToHex(), Drive.Format, Drive.Writable, ready,
            status.Version, status.MetadataLength, status.MetadataHeld, status.ContentLength, status.ContentHeld, status.ContentBytes, Listening,
            [.. peers.Where(peer => peer.State == PeerState.Connected).Select(peer =>
                new PeerReport(peer.Address, "connected", peer.BytesReceived, peer.BytesSent, peer.ReceiveRate, peer.SendRate, peer.InFlight))],
            [.. _swarm.Addresses.Where(dial => !dial.Connected && dial.LastError is not null).Select(dial => new AddressReport(dial.Address.ToString(), dial.LastError!))],
            Received, _replicator.Traffic.Sum(feed => feed.UploadedBytes), fileSystemRequests)
        { ReadOnlyBecause = status.ReadOnlyBecause };
    }

    /// <summary>Counts what arrives, so that a slow read that makes progress is told from one that stalls.</summary>
    public long Received => _replicator.Traffic.Sum(feed => feed.DownloadedBytes);

    public bool AnyPeer => _replicator.AnyPeer;

    /// <summary>True when a place is the folder that the drive is read from, or inside it.</summary>
    public bool ReadsFrom(string place) => Folder is { } folder && (place.TrimEnd('/') + "/").StartsWith(folder.TrimEnd('/') + "/", StringComparison.Ordinal);

    private async Task ConnectAsync(ILoggerFactory loggers, CancellationToken ct)
    {
        if (_settings.Offline) return;
        if (_settings.Listen is { } listen)
        {
            IPAddress[] found = await Dns.GetHostAddressesAsync(listen.Host, ct);
            _listener = PeerListener.Start(new IPEndPoint(found[0], listen.Port), (transport, serving) => _swarm.RunAsync(transport, serving), _time, loggers.CreateLogger("datmount.peers"));
        }

        foreach (PeerAddress peer in _settings.Peers) _swarm.Add(peer);
    }

    private string Explain()
    {
        if (_settings.Offline) return "nothing of this drive is stored here; leave out --offline to fetch it";
        if (_swarm.Explain() is { } why) return why + "; check the address and that the peer shares this drive";
        return _replicator.AnyPeer
            ? "a peer is connected but does not send the drive's newest metadata; check the key, or ask the peer whether it has all of it"
            : "no peer has connected in time; give it longer with --io-timeout, or name another with --peer host:port";
    }

    public async ValueTask DisposeAsync()
    {
        if (_listener is not null) await _listener.DisposeAsync();
        await _swarm.DisposeAsync();
        await _replicator.DisposeAsync();
        await Drive.DisposeAsync();
    }
}
