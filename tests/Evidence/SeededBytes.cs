using System.Buffers.Binary;
using System.Security.Cryptography;

namespace DatFs.Evidence;

/// <summary>
/// Endless pseudo-random bytes that can be made again at any position: the AES-128-CTR keystream under the key
/// SHA-256("datmount seed " + seed)[0..16) with a counter that starts at 0. The same as tests/peers/lib/seeded.js.
/// </summary>
public static class SeededBytes
{
    /// <summary>Fills the span with the stream's bytes from an offset on.</summary>
    public static void Fill(long seed, long offset, Span<byte> into)
    {
        using Aes aes = Aes.Create();
        aes.Key = SHA256.HashData(System.Text.Encoding.UTF8.GetBytes($"datmount seed {seed}"))[..16];
        byte[] counters = new byte[Math.Min(into.Length + 32, 1 << 16) & ~15];
        byte[] stream = new byte[counters.Length];
        long block = offset / 16;
        int skip = (int)(offset % 16);
        while (into.Length > 0)
        {
            for (int i = 0; i < counters.Length; i += 16) BinaryPrimitives.WriteInt64BigEndian(counters.AsSpan(i + 8), block++);
            aes.EncryptEcb(counters, stream, PaddingMode.None);
            int count = Math.Min(stream.Length - skip, into.Length);
            stream.AsSpan(skip, count).CopyTo(into);
            into = into[count..];
            skip = 0;
        }
    }

    /// <summary>A stretch of the stream in an array of its own.</summary>
    public static byte[] Take(long seed, long offset, int length)
    {
        byte[] bytes = new byte[length];
        Fill(seed, offset, bytes);
        return bytes;
    }
}
