using System.Globalization;
using System.Text;
using DatFs.Drives.Hyperdrive;

namespace DatFs.Drives.Hyperdb;

/// <summary>The names of versions that lost (hyperdb-multiwriter.md §16): "name (conflict WRITER YYYY-MM-DD HHMMSS).ext", the time in UTC.</summary>
internal static class ConflictNames
{
    /// <summary>What every such name has.</summary>
    public const string Mark = " (conflict ";

    private const int KeyDigits = 8;

    private static readonly long s_maxTime = DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();

    /// <summary>A name that is not taken yet, and takes it; null when there is none.</summary>
    public static string? Take(string winner, DatabaseEntry loser, long mtimeMs, string? label, HashSet<string> taken)
    {
        int dot = winner.LastIndexOf('.');
        (string stem, string extension) = dot > 0 ? (winner[..dot], winner[dot..]) : (winner, "");
        string time = DateTimeOffset.UnixEpoch.AddMilliseconds(Math.Clamp(mtimeMs, 0, s_maxTime)).ToString("yyyy-MM-dd HHmmss", CultureInfo.InvariantCulture);
        string mark = $"{Mark}{Usable(label) ?? loser.Writer.ToHex()[..KeyDigits]} {time})";
        foreach (string end in (string[])[mark, string.Create(CultureInfo.InvariantCulture, $"{mark} seq{loser.Seq}")])
        {
            int room = EntryNames.MaxBytes - System.Text.Encoding.UTF8.GetByteCount(end + extension);
            string fitting = stem;
            while (fitting.Length > 0 && System.Text.Encoding.UTF8.GetByteCount(fitting) > room)
            {
                Rune.DecodeLastFromUtf16(fitting, out _, out int last);
                fitting = fitting[..^last];
            }

            string name = fitting + end + extension;
            if (fitting.Length > 0 && EntryNames.IsUsable(name) && taken.Add(name)) return name;
        }

        return null;
    }

    // What Windows does not let a name have is not in the name of a copy either.
    private static string? Usable(string? label)
    {
        if (label is null) return null;
        StringBuilder usable = new();
        foreach (char c in label) usable.Append(c is '<' or '>' or ':' or '"' or '/' or '\\' or '|' or '?' or '*' || char.IsControl(c) ? '_' : c);
        return usable.ToString();
    }
}
