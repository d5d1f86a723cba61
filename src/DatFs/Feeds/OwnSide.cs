using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>
/// The check of our own evidence before the owner is said to have signed two histories: freezing a feed cannot be undone, and a damaged disk
/// contradicts the truth as well as a fork does (hypercore.md §18.11).
/// </summary>
internal static class OwnSide
{
    /// <summary>Follows a stored node up to the signature it was verified under.</summary>
    /// <exception cref="DatException">Corrupt: the stored nodes or the signature do not fit together.</exception>
    public static void Check(ITrustedTree tree, long node)
    {
        TreeNode top = Read(tree, node);
        while (tree.TryGet(FlatTree.Sibling(top.Index), out TreeNode sibling) && tree.TryGet(FlatTree.Parent(top.Index), out TreeNode parent))
        {
            if (!TreeHash.CanAdd(top.Size, sibling.Size) || TreeHash.Parent(top, sibling) != parent) throw Damaged(parent.Index);
            top = parent;
        }

        long length = TreeLength.Expand(tree, top.Index);
        Span<long> indexes = stackalloc long[FlatTree.MaxRoots];
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        int count = FlatTree.FullRoots(length, indexes);
        for (int i = 0; i < count; i++) roots[i] = Read(tree, indexes[i]);

        Span<byte> signature = stackalloc byte[Ed25519.SignatureSize];
        if (!tree.TryGetSignature(length, signature)) throw Damaged(top.Index);
        if (!SignatureCache.VerifyNow(tree.Key, TreeHash.Root(roots[..count]), signature)) throw Damaged(top.Index);
    }

    private static TreeNode Read(ITrustedTree tree, long node) => tree.TryGet(node, out TreeNode value) ? value : throw Damaged(node);

    private static DatException Damaged(long node) =>
        new(DatError.Corrupt, $"Stored tree node {node} does not lead to a signature of the feed's owner: the storage is damaged.");
}
