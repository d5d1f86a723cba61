using System.Buffers;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class TreeHashTests
{
    private static readonly JsonElement s_hashes = Vectors.Json("hypercore/hashes.json");

    [Fact]
    public void Leaves_hash_as_the_reference()
    {
        foreach (JsonElement row in s_hashes.GetProperty("leaves").EnumerateArray())
            TreeHash.Leaf(7, row.Hex("data")).Should().Be(new TreeNode(14, HashOf(row), row.GetProperty("size").GetInt64()));
    }

    [Fact]
    public void Leaves_of_every_size_hash_as_the_reference_whole_or_in_pieces()
    {
        foreach (JsonElement row in s_hashes.GetProperty("formulaLeaves").EnumerateArray())
        {
            int size = row.GetProperty("size").GetInt32();
            byte[] block = FormulaBlocks.Bytes(row.GetProperty("tag").GetInt32(), row.GetProperty("block").GetInt64(), size);
            TreeNode expected = new(6, HashOf(row), size);
            TreeHash.Leaf(3, block).Should().Be(expected, $"size {size}");
            TreeHash.Leaf(3, InPieces(block)).Should().Be(expected, $"size {size} in pieces");
        }
    }

    [Fact]
    public void Parents_hash_as_the_reference_in_either_order()
    {
        foreach (JsonElement row in s_hashes.GetProperty("parents").EnumerateArray())
        {
            TreeNode a = NodeOf(row.GetProperty("a"));
            TreeNode b = NodeOf(row.GetProperty("b"));
            TreeNode expected = new(row.GetProperty("parentIndex").GetInt64(), HashOf(row), row.GetProperty("size").GetInt64());
            TreeHash.Parent(a, b).Should().Be(expected);
            TreeHash.Parent(b, a).Should().Be(expected);
        }
    }

    [Fact]
    public void Root_hashes_equal_the_reference()
    {
        foreach (JsonElement row in s_hashes.GetProperty("roots").EnumerateArray())
        {
            TreeNode[] roots = [.. row.GetProperty("roots").EnumerateArray().Select(NodeOf)];
            TreeHash.Root(roots).Should().Be(NodeHash.From(row.Hex("rootHash")));
        }
    }

    [Fact]
    public void Sizes_that_overflow_are_refused()
    {
        NodeHash hash = HashOf(s_hashes.GetProperty("leaves")[0]);
        Action over = () => TreeHash.Parent(new TreeNode(0, hash, TreeHash.MaxSize), new TreeNode(2, hash, 1));
        over.Should().Throw<OverflowException>();
        TreeHash.Parent(new TreeNode(0, hash, TreeHash.MaxSize), new TreeNode(2, hash, 0)).Size.Should().Be(TreeHash.MaxSize);
        TreeHash.CanAdd(long.MaxValue, long.MaxValue).Should().BeFalse();
        TreeHash.CanAdd(-1, 2).Should().BeFalse();
    }

    [Fact]
    public void Hashing_allocates_nothing()
    {
        byte[] block = new byte[1000];
        TreeNode leaf = TreeHash.Leaf(0, block);
        TreeNode other = TreeHash.Leaf(1, block);
        TreeNode[] roots = [TreeHash.Parent(leaf, other)];
        TreeHash.Root(roots);

        long before = GC.GetAllocatedBytesForCurrentThread();
        leaf = TreeHash.Leaf(0, block);
        roots[0] = TreeHash.Parent(leaf, other);
        TreeHash.Root(roots);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        allocated.Should().Be(0);
    }

    [Fact]
    public void The_state_of_the_hash_fits_the_room_reserved_for_it() =>
        ((int)Sodium.crypto_generichash_statebytes()).Should().BeLessThanOrEqualTo(Sodium.GenericHashStateSize);

    private static NodeHash HashOf(JsonElement row) => NodeHash.From(row.Hex("hash"));

    private static TreeNode NodeOf(JsonElement row) => new(row.GetProperty("index").GetInt64(), HashOf(row), row.GetProperty("size").GetInt64());

    private static ReadOnlySequence<byte> InPieces(byte[] block)
    {
        int cut = block.Length / 3;
        Piece first = new(block.AsMemory(0, cut), 0);
        Piece last = first.Append(block.AsMemory(cut));
        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, long runningIndex)
        {
            Memory = memory;
            RunningIndex = runningIndex;
        }

        public Piece Append(ReadOnlyMemory<byte> memory)
        {
            Piece next = new(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
