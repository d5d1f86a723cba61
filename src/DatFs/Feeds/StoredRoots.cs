using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>
/// Reads from the tree file what a length is signed over, whatever the bits say, and checks the signature (hypercore.md §16). A node that was
/// lost is computed from those below it; it is written when a signature has proven it.
/// </summary>
internal sealed class StoredRoots
{
    /// <summary>Most lost nodes computed while a feed is opened.</summary>
    public const int MaxComputed = 4096;

    private readonly FeedKey _key;
    private readonly FeedStore _store;
    private readonly Dictionary<long, TreeNode> _computed = [];
    private readonly HashSet<long> _lost = [];
    private int _budget = MaxComputed;

    public StoredRoots(FeedTree tree) => (_key, _store) = (tree.Key, tree.Store);

    /// <summary>A signature was found that is not valid.</summary>
    public bool Refuted { get; private set; }

    /// <summary>Signatures looked at.</summary>
    public int Checks { get; private set; }

    /// <summary>Lost nodes were written again.</summary>
    public bool Repaired { get; private set; }

    /// <summary>The roots of a length; false when one is lost, or sizes that no feed has.</summary>
    public bool TryRead(long length, Span<TreeNode> roots, out int count, out long byteLength)
    {
        Span<long> indexes = stackalloc long[FlatTree.MaxRoots];
        byteLength = 0;
        count = FlatTree.FullRoots(length, indexes);

        // The last one first: it is the one that a short file lacks.
        for (int i = count - 1; i >= 0; i--)
        {
            if (!TryNode(indexes[i], out roots[i]) || !TreeHash.CanAdd(byteLength, roots[i].Size)) return false;
            byteLength += roots[i].Size;
        }

        return true;
    }

    /// <summary>True when the owner of the key signed the stored roots of a length.</summary>
    public bool IsSigned(long length, out long byteLength)
    {
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        if (!TryRead(length, roots, out int count, out byteLength)) return false;
        if (!IsSigned(length, roots[..count])) return false;
        Repair(length);
        return true;
    }

    /// <summary>True when the owner of the key signed the roots of a length.</summary>
    public bool IsSigned(long length, ReadOnlySpan<TreeNode> roots)
    {
        Span<byte> signature = stackalloc byte[Ed25519.SignatureSize];
        if (!_store.Signatures.TryRead(length, signature)) return false;
        Checks++;
        if (SignatureCache.VerifyNow(_key, TreeHash.Root(roots), signature)) return true;
        Refuted = true;
        return false;
    }

    /// <summary>
    /// As <see cref="IsSigned(long, out long)"/>, where the stored roots may be damaged: each that does not follow from its children is taken
    /// from them.
    /// </summary>
    public bool IsSignedBelow(long length, out long byteLength)
    {
        byteLength = 0;
        if (_store.ReadOnly) return false;
        Span<long> indexes = stackalloc long[FlatTree.MaxRoots];
        foreach (long root in indexes[..FlatTree.FullRoots(length, indexes)])
        {
            if (!FlatTree.IsLeaf(root) && TryCompute(root, out TreeNode node)) _computed[root] = node;
        }

        if (IsSigned(length, out byteLength)) return true;
        _computed.Clear();
        return false;
    }

    /// <summary>The key of a feed that is never signed is the hash of its roots (§5.4).</summary>
    public bool IsStatic(long length, out long byteLength)
    {
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        if (!TryRead(length, roots, out int count, out byteLength)) return false;
        Span<byte> hash = stackalloc byte[NodeHash.Size];
        TreeHash.Root(roots[..count]).CopyTo(hash);
        return FeedKey.From(hash) == _key;
    }

    /// <summary>A node as it is stored or follows from stored ones, whatever it is worth.</summary>
    public bool TryNode(long index, out TreeNode node) =>
        _computed.TryGetValue(index, out node) || _store.Tree.TryPeek(index, out node) || (!FlatTree.IsLeaf(index) && !_store.ReadOnly && TryCompute(index, out node));

    private bool TryCompute(long index, out TreeNode node)
    {
        node = default;
        if (_lost.Contains(index) || _budget-- <= 0) return false;
        if (!TryNode(FlatTree.RightChild(index), out TreeNode right) || !TryNode(FlatTree.LeftChild(index), out TreeNode left) || !TreeHash.CanAdd(left.Size, right.Size))
        {
            _lost.Add(index);
            return false;
        }

        node = TreeHash.Parent(left, right);
        _computed[index] = node;
        return true;
    }

    private void Repair(long length)
    {
        foreach (TreeNode node in _computed.Values.Where(node => FlatTree.LengthThrough(node.Index) <= length))
        {
            if (_store.Tree.TryPeek(node.Index, out TreeNode stored) && stored == node) continue;
            _store.Tree.Write(node);
            Repaired = true;
        }
    }
}
