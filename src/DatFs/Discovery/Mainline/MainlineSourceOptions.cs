using System.Net;
using System.Net.Sockets;

namespace DatFs.Discovery.Mainline;

/// <summary>What a <see cref="MainlineSource"/> needs from the world.</summary>
internal sealed record MainlineSourceOptions
{
    /// <summary>How its node behaves; its clock and chance are the source's too.</summary>
    public MainlineNodeOptions Node { get; init; } = new();

    /// <summary>Nodes to begin with, "host" or "host:port"; for the public network <see cref="MainlineSource.PublicBootstrap"/>.</summary>
    public required IReadOnlyList<string> Bootstrap { get; init; }

    /// <summary>Finds a host's IPv4 addresses.</summary>
    public Func<string, CancellationToken, Task<IPAddress[]>> Resolver { get; init; } =
        static (host, ct) => System.Net.Dns.GetHostAddressesAsync(host, AddressFamily.InterNetwork, ct);

    /// <summary>JSON file that keeps the last good nodes for the next start; null = nothing is kept.</summary>
    public string? NodesPath { get; init; }
}
