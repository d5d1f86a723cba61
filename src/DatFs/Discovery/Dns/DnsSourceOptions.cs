using System.Net;
using System.Net.Sockets;

namespace DatFs.Discovery.Dns;

/// <summary>What a <see cref="DnsSource"/> needs from the world.</summary>
internal sealed record DnsSourceOptions
{
    /// <summary>Where time comes from.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>0 up to 1; for ids and pauses.</summary>
    public Func<double> Random { get; init; } = System.Random.Shared.NextDouble;

    /// <summary>Two labels, at the end of all names.</summary>
    public string Domain { get; init; } = SwarmTopic.DefaultDomain;

    /// <summary>Finds a host's IPv4 addresses.</summary>
    public Func<string, CancellationToken, Task<IPAddress[]>> Resolver { get; init; } =
        static (host, ct) => System.Net.Dns.GetHostAddressesAsync(host, AddressFamily.InterNetwork, ct);

    /// <summary>Addresses the host had in an earlier process, used until it is resolved again.</summary>
    public IReadOnlyList<IPAddress> LastGood { get; init; } = [];

    /// <summary>Told the addresses after each successful resolution that changed them; to be kept on disk.</summary>
    public Action<IReadOnlyList<IPAddress>>? Resolved { get; init; }
}
