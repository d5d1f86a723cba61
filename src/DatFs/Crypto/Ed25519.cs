using NSec.Cryptography;

namespace DatFs.Crypto;

/// <summary>
/// Ed25519 signatures by libsodium's strict rules (hypercore.md §5.5): 64 bytes exactly, canonical S, no small-order or non-canonical points.
/// </summary>
internal static class Ed25519
{
    /// <summary>Bytes of a signature.</summary>
    public const int SignatureSize = 64;

    /// <summary>True when the owner of the key signed exactly this message.</summary>
    public static bool Verify(FeedKey key, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature64)
    {
        if (signature64.Length != SignatureSize) return false;
        Span<byte> bytes = stackalloc byte[FeedKey.Size];
        key.CopyTo(bytes);
        return PublicKey.TryImport(SignatureAlgorithm.Ed25519, bytes, KeyBlobFormat.RawPublicKey, out PublicKey? imported)
            && SignatureAlgorithm.Ed25519.Verify(imported!, message, signature64);
    }
}
