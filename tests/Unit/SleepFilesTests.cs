using System.Text.Json;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class SleepFilesTests
{
    [Theory]
    [InlineData("v7", SleepHeader.BitfieldEntry)]
    [InlineData("v6", SleepHeader.OldBitfieldEntry)]
    public void Headers_equal_the_reference_and_are_read_back(string version, int bitfieldEntry)
    {
        JsonElement row = Vectors.Json("hypercore/sleep-headers.json").GetProperty(version);
        foreach ((string name, SleepHeader.FileType type, int entry) in new[]
        {
            ("bitfield", SleepHeader.FileType.Bitfield, bitfieldEntry),
            ("signatures", SleepHeader.FileType.Signatures, 64),
            ("tree", SleepHeader.FileType.Tree, 40),
        })
        {
            byte[] header = new byte[SleepHeader.Size];
            SleepHeader.Write(header, type, entry);
            header.Should().Equal(row.Hex(name));
            SleepHeader.Read(FileOf(header), type, "f").Should().Be(entry);
        }
    }

    [Theory]
    [InlineData(0, 0x06)]
    [InlineData(2, 0x58)]
    [InlineData(3, 0x01)]
    [InlineData(3, 0x09)]
    [InlineData(4, 0x01)]
    [InlineData(6, 0x29)]
    [InlineData(7, 0x06)]
    [InlineData(8, 0x41)]
    public void A_foreign_header_is_refused(int at, byte value)
    {
        byte[] header = new byte[SleepHeader.Size];
        SleepHeader.Write(header, SleepHeader.FileType.Tree, SleepHeader.TreeEntry);
        header[at] = value;
        FluentActions.Invoking(() => SleepHeader.Read(FileOf(header), SleepHeader.FileType.Tree, "folder/tree"))
            .Should().Throw<DatException>().WithMessage("folder/tree *").Where(e => e.Error == DatError.Corrupt || e.Error == DatError.Unsupported);
    }

    [Fact]
    public void A_file_too_short_for_a_header_counts_as_new()
    {
        SleepHeader.Read(FileOf([]), SleepHeader.FileType.Tree, "f").Should().BeNull();
        SleepHeader.Read(FileOf(new byte[31]), SleepHeader.FileType.Tree, "f").Should().BeNull();
    }

    [Fact]
    public void Nodes_are_read_back_from_memory_and_from_disk()
    {
        MemoryFolder folder = new();
        TreeNode[] nodes = [.. Enumerable.Range(0, 3 * TreeFile.CachedNodes).Select(i => TreeHash.Leaf(i, [(byte)i, (byte)(i >> 8)]))];
        using (TreeFile tree = new(folder.Open("tree", FileUse.ReadWrite)))
        {
            foreach (TreeNode node in nodes) tree.Write(node);
            foreach (TreeNode node in nodes) Read(tree, node.Index).Should().Be(node);
            tree.Write(nodes[0] with { Size = 7 });
            Read(tree, 0)!.Value.Size.Should().Be(7);
        }

        using TreeFile again = new(folder.Open("tree", FileUse.Read));
        Read(again, 0)!.Value.Size.Should().Be(7);
        for (int pass = 0; pass < 2; pass++) Read(again, nodes[^1].Index).Should().Be(nodes[^1]);
        Read(again, 1).Should().BeNull("a hole is no node");
        Read(again, 1L << 40).Should().BeNull("nothing lies beyond the end");
    }

    [Fact]
    public void A_partial_last_node_is_absent_and_an_impossible_size_is_damage()
    {
        MemoryFolder folder = new();
        using IRandomAccessFile file = folder.Open("tree", FileUse.ReadWrite)!;
        file.Write(SleepHeader.Size, new byte[39].Select(_ => (byte)1).ToArray());
        TreeFile tree = new(file);
        Read(tree, 0).Should().BeNull();
        file.Write(SleepHeader.Size + 39, [1]);
        FluentActions.Invoking(() => Read(tree, 0)).Should().Throw<DatException>().Where(e => e.Error == DatError.Corrupt);
    }

    [Fact]
    public void Signatures_are_found_by_length_in_both_directions()
    {
        using SignatureFile signatures = new(new MemoryFolder().Open("signatures", FileUse.ReadWrite));
        signatures.NextAfter(0).Should().Be(0);
        signatures.LastUpTo(100).Should().Be(0);
        long[] lengths = [1, 3, 1024, 1025, 5000];
        foreach (long length in lengths) signatures.Write(length, Signature(length));
        byte[] read = new byte[64];
        for (long length = 0; length < 6000; length++)
        {
            signatures.TryRead(length, read).Should().Be(lengths.Contains(length));
            if (lengths.Contains(length)) read.Should().Equal(Signature(length));
        }

        foreach (long length in (long[])[0, 1, 2, 3, 4, 1023, 1024, 1025, 4999, 5000, 9000])
        {
            signatures.NextAfter(length).Should().Be(lengths.FirstOrDefault(l => l > length));
            signatures.LastUpTo(length).Should().Be(lengths.LastOrDefault(l => l <= length));
        }

        signatures.CutAfter(1024);
        signatures.NextAfter(1024).Should().Be(0);
        signatures.LastUpTo(9000).Should().Be(1024);
    }

    private static byte[] Signature(long length) => [.. Enumerable.Range(0, 64).Select(i => i == 63 ? (byte)(1 + length % 200) : (byte)0)];

    private static TreeNode? Read(TreeFile tree, long node) => tree.TryRead(node, out TreeNode value) ? value : null;

    private static IRandomAccessFile FileOf(byte[] content)
    {
        IRandomAccessFile file = new MemoryFolder().Open("f", FileUse.ReadWrite)!;
        file.Write(0, content);
        return file;
    }
}
