using System.Text.Json;
using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class DigestTests
{
    [Fact]
    public void Digests_equal_the_reference()
    {
        foreach (JsonElement row in Vectors.Json("hypercore/digests.json").GetProperty("digests").EnumerateArray())
        {
            MemoryTree tree = Holding(NodeList.Indexes(row, "treeNodes"));
            long block = row.GetProperty("block").GetInt64();
            Digest.For(tree, block).Should().Be(row.GetProperty("digest").GetUInt64(), $"of block {block} with {string.Join(' ', tree.Bits)}");
        }
    }

    [Fact]
    public void Digests_of_the_wire_equal_the_reference_but_for_its_short_bitfield()
    {
        foreach (JsonElement row in Vectors.Json("wire/digests.json").GetProperty("cases").EnumerateArray())
        {
            long[] held = NodeList.Indexes(row, "requesterHasNodes");
            ulong expected = row.GetProperty("digest").GetUInt64();

            // The reference with a bitfield shorter than a page stopped before it saw its one node (hypercore.md §11.1).
            if (held is [7] && expected == 0) expected = 17;
            Digest.For(Holding(held), row.GetProperty("block").GetInt64()).Should().Be(expected, row.GetRawText());
        }
    }

    [Fact]
    public void Held_nodes_imply_the_length_as_in_the_reference()
    {
        foreach (JsonElement row in Vectors.Json("hypercore/digests.json").GetProperty("impliedLengths").EnumerateArray())
            TreeLength.Implied(Holding(NodeList.Indexes(row, "treeNodes"))).Should().Be(row.GetProperty("length").GetInt64(), row.GetRawText());
    }

    [Fact]
    public void A_digest_beyond_what_peers_can_represent_is_not_sent()
    {
        // A trusted ancestor at height 51 takes bit 52; one more and the number is too large.
        long block = 1L << 51;
        Digest.For(Holding([FlatTree.Index(51, 1)]), block).Should().Be((1UL << 52) + 1);
        Digest.For(Holding([FlatTree.Index(52, 0)]), block).Should().Be(Digest.Nothing);
    }

    private static MemoryTree Holding(long[] nodes)
    {
        MemoryTree tree = new(default);
        tree.SetBits(nodes);
        return tree;
    }
}
