using System.Text;

namespace DatMount.Platform.Fuse;

/// <summary>One line of /proc/self/mountinfo.</summary>
internal readonly record struct MountEntry(string Device, string MountPoint, string Type, string Source);

/// <summary>What is mounted in this process's namespace.</summary>
internal static class MountTable
{
    public const string Type = "fuse.datmount";

    public static IEnumerable<MountEntry> Read() => Parse(File.ReadLines("/proc/self/mountinfo"));

    /// <summary>The mount one sees at a path: the last one made there.</summary>
    public static MountEntry? At(string mountPoint)
    {
        MountEntry? found = null;
        foreach (MountEntry entry in Read())
            if (entry.MountPoint == mountPoint) found = entry;
        return found;
    }

    public static bool Has(string mountPoint, string device)
    {
        foreach (MountEntry entry in Read())
            if (entry.MountPoint == mountPoint && entry.Device == device) return true;
        return false;
    }

    /// <summary>Lines "id parent major:minor root mountpoint options fields… - type source options" (proc(5)).</summary>
    public static IEnumerable<MountEntry> Parse(IEnumerable<string> lines)
    {
        foreach (string line in lines)
        {
            string[] fields = line.Split(' ');
            int dash = Array.IndexOf(fields, "-");
            if (dash < 5 || dash + 2 >= fields.Length) continue;
            yield return new MountEntry(fields[2], Unescape(fields[4]), fields[dash + 1], Unescape(fields[dash + 2]));
        }
    }

    /// <summary>Blank, tab, newline and backslash stand as three octal digits; the rest is UTF-8.</summary>
    private static string Unescape(string field)
    {
        if (!field.Contains('\\')) return field;
        var bytes = new List<byte>();
        for (int i = 0; i < field.Length; i++)
        {
            if (field[i] == '\\' && i + 3 < field.Length)
            {
                bytes.Add((byte)(((field[i + 1] - '0') << 6) | ((field[i + 2] - '0') << 3) | (field[i + 3] - '0')));
                i += 3;
            }
            else
            {
                bytes.AddRange(Encoding.UTF8.GetBytes(field[i].ToString()));
            }
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }
}
