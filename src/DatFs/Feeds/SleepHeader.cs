using System.Buffers.Binary;
using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>The 32 bytes in front of three of the files, checked strictly (hypercore.md §6): a foreign file is refused, never overwritten.</summary>
internal static class SleepHeader
{
    public const int Size = 32;
    public const int TreeEntry = 40;
    public const int SignatureEntry = 64;
    public const int BitfieldEntry = 3584;

    /// <summary>The page of the published draft, and of hypercore before 6.22.1.</summary>
    public const int OldBitfieldEntry = 3328;

    private const int TypeAt = 3;
    private const int VersionAt = 4;
    private const int EntryAt = 5;
    private const int NameAt = 7;

    private static ReadOnlySpan<byte> Magic => [0x05, 0x02, 0x57];

    /// <summary>What a file with a header contains.</summary>
    public enum FileType
    {
        /// <summary>Pages of bits.</summary>
        Bitfield = 0,
        /// <summary>Ed25519 signatures.</summary>
        Signatures = 1,
        /// <summary>BLAKE2b tree nodes.</summary>
        Tree = 2,
    }

    /// <summary>Writes the header into the first 32 bytes.</summary>
    public static void Write(Span<byte> into, FileType type, int entrySize)
    {
        into = into[..Size];
        into.Clear();
        Magic.CopyTo(into);
        into[TypeAt] = (byte)type;
        BinaryPrimitives.WriteUInt16BigEndian(into[EntryAt..], (ushort)entrySize);
        ReadOnlySpan<byte> name = NameOf(type);
        into[NameAt] = (byte)name.Length;
        name.CopyTo(into[(NameAt + 1)..]);
    }

    /// <summary>Writes the header of a new file.</summary>
    public static void Write(IRandomAccessFile file, FileType type, int entrySize)
    {
        Span<byte> header = stackalloc byte[Size];
        Write(header, type, entrySize);
        file.Write(0, header);
    }

    /// <summary>Reads the entry size; null when the file has none and so counts as new.</summary>
    /// <exception cref="DatException">Corrupt or Unsupported: not a file of this kind.</exception>
    public static int? Read(IRandomAccessFile file, FileType type, string describe)
    {
        Span<byte> header = stackalloc byte[Size];
        if (file.Read(0, header) < Size) return null;

        // The power failed during the creation: the file has grown already, and its bytes were not written.
        if (file.Length == Size && !header.ContainsAnyExcept((byte)0)) return null;
        if (!header.StartsWith(Magic)) throw new DatException(DatError.Corrupt, $"{describe} is not a SLEEP file.");
        if (header[TypeAt] != (byte)type) throw new DatException(DatError.Corrupt, $"{describe} is a SLEEP file of another kind ({header[TypeAt]}).");
        if (header[VersionAt] != 0) throw new DatException(DatError.Unsupported, $"{describe} has the unknown SLEEP version {header[VersionAt]}.");
        int entry = BinaryPrimitives.ReadUInt16BigEndian(header[EntryAt..]);
        if (!IsEntrySize(type, entry)) throw new DatException(DatError.Unsupported, $"{describe} has entries of {entry} bytes, which is not supported.");
        ReadOnlySpan<byte> name = NameOf(type);
        if (header[NameAt] != name.Length || !header[(NameAt + 1)..].StartsWith(name))
            throw new DatException(DatError.Unsupported, $"{describe} was made with another algorithm.");
        return entry;
    }

    /// <summary>True when files of the type may have such entries.</summary>
    public static bool IsEntrySize(FileType type, int entry) => type switch
    {
        FileType.Tree => entry == TreeEntry,
        FileType.Signatures => entry == SignatureEntry,
        _ => entry is BitfieldEntry or OldBitfieldEntry,
    };

    private static ReadOnlySpan<byte> NameOf(FileType type) => type switch
    {
        FileType.Tree => "BLAKE2b"u8,
        FileType.Signatures => "Ed25519"u8,
        _ => [],
    };
}
