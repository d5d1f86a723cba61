using DatFs.Encoding;

namespace DatMount.Fuzz.Engine;

/// <summary>Takes a structured case out of any bytes: every input means something, and what is missing at its end counts as zero.</summary>
internal ref struct InputReader(ReadOnlySpan<byte> input)
{
    private ReadOnlySpan<byte> _rest = input;

    public readonly bool IsEmpty => _rest.IsEmpty;

    public readonly ReadOnlySpan<byte> Rest => _rest;

    public byte Byte()
    {
        if (_rest.IsEmpty) return 0;
        byte first = _rest[0];
        _rest = _rest[1..];
        return first;
    }

    /// <summary>A number of base 128; one byte where there is none.</summary>
    public long Number() => Varint.TryRead(ref _rest, out ulong value) ? (long)value : Byte();

    /// <summary>Bytes with their length in front, or what is left of them.</summary>
    public ReadOnlySpan<byte> Chunk()
    {
        int length = (int)Math.Min(Number(), _rest.Length);
        ReadOnlySpan<byte> chunk = _rest[..length];
        _rest = _rest[length..];
        return chunk;
    }
}

/// <summary>Writes what <see cref="InputReader"/> reads.</summary>
internal sealed class InputWriter
{
    private readonly List<byte> _bytes = [];

    public InputWriter Byte(int value)
    {
        _bytes.Add((byte)value);
        return this;
    }

    public InputWriter Number(long value)
    {
        Span<byte> number = stackalloc byte[Varint.MaxBytes];
        return Raw(number[..Varint.Write(number, (ulong)value)]);
    }

    public InputWriter Chunk(ReadOnlySpan<byte> bytes) => Number(bytes.Length).Raw(bytes);

    public InputWriter Raw(ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public byte[] ToArray() => [.. _bytes];
}
