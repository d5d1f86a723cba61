using System.Security.Cryptography;

namespace DatFs.Evidence;

/// <summary>SHA-256 as lower-case hex, the form in which files are compared across programs.</summary>
public static class Sha256Of
{
    /// <summary>Of bytes in memory.</summary>
    public static string Bytes(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    /// <summary>Of a file's content.</summary>
    public static string File(string path)
    {
        using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    /// <summary>Of a stretch of <see cref="SeededBytes"/>.</summary>
    public static string Seeded(long seed, long offset, long length)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] piece = new byte[1 << 20];
        for (long at = 0; at < length; at += piece.Length)
        {
            Span<byte> part = piece.AsSpan(0, (int)Math.Min(piece.Length, length - at));
            SeededBytes.Fill(seed, offset + at, part);
            hash.AppendData(part);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
