using DatFs.Replication;
using DatFs.Wire;

namespace DatFs.Discovery;

/// <summary>How a drive's peers are found and dialled.</summary>
public sealed record SwarmOptions
{
    /// <summary>Sources shared with other drives, which outlive the swarm; null = only addresses that are added.</summary>
    public PeerSources? Sources { get; init; }

    /// <summary>Sources of this drive alone, disposed with the swarm.</summary>
    public IReadOnlyList<IPeerSource> OwnSources { get; init; } = [];

    /// <summary>Addresses that worked before; disposed with the swarm. Null = none are remembered.</summary>
    public PeerCache? Cache { get; init; }

    /// <summary>Tell peers of each other (discovery.md §10 point 7). The replicator's options must list <see cref="PeerExchange.ExtensionName"/>.</summary>
    public bool Exchange { get; init; }

    /// <summary>Dial and accept only what is reached without a router, but for addresses that are added.</summary>
    public bool OnLinkOnly { get; init; }

    /// <summary>Opens a transport; throws <see cref="DatException"/>, <see cref="System.Net.Sockets.SocketException"/> or <see cref="IOException"/> when it cannot. Null = TCP.</summary>
    public Func<PeerAddress, CancellationToken, ValueTask<ITransport>>? Dial { get; init; }

    /// <summary>Values in [0, 1) for the jitter; null = the system's.</summary>
    public Func<double>? Random { get; init; }
}
