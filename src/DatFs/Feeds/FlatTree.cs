using System.Numerics;

namespace DatFs.Feeds;

/// <summary>
/// Numbering of the Merkle tree (hypercore.md §3): leaves have even numbers, block i is node 2i, and parents sit between their children.
/// </summary>
internal static class FlatTree
{
    /// <summary>Most full roots a tree can have: one per bit of its length.</summary>
    public const int MaxRoots = 53;

    /// <summary>Largest node index that peers can represent.</summary>
    public const long MaxIndex = (1L << 53) - 1;

    /// <summary>Longest feed whose last leaf can still be numbered.</summary>
    public const long MaxBlocks = 1L << 52;

    /// <summary>Height above the leaves.</summary>
    public static int Depth(long node) => BitOperations.TrailingZeroCount(~node);

    /// <summary>Position among the nodes of the same depth.</summary>
    public static long Offset(long node) => node >> (Depth(node) + 1);

    /// <summary>The node at a depth and offset.</summary>
    public static long Index(int depth, long offset) => (2 * offset + 1) * (1L << depth) - 1;

    /// <summary>The node above.</summary>
    public static long Parent(long node) => Index(Depth(node) + 1, Offset(node) >> 1);

    /// <summary>The other child of the same parent.</summary>
    public static long Sibling(long node) => Index(Depth(node), Offset(node) ^ 1);

    /// <summary>The lower child, -1 for a leaf.</summary>
    public static long LeftChild(long node) => IsLeaf(node) ? -1 : node - (1L << (Depth(node) - 1));

    /// <summary>The upper child, -1 for a leaf.</summary>
    public static long RightChild(long node) => IsLeaf(node) ? -1 : node + (1L << (Depth(node) - 1));

    /// <summary>The lowest leaf below, the leaf itself for a leaf.</summary>
    public static long LeftSpan(long node) => node - ((1L << Depth(node)) - 1);

    /// <summary>The highest leaf below, the leaf itself for a leaf.</summary>
    public static long RightSpan(long node) => node + ((1L << Depth(node)) - 1);

    /// <summary>True when the sibling has the larger index.</summary>
    public static bool IsLeft(long node) => (Offset(node) & 1) == 0;

    /// <summary>True for the node of a block.</summary>
    public static bool IsLeaf(long node) => (node & 1) == 0;

    /// <summary>Nodes in the subtree, itself included.</summary>
    public static long Count(long node) => (2L << Depth(node)) - 1;

    /// <summary>Blocks below the node.</summary>
    public static long BlockCount(long node) => 1L << Depth(node);

    /// <summary>Roots of a tree of so many blocks.</summary>
    public static int RootCount(long blocks) => BitOperations.PopCount((ulong)blocks);

    /// <summary>Length of the shortest tree that contains the subtree.</summary>
    public static long LengthThrough(long node) => RightSpan(node) / 2 + 1;

    /// <summary>True when the node is one of the full roots of a tree of so many blocks.</summary>
    public static bool IsFullRoot(long node, long blocks)
    {
        int depth = Depth(node);
        return (blocks >> depth & 1) == 1 && blocks >> (depth + 1) << (depth + 1) == LeftSpan(node) / 2;
    }

    /// <summary>Writes the roots of a tree of <paramref name="blocks"/> leaves in ascending order and returns their number.</summary>
    public static int FullRoots(long blocks, Span<long> into)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(blocks);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(blocks, MaxBlocks);
        int count = 0;
        long done = 0;
        for (long rest = blocks; rest != 0;)
        {
            long block = 1L << BitOperations.Log2((ulong)rest);
            into[count++] = 2 * done + block - 1;
            done += block;
            rest -= block;
        }

        return count;
    }
}
