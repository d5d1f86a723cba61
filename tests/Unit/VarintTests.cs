using System.Buffers;
using System.Globalization;
using System.Text.Json;
using CsCheck;
using DatFs.Encoding;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class VarintTests
{
    [Fact]
    public void Writes_and_reads_every_number_as_the_reference()
    {
        foreach (JsonElement row in Vectors.Json("hypercore/varint.json").GetProperty("varints").EnumerateArray())
        {
            ulong value = ulong.Parse(row.GetProperty("value").GetString()!, CultureInfo.InvariantCulture);
            byte[] expected = row.Hex("hex")!;
            Write(value).Should().Equal(expected);
            Varint.SizeOf(value).Should().Be(expected.Length);

            ReadOnlySpan<byte> input = [.. expected, 0xAA];
            Varint.TryRead(ref input, out ulong read, Varint.MaxBytesStrict).Should().BeTrue();
            read.Should().Be(value);
            input.Length.Should().Be(1);
        }
    }

    [Fact]
    public void Any_number_survives_the_round_trip() =>
        Gen.ULong[0, Varint.MaxValue].Sample(value =>
        {
            byte[] bytes = Write(value);
            ReadOnlySpan<byte> input = bytes;
            return Varint.TryRead(ref input, out ulong read) && read == value && input.IsEmpty && bytes.Length == Varint.SizeOf(value);
        });

    [Theory]
    [InlineData("")]
    [InlineData("80")]
    [InlineData("ffffffffffff")]
    public void Asks_for_more_when_the_input_ends_inside_a_number(string hex)
    {
        ReadOnlySpan<byte> input = Convert.FromHexString(hex);
        Varint.Read(input, out _, out _).Should().Be(OperationStatus.NeedMoreData);
        int before = input.Length;
        Varint.TryRead(ref input, out _).Should().BeFalse();
        input.Length.Should().Be(before, "nothing is consumed by a failed read");
    }

    [Theory]
    [InlineData("ffffffffffffff0f", "the largest number, 2^53-1", true, true)]
    [InlineData("ffffffffffffff1f", "2^54-1", false, false)]
    [InlineData("8080808080808010", "2^53", false, false)]
    [InlineData("80808080808080808001", "2^63", false, false)]
    [InlineData("ffffffffffffffffff01", "2^64-1", false, false)]
    [InlineData("8180808080808000", "1 padded to eight bytes", true, true)]
    [InlineData("818080808080808000", "1 padded to nine bytes", true, false)]
    [InlineData("81808080808080808000", "1 padded to ten bytes", true, false)]
    [InlineData("8180808080808080808000", "1 padded to eleven bytes", false, false)]
    public void Accepts_padding_up_to_the_limit_of_its_place(string hex, string what, bool onFrames, bool inRunLengths)
    {
        ReadOnlySpan<byte> frame = Convert.FromHexString(hex);
        Varint.Read(frame, out _, out _).Should().Be(onFrames ? OperationStatus.Done : OperationStatus.InvalidData, what);
        Varint.Read(frame, out _, out _, Varint.MaxBytesStrict).Should().Be(inRunLengths ? OperationStatus.Done : OperationStatus.InvalidData, what);
    }

    [Fact]
    public void Never_writes_a_number_peers_cannot_hold()
    {
        Action write = () => Write(Varint.MaxValue + 1);
        write.Should().Throw<ArgumentOutOfRangeException>();
    }

    private static byte[] Write(ulong value)
    {
        Span<byte> buffer = stackalloc byte[Varint.MaxBytes];
        return buffer[..Varint.Write(buffer, value)].ToArray();
    }
}
