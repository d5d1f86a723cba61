using System.Net;
using DatFs.Discovery.Dns;

namespace DatFs.Discovery;

/// <summary>Which sources are asked, and what each needs (discovery.md §10 point 11). What is not named is not contacted.</summary>
public sealed record PeerSourcesOptions
{
    /// <summary>Ask the local network by mDNS.</summary>
    public bool Lan { get; init; }

    /// <summary>DNS discovery servers; each is a source of its own.</summary>
    public IReadOnlyList<DnsServerAddress> Servers { get; init; } = [];

    /// <summary>Ask the mainline DHT.</summary>
    public bool Dht { get; init; }

    /// <summary>Nodes by which the mainline DHT is entered, "host" or "host:port"; null = the public network's.</summary>
    public IReadOnlyList<string>? Bootstrap { get; init; }

    /// <summary>Two labels, at the end of all names in DNS and mDNS.</summary>
    public string Domain { get; init; } = SwarmTopic.DefaultDomain;

    /// <summary>UDP address for DNS and the DHT: the host and the number of the TCP port where peers are accepted. Any free port when that is taken.</summary>
    public IPEndPoint Local { get; init; } = new(IPAddress.Any, 0);

    /// <summary>The folder where the sources remember across restarts how others are reached; null = nowhere.</summary>
    public string? StateFolder { get; init; }

    /// <summary>Where time comes from.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
