namespace DatFs.Crypto;

/// <summary>The public name of a feed: derived one way from its <see cref="FeedKey"/>, so that a feed can be named without giving it away.</summary>
public readonly record struct DiscoveryKey
{
    private readonly Key32 _bytes;

    private DiscoveryKey(Key32 bytes) => _bytes = bytes;

    /// <summary>Size in bytes.</summary>
    public const int Size = Key32.Size;

    /// <summary>Reads a discovery key from exactly 32 bytes.</summary>
    public static DiscoveryKey From(ReadOnlySpan<byte> bytes) => new(Key32.From(bytes));

    /// <summary>Reads a discovery key from exactly 64 hexadecimal digits of either case.</summary>
    public static bool TryParseHex(ReadOnlySpan<char> hex, out DiscoveryKey key)
    {
        bool ok = Key32.TryParseHex(hex, out Key32 bytes);
        key = new DiscoveryKey(bytes);
        return ok;
    }

    /// <summary>Writes the 32 bytes.</summary>
    public void CopyTo(Span<byte> into) => _bytes.CopyTo(into);

    /// <summary>All 64 hexadecimal digits: the name of a drive's folder on disk.</summary>
    public string ToHex() => _bytes.ToHex();

    /// <summary>The first eight digits, as logs and metrics show it.</summary>
    public override string ToString() => ToHex()[..8];
}
