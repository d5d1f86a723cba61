using System.Numerics;
using DatFs.Crypto;

namespace DatFs.Drives.Hyperdb;

/// <summary>
/// Where a key lies in the trie (hyperdb-multiwriter.md §3): 32 digits of two bits for each component, from its hash, then the digit 4 that
/// ends it. Two keys may have one path, so keys are always compared as well.
/// </summary>
internal sealed class KeyPath
{
    /// <summary>Digits of one component.</summary>
    public const int ComponentDigits = 32;

    /// <summary>The digit that ends a path.</summary>
    public const int End = 4;

    /// <summary>Values that a digit can have.</summary>
    public const int DigitValues = 5;

    private readonly ulong[] _hashes;

    private KeyPath(ulong[] hashes) => _hashes = hashes;

    /// <summary>Digits, the ending one included.</summary>
    public int Length => ComponentDigits * _hashes.Length + 1;

    /// <summary>Components.</summary>
    public int Components => _hashes.Length;

    /// <summary>One digit.</summary>
    public int this[int index] => index == Length - 1 ? End : (int)(_hashes[index / ComponentDigits] >> (2 * (index % ComponentDigits))) & 3;

    /// <summary>The path of a stored key.</summary>
    public static KeyPath Of(string key)
    {
        List<ulong> hashes = [];
        ReadOnlySpan<char> text = key;
        if (text.StartsWith("/")) text = text[1..];
        if (text.EndsWith("/")) text = text[..^1];
        if (text.IsEmpty) return new KeyPath([]);
        byte[] bytes = new byte[System.Text.Encoding.UTF8.GetMaxByteCount(text.Length)];
        foreach (Range range in text.Split('/')) hashes.Add(SipHash.Hash(bytes.AsSpan(0, System.Text.Encoding.UTF8.GetBytes(text[range], bytes))));
        return new KeyPath([.. hashes]);
    }

    /// <summary>What is stored for a key that a caller gave: one leading slash is dropped, nothing else.</summary>
    public static string Normalise(string key) => key.StartsWith('/') ? key[1..] : key;

    /// <summary>First index from <paramref name="from"/> on at which the two paths differ, or the length of the shorter; both have the same digits before.</summary>
    public int Diverges(KeyPath other, int from)
    {
        int common = Math.Min(_hashes.Length, other._hashes.Length);
        for (int at = from / ComponentDigits; at < common; at++)
        {
            ulong difference = _hashes[at] ^ other._hashes[at];
            if (difference != 0) return ComponentDigits * at + BitOperations.TrailingZeroCount(difference) / 2;
        }

        return _hashes.Length == other._hashes.Length ? Length : ComponentDigits * common;
    }
}
