using System.Numerics;
using System.Runtime.InteropServices;

namespace DatFs.FileSystem;

/// <summary>
/// What programs see as inode number: a hash of (tree, path), the same in every process and on every machine, so that it survives
/// forget and remount (platform.md §6). Never 0, which programs take for "no file".
/// </summary>
internal static class FileNumber
{
    private const ulong First = 0x9E3779B97F4A7C15;
    private const ulong Second = 0xC2B2AE3D27D4EB4F;

    public static ulong Of(NodeName name)
    {
        ulong hash = Mix(First, (ulong)name.Space.Kind);
        hash = Mix(hash, (ulong)name.Space.Version);
        hash = Mix(hash, name.Space.Alias);
        hash = Mix(hash, name.Path.Text);
        return Valid(hash ^ (hash >> 32));
    }

    /// <summary>The value after one that a living node already has.</summary>
    public static ulong After(ulong number) => Valid(number + 1);

    private static ulong Valid(ulong number) => number == 0 ? 1 : number;

    private static ulong Mix(ulong hash, ReadOnlySpan<char> text)
    {
        hash = Mix(hash, (ulong)text.Length);
        for (; text.Length >= 4; text = text[4..])
        {
            ReadOnlySpan<byte> four = MemoryMarshal.AsBytes(text[..4]);
            hash = Mix(hash, BitConverter.IsLittleEndian ? MemoryMarshal.Read<ulong>(four) : Slow(text[..4]));
        }

        return text.IsEmpty ? hash : Mix(hash, Slow(text));
    }

    private static ulong Slow(ReadOnlySpan<char> text)
    {
        ulong value = 0;
        for (int i = text.Length - 1; i >= 0; i--) value = (value << 16) | text[i];
        return value;
    }

    private static ulong Mix(ulong hash, ulong value)
    {
        ulong high = Math.BigMul(BitOperations.RotateLeft(hash, 29) ^ value, Second, out ulong low);
        return (high ^ low) + First;
    }
}
