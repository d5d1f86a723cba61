using System.Globalization;
using System.Text;
using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>The newest versions that came while the drive is mounted: the text of <c>.dat/log</c>. Guarded by the file system's gate.</summary>
internal sealed class ChangeLog(TimeProvider time)
{
    /// <summary>Older lines are dropped.</summary>
    public const int MaxLines = 1000;

    /// <summary>Further paths of one change are only counted.</summary>
    public const int MaxPaths = 8;

    private readonly Queue<string> _lines = new();

    public void Add(DriveChange change)
    {
        if (_lines.Count == MaxLines) _lines.Dequeue();
        string when = time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        var line = new StringBuilder().Append(CultureInfo.InvariantCulture, $"{when} version {change.After.Version}:");
        if (change.Paths is not { } paths) line.Append(" anything may have changed");
        else
        {
            foreach (DrivePath path in paths.Take(MaxPaths)) Escape(line.Append(' '), path.Text);
            if (paths.Count > MaxPaths) line.Append(CultureInfo.InvariantCulture, $" and {paths.Count - MaxPaths} more");
        }

        _lines.Enqueue(line.Append('\n').ToString());
    }

    public override string ToString() => string.Concat(_lines);

    /// <summary>Names come from strangers: what a terminal would obey is shown as \u and four hexadecimal digits.</summary>
    private static void Escape(StringBuilder line, string text)
    {
        foreach (char c in text)
        {
            if (char.IsControl(c) || char.GetUnicodeCategory(c) is UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator || c is '\\' or ' ')
                line.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else line.Append(c);
        }
    }
}
