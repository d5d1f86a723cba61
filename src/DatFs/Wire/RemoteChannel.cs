using DatFs.Crypto;

namespace DatFs.Wire;

/// <summary>A channel in the remote's numbering: what its Feed named, and what came before we opened that feed (wire-protocol.md §3.4).</summary>
internal sealed class RemoteChannel(DiscoveryKey discoveryKey)
{
    /// <summary>The reference closes at the 18th too.</summary>
    public const int MaxEarlyMessages = 17;

    public DiscoveryKey DiscoveryKey { get; } = discoveryKey;

    /// <summary>Our side of the same feed, once opened.</summary>
    public WireChannel? Local { get; set; }

    /// <summary>The remote opened the same feed again under another number: nothing that still comes here means anything.</summary>
    public bool Replaced { get; set; }

    /// <summary>A bitfield came, so no legacy Have can follow.</summary>
    public bool BitfieldSeen { get; set; }

    /// <summary>Messages that wait for us to open the feed, as type and body.</summary>
    public Queue<(FrameType Type, byte[] Body)> Early { get; } = new();
}
