using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>
/// The trusted tree of a feed as its files and bits tell it. Nodes and bits only ever grow while a feed is open, and each is written before
/// its bit is set, so a reader beside the writer sees less at worst.
/// </summary>
internal sealed class FeedTree : ITrustedTree
{
    private volatile Extent _extent = new(0, 0, true);
    private volatile FeedStore _store;

    public FeedTree(FeedKey key, Bitfield bits, FeedStore store)
    {
        Key = key;
        Bits = bits;
        _store = store;
    }

    /// <inheritdoc/>
    public FeedKey Key { get; }

    /// <summary>The bits.</summary>
    public Bitfield Bits { get; }

    /// <summary>The files; replaced when the feed moves.</summary>
    public FeedStore Store
    {
        get => _store;
        set => _store = value;
    }

    /// <inheritdoc/>
    public long Length => _extent.Length;

    /// <inheritdoc/>
    public long ByteLength => _extent.ByteLength;

    /// <inheritdoc/>
    public bool IsStatic => _extent.IsStatic;

    /// <inheritdoc/>
    public long BitLimit => Bits.NodeLimit;

    /// <inheritdoc/>
    public bool Has(long node) => Bits.HasNode(node);

    /// <inheritdoc/>
    public bool TryGet(long node, out TreeNode value)
    {
        value = default;
        if (!Bits.HasNode(node)) return false;
        FeedStore store = _store;
        try
        {
            if (store.Tree.TryRead(node, out value)) return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(store, FeedFiles.TreeName, e);
        }

        throw new DatException(DatError.Corrupt, $"Tree node {node} is missing in {store.Files.Describe(FeedFiles.TreeName)}: the storage is damaged.");
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The files hold no mark for it. A pair of leaves without the bytes of either may have come from a hash-only answer (§12.6); one that
    /// was cleared falls under the same cautious rule. A leaf without its neighbour was itself a signed root.
    /// </remarks>
    public bool SizeIsProvisional(long leafNode)
    {
        long block = leafNode / 2;
        return !Bits.HasBlock(block) && !Bits.HasBlock(block ^ 1) && Bits.HasNode(FlatTree.Sibling(leafNode));
    }

    /// <inheritdoc/>
    public bool TryGetSignature(long length, Span<byte> into64)
    {
        FeedStore store = _store;
        try
        {
            return store.Signatures.TryRead(length, into64);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(store, FeedFiles.SignaturesName, e);
        }
    }

    /// <summary>Publishes a new length and what belongs to it, together.</summary>
    public void SetExtent(long length, long byteLength, bool isStatic) => _extent = new Extent(length, byteLength, isStatic);

    /// <summary>Size of a block where it is certain.</summary>
    public bool TryGetSize(long block, out long size)
    {
        size = 0;
        if (block is < 0 or >= FlatTree.MaxBlocks || !TryGet(2 * block, out TreeNode leaf) || SizeIsProvisional(leaf.Index)) return false;
        size = leaf.Size;
        return true;
    }

    /// <summary>Sum of the sizes of all blocks before one (§8), where the nodes for it are held and, unless a guess will do, certain.</summary>
    public bool TryGetOffset(long block, out long offset, bool guess = false)
    {
        offset = 0;
        if (block is < 0 or >= FlatTree.MaxBlocks) return false;
        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        foreach (long root in roots[..FlatTree.FullRoots(block, roots)])
        {
            if (!TryGet(root, out TreeNode node) || (!guess && FlatTree.IsLeaf(root) && SizeIsProvisional(root))) return false;
            if (!TreeHash.CanAdd(offset, node.Size)) throw new DatException(DatError.Corrupt, "The sizes of stored tree nodes add up to more than a feed can hold.");
            offset += node.Size;
        }

        return true;
    }

    /// <summary>The full roots of a held length.</summary>
    public TreeNode[] Roots(long length)
    {
        Span<long> indexes = stackalloc long[FlatTree.MaxRoots];
        TreeNode[] roots = new TreeNode[FlatTree.FullRoots(length, indexes)];
        for (int i = 0; i < roots.Length; i++)
        {
            if (!TryGet(indexes[i], out roots[i])) throw new DatException(DatError.Corrupt, $"Tree node {indexes[i]}, a root of {length} blocks, is not held.");
        }

        return roots;
    }

    private static DatException Unreadable(FeedStore store, string name, Exception cause) =>
        new(DatError.Io, $"{store.Files.Describe(name)} could not be read: {cause.Message}", cause);

    private sealed record Extent(long Length, long ByteLength, bool IsStatic);
}
