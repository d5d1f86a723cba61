using System.Globalization;
using System.Text;
using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;

namespace DatFs.Drives.Hyperdb;

/// <summary>
/// The names of versions that lost (hyperdb-multiwriter.md §16): "name (conflict WRITER YYYY-MM-DD HHMMSS).ext", the time in UTC. Every machine
/// can have a file of such a name, Windows too, whatever the archive's own name and the label hold.
/// </summary>
internal static class ConflictNames
{
    /// <summary>What every such name has.</summary>
    public const string Mark = " (conflict ";

    /// <summary>Longest label and longest extension in such a name, in bytes; a longer label gives way to the key, a longer extension is none.</summary>
    public const int MaxPart = 64;

    private const int KeyDigits = 8;

    private static readonly long s_maxTime = DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();

    private static readonly HashSet<string> s_devices = new(
        ["con", "prn", "aux", "nul", "conin$", "conout$", .. "0123456789\u00B9\u00B2\u00B3".SelectMany(digit => (string[])[$"com{digit}", $"lpt{digit}"])], StringComparer.OrdinalIgnoreCase);

    /// <summary>The names that are taken already; there, letters that differ only in case are the same.</summary>
    public static HashSet<string> Taken(IEnumerable<string> names) => new(names, StringComparer.OrdinalIgnoreCase);

    /// <summary>A name that is not taken yet, and takes it; null when there is none.</summary>
    public static string? Take(string winner, FeedKey writer, long seq, long mtimeMs, string? label, HashSet<string> taken)
    {
        string time = DateTimeOffset.UnixEpoch.AddMilliseconds(Math.Clamp(mtimeMs, 0, s_maxTime)).ToString("yyyy-MM-dd HHmmss", CultureInfo.InvariantCulture);
        string mark = $"{Mark}{(label is null || Size(label) > MaxPart ? writer.ToHex()[..KeyDigits] : Usable(label))} {time})";
        foreach (string end in (string[])[mark, string.Create(CultureInfo.InvariantCulture, $"{mark} seq{seq}")])
        {
            string name = Fitting(Usable(winner), end);
            if (taken.Add(name)) return name;
        }

        return null;
    }

    // The end goes before the extension; of the rest as much is left as there is room for, and that is never nothing.
    private static string Fitting(string winner, string end)
    {
        int dot = winner.LastIndexOf('.');
        string extension = dot > 0 ? winner[dot..].TrimEnd(' ', '.') : "";
        string stem = dot > 0 ? winner[..dot] : winner;
        if (Size(extension) > MaxPart) (stem, extension) = (winner, "");
        if (s_devices.Contains(stem.Split('.')[0].TrimEnd())) stem = "_" + stem;
        int room = EntryNames.MaxBytes - Size(end + extension);
        while (Size(stem) > room)
        {
            Rune.DecodeLastFromUtf16(stem, out _, out int last);
            stem = stem[..^last];
        }

        return stem + end + extension;
    }

    private static int Size(string text) => System.Text.Encoding.UTF8.GetByteCount(text);

    // What Windows does not let a name have.
    private static string Usable(string text)
    {
        StringBuilder usable = new(text.Length);
        foreach (char c in text) usable.Append(c is '<' or '>' or ':' or '"' or '/' or '\\' or '|' or '?' or '*' || char.IsControl(c) ? '_' : c);
        return usable.ToString();
    }
}
