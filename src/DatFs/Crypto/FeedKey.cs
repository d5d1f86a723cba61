namespace DatFs.Crypto;

/// <summary>
/// The 32-byte Ed25519 public key of a feed. Whoever knows it may read the feed, so it is a secret of its readers:
/// <see cref="ToString"/> shows the shortened discovery key; <see cref="ToHex"/> is the only way to the full key.
/// </summary>
public readonly record struct FeedKey
{
    private readonly Key32 _bytes;

    private FeedKey(Key32 bytes) => _bytes = bytes;

    /// <summary>Size in bytes.</summary>
    public const int Size = Key32.Size;

    /// <summary>Reads a key from exactly 32 bytes.</summary>
    public static FeedKey From(ReadOnlySpan<byte> bytes) => new(Key32.From(bytes));

    /// <summary>Reads a key from exactly 64 hexadecimal digits of either case.</summary>
    public static bool TryParseHex(ReadOnlySpan<char> hex, out FeedKey key)
    {
        bool ok = Key32.TryParseHex(hex, out Key32 bytes);
        key = new FeedKey(bytes);
        return ok;
    }

    /// <summary>Writes the 32 bytes.</summary>
    public void CopyTo(Span<byte> into) => _bytes.CopyTo(into);

    /// <summary>The 32 bytes in a new array.</summary>
    public byte[] ToArray()
    {
        byte[] bytes = new byte[Size];
        CopyTo(bytes);
        return bytes;
    }

    /// <summary>The full key as 64 lower-case hexadecimal digits; for places where the user asked for it.</summary>
    public string ToHex() => _bytes.ToHex();

    /// <summary>The public name of the feed (hypercore.md §2): BLAKE2b-256 of "hypercore", keyed with this key.</summary>
    public DiscoveryKey ToDiscoveryKey()
    {
        Span<byte> key = stackalloc byte[Size];
        Span<byte> hash = stackalloc byte[Size];
        CopyTo(key);
        Blake2b.Hash(hash, "hypercore"u8, key);
        return DiscoveryKey.From(hash);
    }

    /// <summary>The shortened discovery key, safe for logs.</summary>
    public override string ToString() => ToDiscoveryKey().ToString();
}
