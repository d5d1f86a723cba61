namespace DatFs.Feeds;

/// <summary>
/// Builds the answer to a request (hypercore.md §11.2): the nodes that link a block to what the requester already trusts, or else to the
/// roots of a signed length. The order of the nodes is part of the format.
/// </summary>
internal static class ProofBuilder
{
    /// <summary>
    /// Adds the nodes of a proof for the block to <paramref name="nodes"/>; <paramref name="hash"/> puts the block's own leaf first. The
    /// digest is a claim: it costs O(log n) whatever it says. False when the leaf is not held, or no signed length covers it.
    /// </summary>
    public static bool TryBuild(
        ITrustedTree tree, long block, ulong digest, bool hash, RemoteTree remote, List<TreeNode> nodes, Span<byte> signature64, out bool hasSignature)
    {
        hasSignature = false;
        if (block is < 0 or >= FlatTree.MaxBlocks || !tree.TryGet(2 * block, out TreeNode leaf)) return false;
        if (hash) nodes.Add(leaf);
        if (digest == Digest.Complete) return true;

        Learn(tree, leaf.Index, digest, remote);
        long top = leaf.Index;
        while (!remote.Has(top))
        {
            long sibling = FlatTree.Sibling(top);
            if (!tree.TryGet(sibling, out TreeNode uncle)) return TryAddRoots(tree, top, remote, nodes, signature64, out hasSignature);
            if (!remote.Has(sibling)) nodes.Add(uncle);
            top = FlatTree.Parent(top);
        }

        return true;
    }

    private static void Learn(ITrustedTree tree, long node, ulong digest, RemoteTree remote)
    {
        bool hasRoot = (digest & 1) != 0;
        for (ulong claims = digest >> 1; claims != 0 && FlatTree.LengthThrough(FlatTree.Parent(node)) <= FlatTree.MaxBlocks; claims >>= 1)
        {
            long sibling = FlatTree.Sibling(node);
            if (claims == 1 && hasRoot)
            {
                Mark(tree, node, remote);
                MarkRoots(tree, FlatTree.LengthThrough(Math.Min(node, sibling)), remote);
                return;
            }

            if ((claims & 1) != 0) Mark(tree, sibling, remote);
            node = FlatTree.Parent(node);
        }
    }

    // Who has a root is assumed to have the roots left of it too.
    private static void MarkRoots(ITrustedTree tree, long blocks, RemoteTree remote)
    {
        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        foreach (long root in roots[..FlatTree.FullRoots(blocks, roots)]) Mark(tree, root, remote);
    }

    private static void Mark(ITrustedTree tree, long node, RemoteTree remote)
    {
        if (tree.Has(node)) remote.Set(node);
    }

    // A sparse holder reaches a root of an older length, and answers with that length; the receiver does not shorten its feed for it.
    private static bool TryAddRoots(ITrustedTree tree, long top, RemoteTree remote, List<TreeNode> nodes, Span<byte> signature64, out bool hasSignature)
    {
        long length = TreeLength.VerifiedBy(tree, top);
        hasSignature = tree.TryGetSignature(length, signature64);
        if (!hasSignature && !tree.IsStatic) return false;

        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        foreach (long root in roots[..FlatTree.FullRoots(length, roots)])
        {
            if (root == top || remote.Has(root)) continue;
            if (!tree.TryGet(root, out TreeNode node)) return false;
            nodes.Add(node);
        }

        return true;
    }
}
