using System.Security.Cryptography;
using DatFs.Wire;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DatFs.Replication;

/// <summary>How a drive is replicated.</summary>
public sealed record ReplicatorOptions
{
    /// <summary>Handshake id, 32 bytes: one per drive and process, the same on all its connections, or duplicates go unnoticed (discovery.md §8.4).</summary>
    public ReadOnlyMemory<byte> Id { get; init; } = RandomNumberGenerator.GetBytes(32);
    /// <summary>Stay connected when everything is transferred. False ends each stream as a finite clone does (wire-protocol.md §5.7).</summary>
    public bool Live { get; init; } = true;
    /// <summary>Feeds after whose end a finite stream ends: 1 for a feed, 2 for a hyperdrive.</summary>
    public int ExpectedFeeds { get; init; } = 1;
    /// <summary>Ask peers to acknowledge what we send (wire-protocol.md §5.8).</summary>
    public bool Ack { get; init; }
    /// <summary>Handshake.userData: the local writer's key on a multi-writer drive, or null.</summary>
    public ReadOnlyMemory<byte>? UserData { get; init; }
    /// <summary>Extension names.</summary>
    public IReadOnlyList<string> Extensions { get; init; } = [];
    /// <summary>A wait fails with <see cref="DatError.Offline"/> when for this long no connected peer has what it needs.</summary>
    public TimeSpan OfflineAfter { get; init; } = TimeSpan.FromSeconds(10);
    /// <summary>A wait fails with <see cref="DatError.TimedOut"/> after this long.</summary>
    public TimeSpan FetchTimeout { get; init; } = TimeSpan.FromSeconds(60);
    /// <summary>Bytes of memory that all peers together may make us hold; beyond, the one that holds most is let go.</summary>
    public long MaxPeerMemory { get; init; } = Budget.MaxMemory;
    /// <summary>Clock of everything here and of the connections.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
    /// <summary>Where to tell what happens. Addresses appear; feed keys never do.</summary>
    public ILogger Log { get; init; } = NullLogger.Instance;
    /// <summary>Source of connection nonces; tests of recorded sessions fix it. Null = the operating system's generator.</summary>
    public Action<Memory<byte>>? FillNonce { get; init; }

    internal WireOptions ToWire(TimeProvider time, int unknownChannels) => new()
    {
        Id = Id,
        Live = Live,
        Ack = Ack,
        UserData = UserData,
        Extensions = Extensions,
        MaxUnknownChannels = unknownChannels,
        Time = time,
        FillNonce = FillNonce,
    };
}
