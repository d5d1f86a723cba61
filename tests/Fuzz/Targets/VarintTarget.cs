using System.Buffers;
using System.Numerics;
using DatFs.Encoding;
using DatFs.Evidence;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>Numbers of base 128, beside a reading of the same bytes with whole numbers of any size.</summary>
internal sealed class VarintTarget : IFuzzTarget
{
    public string Name => "varint";

    public int MaxLength => 64;

    public IEnumerable<byte[]> Corpus()
    {
        foreach (ulong value in new ulong[] { 0, 1, 127, 128, 300, 16383, 16384, uint.MaxValue, 1UL << 52, Varint.MaxValue })
        {
            byte[] bytes = new byte[Varint.SizeOf(value)];
            Varint.Write(bytes, value);
            yield return bytes;
            yield return [.. bytes[..^1], (byte)(bytes[^1] | 0x80), 0x80, 0];
        }

        yield return Convert.FromHexString("ffffffffffffff1f");
        yield return Convert.FromHexString("ffffffffffffffffff01");
        foreach (var row in Vectors.Json("hyperdrive/encodings.json").GetProperty("paths").EnumerateArray()) yield return row.Hex("hex")!;
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        Judge(input, Varint.MaxBytes);
        Judge(input, Varint.MaxBytesStrict);
        Judge(input, 4);
    }

    private static void Judge(ReadOnlySpan<byte> input, int maxBytes)
    {
        OperationStatus status = Varint.Read(input, out ulong value, out int consumed, maxBytes);
        ReadOnlySpan<byte> rest = input;
        bool read = Varint.TryRead(ref rest, out ulong same, maxBytes);
        Oracle.Equal(read, status == OperationStatus.Done, "two ways of reading");
        Oracle.Equal(input.Length - rest.Length, read ? consumed : 0, "bytes taken");

        (OperationStatus Status, BigInteger Value, int Consumed) expected = Slowly(input, maxBytes);
        Oracle.Equal(status, expected.Status, "status");
        if (!read) return;
        Oracle.Equal(value, same, "two ways of reading");
        Oracle.Equal(value, (ulong)expected.Value, "value");
        Oracle.Equal(consumed, expected.Consumed, "bytes taken");

        Span<byte> again = stackalloc byte[Varint.MaxBytes];
        int size = Varint.Write(again, value);
        Oracle.Equal(size, Varint.SizeOf(value), "size");
        Oracle.That(size <= consumed && size <= Varint.MaxBytesStrict, "the number is written in no more bytes than it came in");
        ReadOnlySpan<byte> written = again[..size];
        Oracle.That(Varint.TryRead(ref written, out ulong back) && back == value && written.IsEmpty, "what was written is read again");
    }

    private static (OperationStatus Status, BigInteger Value, int Consumed) Slowly(ReadOnlySpan<byte> input, int maxBytes)
    {
        BigInteger sum = 0;
        for (int i = 0; i < maxBytes; i++)
        {
            if (i == input.Length) return (OperationStatus.NeedMoreData, 0, 0);
            sum += new BigInteger(input[i] & 0x7F) << (7 * i);
            if (sum > Varint.MaxValue) return (OperationStatus.InvalidData, 0, 0);
            if (input[i] < 0x80) return (OperationStatus.Done, sum, i + 1);
        }

        return (OperationStatus.InvalidData, 0, 0);
    }
}
