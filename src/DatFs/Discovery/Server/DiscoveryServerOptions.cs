using System.Net;
using System.Security.Cryptography;

namespace DatFs.Discovery.Server;

/// <summary>What a <see cref="DiscoveryServer"/> of its own sockets is started with.</summary>
public sealed record DiscoveryServerSettings
{
    /// <summary>Where it listens. Gossip goes over the first.</summary>
    public required IReadOnlyList<IPEndPoint> Listen { get; init; }

    /// <summary>Where it listens too, if it may and nobody else does.</summary>
    public IReadOnlyList<IPEndPoint> ListenIfPermitted { get; init; } = [];

    /// <summary>Two labels, at the end of all names.</summary>
    public string Domain { get; init; } = SwarmTopic.DefaultDomain;

    /// <summary>Where secrets and records outlive the process; null = nowhere.</summary>
    public string? StateFolder { get; init; }

    /// <summary>What the servers that share their tables know, at least <see cref="MinSecret"/> bytes; null = this one shares with nobody.</summary>
    public byte[]? Secret { get; init; }

    /// <summary>Servers to share with, at their first address. They need not name this one.</summary>
    public IReadOnlyList<IPEndPoint> Peers { get; init; } = [];

    /// <summary>Bytes of a secret, at least.</summary>
    public static int MinSecret => Gossip.MinSecret;
}

/// <summary>How a <see cref="DiscoveryServer"/> behaves; the defaults are those of discovery.md §5.7.</summary>
internal sealed record DiscoveryServerOptions
{
    /// <summary>Where time comes from.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>0 up to 1; for ids and choices.</summary>
    public Func<double> Random { get; init; } = System.Random.Shared.NextDouble;

    /// <summary>So many bytes that nobody can guess; for secrets.</summary>
    public Func<int, byte[]> RandomBytes { get; init; } = RandomNumberGenerator.GetBytes;

    /// <summary>Two labels, at the end of all names.</summary>
    public string Domain { get; init; } = SwarmTopic.DefaultDomain;

    /// <summary>Announced peers.</summary>
    public TableLimits Records { get; init; } = new(Entries: 1_000_000, PerName: 4096, LifetimeSeconds: 30 * 60);

    /// <summary>Subscribers to the peers of a name. Clients refresh within 70 s.</summary>
    public TableLimits Subscriptions { get; init; } = new(Entries: 1_000_000, PerName: 4096, LifetimeSeconds: 150);

    /// <summary>What one address may have in each table.</summary>
    public AddressLimits PerAddress { get; init; } = new(Ports: 5, Names: 2000);

    /// <summary>What one private or loopback address may have: behind it may be a whole network.</summary>
    public AddressLimits PerPrivateAddress { get; init; } = new(Ports: 500, Names: 200_000);

    /// <summary>Messages of one address.</summary>
    public MessageRate Rate { get; init; } = new(Burst: 400, PerSecond: 50);

    /// <summary>Messages of one private or loopback address.</summary>
    public MessageRate PrivateRate { get; init; } = new(Burst: 40_000, PerSecond: 5000);

    /// <summary>How it shares its table with other servers; null = it does not.</summary>
    public GossipOptions? Gossip { get; init; }

    /// <summary>What is kept beyond the process's life; null = nothing.</summary>
    public IServerState? State { get; init; }
}

/// <summary>How servers share their tables.</summary>
/// <param name="Secret">Known to all of them and nobody else; at least <see cref="Gossip.MinSecret"/> bytes.</param>
/// <param name="Peers">Those to begin with. Others that know the secret are talked to when they talk to us.</param>
internal sealed record GossipOptions(byte[] Secret, IReadOnlyList<IPEndPoint> Peers);

/// <summary>Keeps a server's state under names.</summary>
internal interface IServerState
{
    /// <summary>What was saved last under a name; empty when nothing was.</summary>
    byte[] Load(string name);

    /// <summary>Replaces what was saved under a name: afterwards there is the new state or the old one, never a part.</summary>
    /// <exception cref="IOException">The disk did not take it.</exception>
    void Save(string name, ReadOnlySpan<byte> state);
}
