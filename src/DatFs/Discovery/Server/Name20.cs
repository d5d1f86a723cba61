using System.Buffers.Binary;

namespace DatFs.Discovery.Server;

/// <summary>What a topic is known by in DNS: the first 20 bytes of its discovery key (discovery.md §2).</summary>
internal readonly record struct Name20(ulong First, ulong Second, uint Third)
{
    public const int Size = SwarmTopic.ShortSize;

    /// <summary>Reads exactly 40 hexadecimal digits.</summary>
    public static bool TryParse(ReadOnlySpan<char> hex, out Name20 name)
    {
        name = default;
        Span<byte> bytes = stackalloc byte[Size];
        if (hex.Length != Size * 2 || Convert.FromHexString(hex, bytes, out _, out _) != System.Buffers.OperationStatus.Done) return false;
        name = Read(bytes);
        return true;
    }

    public static Name20 Read(ReadOnlySpan<byte> bytes) =>
        new(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]), BinaryPrimitives.ReadUInt32BigEndian(bytes[16..]));

    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64BigEndian(bytes, First);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], Second);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[16..], Third);
    }

    /// <summary>40 lower-case digits.</summary>
    public string ToHex()
    {
        Span<byte> bytes = stackalloc byte[Size];
        Write(bytes);
        return Convert.ToHexStringLower(bytes);
    }

    // The names come from a cryptographic hash; an attacker who makes them up gains one bucket, and no more than he is allowed names.
    public override int GetHashCode() => HashCode.Combine(First, Third);

    /// <summary>Shortened, as logs show it.</summary>
    public override string ToString() => ToHex()[..8];
}
