using System.Buffers.Binary;
using System.Numerics;

namespace DatFs.Discovery.Kademlia;

/// <summary>
/// A place in a distributed hash table: of a node, or of what is looked for. The 20 bytes of the mainline network lie before twelve zeros, which
/// leaves distances between them as they are (discovery.md §6).
/// </summary>
internal readonly record struct NodeId(ulong First, ulong Second, ulong Third, ulong Fourth)
{
    public const int Size = 32;

    /// <summary>Bytes in the mainline network.</summary>
    public const int ShortSize = 20;

    private const int WordBits = 64;

    /// <summary>Reads <see cref="Size"/> or <see cref="ShortSize"/> bytes.</summary>
    public static NodeId Read(ReadOnlySpan<byte> bytes)
    {
        Span<byte> all = stackalloc byte[Size];
        all.Clear();
        bytes.CopyTo(all);
        return new NodeId(
            BinaryPrimitives.ReadUInt64BigEndian(all),
            BinaryPrimitives.ReadUInt64BigEndian(all[8..]),
            BinaryPrimitives.ReadUInt64BigEndian(all[16..]),
            BinaryPrimitives.ReadUInt64BigEndian(all[24..]));
    }

    /// <summary>Writes as many bytes as there is room for, up to all.</summary>
    public void Write(Span<byte> bytes)
    {
        Span<byte> all = stackalloc byte[Size];
        BinaryPrimitives.WriteUInt64BigEndian(all, First);
        BinaryPrimitives.WriteUInt64BigEndian(all[8..], Second);
        BinaryPrimitives.WriteUInt64BigEndian(all[16..], Third);
        BinaryPrimitives.WriteUInt64BigEndian(all[24..], Fourth);
        all[..Math.Min(Size, bytes.Length)].CopyTo(bytes);
    }

    /// <summary>Below zero when <paramref name="left"/> is nearer to this place than <paramref name="right"/>.</summary>
    public int CompareDistance(NodeId left, NodeId right)
    {
        int order = (First ^ left.First).CompareTo(First ^ right.First);
        if (order == 0) order = (Second ^ left.Second).CompareTo(Second ^ right.Second);
        if (order == 0) order = (Third ^ left.Third).CompareTo(Third ^ right.Third);
        return order != 0 ? order : (Fourth ^ left.Fourth).CompareTo(Fourth ^ right.Fourth);
    }

    /// <summary>How many of the first bits are the same.</summary>
    public int SharedBits(NodeId other)
    {
        if (First != other.First) return BitOperations.LeadingZeroCount(First ^ other.First);
        if (Second != other.Second) return WordBits + BitOperations.LeadingZeroCount(Second ^ other.Second);
        if (Third != other.Third) return 2 * WordBits + BitOperations.LeadingZeroCount(Third ^ other.Third);
        return 3 * WordBits + BitOperations.LeadingZeroCount(Fourth ^ other.Fourth);
    }

    /// <summary>Shortened, as logs show it.</summary>
    public override string ToString() => First.ToString("x16", System.Globalization.CultureInfo.InvariantCulture)[..8];
}
