using DatFs.Encoding;
using DatFs.Evidence;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>Run-length coded bitfields: as hostile code that is read, and as bits that are written and read again.</summary>
internal sealed class RleTarget : IFuzzTarget
{
    private const int Room = 4096;

    public string Name => "rle";

    public int MaxLength => 2048;

    public long AllocationLimit(int inputLength) => 64 * 1024 + 64L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        var hypercore = Vectors.Json("hypercore/rle.json");
        foreach (var row in hypercore.GetProperty("cases").EnumerateArray())
        {
            if (row.Hex("encoded") is { } encoded) yield return encoded;
            if (row.Hex("input") is { } input) yield return input;
        }

        foreach (var row in hypercore.GetProperty("invalid").EnumerateArray()) yield return row.Hex("encoded")!;
        foreach (var row in Vectors.Json("wire/rle.json").GetProperty("hostile").EnumerateArray()) yield return row.Hex("encoded")!;
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        Read(input);
        Write(input);
    }

    private static void Read(ReadOnlySpan<byte> input)
    {
        bool wellFormed = BitfieldRle.TryDecodedLength(input, out long length);
        bool decoded = BitfieldRle.TryDecode(input, Room, out byte[] bits);
        bool readable = BitfieldRle.TryRead(input, Room, out BitfieldRle.Reader reader);
        Oracle.Equal(decoded, wellFormed && length <= Room, "decoding and measuring");
        Oracle.Equal(readable, decoded, "decoding and reading");
        Oracle.Equal(bits.LongLength, decoded ? length : 0, "length");
        if (!wellFormed) return;

        // Runs that claim petabytes are told in steps that the input pays for.
        Oracle.That(BitfieldRle.TryRead(input, long.MaxValue, out BitfieldRle.Reader all), "what is well formed is read");
        long end = 0;
        int steps = 0;
        for (; all.Next(out BitfieldRle.Run run); steps++)
        {
            Oracle.Equal(run.Offset, end, "runs without gaps");
            Oracle.That(run.Count > 0, "no empty runs");
            Oracle.Equal(run.Literal.Length, run.Kind == BitfieldRle.RunKind.Literal ? run.Count : 0, "bytes of a literal");
            end += run.Count;
        }

        Oracle.Equal(end, length, "the end of the last run");
        Oracle.That(steps <= input.Length, "no more runs than bytes");
        if (!decoded) return;
        Span<byte> rebuilt = stackalloc byte[Room];
        rebuilt.Clear();
        while (reader.Next(out BitfieldRle.Run run))
        {
            Span<byte> target = rebuilt.Slice((int)run.Offset, (int)run.Count);
            if (run.Kind == BitfieldRle.RunKind.Ones) target.Fill(0xFF);
            if (run.Kind == BitfieldRle.RunKind.Literal) run.Literal.CopyTo(target);
        }

        Oracle.Same(rebuilt[..bits.Length], bits, "runs and decoded bytes");
        RoundTrip(bits);
    }

    private static void Write(ReadOnlySpan<byte> bits)
    {
        if (bits.Length <= Room) RoundTrip(bits);
    }

    private static void RoundTrip(ReadOnlySpan<byte> bits)
    {
        byte[] encoded = BitfieldRle.Encode(bits);
        Oracle.That(BitfieldRle.TryDecode(encoded, bits.Length, out byte[] back), "what was encoded is decoded");
        Oracle.Same(back, bits[..(bits.LastIndexOfAnyExcept((byte)0) + 1)], "encoded and decoded");
        Oracle.Same(BitfieldRle.Encode(back), encoded, "encoded again");
    }
}
