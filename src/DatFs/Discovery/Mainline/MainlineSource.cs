using DatFs.Discovery.Kademlia;

namespace DatFs.Discovery.Mainline;

/// <summary>
/// The BitTorrent mainline network as a source of peers (discovery.md §6.1, §10). Silent until the first topic is joined. Each topic is looked for
/// at once, several times in the first minutes, as others may just have come, and from then on every 10 to 15 minutes; announced to the nodes nearest
/// to it, to each again after ten minutes. There is no taking back: records die at the nodes. Everything happens in callbacks of the node, of timers
/// and of callers, none of which waits.
/// </summary>
internal sealed partial class MainlineSource : IPeerSource
{
    /// <summary>The nodes by which everybody enters the public network. Nothing but a user's program may use them.</summary>
    public static readonly IReadOnlyList<string> PublicBootstrap = ["router.bittorrent.com:6881", "router.utorrent.com:6881", "dht.transmissionbt.com:6881"];

    /// <summary>Port of a bootstrap host without one.</summary>
    public const int DefaultPort = 6881;

    /// <summary>Shortest time between two rounds in the long run, and what chance adds at most.</summary>
    public static readonly TimeSpan Refresh = TimeSpan.FromMinutes(10), RefreshJitter = TimeSpan.FromMinutes(5);

    /// <summary>Pause before a failed round is repeated while the breaker is closed, times the failures in a row.</summary>
    public static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    /// <summary>Time between two savings of the nodes.</summary>
    public static readonly TimeSpan SaveTime = TimeSpan.FromMinutes(5);

    /// <summary>Pauses after the first rounds: two that join together look before the other is announced, and neither would be found for long.</summary>
    private static readonly TimeSpan[] s_early = [TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(30), TimeSpan.FromMinutes(2), TimeSpan.FromMinutes(5)];

    private readonly IDatagramSocket _socket;
    private readonly MainlineNode _node;
    private readonly OverlayOptions _world;
    private readonly BootstrapHosts _hosts;
    private readonly NodesFile? _saved;
    private readonly SourceBreaker _breaker;
    private readonly ITimer _saving;
    private readonly Lock _gate = new();
    private readonly List<Search> _searches = [];
    private long _failureCountedAt = long.MinValue;
    private long _answeredAt = long.MinValue;
    private bool _disposed;

    /// <summary>Creates it over a socket that nobody else receives from; reads the nodes saved last, and sends nothing yet.</summary>
    public MainlineSource(IDatagramSocket socket, MainlineSourceOptions options)
    {
        (_socket, _world) = (socket, options.Node.World);
        _breaker = new SourceBreaker(_world.Time, _world.Random);
        _node = new MainlineNode(socket, options.Node);
        _node.Overlay.Heard = reply => Answered(reply.RoundTrip);
        _hosts = new BootstrapHosts(options.Bootstrap, DefaultPort, _world.Time, options.Resolver, _node.Overlay.AddBootstrap, Settled);
        _saved = options.NodesPath is null ? null : new NodesFile(options.NodesPath);
        if (_saved is not null) _node.Overlay.AddBootstrap(_saved.Load());
        _saving = _world.Time.CreateTimer(_ => Save(), null, SaveTime, SaveTime);
    }

    /// <inheritdoc/>
    public SourceKind Kind => SourceKind.Dht;

    /// <inheritdoc/>
    public string Name => "dht";

    /// <inheritdoc/>
    public SourceStatus Status => _breaker.Status(_hosts.Problem is null
        ? "check that UDP gets out of this network and back, or name bootstrap nodes that answer in the configuration"
        : "check this machine's name servers, or name bootstrap nodes by address in the configuration");

    /// <summary>Our node.</summary>
    internal MainlineNode Node => _node;

    /// <summary>Why the nodes could not be kept on disk; null = they could.</summary>
    internal string? Unsaved => _saved?.Problem;

    /// <inheritdoc/>
    public IPeerSearch Join(SwarmTopic topic, int port, Action<PeerSighting> found)
    {
        Search search = new(this, NodeId.Read(topic.InfoHash), port, found);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _searches.Add(search);
        }

        BeginRound(search);
        _node.Overlay.Begin();
        return search;
    }

    /// <inheritdoc/>
    public void Wake()
    {
        _breaker.Reset();
        _hosts.Forget();
        foreach (Search search in All())
        {
            search.StartOver();
            BeginRound(search);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        foreach (Search search in All()) await search.DisposeAsync();
        await _saving.DisposeAsync();
        Save();
        _hosts.Dispose();
        await _node.DisposeAsync();
    }

    private Search[] All()
    {
        lock (_gate) return [.. _searches];
    }

    /// <summary>Looks for a topic, unless that is under way or an open breaker keeps a mere refresh back.</summary>
    private void BeginRound(Search search, bool refresh = false)
    {
        lock (_gate)
        {
            if (search.Closed || search.Walking) return;
            if (refresh && !_breaker.TryEnter())
            {
                search.Wait(Later(RetryPause));
                return;
            }

            search.Walking = true;
        }

        _hosts.Resolve();
        long started = _world.Time.GetTimestamp();
        _node.FindPeers(search.InfoHash, search.Tell, result => EndRound(search, started, result));
    }

    private void EndRound(Search search, long started, WalkResult result)
    {
        lock (_gate)
        {
            search.Walking = false;
            search.Lost = result.Answered == 0;
            if (search.Closed) return;
            // Whoever knows no node yet waits for the names to be resolved the first time.
            if (result.Asked == 0 && _hosts.Pending && _hosts.Problem is null) return;
        }

        if (result.Answered > 0)
        {
            foreach (WalkNode node in search.ToTell(result.Closest)) _node.Announce(search.InfoHash, search.Port, node, taken => search.Told(node, taken));
            search.WaitForNext();
            return;
        }

        (long unsent, string? why) = _socket.Unsent;
        string problem = result.Asked == 0 ? _hosts.Problem ?? "no node to begin with is known" : unsent > 0 && why is not null ? "no node answers: " + why : "no node answers";
        Failed(started, problem);
        search.Wait(Later(RetryPause * Math.Max(1, _breaker.Status(null).Failures)));
    }

    /// <summary>The names of the first nodes are resolved: whoever got nowhere tries again. Or they are not: then after a pause.</summary>
    private void Settled()
    {
        string? problem = _hosts.Problem;
        if (problem is not null) Failed(_world.Time.GetTimestamp(), problem);
        foreach (Search search in All())
        {
            if (!search.Lost) continue;
            if (problem is null) BeginRound(search);
            else search.Wait(Later(RetryPause * Math.Max(1, _breaker.Status(null).Failures)));
        }
    }

    private void Answered(TimeSpan roundTrip)
    {
        bool revived = _breaker.Status(null).Health == SourceHealth.Down;
        _breaker.Answered(roundTrip);
        lock (_gate) _answeredAt = _world.Time.GetTimestamp();
        if (!revived) return;
        foreach (Search search in All())
            if (search.Lost) BeginRound(search);
    }

    /// <summary>Many topics that fail together are one failure, and none when a node answered another meanwhile.</summary>
    private void Failed(long started, string problem)
    {
        lock (_gate)
        {
            if (_answeredAt > started || _failureCountedAt > started) return;
            _failureCountedAt = _world.Time.GetTimestamp();
        }

        _breaker.Failed(problem);
    }

    private TimeSpan Later(TimeSpan least) => _breaker.Pause is { } pause && pause > least ? pause : least;

    private void Save()
    {
        if (_saved is null) return;
        Ipv4Peer[] good;
        lock (_node.Overlay.Gate) good = [.. _node.Overlay.Table.All.Where(node => node.Failures == 0).OrderByDescending(node => node.Answered).Select(node => node.Contact.Address)];
        // Nothing good does not make what was good before bad.
        if (good.Length > 0) _saved.Save(good);
    }
}
