using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>
/// The part of a feed's Merkle tree that is stored and was linked to a valid signature: all that digests, proofs and their verification
/// need to know. It must not change while one of them runs.
/// </summary>
internal interface ITrustedTree
{
    /// <summary>Public key, or the root hash itself for a static feed (hypercore.md §5.4).</summary>
    FeedKey Key { get; }

    /// <summary>Blocks in the largest tree verified so far.</summary>
    long Length { get; }

    /// <summary>Sum of the sizes of the full roots of <see cref="Length"/>.</summary>
    long ByteLength { get; }

    /// <summary>
    /// The feed is not known to be signed. Its first proof, while it is empty, may come without a signature if the root hash is the key
    /// itself; with blocks and no signature of its length, it is a static feed and serves its proofs unsigned.
    /// </summary>
    bool IsStatic { get; }

    /// <summary>Node indexes at and above this are certainly not held; at least 16384 for each page of bits (hypercore.md §11.1).</summary>
    long BitLimit { get; }

    /// <summary>True when the node is stored and trusted.</summary>
    bool Has(long node);

    /// <summary>Reads a trusted node; false exactly when <see cref="Has"/> is.</summary>
    /// <exception cref="DatException">Corrupt or Io: the bit is set but the node cannot be read.</exception>
    bool TryGet(long node, out TreeNode value);

    /// <summary>
    /// True when the stored size of a trusted leaf is only a peer's word, its parent's size alone being certain (hypercore.md §12.6).
    /// A leaf that was itself a full root of a signed length is never provisional.
    /// </summary>
    bool SizeIsProvisional(long leafNode);

    /// <summary>Reads the stored signature of a length; false when there is none.</summary>
    bool TryGetSignature(long length, Span<byte> into64);
}
