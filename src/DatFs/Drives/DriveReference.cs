using System.Globalization;
using DatFs.Crypto;

namespace DatFs.Drives;

/// <summary>
/// A drive as a user names it (hyperdrive.md §6.5, §6.2): by key, by link, by a host's name, by the folder that holds it, or by the name of a kept drive or the
/// beginning of its key. Links are read strictly; only a text that is nothing else is searched for a key, as the dat tool does.
/// </summary>
public sealed record DriveReference
{
    /// <summary>Longest name of a kept drive.</summary>
    public const int MaxName = 64;

    /// <summary>Hexadecimal digits that name a kept drive, at least.</summary>
    public const int MinPrefix = 4;

    private const int MaxHost = 253;

    // Shorter than what a mistyped link may have of a key.
    private const int MaxVersionShown = 20;

    private const string Scheme = "dat://";
    private const int KeyDigits = 2 * FeedKey.Size;

    private DriveReference()
    {
    }

    /// <summary>The key, when it was named.</summary>
    public FeedKey? Key { get; private init; }

    /// <summary>The host of "dat://example.org", or of a bare name with a dot, which may also be that of a kept drive; to be looked up (DEP-0005).</summary>
    public string? Host { get; private init; }

    /// <summary>The version of "dat://key+version".</summary>
    public long? Version { get; private init; }

    /// <summary>The path of "dat://key/path", decoded; the root when there was none.</summary>
    public DrivePath Path { get; private init; }

    /// <summary>An existing folder.</summary>
    public string? Folder { get; private init; }

    /// <summary>Hexadecimal digits with which the key or discovery key of a kept drive begins, unless it is a name.</summary>
    public string? Prefix { get; private init; }

    /// <summary>The name of a kept drive.</summary>
    public string? Name { get; private init; }

    /// <exception cref="DatException"><see cref="DatError.Invalid"/>: it is none of these. The message never repeats a key.</exception>
    public static DriveReference Parse(string text)
    {
        if (TryParseLink(text, out DriveReference? link)) return link;
        if (Directory.Exists(text)) return new DriveReference { Folder = System.IO.Path.GetFullPath(text) };
        if (TryFindKey(text, out FeedKey found)) return new DriveReference { Key = found };
        if (TryParseHost(text, out DriveReference host)) return host;
        if (text.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
            throw new DatException(DatError.Invalid, "that link names neither a key nor a host: write dat:// and 64 hexadecimal digits, or a name such as dat://example.org");
        if (!IsName(text))
            throw new DatException(DatError.Invalid, "that is no drive: name 64 hexadecimal digits, dat://<key>, an existing folder, or a kept drive by its name or the beginning of its key");
        bool isPrefix = text.Length is >= MinPrefix and < KeyDigits && text.All(char.IsAsciiHexDigit);
        return new DriveReference { Name = text, Prefix = isPrefix ? text.ToLowerInvariant() : null };
    }

    /// <summary>The same with the key that its host stands for.</summary>
    public DriveReference With(FeedKey key) => this with { Key = key, Host = null, Name = null, Prefix = null };

    /// <summary>True when a kept drive may be called so: letters, digits, '.', '_' and '-', so that it is never taken for anything else.</summary>
    public static bool IsName(string text) =>
        text.Length is > 0 and <= MaxName && text is not "." and not ".." && text[0] != '-' && text.All(c => char.IsLetterOrDigit(c) || c is '.' or '_' or '-');

    private static bool TryParseLink(string text, out DriveReference link)
    {
        link = null!;
        ReadOnlySpan<char> rest = text;
        if (rest.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)) rest = rest[Scheme.Length..];
        if (rest.Length < KeyDigits || !FeedKey.TryParseHex(rest[..KeyDigits], out FeedKey key)) return false;
        rest = rest[KeyDigits..];
        if (!rest.IsEmpty && rest[0] is not ('+' or '/')) return false;
        int slash = rest.IndexOf('/');
        ReadOnlySpan<char> path = slash < 0 ? [] : rest[slash..];
        ReadOnlySpan<char> version = slash < 0 ? rest : rest[..slash];
        link = new DriveReference { Key = key, Version = version.IsEmpty ? null : ParseVersion(version[1..]), Path = ParsePath(path) };
        return true;
    }

    private static bool TryParseHost(string text, out DriveReference reference)
    {
        reference = null!;
        bool isLink = text.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase);
        ReadOnlySpan<char> rest = isLink ? text.AsSpan(Scheme.Length) : text;
        int end = rest.IndexOfAny('+', '/');
        ReadOnlySpan<char> host = end < 0 ? rest : rest[..end];
        if (host.Length > MaxHost || !host.Contains('.') || host[0] is '.' or '-' || !IsHostText(host)) return false;
        rest = end < 0 ? [] : rest[end..];
        int slash = rest.IndexOf('/');
        ReadOnlySpan<char> version = slash < 0 ? rest : rest[..slash];
        string name = host.ToString();
        reference = new DriveReference
        {
            Host = name,
            Version = version.IsEmpty ? null : ParseVersion(version[1..]),
            Path = ParsePath(slash < 0 ? [] : rest[slash..]),
            Name = !isLink && end < 0 && IsName(name) ? name : null,
        };
        return true;
    }

    private static bool IsHostText(ReadOnlySpan<char> host)
    {
        foreach (char c in host)
            if (!char.IsLetterOrDigit(c) && c is not ('.' or '-')) return false;
        return true;
    }

    private static long ParseVersion(ReadOnlySpan<char> digits) =>
        long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && (ulong)number <= Encoding.Varint.MaxValue
            ? number
            : throw new DatException(DatError.Invalid, $"{(digits.Length <= MaxVersionShown ? $"'+{digits}'" : "what follows '+'")} is not a version: write a number, such as dat://<key>+12");

    // A decoded slash would change which entry is meant.
    private static DrivePath ParsePath(ReadOnlySpan<char> encoded)
    {
        string text = encoded.ToString();
        if (text.Contains("%2f", StringComparison.OrdinalIgnoreCase) || text.Contains("%00", StringComparison.Ordinal))
            throw new DatException(DatError.Invalid, "the path of that link names nothing that can exist: it has an encoded slash or zero");
        for (int i = text.IndexOf('%', StringComparison.Ordinal); i >= 0; i = text.IndexOf('%', i + 1))
        {
            if (i + 2 >= text.Length || !char.IsAsciiHexDigit(text[i + 1]) || !char.IsAsciiHexDigit(text[i + 2]))
                throw new DatException(DatError.Invalid, "the path of that link has a '%' that is not followed by two hexadecimal digits; write %25 for the sign itself");
        }

        return DrivePath.From(Uri.UnescapeDataString(text));
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
                if (++run > KeyDigits) return false;
            }
            else if (run == KeyDigits) return FeedKey.TryParseHex(text.AsSpan(i - KeyDigits, KeyDigits), out key);
            else run = 0;
        }

        return false;
    }
}
