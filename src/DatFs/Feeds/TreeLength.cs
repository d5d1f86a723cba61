namespace DatFs.Feeds;

/// <summary>The length of a tree as its held nodes tell it: it is stored nowhere else (hypercore.md §10 step 4).</summary>
internal static class TreeLength
{
    /// <summary>Blocks of the longest tree whose roots are held.</summary>
    public static long Implied(ITrustedTree tree)
    {
        for (int depth = FlatTree.MaxRoots - 2; depth >= 0; depth--)
        {
            long spine = FlatTree.Index(depth, 0);
            if (spine < tree.BitLimit && tree.Has(spine)) return Expand(tree, spine);
        }

        return 0;
    }

    /// <summary>Blocks of the tree that begins with what is left of a known root, the root itself, and all held nodes right of it.</summary>
    public static long Expand(ITrustedTree tree, long root)
    {
        int depth = FlatTree.Depth(root);
        long blocks = FlatTree.LengthThrough(root);
        for (int below = depth - 1; below >= 0; below--)
        {
            if (tree.Has(FlatTree.Index(below, blocks >> below))) blocks += 1L << below;
        }

        return blocks;
    }

    /// <summary>Blocks of the tree under which a held node was verified: that of the highest root reachable through held nodes (§11.2).</summary>
    public static long VerifiedBy(ITrustedTree tree, long node)
    {
        long parent = FlatTree.Parent(node);
        while (tree.Has(parent) && tree.Has(FlatTree.Sibling(node)))
        {
            node = parent;
            parent = FlatTree.Parent(node);
        }

        return Expand(tree, node);
    }
}
