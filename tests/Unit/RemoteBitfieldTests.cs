using CsCheck;
using DatFs.Encoding;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class RemoteBitfieldTests
{
    private const int ModelBlocks = 3 * 32768 + 100;

    [Fact]
    public void Agrees_with_a_plain_set_after_any_changes() =>
        Gen.Select(Gen.Int[0, ModelBlocks - 1], Gen.Int[1, 40_000], Gen.Bool).Array[1, 20].Sample(
            changes =>
            {
                RemoteBitfield field = new();
                bool[] model = new bool[ModelBlocks];
                foreach ((int start, int count, bool present) in changes)
                {
                    int end = Math.Min(ModelBlocks, start + count);
                    field.Set(start, end, present);
                    model.AsSpan(start, end - start).Fill(present);
                }

                ShouldEqual(field, model);
            },
            iter: 300);

    [Fact]
    public void Takes_a_bitfield_over_bit_for_bit() =>
        Gen.Select(Gen.Byte.Array[0, 9000], Gen.OneOf(Gen.Const((byte)0), Gen.Const((byte)0xFF), Gen.Byte).Array[0, 9000], Gen.Int[0, 4]).Sample(
            (noise, runs, window) =>
            {
                byte[] bits = [.. noise, .. runs];
                long start = window * 8192L;
                RemoteBitfield field = new();
                field.Set(0, ModelBlocks, true);
                BitfieldRle.TryRead(BitfieldRle.Encode(bits), bits.Length, out BitfieldRle.Reader reader).Should().BeTrue();

                long length = field.Replace(start, start + bits.Length * 8L, reader);

                long last = 0;
                for (long i = 0; i < bits.Length * 8L; i++)
                {
                    bool expected = (bits[i / 8] & 0x80 >> (int)(i % 8)) != 0;
                    if (expected) last = start + i + 1;
                    if (field.Contains(start + i) != expected) throw new InvalidOperationException($"bit {i} differs");
                }

                length.Should().Be(last);
                if (start > 0) field.Contains(start - 1).Should().BeTrue();
            },
            iter: 60);

    [Fact]
    public void Everything_up_to_the_largest_index_costs_no_memory_to_speak_of()
    {
        RemoteBitfield field = new();

        field.Set(0, RemoteBitfield.MaxBlocks - 1, true);

        field.Bytes.Should().BeLessThan(64 * 1024);
        field.NextSet(123_456_789_012, long.MaxValue).Should().Be(123_456_789_012);
        field.PrevSet(long.MaxValue - 1, 0).Should().Be(RemoteBitfield.MaxBlocks - 2);
        field.Set(0, long.MaxValue, false);
        field.Bytes.Should().Be(0);
        field.NextSet(0, long.MaxValue).Should().Be(-1);
    }

    [Fact]
    public void Refuses_to_grow_beyond_four_mebibytes()
    {
        RemoteBitfield field = new();

        Action scatter = () =>
        {
            for (long i = 0; i < 2000; i++) field.Set(i * 32768, i * 32768 + 1, true);
        };

        scatter.Should().Throw<ProtocolViolationException>();
        field.Bytes.Should().BeLessOrEqualTo(RemoteBitfield.MaxBytes);
    }

    [Fact]
    public void A_bomb_of_ones_beyond_the_window_changes_nothing_outside_it()
    {
        RemoteBitfield field = new();
        BitfieldRle.TryRead(BitfieldRle.Encode(Enumerable.Repeat((byte)0xFF, 1024).ToArray()), 1024, out BitfieldRle.Reader reader).Should().BeTrue();

        field.Replace(8192, 8192 + 100, reader).Should().Be(8292);

        field.Contains(8291).Should().BeTrue();
        field.Contains(8292).Should().BeFalse();
        field.Contains(8191).Should().BeFalse();
    }

    private static void ShouldEqual(RemoteBitfield field, bool[] model)
    {
        long next = field.NextSet(0, ModelBlocks);
        long previous = -1;
        for (int i = 0; i < model.Length; i++)
        {
            if (model[i] != (next == i)) throw new InvalidOperationException($"bit {i} differs");
            if (!model[i]) continue;
            if (field.PrevSet(i - 1, 0) != previous) throw new InvalidOperationException($"the bit before {i} differs");
            previous = i;
            next = field.NextSet(i + 1, ModelBlocks);
        }

        field.NextSet(ModelBlocks, long.MaxValue).Should().Be(-1);
        field.PrevSet(long.MaxValue, 0).Should().Be(previous);
        for (int i = 0; i < model.Length;)
        {
            int clear = (int)field.NextClear(i, ModelBlocks);
            if (model.AsSpan(i, clear - i).Contains(false)) throw new InvalidOperationException($"there is a gap before {clear}");
            if (clear == model.Length) break;
            if (model[clear]) throw new InvalidOperationException($"there is no gap at {clear}");
            int set = model.AsSpan(clear).IndexOf(true);
            i = set < 0 ? model.Length : clear + set;
        }

        field.NextClear(7, 5).Should().Be(5);
        field.NextClear(ModelBlocks + 5, long.MaxValue).Should().Be(ModelBlocks + 5);
    }
}
