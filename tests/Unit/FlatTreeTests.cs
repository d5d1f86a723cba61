using System.Text.Json;
using CsCheck;
using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class FlatTreeTests
{
    [Fact]
    public void Numbers_nodes_as_the_reference()
    {
        foreach (JsonElement row in Vectors.Json("hypercore/flat-tree.json").GetProperty("nodes").EnumerateArray())
        {
            long node = row.GetProperty("index").GetInt64();
            long Expect(string name) => row.GetProperty(name).GetInt64();
            string because = $"of node {node}";
            FlatTree.Depth(node).Should().Be((int)Expect("depth"), because);
            FlatTree.Offset(node).Should().Be(Expect("offset"), because);
            FlatTree.Index((int)Expect("depth"), Expect("offset")).Should().Be(node, because);
            FlatTree.Parent(node).Should().Be(Expect("parent"), because);
            FlatTree.Sibling(node).Should().Be(Expect("sibling"), because);
            FlatTree.LeftChild(node).Should().Be(Expect("leftChild"), because);
            FlatTree.RightChild(node).Should().Be(Expect("rightChild"), because);
            FlatTree.LeftSpan(node).Should().Be(Expect("leftSpan"), because);
            FlatTree.RightSpan(node).Should().Be(Expect("rightSpan"), because);
            FlatTree.Count(node).Should().Be(Expect("count"), because);
        }
    }

    [Fact]
    public void Finds_full_roots_as_the_reference()
    {
        foreach (JsonElement row in Vectors.Json("hypercore/flat-tree.json").GetProperty("fullRoots").EnumerateArray())
        {
            long length = row.GetProperty("length").GetInt64();
            long[] expected = [.. row.GetProperty("roots").EnumerateArray().Select(root => root.GetInt64())];
            Roots(length).Should().Equal(expected, $"of length {length}");
            FlatTree.RootCount(length).Should().Be(expected.Length);
        }
    }

    [Fact]
    public void Exactly_the_full_roots_are_recognised_as_such()
    {
        for (long length = 0; length < 70; length++)
        {
            long[] roots = Roots(length);
            for (long node = 0; node < 300; node++)
                FlatTree.IsFullRoot(node, length).Should().Be(roots.Contains(node), $"node {node} in a tree of {length}");
        }
    }

    [Fact]
    public void Family_relations_agree_over_the_whole_range_of_numbers() =>
        Gen.Long[0, FlatTree.MaxBlocks - 1].Sample(block =>
        {
            long node = 2 * block;
            while (FlatTree.Depth(node) < 51)
            {
                long parent = FlatTree.Parent(node);
                long sibling = FlatTree.Sibling(node);
                (FlatTree.IsLeft(node) ? FlatTree.LeftChild(parent) : FlatTree.RightChild(parent)).Should().Be(node);
                (FlatTree.IsLeft(node) ? FlatTree.RightChild(parent) : FlatTree.LeftChild(parent)).Should().Be(sibling);
                FlatTree.Sibling(sibling).Should().Be(node);
                FlatTree.BlockCount(parent).Should().Be(2 * FlatTree.BlockCount(node));
                node = parent;
            }
        });

    [Fact]
    public void The_longest_feed_has_one_root_and_one_block_less_has_fifty_two()
    {
        Roots(FlatTree.MaxBlocks).Should().Equal(FlatTree.MaxBlocks - 1);
        Roots(FlatTree.MaxBlocks - 1).Should().HaveCount(52).And.OnlyContain(root => root <= FlatTree.MaxIndex);
        Action tooLong = () => Roots(FlatTree.MaxBlocks + 1);
        tooLong.Should().Throw<ArgumentOutOfRangeException>();
    }

    private static long[] Roots(long length)
    {
        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        return roots[..FlatTree.FullRoots(length, roots)].ToArray();
    }
}
