using System.Net;
using DatFs;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Replication;
using DatFs.Storage;
using Microsoft.Extensions.Logging;

namespace DatMount.Hosting;

/// <summary>
/// How one process meets the peers of its drive: the port it listens on, the sources it asks, the addresses it was given. Starting waits for
/// no source. What is connected belongs to the replicator.
/// </summary>
internal sealed partial class PeerFinding : IAsyncDisposable
{
    /// <summary>Where peers of the Dat network listen first (discovery.md §8.1).</summary>
    public const int DefaultPort = 3282;

    /// <summary>How often the log is told of sources that stopped or began to answer.</summary>
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(1);

    private readonly Swarm _swarm;
    private readonly PeerSources? _sources;
    private readonly PeerListener? _listener;
    private readonly ILogger _log;
    private readonly ITimer _look;
    private readonly Dictionary<string, SourceHealth> _told = [];

    private PeerFinding(DiscoverySettings settings, Swarm swarm, PeerSources? sources, PeerListener? listener, TimeProvider time, ILogger log)
    {
        (Settings, _swarm, _sources, _listener, _log) = (settings, swarm, sources, listener, log);
        _look = time.CreateTimer(static self => ((PeerFinding)self!).TellHealth(), this, s_look, s_look);
    }

    /// <summary>What the user chose.</summary>
    public DiscoverySettings Settings { get; }

    /// <summary>Where peers can reach us, null when we do not listen.</summary>
    /// <summary>The bounds on those who connect to us.</summary>
    public IReadOnlyList<BudgetLine> Limits => _listener?.Limits ?? [];

    public IPEndPoint? Listening => _listener?.LocalEndPoint;

    /// <summary>Every address that was named.</summary>
    public IReadOnlyList<DialStatus> Addresses => _swarm.Addresses;

    /// <summary>Every source that is asked.</summary>
    public IReadOnlyList<SourceReport> Sources => _swarm.Sources;

    /// <summary>Begins to look for the peers of a drive, and to be found by them.</summary>
    public static async Task<PeerFinding> StartAsync(Replicator replicator, DiscoveryKey drive, DriveSettings settings, DiscoverySettings discovery, string storage, TimeProvider time, ILogger log, CancellationToken ct)
    {
        PeerListener? listener = null;
        PeerSources? sources = null;
        TaskCompletionSource<Swarm> made = new(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            listener = await ListenAsync(settings, discovery, async (transport, serving) => await (await made.Task).RunAsync(transport, serving), time, log, ct);
            if (discovery.Any)
            {
                sources = PeerSources.Open(new PeerSourcesOptions
                {
                    Lan = discovery.Lan,
                    Servers = discovery.Dns ? discovery.Servers : [],
                    Dht = discovery.Dht,
                    Bootstrap = discovery.Bootstrap,
                    Domain = discovery.Domain,
                    Local = UdpAddress(listener?.LocalEndPoint),
                    StateFolder = storage,
                    Time = time,
                });
            }

            Swarm swarm = new(replicator, new SwarmOptions
            {
                Sources = sources,
                Cache = discovery.Any ? PeerCache.Open(new DiskFolder(Path.Combine(storage, drive.ToHex())), time) : null,
                Exchange = discovery.Any,
                OnLinkOnly = discovery.OnLinkOnly,
            });
            made.SetResult(swarm);
            foreach (PeerAddress peer in settings.Peers) swarm.Add(peer);
            if (discovery.Any) swarm.Join(new SwarmTopic(drive), listener?.LocalEndPoint.Port ?? 0);
            return new PeerFinding(discovery, swarm, sources, listener, time, log);
        }
        catch
        {
            made.TrySetCanceled(CancellationToken.None);
            if (listener is not null) await listener.DisposeAsync();
            if (sources is not null) await sources.DisposeAsync();
            throw;
        }
    }

    /// <summary>Keeps a connection to one more address.</summary>
    public void Add(PeerAddress peer) => _swarm.Add(peer);

    /// <summary>Why nobody was reached; null when nothing is known.</summary>
    public string? Explain() => _swarm.Explain();

    public async ValueTask DisposeAsync()
    {
        await _look.DisposeAsync();
        if (_listener is not null) await _listener.DisposeAsync();
        await _swarm.DisposeAsync();
        if (_sources is not null) await _sources.DisposeAsync();
    }

    private static async Task<PeerListener?> ListenAsync(DriveSettings settings, DiscoverySettings discovery, Func<DatFs.Wire.ITransport, CancellationToken, Task> serve, TimeProvider time, ILogger log, CancellationToken ct)
    {
        if (settings.Offline) return null;
        if (settings.Listen is { } listen)
        {
            IPAddress host = IPAddress.TryParse(listen.Host, out IPAddress? given) ? given : (await Dns.GetHostAddressesAsync(listen.Host, ct))[0];
            return PeerListener.Start(new IPEndPoint(host, listen.Port), serve, time, log);
        }

        if (!discovery.Any && !settings.AlwaysListen) return null;
        IPAddress every = System.Net.Sockets.Socket.OSSupportsIPv6 ? IPAddress.IPv6Any : IPAddress.Any;
        try
        {
            return PeerListener.Start(new IPEndPoint(every, DefaultPort), serve, time, log);
        }
        catch (DatException)
        {
            // Another program of the network runs here, or another drive is mounted: the port is announced, any will do.
            return PeerListener.Start(new IPEndPoint(every, 0), serve, time, log);
        }
    }

    private static IPEndPoint UdpAddress(IPEndPoint? tcp) => tcp is null ? new IPEndPoint(IPAddress.Any, 0)
        : tcp.Address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? tcp : new IPEndPoint(IPAddress.Any, tcp.Port);

    private void TellHealth()
    {
        foreach (SourceReport source in Sources)
        {
            SourceHealth now = source.Status.Health;
            if (_told.GetValueOrDefault(source.Name) == now) continue;
            bool wasBad = _told.TryGetValue(source.Name, out SourceHealth before) && before is SourceHealth.Down or SourceHealth.Unavailable;
            _told[source.Name] = now;
            if (now is SourceHealth.Down or SourceHealth.Unavailable) Fails(_log, source.Name, source.Status.Problem ?? "no answer", source.Status.Remedy ?? "");
            else if (now == SourceHealth.Up && wasBad) Works(_log, source.Name);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Source {Source} does not work: {Problem}. Other sources are asked as before. {Remedy}")]
    private static partial void Fails(ILogger log, string source, string problem, string remedy);

    [LoggerMessage(Level = LogLevel.Information, Message = "Source {Source} works again")]
    private static partial void Works(ILogger log, string source);
}
