using System.Security.Cryptography;
using System.Text.Json;
using CsCheck;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class BitfieldTests
{
    private static readonly JsonElement s_vectors = Vectors.Json("hypercore/bitfield.json");

    [Fact]
    public void Every_bit_lies_where_the_format_says()
    {
        foreach (JsonElement row in s_vectors.GetProperty("mapping").EnumerateArray())
        {
            Bitfield bits = new(row.GetProperty("pageSize").GetInt32());
            long block = row.GetProperty("block").GetInt64();
            bits.SetBlock(block);
            byte[] file = Written(bits);
            file[row.GetProperty("dataByteOffset").GetInt32()].Should().Be(row.GetProperty("mask").GetByte());

            bits.SetNode(row.GetProperty("leafNode").GetInt64());
            Written(bits, file)[row.GetProperty("treeByteOffset").GetInt32()].Should().Be(row.GetProperty("treeMask").GetByte());
        }
    }

    [Fact]
    public void Pages_equal_those_of_the_reference()
    {
        foreach (JsonElement row in s_vectors.GetProperty("pages").EnumerateArray())
        {
            string name = row.GetProperty("name").GetString()!;
            int entry = row.GetProperty("pageSize").GetInt32();
            Bitfield bits = new(entry);
            if (row.TryGetProperty("blocks", out JsonElement range))
            {
                for (long block = range[0].GetInt64(); block < range[1].GetInt64(); block++)
                {
                    bits.SetBlock(block);
                    bits.SetNode(2 * block);
                }
            }
            else
            {
                foreach (JsonElement block in row.GetProperty("thenCleared").EnumerateArray()) bits.SetBlock(block.GetInt64());
                foreach (JsonElement block in row.GetProperty("set").EnumerateArray()) bits.SetBlock(block.GetInt64());
                foreach (JsonElement block in row.GetProperty("thenCleared").EnumerateArray()) bits.ClearBlock(block.GetInt64());
            }

            byte[] pages = Written(bits)[SleepHeader.Size..];
            pages.Length.Should().Be(row.GetProperty("pages").GetInt32() * entry);
            if (row.TryGetProperty("dataSha256", out JsonElement data)) Region(pages, entry, 0, 1024).Should().Be(data.GetString(), name);
            if (row.TryGetProperty("treeSha256", out JsonElement tree)) Region(pages, entry, 1024, 2048).Should().Be(tree.GetString(), name);
            bool whole = entry == SleepHeader.BitfieldEntry || name is "first-5" or "first-8" or "first-32" or "first-33" or "first-1000";
            if (whole) Sha256Of.Bytes(pages).Should().Be(row.GetProperty("sha256").GetString(), $"{name} with pages of {entry}");
        }
    }

    [Fact]
    public void The_index_never_claims_what_is_not_there()
    {
        Gen.Select(Gen.Long[0, 40_000], Gen.Int[1, 9000], Gen.Bool).Array[1, 30].Sample(
            changes =>
            {
                Bitfield bits = new(SleepHeader.BitfieldEntry);
                byte[] file = [];

                // Roots on the first pages are what a feed of this size has in any case; a page without any bit is a hole.
                for (long page = 0; page < 6; page++) bits.SetNode(page * BitfieldPage.Nodes);
                foreach ((long start, int count, bool held) in changes)
                {
                    bits.SetBlocks(start, start + count, held);
                    file = Written(bits, file);
                }

                long pages = (file.Length - SleepHeader.Size) / SleepHeader.BitfieldEntry;
                for (long j = 0; j < 512 * pages; j++)
                {
                    byte stored = file[SleepHeader.Size + (j / 512) * SleepHeader.BitfieldEntry + 3072 + j % 512];
                    byte expected = IndexByte(bits, j);
                    if (stored != expected) throw new InvalidOperationException($"index byte {j} is {stored:x2} and should be {expected:x2}");
                }
            },
            iter: 60);
    }

    [Fact]
    public void Searches_agree_with_looking_at_every_bit()
    {
        Gen.Select(Gen.Long[0, 30_000].Select(Gen.Int[1, 10_000]).Array[0, 12], Gen.Long[0, 40_000], Gen.Int[0, 40_000]).Sample(
            (runs, start, count) =>
            {
                Bitfield bits = new(SleepHeader.BitfieldEntry);
                bool[] model = new bool[90_000];
                for (int i = 0; i < runs.Length; i++)
                {
                    bits.SetBlocks(runs[i].Item1, runs[i].Item1 + runs[i].Item2, i % 3 != 2);
                    model.AsSpan((int)runs[i].Item1, runs[i].Item2).Fill(i % 3 != 2);
                }

                long end = start + count;
                ReadOnlySpan<bool> part = model.AsSpan((int)start, count);
                int missing = part.IndexOf(false);
                int held = part.IndexOf(true);
                bits.FirstMissing(start, end).Should().Be(missing < 0 ? end : start + missing);
                bits.FirstHeld(start, end).Should().Be(held < 0 ? end : start + held);
                bits.Held.Should().Be(model.Count(bit => bit));
                bits.HasBlock(start).Should().Be(model[start]);
                byte[] copied = new byte[100];
                long from = start / 8 * 8;
                bits.CopyBlocks(from, copied);
                for (int i = 0; i < 800; i++) ((copied[i / 8] & 0x80 >> i % 8) != 0).Should().Be(model[from + i]);
            },
            iter: 300);
    }

    [Fact]
    public void Lost_leaves_are_found_and_ranges_of_nodes_are_taken_back()
    {
        Gen.Select(Gen.Long[0, 60_000].Array[1, 200], Gen.Long[0, 30_000], Gen.Long[0, 30_000]).Sample(
            (lost, start, count) =>
            {
                Bitfield bits = new(SleepHeader.BitfieldEntry);
                for (long block = 0; block < 25_000; block++) bits.SetNode(2 * block);
                bits.SetBlocks(0, 25_000, true);
                bool[] model = [.. Enumerable.Range(0, 60_001).Select(node => bits.HasNode(node))];
                foreach (long node in lost)
                {
                    bits.CutNodes(node, node + 1).Should().Be(model[node]);
                    model[node] = false;
                }

                bits.CutNodes(2 * start, 2 * start + count % 70);
                model.AsSpan((int)(2 * start), (int)Math.Min(count % 70, 60_001 - 2 * start)).Clear();
                long end = start + count;
                long expected = start;
                while (expected < end && 2 * expected < model.Length && model[2 * expected]) expected++;
                bits.FirstWithoutLeaf(start, end).Should().Be(expected);
                for (int node = 0; node < model.Length; node++)
                {
                    if (bits.HasNode(node) != model[node]) throw new InvalidOperationException($"node {node}");
                    if (node % 2 == 0 && bits.HasBlock(node / 2) != model[node]) throw new InvalidOperationException($"block {node / 2}");
                }
            },
            iter: 100);
    }

    [Fact]
    public void A_parent_is_trusted_as_soon_as_both_children_are()
    {
        Bitfield bits = new(SleepHeader.BitfieldEntry);
        bits.SetNode(0).Should().BeTrue();
        bits.SetNode(0).Should().BeFalse();
        bits.HasNode(1).Should().BeFalse();
        bits.SetNode(5).Should().BeTrue();
        bits.SetNode(2).Should().BeTrue();
        bits.HasNode(1).Should().BeTrue();
        bits.HasNode(3).Should().BeTrue();
        bits.HasNode(7).Should().BeFalse();
    }

    [Fact]
    public void Staged_changes_are_written_before_they_are_seen()
    {
        Bitfield bits = new(SleepHeader.BitfieldEntry);
        bits.SetBlock(1);
        bits.TakeDirty();
        bits.BeginStage();
        bits.SetBlocks(8000, 9000, true);
        bits.SetNode(16000);
        bits.HasBlock(8000).Should().BeFalse();
        bits.Held.Should().Be(1);
        bits.TakeDirty().Select(entry => entry.Page).Should().Equal(0, 1);
        bits.HasBlock(8000).Should().BeFalse();
        bits.Publish();
        bits.HasBlock(8000).Should().BeTrue();
        bits.HasNode(16000).Should().BeTrue();
        bits.Held.Should().Be(1001);

        bits.BeginStage();
        bits.SetBlocks(0, 100, true);
        bits.Discard();
        bits.FirstMissing(1, 100).Should().Be(2);
        bits.Held.Should().Be(1001);
    }

    [Fact]
    public void A_cut_leaves_nothing_that_reaches_beyond_it()
    {
        for (int length = 0; length <= 33; length++)
        {
            Bitfield bits = new(SleepHeader.BitfieldEntry);
            for (int block = 0; block < 33; block++)
            {
                bits.SetBlock(block);
                bits.SetNode(2 * block);
            }

            bits.CutAfter(length).Should().Be(length < 33);
            for (long node = 0; node < 70; node++) bits.HasNode(node).Should().Be(FlatTree.RightSpan(node) < 2 * length, $"node {node} of {length}");
            bits.Held.Should().Be(length);
            bits.CutAfter(length).Should().BeFalse();
        }
    }

    [Fact]
    public void A_short_last_page_counts_as_zero_beyond_its_end()
    {
        Bitfield bits = new(SleepHeader.BitfieldEntry);
        for (int block = 0; block < 100; block++)
        {
            bits.SetBlock(block);
            bits.SetNode(2 * block);
        }

        using IRandomAccessFile file = new MemoryFolder().Open("bitfield", FileUse.ReadWrite)!;
        file.Write(0, Written(bits).AsSpan(0, SleepHeader.Size + 1024 + 4));
        Bitfield read = Bitfield.Load(file, SleepHeader.BitfieldEntry, "bitfield");
        read.HasNode(31).Should().BeTrue();
        read.HasNode(32).Should().BeFalse();
        read.Held.Should().Be(16, "a block without its leaf is nothing to rely on");
    }

    [Fact]
    public void A_bitfield_longer_than_any_feed_is_refused_before_it_is_read()
    {
        using IRandomAccessFile file = new MemoryFolder().Open("bitfield", FileUse.ReadWrite)!;
        file.Write(SleepHeader.Size + Bitfield.MaxPages * SleepHeader.BitfieldEntry, [1]);
        FluentActions.Invoking(() => Bitfield.Load(file, SleepHeader.BitfieldEntry, "bitfield")).Should().Throw<DatException>().Where(e => e.Error == DatError.Corrupt);
    }

    [Fact]
    public void Far_apart_blocks_cost_only_themselves()
    {
        Bitfield bits = new(SleepHeader.BitfieldEntry);
        long far = ProofVerifier.MaxLength - 1;
        bits.SetBlock(far);
        bits.SetBlock(0);
        bits.FirstHeld(1, long.MaxValue).Should().Be(far);
        bits.FirstMissing(far, far + 1).Should().Be(far + 1);
        bits.TakeDirty().Select(entry => entry.Page).Should().Equal(0, Bitfield.MaxPages - 1);
        FluentActions.Invoking(() => bits.SetBlock(far + 1)).Should().Throw<ArgumentOutOfRangeException>();
    }

    private static byte[] Written(Bitfield bits, byte[]? before = null)
    {
        byte[] file = before ?? [];
        foreach ((long page, byte[] entry) in bits.TakeDirty())
        {
            int at = (int)bits.OffsetOf(page);
            if (file.Length < at + entry.Length) Array.Resize(ref file, at + entry.Length);
            entry.CopyTo(file, at);
        }

        return file;
    }

    private static string Region(byte[] pages, int entry, int offset, int size)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (int at = 0; at < pages.Length; at += entry) hash.AppendData(pages, at + offset, size);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    // Straight from the definition (§7.2).
    private static byte IndexByte(Bitfield bits, long j)
    {
        if (FlatTree.LeftSpan(j) * 2 >= bits.PageCount * 1024 || (j >= 512 * bits.PageCount)) return 0;
        if (!FlatTree.IsLeaf(j)) return BitfieldPage.Combine(IndexByte(bits, FlatTree.LeftChild(j)), IndexByte(bits, FlatTree.RightChild(j)));
        byte[] four = new byte[4];
        bits.CopyBlocks(16 * j, four);
        int value = 0;
        foreach (byte bits8 in four) value = value << 2 | (bits8 == 0xFF ? 3 : bits8 == 0 ? 0 : 1);
        return (byte)value;
    }
}
