using System.Net;

namespace DatFs.Discovery;

/// <summary>The ways to find peers, in the order in which a user meets them.</summary>
public enum SourceKind
{
    /// <summary>mDNS on the local network.</summary>
    Lan,

    /// <summary>One DNS discovery server.</summary>
    Dns,

    /// <summary>The BitTorrent mainline DHT.</summary>
    Dht,

    /// <summary>Addresses the user named.</summary>
    Static,

    /// <summary>Addresses that worked before.</summary>
    Cache,

    /// <summary>Addresses told by connected peers.</summary>
    Exchange,
}

/// <summary>An address to try; the archive's key proves what it is worth.</summary>
/// <param name="Address">Where to dial over TCP; an IPv4 address is never in its IPv6-mapped form.</param>
/// <param name="ToldPrivately">
/// Told by the local network, the user, or somebody whose own address is private or loopback: only then may a private or loopback
/// address be dialled (discovery.md §8.2).
/// </param>
public readonly record struct PeerSighting(IPEndPoint Address, bool ToldPrivately);

/// <summary>
/// One way to find peers, shared by all drives of a process. A source is on its own: its tasks, timers, breaker and bounds; it never waits
/// for another, and nothing waits for it (discovery.md §10). Networks that fail are an outcome that shows in <see cref="Status"/>,
/// never an exception. Disposal unannounces what it can within a second and ends all searches.
/// </summary>
public interface IPeerSource : IAsyncDisposable
{
    /// <summary>What kind of source this is.</summary>
    SourceKind Kind { get; }

    /// <summary>How users call it: "lan", "dns 192.0.2.1:5300", "dht".</summary>
    string Name { get; }

    /// <summary>How it fares now.</summary>
    SourceStatus Status { get; }

    /// <summary>
    /// Looks for peers of a topic, and announces ours, until the returned search is disposed. Returns at once. An open breaker does not
    /// keep the first request of a new search back.
    /// </summary>
    /// <param name="topic">What is looked for.</param>
    /// <param name="port">TCP port where we accept connections; 0 = we only look.</param>
    /// <param name="found">Called for each peer named, again and again for the same; from any thread, must return soon and throw nothing.</param>
    IPeerSearch Join(SwarmTopic topic, int port, Action<PeerSighting> found);

    /// <summary>Asks for all topics now and forgets how often it failed: the network changed, the machine woke, or all peers are gone.</summary>
    void Wake();
}

/// <summary>One topic at one source. Disposal unannounces and stops looking; it does not wait for the network.</summary>
public interface IPeerSearch : IAsyncDisposable
{
    /// <summary>True while the source is known to have told our address to others.</summary>
    bool Announced { get; }

    /// <summary>Different peers it named lately.</summary>
    int Named { get; }
}

/// <summary>Condition of a source.</summary>
public enum SourceHealth
{
    /// <summary>Nothing was heard yet.</summary>
    Unknown,

    /// <summary>It answers.</summary>
    Up,

    /// <summary>It failed lately, but is asked at its usual times.</summary>
    Failing,

    /// <summary>Its breaker is open: it is asked seldom until it answers.</summary>
    Down,

    /// <summary>It cannot work on this machine: no multicast, no socket.</summary>
    Unavailable,
}

/// <summary>How a source fares.</summary>
/// <param name="Health">Its condition.</param>
/// <param name="Failures">Failures in a row.</param>
/// <param name="LastAnswer">When it last answered; null = never.</param>
/// <param name="RoundTrip">Smoothed time of an answer; null = none yet.</param>
/// <param name="Problem">Why it does not work, in a few words; null = it does, or nothing is known yet.</param>
/// <param name="Remedy">What a user can do about it; null = nothing, or nothing is wrong.</param>
public sealed record SourceStatus(SourceHealth Health, int Failures, DateTimeOffset? LastAnswer, TimeSpan? RoundTrip, string? Problem, string? Remedy);
