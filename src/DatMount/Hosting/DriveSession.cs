using DatFs;
using DatFs.Discovery;
using DatFs.Drives;
using DatFs.Merging;
using DatFs.Replication;
using DatFs.Wire;
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
    private readonly PeerFinding _peers;
    private readonly NameWatch? _name;
    private readonly DriveMerger _merger;

    private DriveSession(DriveReference reference, IDrive drive, DriveSettings settings, TimeProvider time, Replicator replicator, PeerFinding peers, NameWatch? name, DriveMerger merger)
    {
        Reference = reference;
        Drive = drive;
        _settings = settings;
        _time = time;
        _replicator = replicator;
        _peers = peers;
        _name = name;
        _merger = merger;
    }

    /// <summary>What the user named.</summary>
    public DriveReference Reference { get; }

    public IDrive Drive { get; }

    /// <summary>Where drives are kept.</summary>
    public string StorageFolder => _settings.StorageRoot ?? DriveStore.DefaultRoot();

    /// <summary>The user's own folder that the drive is read from; null when all of it is kept here.</summary>
    public string? Folder => Reference.Folder ?? DriveStore.RecordOf(StorageFolder, Drive.Key.ToDiscoveryKey())?.Folder;

    /// <summary>How conflicts are merged.</summary>
    public DriveMerger Merger => _merger;

    /// <summary>How it meets its peers.</summary>
    public PeerFinding Peers => _peers;

    /// <summary>Where peers can reach us, null when we do not listen.</summary>
    public string? Listening => _peers.Listening?.ToString();

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
        DiscoverySettings discovery = settings.FindPeers();
        ConflictSettings conflicts = Configuration.Conflicts(settings.ConfigurationFile, time);
        ILogger log = loggers.CreateLogger("datmount.peers");
        Replicator replicator = new(new ReplicatorOptions
        {
            Time = time,
            Log = log,
            OfflineAfter = patience,
            FetchTimeout = patience,
            Extensions = discovery.Any ? [PeerExchange.ExtensionName] : [],
        });
        try
        {
            DriveReference named = DriveReference.Parse(ReadReference(reference));
            NameWatch? name = await NameWatch.ResolveAsync(named, settings, time, log, ct);
            if (name is not null) named = named.With(name.Key);
            IDrive drive = await DriveOpener.OpenAsync(named, new DriveOpenOptions
            {
                StorageRoot = settings.StorageRoot,
                Network = replicator,
                // Nobody is waited for who cannot come.
                Offline = settings.Offline || (settings.Peers.Count == 0 && settings.Listen is null && !discovery.Any),
                Purpose = purpose,
                ReadOnly = settings.ReadOnly,
                HideConflicts = settings.HideConflicts ?? conflicts.Hidden,
                Log = loggers.CreateLogger("datmount.drive"),
                Time = time,
            }, ct);
            try
            {
                PeerFinding peers = await PeerFinding.StartAsync(replicator, drive.Key.ToDiscoveryKey(), settings, discovery, settings.StorageRoot ?? DriveStore.DefaultRoot(), time, log, ct);
                // A peer of a drive of several writers opens all that it knows at once; one of a drive of one writer has nothing to open but two.
                if (drive.Writers is null && drive.Status.MetadataLength > 0) replicator.MaxUnknownChannels = WireOptions.UsualUnknownChannels;
                DriveMerger merger = DriveMerger.Start(drive, conflicts.Merging with { Log = loggers.CreateLogger("datmount.merging"), Time = time });
                return new DriveSession(named, drive, settings, time, replicator, peers, name, merger);
            }
            catch
            {
                name?.Dispose();
                await drive.DisposeAsync();
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
        if (nothing && _settings.Peers.Count == 0 && _peers.Listening is null)
            throw new CommandException(ExitCode.NotFound, "nothing of this drive is stored here and no peer is known; leave out --no-discovery to look for some, name one with --peer host:port, or wait for one with --listen host:port");
        using CancellationTokenSource patience = _settings.IoTimeout == TimeSpan.Zero ? new() : new(_settings.IoTimeout, _time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, patience.Token);
        try
        {
            IDriveView view = await Drive.ReadyAsync(either.Token);
            // What shows of a conflict may be the archive's to say.
            await _merger.RefreshAsync(either.Token);
            return Drive.Writers is null ? view : Drive.Live;
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

    /// <summary>The version in the link, as typed.</summary>
    public string? LinkedVersion => Reference.Version?.ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The view a user asked for: a number, a text or a time, else the version in the link, else the newest.</summary>
    public async Task<IDriveView> ViewAsync(string? version, CancellationToken ct)
    {
        IDriveView live = await ReadyAsync(ct);
        if (version is null && Reference.Version is { } linked && Drive.Writers is not null)
            throw new CommandException(ExitCode.Usage, $"+{linked} in the link means nothing: a drive of several writers counts its versions on each machine; pass one on as the text that 'datmount status --json' shows, and take it with --version");
        return (version ?? LinkedVersion) is { } asked ? await Drive.CheckoutAsync(await VersionArgument.ResolveAsync(asked, Drive, _time, ct), ct) : live;
    }

    public DriveReport Report(string activity, string? mountpoint, bool ready, long fileSystemRequests)
    {
        DriveStatus status = Drive.Status;
        IReadOnlyList<PeerStatus> peers = _replicator.Peers;
        return new DriveReport(
            Environment.ProcessId, activity, mountpoint, Drive.Key.ToDiscoveryKey().ToHex(), Drive.Format, Drive.Writable, ready,
            status.Version, status.MetadataLength, status.MetadataHeld, status.ContentLength, status.ContentHeld, status.ContentBytes, Listening,
            [.. peers.Where(peer => peer.State == PeerState.Connected).Select(peer =>
                new PeerReport(peer.Address, "connected", peer.BytesReceived, peer.BytesSent, peer.ReceiveRate, peer.SendRate, peer.InFlight) { Budget = peer.Budget })],
            [.. _peers.Addresses.Where(dial => !dial.Connected && dial.LastError is not null).Select(dial => new AddressReport(dial.Address.ToString(), dial.LastError!))],
            Received, _replicator.Traffic.Sum(feed => feed.UploadedBytes), fileSystemRequests)
        {
            ReadOnlyBecause = status.ReadOnlyBecause,
            VersionText = status.VersionText,
            VersionAlias = status.VersionAlias,
            Name = _name?.Name,
            NameProblem = _name?.Problem,
            Budget = [.. _replicator.Limits, .. _peers.Limits],
            Sources = [.. _peers.Sources.Select(SourceHealthReport.Of)],
            Addresses = [.. _peers.Addresses.Select(dial => new DialReport(dial.Address.ToString(), dial.NamedBy, dial.State.ToString().ToLowerInvariant(), dial.Attempts, dial.LastError, dial.Rest?.TotalSeconds))],
        };
    }

    /// <summary>Counts what arrives, so that a slow read that makes progress is told from one that stalls.</summary>
    public long Received => _replicator.Traffic.Sum(feed => feed.DownloadedBytes);

    public bool AnyPeer => _replicator.AnyPeer;

    /// <summary>True when a place is the folder that the drive is read from, or inside it.</summary>
    public bool ReadsFrom(string place) => Folder is { } folder && (place.TrimEnd('/') + "/").StartsWith(folder.TrimEnd('/') + "/", StringComparison.Ordinal);

    private string Explain()
    {
        if (_settings.Offline) return "nothing of this drive is stored here; leave out --offline to fetch it";
        if (_peers.Explain() is { } why) return why + "; check the address and that the peer shares this drive";
        return _replicator.AnyPeer
            ? "a peer is connected but does not send the drive's newest metadata; check the key, or ask the peer whether it has all of it"
            : _peers.Settings.Any
                ? "no peer was found in time; check that somebody shares this drive now, look at 'datmount doctor' for the sources, or name a peer with --peer host:port"
                : "no peer has connected in time; give it longer with --io-timeout, or name another with --peer host:port";
    }

    public async ValueTask DisposeAsync()
    {
        _name?.Dispose();
        await _merger.DisposeAsync();
        await _peers.DisposeAsync();
        await _replicator.DisposeAsync();
        await Drive.DisposeAsync();
    }
}
