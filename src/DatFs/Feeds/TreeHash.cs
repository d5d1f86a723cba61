using System.Buffers;
using System.Buffers.Binary;
using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>The three hashes of the Merkle tree (hypercore.md §4). A first byte tells them apart, so that none passes for another.</summary>
internal static class TreeHash
{
    /// <summary>2^53-1: the largest size of a node; more cannot be sent.</summary>
    public const long MaxSize = (1L << 53) - 1;

    private const byte LeafType = 0;
    private const byte ParentType = 1;
    private const byte RootType = 2;
    private const int SizeBytes = 8;
    private const int RootBytes = NodeHash.Size + 2 * SizeBytes;

    /// <summary>The leaf of a block, <paramref name="index"/> being the block's number.</summary>
    public static TreeNode Leaf(long index, ReadOnlySpan<byte> block)
    {
        Span<byte> head = stackalloc byte[1 + SizeBytes];
        Span<byte> hash = stackalloc byte[NodeHash.Size];
        LeafHead(head, block.Length);
        Blake2b.HashParts(hash, head, block);
        return new TreeNode(2 * index, NodeHash.From(hash), block.Length);
    }

    /// <summary>The leaf of a block whose bytes lie in several pieces.</summary>
    public static TreeNode Leaf(long index, in ReadOnlySequence<byte> block)
    {
        Span<byte> head = stackalloc byte[1 + SizeBytes];
        Span<byte> hash = stackalloc byte[NodeHash.Size];
        LeafHead(head, block.Length);
        Blake2b.HashParts(hash, head, block);
        return new TreeNode(2 * index, NodeHash.From(hash), block.Length);
    }

    /// <summary>The parent of two siblings, given in either order.</summary>
    /// <exception cref="OverflowException">The sizes add up to more than <see cref="MaxSize"/>; check with <see cref="CanAdd"/> first.</exception>
    public static TreeNode Parent(in TreeNode a, in TreeNode b)
    {
        if (FlatTree.Sibling(a.Index) != b.Index) throw new ArgumentException("a parent has two siblings", nameof(b));
        if (!CanAdd(a.Size, b.Size)) throw new OverflowException("a tree node cannot be larger than 2^53-1 bytes");
        bool ordered = a.Index < b.Index;
        long size = a.Size + b.Size;
        Span<byte> input = stackalloc byte[1 + SizeBytes + 2 * NodeHash.Size];
        input[0] = ParentType;
        BinaryPrimitives.WriteInt64BigEndian(input[1..], size);
        (ordered ? a : b).Hash.CopyTo(input[(1 + SizeBytes)..]);
        (ordered ? b : a).Hash.CopyTo(input[(1 + SizeBytes + NodeHash.Size)..]);
        Span<byte> hash = stackalloc byte[NodeHash.Size];
        Blake2b.Hash(hash, input);
        return new TreeNode(FlatTree.Parent(a.Index), NodeHash.From(hash), size);
    }

    /// <summary>What a signature signs: the hash over the full roots in ascending order (§5.1).</summary>
    public static NodeHash Root(ReadOnlySpan<TreeNode> roots)
    {
        if (roots.Length > FlatTree.MaxRoots) throw new ArgumentException("a tree has at most 53 roots", nameof(roots));
        Span<byte> input = stackalloc byte[1 + RootBytes * FlatTree.MaxRoots];
        input[0] = RootType;
        int used = 1;
        foreach (ref readonly TreeNode root in roots)
        {
            Span<byte> into = input.Slice(used, RootBytes);
            root.Hash.CopyTo(into);
            BinaryPrimitives.WriteInt64BigEndian(into[NodeHash.Size..], root.Index);
            BinaryPrimitives.WriteInt64BigEndian(into[(NodeHash.Size + SizeBytes)..], root.Size);
            used += RootBytes;
        }

        Span<byte> hash = stackalloc byte[NodeHash.Size];
        Blake2b.Hash(hash, input[..used]);
        return NodeHash.From(hash);
    }

    /// <summary>True when two sizes are not negative and their sum is still a size.</summary>
    public static bool CanAdd(long a, long b) => a >= 0 && b >= 0 && a <= MaxSize - b;

    private static void LeafHead(Span<byte> head, long size)
    {
        head[0] = LeafType;
        BinaryPrimitives.WriteInt64BigEndian(head[1..], size);
    }
}
