namespace DatFs.Feeds;

/// <summary>
/// What travels for one block (hypercore.md §11.2, §12): the answer to a request, before the receiver believes any of it.
/// </summary>
/// <param name="Index">Block index.</param>
/// <param name="Value">The block's bytes; null for a hash-only answer. An empty block is present with no bytes.</param>
/// <param name="Nodes">Tree nodes in the order of the format: own leaf if hash-only, siblings bottom-up, other roots ascending.</param>
/// <param name="Signature">64 bytes, or null.</param>
public sealed record Proof(long Index, ReadOnlyMemory<byte>? Value, IReadOnlyList<TreeNode> Nodes, ReadOnlyMemory<byte>? Signature);

/// <summary>How an offered proof ended.</summary>
public enum ProofOutcome
{
    /// <summary>Verified and stored.</summary>
    Accepted,
    /// <summary>Verified, and it raised the feed's length.</summary>
    AcceptedLonger,
    /// <summary>Held already; nothing changed.</summary>
    AlreadyHeld,
    /// <summary>Not believed; nothing changed. The peer (or the wire) is at fault.</summary>
    Rejected,
    /// <summary>Validly signed and in contradiction to what was verified before: the feed is frozen (hypercore.md §12.4).</summary>
    Forked,
}
