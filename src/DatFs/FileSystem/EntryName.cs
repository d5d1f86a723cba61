using System.Text.Unicode;

namespace DatFs.FileSystem;

/// <summary>Between the bytes of a name in a call and the text of a name in a drive (platform.md §3, "Name rules").</summary>
internal static class EntryName
{
    /// <summary>Largest name in bytes, as everywhere on Linux.</summary>
    public const int MaxBytes = 255;

    /// <summary>A name no entry can have is simply not there; only one that is too long says so.</summary>
    public static FsError Decode(ReadOnlySpan<byte> utf8, out string name)
    {
        name = "";
        if (utf8.Length > MaxBytes) return FsError.NameTooLong;
        if (utf8.IsEmpty || utf8.ContainsAny((byte)'/', (byte)0) || !Utf8.IsValid(utf8)) return FsError.NotFound;
        if (utf8.SequenceEqual("."u8) || utf8.SequenceEqual(".."u8)) return FsError.NotFound;
        name = System.Text.Encoding.UTF8.GetString(utf8);
        return FsError.None;
    }

    /// <summary>Writes the bytes of a name; -1 = it has more than <see cref="MaxBytes"/>, so it cannot be shown.</summary>
    public static int Encode(ReadOnlySpan<char> name, Span<byte> into) =>
        System.Text.Encoding.UTF8.TryGetBytes(name, into[..MaxBytes], out int written) ? written : -1;

    /// <summary>The last component without allocating it.</summary>
    public static ReadOnlySpan<char> Of(Drives.DrivePath path) => path.Text.AsSpan(path.Text.LastIndexOf('/') + 1);

    public static byte[] Bytes(Drives.DrivePath path) => System.Text.Encoding.UTF8.GetBytes(path.Name);
}
