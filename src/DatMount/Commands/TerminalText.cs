using System.Globalization;
using System.Text;

namespace DatMount.Commands;

/// <summary>Text from a drive or a peer on its way to a terminal: control characters are shown, never obeyed.</summary>
internal static class TerminalText
{
    public static string Escape(string text)
    {
        int first = text.AsSpan().IndexOfAnyInRange('\0', '\x1f');
        if (first < 0 && text.AsSpan().IndexOfAnyInRange('\x7f', '\x9f') < 0) return text;
        StringBuilder escaped = new(text.Length + 8);
        foreach (char c in text)
        {
            if (char.IsControl(c) && c != '\n') escaped.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
            else escaped.Append(c);
        }

        return escaped.ToString();
    }

    /// <summary>Bytes as people read them, in powers of 1024.</summary>
    public static string Bytes(double bytes)
    {
        ReadOnlySpan<string> units = ["B", "KiB", "MiB", "GiB", "TiB"];
        int unit = 0;
        while (bytes >= 1024 && unit < units.Length - 1)
        {
            bytes /= 1024;
            unit++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{bytes.ToString(unit == 0 || bytes >= 100 ? "0" : "0.0", CultureInfo.InvariantCulture)} {units[unit]}");
    }
}
