using System.Buffers.Binary;

namespace DatFs.Crypto;

/// <summary>SipHash-2-4 with a key of zeros: what places a name in a hyperdb (hyperdb-multiwriter.md §3). Anyone can make two names collide.</summary>
internal static unsafe class SipHash
{
    private const int KeySize = 16;

    /// <summary>The 64 bits of the hash, its first byte lowest.</summary>
    public static ulong Hash(ReadOnlySpan<byte> message)
    {
        byte* key = stackalloc byte[KeySize];
        Span<byte> hash = stackalloc byte[sizeof(ulong)];
        new Span<byte>(key, KeySize).Clear();
        fixed (byte* o = hash, m = message)
        {
            if (Sodium.crypto_shorthash(o, m, (ulong)message.Length, key) != 0) throw new InvalidOperationException("crypto_shorthash refused its arguments");
        }

        return BinaryPrimitives.ReadUInt64LittleEndian(hash);
    }
}
