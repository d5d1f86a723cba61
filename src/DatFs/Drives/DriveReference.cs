using System.Globalization;
using DatFs.Crypto;

namespace DatFs.Drives;

/// <summary>A drive as a user names it (hyperdrive.md §6.5, §6.2): by key, by link, by the folder that holds it, or by the beginning of a kept drive's name.</summary>
public sealed record DriveReference
{
    private const string Scheme = "dat://";
    private const int MinPrefix = 4;

    private DriveReference()
    {
    }

    /// <summary>The key, when it was named.</summary>
    public FeedKey? Key { get; private init; }

    /// <summary>The version of "dat://key+version".</summary>
    public long? Version { get; private init; }

    /// <summary>The path of "dat://key/path", decoded; the root when there was none.</summary>
    public DrivePath Path { get; private init; }

    /// <summary>An existing folder.</summary>
    public string? Folder { get; private init; }

    /// <summary>Hexadecimal digits with which the key or discovery key of a kept drive begins.</summary>
    public string? Prefix { get; private init; }

    /// <exception cref="DatException"><see cref="DatError.Invalid"/>: it is none of these. The message never repeats a key.</exception>
    public static DriveReference Parse(string text)
    {
        if (TryParseLink(text, out DriveReference? link)) return link;
        if (Directory.Exists(text)) return new DriveReference { Folder = System.IO.Path.GetFullPath(text) };
        if (text.Length >= MinPrefix && text.Length < 64 && text.All(char.IsAsciiHexDigit)) return new DriveReference { Prefix = text.ToLowerInvariant() };
        if (TryFindKey(text, out FeedKey found)) return new DriveReference { Key = found };
        throw new DatException(DatError.Invalid, "that is no drive: name 64 hexadecimal digits, dat://<key>, an existing folder, or the beginning of a kept drive's key");
    }

    private static bool TryParseLink(string text, out DriveReference link)
    {
        link = null!;
        ReadOnlySpan<char> rest = text;
        bool schemed = rest.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase);
        if (schemed) rest = rest[Scheme.Length..];
        if (rest.Length < 64 || !FeedKey.TryParseHex(rest[..64], out FeedKey key)) return false;
        rest = rest[64..];
        long? version = null;
        if (rest.StartsWith("+"))
        {
            int end = rest.IndexOf('/');
            ReadOnlySpan<char> digits = end < 0 ? rest[1..] : rest[1..end];
            if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number))
                throw new DatException(DatError.Invalid, $"'+{digits}' is not a version: write a number, such as dat://<key>+12");
            version = number;
            rest = end < 0 ? [] : rest[end..];
        }

        if (!rest.IsEmpty && rest[0] != '/') return false;
        link = new DriveReference { Key = key, Version = version, Path = DrivePath.From(Uri.UnescapeDataString(rest.ToString())) };
        return true;
    }

    // The dat tool takes the first run of 64 or 65 digits anywhere; 65 are a mistake.
    private static bool TryFindKey(string text, out FeedKey key)
    {
        key = default;
        int run = 0;
        for (int i = 0; i <= text.Length; i++)
        {
            if (i < text.Length && char.IsAsciiHexDigit(text[i]))
            {
                if (++run == 65) return false;
            }
            else if (run == 64) return FeedKey.TryParseHex(text.AsSpan(i - 64, 64), out key);
            else run = 0;
        }

        return false;
    }
}
