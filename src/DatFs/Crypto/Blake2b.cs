namespace DatFs.Crypto;

/// <summary>BLAKE2b with a 32-byte output, the only hash of this generation of Dat (hypercore.md §2).</summary>
internal static class Blake2b
{
    public const int HashSize = 32;

    /// <summary>Hashes <paramref name="message"/> into the first 32 bytes of <paramref name="hash"/>, optionally keyed.</summary>
    public static unsafe void Hash(Span<byte> hash, ReadOnlySpan<byte> message, ReadOnlySpan<byte> key = default)
    {
        if (hash.Length < HashSize) throw new ArgumentException("room for 32 bytes is needed", nameof(hash));
        fixed (byte* o = hash, m = message, k = key)
        {
            int rc = Sodium.crypto_generichash(o, HashSize, m, (ulong)message.Length, k, (nuint)key.Length);
            if (rc != 0) throw new InvalidOperationException("crypto_generichash refused its arguments");
        }
    }
}
