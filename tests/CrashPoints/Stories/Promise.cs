using DatFs.Crypto;

namespace DatFs.CrashPoints;

/// <summary>What was promised to users and peers before a moment, and must hold after a crash in it.</summary>
internal sealed record Promise
{
    /// <summary>The owner's key, once somebody could know it.</summary>
    public FeedKey? OwnKey { get; init; }

    /// <summary>Blocks of the own feed that were announced to peers.</summary>
    public long OwnAnnounced { get; init; }

    /// <summary>Blocks of the own feed that appends were begun with.</summary>
    public int OwnBegun { get; init; }

    /// <summary>Blocks of the own feed that a clear was begun with, or that were to be fetched back from a peer.</summary>
    public IReadOnlySet<long> OwnCleared { get; init; } = new HashSet<long>();

    /// <summary>Length of the copy when it was last made durable.</summary>
    public long CopyLength { get; init; }

    /// <summary>Blocks of the copy that were made durable and not given up since.</summary>
    public IReadOnlySet<long> CopyHeld { get; init; } = new HashSet<long>();
}
