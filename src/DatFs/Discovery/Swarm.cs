using System.Net;
using DatFs.Replication;
using DatFs.Wire;

namespace DatFs.Discovery;

/// <summary>
/// Finds and dials the peers of one drive (discovery.md §8, §10): the public door of this folder. Joins every source at once and waits
/// for none; what they name goes into bounded queues, one for each source, dialled in turn. Addresses that are added by hand come
/// first, always. It decides who is dialled and when; connections belong to the <see cref="Replicator"/>, which is never called under the
/// lock here. A peer from any source is only an address to try. Disposal leaves the sources and ends the connections that were dialled.
/// </summary>
public sealed partial class Swarm : IAsyncDisposable
{
    /// <summary>Connections of one drive at a time, dials included; addresses that were added have room beside.</summary>
    public const int MaxConnections = 64;

    /// <summary>Connections to and from one host, unless it is this machine.</summary>
    public const int MaxPerHost = 4;

    /// <summary>Addresses that may be added.</summary>
    public const int MaxAddresses = 1024;

    /// <summary>Least time between two occasions at which the loss of all peers makes every source ask again.</summary>
    public static readonly TimeSpan AloneEvery = TimeSpan.FromSeconds(10);

    private readonly Replicator _replicator;
    private readonly SwarmOptions _options;
    private readonly Func<PeerAddress, CancellationToken, ValueTask<ITransport>> _dial;
    private readonly Func<double> _random;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private readonly SourceLane _added = new("static", null);
    private readonly List<SourceLane> _lanes = [];
    private readonly PeerExchange? _exchange;
    private readonly ITimer _timer;
    private int _port;
    private bool _hadPeer;
    private long? _aloneAt;
    private bool _joined;
    private bool _disposed;

    /// <summary>Creates a swarm that knows no address and has joined no source.</summary>
    public Swarm(Replicator replicator, SwarmOptions? options = null)
    {
        _replicator = replicator;
        _options = options ?? new SwarmOptions();
        _time = replicator.Time;
        _dial = _options.Dial ?? (async (address, ct) => await TcpTransport.ConnectAsync(address.Host, address.Port, _time, ct));
        _random = _options.Random ?? Random.Shared.NextDouble;
        _timer = _time.CreateTimer(static self => ((Swarm)self!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (_options.Exchange)
        {
            if (!replicator.Options.Extensions.Contains(PeerExchange.ExtensionName)) throw new DatException(DatError.Invalid, $"the replicator does not list {PeerExchange.ExtensionName}");
            _exchange = new PeerExchange(_time);
            replicator.Extension = _exchange;
        }

        replicator.ExplainOffline = Explain;
        replicator.PeersChanged += OnPeersChanged;
        if (_options.Sources is { } shared) shared.Woken += DialAgain;
    }

    /// <summary>Every address that was named and not forgotten long ago.</summary>
    public IReadOnlyList<DialStatus> Addresses
    {
        get
        {
            lock (_gate) return [.. _candidates.Values.Select(c => new DialStatus(c.Address, [.. c.Lanes.Select(lane => lane.Name)], c.State, c.Attempts, c.LastError, c.Rest))];
        }
    }

    /// <summary>Every source that was joined, in the order in which a user meets them.</summary>
    public IReadOnlyList<SourceReport> Sources
    {
        get
        {
            SourceLane[] lanes;
            lock (_gate) lanes = [.. _lanes];
            return [.. lanes.Where(lane => lane.Source is not null).Select(lane =>
                new SourceReport(lane.Source!.Kind, lane.Name, lane.Source.Status, lane.Search?.Announced ?? false, lane.Search?.Named ?? 0))];
        }
    }

    /// <summary>Keeps a connection to an address from now on; the same address again changes nothing. Names are resolved at every dial.</summary>
    /// <exception cref="DatException">Invalid: more than <see cref="MaxAddresses"/>.</exception>
    public void Add(PeerAddress address)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested, this);
            if (_candidates.TryGetValue(address, out Candidate? known) && known.Static) return;
            if (_added.Kept >= MaxAddresses) throw new DatException(DatError.Invalid, $"more than {MaxAddresses} peer addresses");
            Name(address, _added, toldPrivately: true);
            Pump();
        }
    }

    /// <summary>Looks for the drive's peers at every source and announces ours, until disposed. Once; waits for nothing.</summary>
    /// <param name="topic">The drive.</param>
    /// <param name="port">TCP port where we accept connections, which sources announce; 0 = we only look.</param>
    public void Join(SwarmTopic topic, int port)
    {
        IEnumerable<IPeerSource> own = [.. _options.Cache is { } cache ? [cache] : (IPeerSource[])[], .. _options.OwnSources, .. _exchange is { } exchange ? [exchange] : (IPeerSource[])[]];
        SourceLane[] lanes = [.. (_options.Sources?.All ?? []).Concat(own).Select(source => new SourceLane(source.Name, source))];
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested, this);
            if (_joined) throw new DatException(DatError.Invalid, "the swarm has joined its sources already");
            _joined = true;
            _port = port;
            _lanes.AddRange(lanes);
        }

        foreach (SourceLane lane in lanes)
        {
            IPeerSearch search = lane.Source!.Join(topic, port, sighting => Sighted(lane, sighting));
            lock (_gate) lane.Search = search;
        }
    }

    /// <summary>Runs an incoming connection to its end, or refuses it when there are too many. Takes the transport over.</summary>
    public async Task RunAsync(ITransport transport, CancellationToken ct)
    {
        string host = PeerAddress.TryParse(transport.RemoteName, out PeerAddress remote) ? remote.Host : transport.RemoteName;
        if (!TryAdmit(host, out bool loopback))
        {
            transport.Abort();
            await transport.DisposeAsync();
            return;
        }

        try
        {
            await _replicator.RunAsync(transport, ct);
        }
        finally
        {
            lock (_gate)
            {
                Close(host, loopback);
                Pump();
            }
        }
    }

    /// <summary>One sentence on why nobody was reached, or null when there is nothing to say.</summary>
    public string? Explain()
    {
        const int shown = 5;
        string[] failures = [.. Addresses.Where(s => !s.Connected && s.LastError is not null).OrderByDescending(s => s.NamedBy.Contains(_added.Name)).Select(s => $"{s.Address} {s.LastError}")];
        if (failures.Length == 0) return null;
        string rest = failures.Length > shown ? $"; and {failures.Length - shown} more" : "";
        return "no peer answered: " + string.Join("; ", failures.Take(shown)) + rest;
    }

    /// <summary>Leaves the sources, stops dialling and ends the connections that were dialled.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        if (_options.Sources is { } shared) shared.Woken -= DialAgain;
        _replicator.PeersChanged -= OnPeersChanged;
        await _time.CancelAsync(_stopping);
        await _timer.DisposeAsync();
        Task idle;
        IPeerSearch[] searches;
        lock (_gate)
        {
            _idle = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_running == 0) _idle.TrySetResult();
            idle = _idle.Task;
            searches = [.. _lanes.Select(lane => lane.Search).OfType<IPeerSearch>()];
        }

        foreach (IPeerSearch search in searches) await search.DisposeAsync();
        await idle;
        if (_exchange is not null) await _exchange.DisposeAsync();
        foreach (IPeerSource source in _options.OwnSources) await source.DisposeAsync();
        if (_options.Cache is { } cache) await cache.DisposeAsync();
        _stopping.Dispose();
    }

    private void Sighted(SourceLane lane, PeerSighting sighting)
    {
        IPEndPoint address = new(AddressRules.Plain(sighting.Address.Address), sighting.Address.Port);
        if (!AddressRules.MayDial(sighting with { Address = address })) return;
        if (_options.Sources?.Network is { } network)
        {
            if (_options.OnLinkOnly && !network.IsOnLink(address.Address)) return;
            if (address.Port == _port && network.IsOurs(address.Address)) return;
        }

        lock (_gate)
        {
            if (_stopping.IsCancellationRequested) return;
            Name(new PeerAddress(address.Address.ToString(), address.Port), lane, sighting.ToldPrivately);
            Pump();
        }
    }

    private bool TryAdmit(string host, out bool loopback)
    {
        loopback = !IPAddress.TryParse(host, out IPAddress? address) || IPAddress.IsLoopback(address);
        if (_options.OnLinkOnly && address is not null && _options.Sources?.Network.IsOnLink(address) == false) return false;
        lock (_gate)
        {
            if (_open >= MaxConnections || (!loopback && _byHost.GetValueOrDefault(host) >= MaxPerHost)) return false;
            Open(host, loopback);
            return true;
        }
    }

    // A peer came or went: what was not dialled for its sake may be dialled now, and being alone is a reason to ask everybody.
    private void OnPeersChanged(Replicator replicator)
    {
        bool any = replicator.AnyPeer;
        bool alone;
        lock (_gate)
        {
            alone = _hadPeer && !any && (_aloneAt is not { } at || _time.GetElapsedTime(at) >= AloneEvery);
            _hadPeer = any;
            if (alone) _aloneAt = _time.GetTimestamp();
        }

        ReleaseDuplicates();
        if (!alone || _stopping.IsCancellationRequested) return;
        SourceLane[] lanes;
        lock (_gate) lanes = [.. _lanes];
        foreach (SourceLane lane in lanes) lane.Source?.Wake();
    }
}
