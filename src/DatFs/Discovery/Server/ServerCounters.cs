using System.Net;

namespace DatFs.Discovery.Server;

/// <summary>What a server did since it started, and what it holds now.</summary>
public sealed record ServerCounters
{
    /// <summary>Datagrams that came in.</summary>
    public long Received { get; init; }

    /// <summary>Datagrams that were no message, or none of those a client sends.</summary>
    public long Malformed { get; init; }

    /// <summary>Messages dropped because their address sent too many.</summary>
    public long RateLimited { get; init; }

    /// <summary>Questions about the server itself, that ask for a token.</summary>
    public long Probes { get; init; }

    /// <summary>Questions for a name.</summary>
    public long Lookups { get; init; }

    /// <summary>Peers announced, again ones included.</summary>
    public long Announces { get; init; }

    /// <summary>Peers that were taken back.</summary>
    public long Unannounces { get; init; }

    /// <summary>Messages whose token was not ours, or too old.</summary>
    public long StaleTokens { get; init; }

    /// <summary>Peers or subscribers not taken because their address has enough.</summary>
    public long Refused { get; init; }

    /// <summary>Peers pushed to subscribers.</summary>
    public long Pushed { get; init; }

    /// <summary>Pushes that were sent once more.</summary>
    public long PushesResent { get; init; }

    /// <summary>Pushes the subscriber said it got.</summary>
    public long PushesAcknowledged { get; init; }

    /// <summary>Answers sent.</summary>
    public long Answered { get; init; }

    /// <summary>Bytes of all datagrams in.</summary>
    public long BytesIn { get; init; }

    /// <summary>Bytes of all datagrams out.</summary>
    public long BytesOut { get; init; }

    /// <summary>Records that made room for others.</summary>
    public long Evicted { get; init; }

    /// <summary>Records nobody refreshed.</summary>
    public long Expired { get; init; }

    /// <summary>Announced peers now.</summary>
    public int Records { get; init; }

    /// <summary>Names that have peers now.</summary>
    public int Names { get; init; }

    /// <summary>Subscribers now.</summary>
    public int Subscriptions { get; init; }

    /// <summary>The servers it shares its table with.</summary>
    public IReadOnlyList<NeighbourStatus> Neighbours { get; init; } = [];

    /// <summary>Datagrams from servers that do not know our secret, or whose clock is wrong.</summary>
    public long GossipRefused { get; init; }

    /// <summary>When the table was saved last; null = not yet.</summary>
    public DateTimeOffset? SavedAt { get; init; }

    /// <summary>Why it was not saved; null = it was.</summary>
    public string? SaveProblem { get; init; }
}

/// <summary>A server that shares its table with ours.</summary>
/// <param name="Address">Where it is.</param>
/// <param name="Heard">When it was heard last; null = never.</param>
/// <param name="Copied">True once all of its table was taken over.</param>
/// <param name="Sent">Records told to it.</param>
/// <param name="Received">Records told by it.</param>
public sealed record NeighbourStatus(IPEndPoint Address, DateTimeOffset? Heard, bool Copied, long Sent, long Received);
