using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>The 32-byte BLAKE2b hash of a tree node.</summary>
public readonly record struct NodeHash
{
    private readonly Key32 _bytes;

    private NodeHash(Key32 bytes) => _bytes = bytes;

    /// <summary>Size in bytes.</summary>
    public const int Size = Key32.Size;

    /// <summary>Reads a hash from exactly 32 bytes.</summary>
    public static NodeHash From(ReadOnlySpan<byte> bytes) => new(Key32.From(bytes));

    /// <summary>Writes the 32 bytes.</summary>
    public void CopyTo(Span<byte> into) => _bytes.CopyTo(into);

    /// <summary>64 lower-case hexadecimal digits.</summary>
    public override string ToString() => _bytes.ToHex();
}
