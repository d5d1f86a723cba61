using System.Text;

namespace DatFs.Drives.Hyperdrive;

/// <summary>Names of entries: which ones a file system can show (hyperdrive.md §2.1), their order, and those of files beside directories (§4).</summary>
internal static class EntryNames
{
    /// <summary>Longest name shown, in bytes of UTF-8.</summary>
    public const int MaxBytes = 255;

    /// <summary>What the name of a file says that lies at the same path as a directory.</summary>
    public const string BesideMark = " (file)";

    /// <summary>False for names that no file system can show; they are hidden, and so is all that lies below them.</summary>
    public static bool IsUsable(string name) =>
        name.Length > 0 && name is not "." and not ".." && !name.AsSpan().ContainsAny('\0', '/') && System.Text.Encoding.UTF8.GetByteCount(name) <= MaxBytes;

    /// <summary>The name of the file whose own name a directory has taken; the stem is shortened where it would become too long. Null when that is impossible.</summary>
    public static string? Beside(string name)
    {
        int dot = name.LastIndexOf('.');
        string extension = dot > 0 ? name[dot..] : "";
        string stem = dot > 0 ? name[..dot] : name;
        int room = MaxBytes - System.Text.Encoding.UTF8.GetByteCount(BesideMark + extension);
        if (room < 0) return null;
        while (System.Text.Encoding.UTF8.GetByteCount(stem) > room) stem = Shortened(stem);
        // What was cut off may have been the very mark.
        if (stem + BesideMark + extension == name) stem = Shortened(stem);
        return stem.Length == 0 ? null : stem + BesideMark + extension;
    }

    private static string Shortened(string stem)
    {
        if (stem.Length == 0) return stem;
        Rune.DecodeLastFromUtf16(stem, out _, out int last);
        return stem[..^last];
    }

    /// <summary>Order of the bytes of the UTF-8 names, without making them: UTF-16 only differs in where it puts characters beyond U+FFFF.</summary>
    public static int Compare(string a, string b)
    {
        int at = a.AsSpan().CommonPrefixLength(b);
        if (at == a.Length || at == b.Length) return a.Length.CompareTo(b.Length);
        return InUtf8Order(a[at]).CompareTo(InUtf8Order(b[at]));

        static int InUtf8Order(char c) => char.IsSurrogate(c) ? c + 0x10000 : c;
    }
}
