using System.Security.Cryptography;
using System.Text.Json;
using CsCheck;
using DatFs.Encoding;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class BitfieldRleTests
{
    private const long WindowBytes = 131_072;

    [Fact]
    public void Encodes_every_case_byte_for_byte_as_the_reference()
    {
        foreach (JsonElement row in Vectors.Json("hypercore/rle.json").GetProperty("cases").EnumerateArray())
        {
            string name = row.GetProperty("name").GetString()!;
            byte[] input = InputOf(row, name);
            Convert.ToHexStringLower(SHA256.HashData(input)).Should().Be(row.GetProperty("inputSha256").GetString(), name);

            byte[] encoded = BitfieldRle.Encode(input);
            encoded.Length.Should().Be(row.GetProperty("encodedLength").GetInt32(), name);
            Convert.ToHexStringLower(SHA256.HashData(encoded)).Should().Be(row.GetProperty("encodedSha256").GetString(), name);

            BitfieldRle.TryDecode(encoded, input.Length, out byte[] decoded).Should().BeTrue(name);
            decoded.Length.Should().Be(row.GetProperty("decodedLengthAlign1").GetInt32(), name);
            byte[] padded = new byte[row.GetProperty("decodedLengthAlign4").GetInt32()];
            decoded.CopyTo(padded, 0);
            Convert.ToHexStringLower(SHA256.HashData(padded)).Should().Be(row.GetProperty("decodedSha256Align4").GetString(), name);
        }
    }

    [Fact]
    public void Refuses_what_the_reference_stumbles_over()
    {
        foreach (JsonElement row in Vectors.Json("hypercore/rle.json").GetProperty("invalid").EnumerateArray())
        {
            byte[] encoded = row.Hex("encoded")!;
            BitfieldRle.TryDecode(encoded, WindowBytes, out byte[] bits).Should().BeFalse(Convert.ToHexStringLower(encoded));
            bits.Should().BeEmpty();
        }
    }

    [Fact]
    public void Encodes_and_decodes_the_cases_of_the_wire()
    {
        foreach (JsonElement row in Vectors.Json("wire/rle.json").GetProperty("cases").EnumerateArray())
        {
            string note = row.GetProperty("note").GetString()!;
            byte[] input = RawOrRuns(row);
            input.Length.Should().Be(row.GetProperty("byteLength").GetInt32(), note);
            byte[] encoded = row.Hex("encoded")!;
            BitfieldRle.Encode(input).Should().Equal(encoded, note);
            BitfieldRle.TryDecodedLength(encoded, out long length).Should().BeTrue(note);
            length.Should().Be(row.GetProperty("decodedByteLength").GetInt64(), note);
            BitfieldRle.TryDecode(encoded, input.Length, out byte[] decoded).Should().BeTrue(note);
            input.Should().StartWith(decoded, note);
            input.AsSpan(decoded.Length).IndexOfAnyExcept((byte)0).Should().Be(-1, note);
        }
    }

    [Fact]
    public void Refuses_hostile_input_without_allocating_what_it_claims()
    {
        foreach (JsonElement row in Vectors.Json("wire/rle.json").GetProperty("hostile").EnumerateArray())
        {
            byte[] encoded = row.Hex("encoded")!;
            long before = GC.GetAllocatedBytesForCurrentThread();
            bool accepted = BitfieldRle.TryDecode(encoded, WindowBytes, out _) || BitfieldRle.TryRead(encoded, WindowBytes, out _);
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            accepted.Should().BeFalse(row.GetProperty("note").GetString());
            allocated.Should().BeLessThan(1024);
        }
    }

    [Fact]
    public void A_run_of_one_byte_over_the_limit_is_refused_and_at_the_limit_accepted()
    {
        byte[] ones = new byte[WindowBytes];
        ones.AsSpan().Fill(0xFF);
        byte[] encoded = BitfieldRle.Encode(ones);
        encoded.Should().HaveCount(3);
        BitfieldRle.TryRead(encoded, WindowBytes, out _).Should().BeTrue();
        BitfieldRle.TryRead(encoded, WindowBytes - 1, out _).Should().BeFalse();
    }

    [Fact]
    public void Runs_follow_each_other_without_gaps_and_rebuild_the_input() =>
        Bitfields.Sample(bits =>
        {
            BitfieldRle.TryRead(BitfieldRle.Encode(bits), bits.Length, out BitfieldRle.Reader reader).Should().BeTrue();
            byte[] rebuilt = new byte[bits.Length];
            long at = 0;
            while (reader.Next(out BitfieldRle.Run run))
            {
                run.Offset.Should().Be(at);
                run.Count.Should().BePositive();
                Span<byte> target = rebuilt.AsSpan((int)run.Offset, (int)run.Count);
                if (run.Kind == BitfieldRle.RunKind.Literal) run.Literal.CopyTo(target);
                else target.Fill(run.Kind == BitfieldRle.RunKind.Ones ? (byte)0xFF : (byte)0);
                at += run.Count;
            }

            return rebuilt.AsSpan().SequenceEqual(bits);
        });

    [Fact]
    public void Any_bytes_are_decoded_within_the_limit_or_refused() =>
        Gen.Byte.Array[0, 40].Sample(encoded =>
            !BitfieldRle.TryDecode(encoded, 1000, out byte[] bits) || bits.Length <= 1000);

    private static Gen<byte[]> Bitfields =>
        Gen.Select(Gen.Int[0, 2], Gen.Int[1, 300], Gen.Byte.Array[300])
            .Select((kind, count, random) =>
            {
                byte[] part = random[..count];
                if (kind < 2) part.AsSpan().Fill(kind == 0 ? (byte)0x00 : (byte)0xFF);
                return part;
            })
            .Array[0, 12]
            .Select(parts => parts.SelectMany(part => part).ToArray());

    private static byte[] InputOf(JsonElement row, string name)
    {
        if (row.Hex("input") is byte[] input) return input;
        byte[] bytes = new byte[row.GetProperty("inputLength").GetInt32()];
        if (name.StartsWith("zeros-", StringComparison.Ordinal)) return bytes;
        if (name.StartsWith("ones-", StringComparison.Ordinal)) bytes.AsSpan().Fill(0xFF);
        else
        {
            BitfieldRle.TryDecode(row.Hex("encoded")!, bytes.Length, out byte[] decoded).Should().BeTrue(name);
            decoded.CopyTo(bytes, 0);
        }

        return bytes;
    }

    private static byte[] RawOrRuns(JsonElement row)
    {
        if (row.Hex("raw") is byte[] raw) return raw;
        List<byte> bytes = [];
        foreach (JsonElement run in row.GetProperty("runs").EnumerateArray())
        {
            JsonElement value = run[1];
            byte fill = value.ValueKind == JsonValueKind.String ? Convert.FromHexString(value.GetString()!)[0] : value.GetByte();
            bytes.AddRange(Enumerable.Repeat(fill, run[0].GetInt32()));
        }

        return [.. bytes];
    }
}
