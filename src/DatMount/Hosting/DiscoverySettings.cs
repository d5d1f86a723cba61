using DatFs.Discovery;
using DatFs.Discovery.Dns;

namespace DatMount.Hosting;

/// <summary>How peers are found, once the command line and the configuration file were put together.</summary>
internal sealed record DiscoverySettings
{
    /// <summary>The sources that a user can name, in the order in which they are shown.</summary>
    public static readonly IReadOnlyList<string> Names = ["lan", "dns", "dht"];

    public static DiscoverySettings None { get; } = new();

    public bool Lan { get; init; }

    public bool Dns { get; init; }

    public bool Dht { get; init; }

    /// <summary>DNS discovery servers; none is shipped.</summary>
    public IReadOnlyList<DnsServerAddress> Servers { get; init; } = [];

    /// <summary>Nodes by which the mainline DHT is entered; null = the public network's.</summary>
    public IReadOnlyList<string>? Bootstrap { get; init; }

    public string Domain { get; init; } = SwarmTopic.DefaultDomain;

    /// <summary>Something is asked for peers, so others are told of us too.</summary>
    public bool Any => Lan || Dns || Dht;

    /// <summary>No packet leaves the link, but for addresses that the user named.</summary>
    public bool OnLinkOnly => Lan && !Dns && !Dht;

    /// <summary>The same with the sources of a list such as "lan,dns"; null when a word in it is no source.</summary>
    public DiscoverySettings? With(IEnumerable<string> sources)
    {
        HashSet<string> chosen = [.. sources.Select(word => word.Trim()).Where(word => word.Length > 0)];
        return chosen.IsSubsetOf(Names) ? this with { Lan = chosen.Contains("lan"), Dns = chosen.Contains("dns"), Dht = chosen.Contains("dht") } : null;
    }
}
