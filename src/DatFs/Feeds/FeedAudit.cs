using System.Buffers.Binary;
using System.Numerics;

namespace DatFs.Feeds;

/// <summary>
/// Checks, when a feed is opened, that every trusted node still leads to a signature: pages of bits that were half written when the power
/// went off may have kept a node and lost the nodes above it, and such a node can neither be proven to anyone nor located. What the tree
/// file can still complete is completed. The rest is forgotten and will be fetched again, except by an owner, who may have the only copy
/// (hypercore.md §16).
/// </summary>
internal sealed class FeedAudit
{
    /// <summary>Most signatures verified; only a badly damaged feed needs more than a few.</summary>
    public const int MaxChecks = 4096;

    /// <summary>Depths whose nodes and parents lie within one 64-bit word of the page.</summary>
    private const int WordDepths = 5;

    private const int WordBits = 64;

    private static readonly ulong[] s_leftChildren = [.. Enumerable.Range(0, WordDepths).Select(LeftChildren)];

    private readonly FeedTree _tree;
    private readonly FeedStore _store;
    private readonly StoredRoots _roots;
    private readonly Dictionary<long, bool> _signed = [];
    private readonly Queue<long> _open = new();
    private readonly List<TreeNode> _staged = [];
    private readonly bool _forgets;
    private readonly int _checksBefore;

    public FeedAudit(FeedTree tree, StoredRoots roots, bool forgets)
    {
        _forgets = forgets;
        _tree = tree;
        _store = tree.Store;
        _roots = roots;
        _checksBefore = roots.Checks;
    }

    /// <summary>Bits were changed.</summary>
    public bool Changed { get; private set; }

    /// <summary>Completes or forgets every trusted node that leads nowhere.</summary>
    public void SettleLoose()
    {
        for (long page = 0; page < _tree.Bits.PageCount; page++) CollectLoose(page);
        while (_open.TryDequeue(out long node))
        {
            if (_tree.Has(node)) Settle(node);
        }
    }

    /// <summary>Trusts a node that the tree file proves; false when it does not.</summary>
    public bool TryTrust(long node)
    {
        _staged.Clear();
        if (!_store.Tree.TryPeek(node, out TreeNode top) || !Climb(top)) return false;
        _tree.Bits.SetNode(node);
        TrustStaged();
        return Changed = true;
    }

    // A trusted node is loose unless its sibling and its parent are trusted too. In a whole subtree none is, so words are looked at, not bits.
    private void CollectLoose(long page)
    {
        if (_tree.Bits.Find(page) is not { } bits) return;
        for (int i = 0; i < BitfieldPage.TreeBytes / sizeof(ulong); i++)
        {
            ulong word = BinaryPrimitives.ReadUInt64BigEndian(bits.Tree[(sizeof(ulong) * i)..]);
            if (word == 0) continue;
            long first = page * BitfieldPage.Nodes + i * WordBits;
            for (int depth = 0; depth < WordDepths; depth++)
            {
                ulong left = word & s_leftChildren[depth];
                ulong right = word << (2 << depth) & s_leftChildren[depth];
                ulong parent = word << (1 << depth) & s_leftChildren[depth];
                for (ulong loose = (left | right) & ~(left & right & parent); loose != 0;)
                {
                    int at = BitOperations.LeadingZeroCount(loose);
                    loose &= ~(1UL << (WordBits - 1 - at));
                    AddLoose(first + at);
                    AddLoose(first + at + (2 << depth));
                }
            }

            AddLoose(first + WordBits / 2 - 1);
            AddLoose(first + WordBits - 1);
        }
    }

    private void AddLoose(long node)
    {
        if (_tree.Has(node) && !(_tree.Has(FlatTree.Sibling(node)) && _tree.Has(FlatTree.Parent(node)))) _open.Enqueue(node);
    }

    private void Settle(long node)
    {
        if (IsRoot(node)) return;
        _staged.Clear();
        if (_store.Tree.TryPeek(node, out TreeNode top) && Climb(top)) TrustStaged();
        else if (_forgets) Forget(node);
    }

    /// <summary>The node is a full root of a length that it proves already.</summary>
    private bool IsRoot(long node)
    {
        long length = TreeLength.Expand(_tree, node);
        if (!FlatTree.IsFullRoot(node, length)) return false;
        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        foreach (long root in roots[..FlatTree.FullRoots(length, roots)])
        {
            if (!_tree.Has(root)) return false;
        }

        Span<byte> signature = stackalloc byte[Crypto.Ed25519.SignatureSize];
        return _tree.TryGetSignature(length, signature);
    }

    // What the tree file holds counts only when it leads to something trusted or signed; then it counts even where it must be computed.
    private bool Climb(TreeNode top)
    {
        while (FlatTree.LengthThrough(FlatTree.Parent(top.Index)) <= FlatTree.MaxBlocks)
        {
            if (!_roots.TryNode(FlatTree.Sibling(top.Index), out TreeNode sibling) || !TreeHash.CanAdd(top.Size, sibling.Size)) break;
            TreeNode above = TreeHash.Parent(top, sibling);
            bool stored = _store.Tree.TryPeek(above.Index, out TreeNode found) && found == above;
            if (!stored && _store.ReadOnly) break;
            _staged.Add(sibling);
            _staged.Add(above);
            if (stored && _tree.Has(above.Index)) return true;
            top = above;
        }

        return IsSignedRoot(top);
    }

    // Only a left child can be a full root, and only until its sibling is complete.
    private bool IsSignedRoot(in TreeNode node)
    {
        if (!FlatTree.IsLeft(node.Index)) return false;
        long first = FlatTree.LengthThrough(node.Index);
        long last = first + FlatTree.BlockCount(node.Index) - 1;
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        for (long length = _store.Signatures.NextAfter(first - 1, last); length != 0; length = _store.Signatures.NextAfter(length, last))
        {
            if (!IsSigned(length) || !_roots.TryRead(length, roots, out int count, out _) || !roots[..count].Contains(node)) continue;
            foreach (TreeNode root in roots[..count]) _staged.Add(root);
            return true;
        }

        return false;
    }

    private bool IsSigned(long length)
    {
        if (_signed.TryGetValue(length, out bool signed)) return signed;
        if (_roots.Checks - _checksBefore >= MaxChecks) return false;
        return _signed[length] = _roots.IsSigned(length, out _);
    }

    private void TrustStaged()
    {
        foreach (TreeNode proven in _staged)
        {
            if (!_store.Tree.TryPeek(proven.Index, out TreeNode stored) || stored != proven) _store.Tree.Write(proven);
            Changed |= _tree.Bits.SetNode(proven.Index);
        }
    }

    private void Forget(long node)
    {
        Changed |= _tree.Bits.CutNodes(FlatTree.LeftSpan(node), FlatTree.RightSpan(node) + 1);
        if (_tree.Has(FlatTree.Sibling(node))) _open.Enqueue(FlatTree.Sibling(node));
    }

    private static ulong LeftChildren(int depth)
    {
        ulong mask = 0;
        for (int at = (1 << depth) - 1; at < WordBits; at += 4 << depth) mask |= 1UL << (WordBits - 1 - at);
        return mask;
    }
}
