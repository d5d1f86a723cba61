using System.Buffers.Binary;

namespace DatFs.Crypto;

/// <summary>Thirty-two bytes by value: the shape shared by keys and hashes, never used bare outside this folder.</summary>
internal readonly record struct Key32(ulong A, ulong B, ulong C, ulong D)
{
    public const int Size = 32;

    public static Key32 From(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Size) throw new ArgumentException("exactly 32 bytes are needed", nameof(bytes));
        return new Key32(
            BinaryPrimitives.ReadUInt64BigEndian(bytes),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]));
    }

    public void CopyTo(Span<byte> into)
    {
        BinaryPrimitives.WriteUInt64BigEndian(into, A);
        BinaryPrimitives.WriteUInt64BigEndian(into[8..], B);
        BinaryPrimitives.WriteUInt64BigEndian(into[16..], C);
        BinaryPrimitives.WriteUInt64BigEndian(into[24..], D);
    }

    public string ToHex()
    {
        Span<byte> bytes = stackalloc byte[Size];
        CopyTo(bytes);
        return Convert.ToHexStringLower(bytes);
    }

    public static bool TryParseHex(ReadOnlySpan<char> hex, out Key32 key)
    {
        Span<byte> bytes = stackalloc byte[Size];
        if (hex.Length == 2 * Size && Convert.FromHexString(hex, bytes, out _, out int written) == System.Buffers.OperationStatus.Done && written == Size)
        {
            key = From(bytes);
            return true;
        }

        key = default;
        return false;
    }
}
