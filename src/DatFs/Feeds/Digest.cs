using DatFs.Encoding;

namespace DatFs.Feeds;

/// <summary>
/// What a requester says it already has on the way from a block to the roots (hypercore.md §11.1). Bit 0: the highest set bit stands for a
/// trusted ancestor; bit k: the sibling at height k-1 is held. 1 asks for no nodes, 0 for all of them with a signature.
/// </summary>
internal static class Digest
{
    /// <summary>Nothing is known: always a correct digest.</summary>
    public const ulong Nothing = 0;

    /// <summary>No nodes are needed.</summary>
    public const ulong Complete = 1;

    /// <summary>The digest to send with a request for the block. It never claims a node that is not held.</summary>
    public static ulong For(ITrustedTree tree, long block)
    {
        long leaf = 2 * block;
        if (tree.Has(leaf)) return Complete;

        ulong digest = Nothing;
        ulong height = 2;
        long sibling = FlatTree.Sibling(leaf);
        long parent = FlatTree.Parent(leaf);
        long limit = Math.Max(sibling + 2, tree.BitLimit);
        while (FlatTree.RightSpan(sibling) < limit || FlatTree.LeftSpan(parent) > 0)
        {
            if (tree.Has(sibling)) digest |= height;
            if (tree.Has(parent))
            {
                digest |= 2 * height | 1;
                return digest + 1 == 4 * height ? Complete : digest;
            }

            sibling = FlatTree.Sibling(parent);
            parent = FlatTree.Parent(parent);
            height *= 2;
            if (height > Varint.MaxValue / 2) return Nothing;
        }

        return digest;
    }
}
