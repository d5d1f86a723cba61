using System.Globalization;

namespace DatFs.FileSystem;

/// <summary>
/// A name in <c>.dat/versions</c>: a number, "@" and a time in UTC ("@2018-01-24T1730Z", "@yesterday", "@2h-ago"), or the hex text or the short
/// alias of a version of several writers.
/// </summary>
internal static class VersionName
{
    private const int MaxAgoDigits = 9;

    private static readonly string[] s_formats =
    [
        "yyyy-MM-dd'T'HHmm'Z'", "yyyy-MM-dd'T'HH:mm'Z'", "yyyy-MM-dd'T'HHmmss'Z'", "yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd",
    ];

    /// <summary>Hexadecimal digits of the shortest text that may name a version.</summary>
    public const int MinText = 16;

    public static string Of(long version) => version.ToString(CultureInfo.InvariantCulture);

    /// <summary>A version's one spelling: decimal, no sign, no leading zeros.</summary>
    public static bool TryNumber(string name, out long version) =>
        long.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out version) && Of(version) == name;

    public static bool IsText(string name) => name.Length >= MinText && name.All(char.IsAsciiHexDigitLower);

    public static bool TryTime(string name, DateTimeOffset now, out DateTimeOffset time)
    {
        time = default;
        if (!name.StartsWith('@')) return false;
        ReadOnlySpan<char> text = name.AsSpan(1);
        if (text.SequenceEqual("yesterday")) return TryAgo(now, 1, TimeSpan.FromDays(1), out time);
        if (text.EndsWith("-ago")) return TryAgo(text[..^4], now, out time);
        return DateTimeOffset.TryParseExact(text, s_formats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time);
    }

    private static bool TryAgo(ReadOnlySpan<char> text, DateTimeOffset now, out DateTimeOffset time)
    {
        time = default;
        int digits = text.IndexOfAnyExceptInRange('0', '9');
        if (digits is < 1 or > MaxAgoDigits) return false;
        TimeSpan unit = text[digits..] switch
        {
            "s" => TimeSpan.FromSeconds(1),
            "m" or "min" => TimeSpan.FromMinutes(1),
            "h" => TimeSpan.FromHours(1),
            "d" => TimeSpan.FromDays(1),
            "w" => TimeSpan.FromDays(7),
            _ => TimeSpan.Zero,
        };
        return unit > TimeSpan.Zero && TryAgo(now, int.Parse(text[..digits], NumberStyles.None, CultureInfo.InvariantCulture), unit, out time);
    }

    /// <summary>Before the first day of the calendar there is nothing: held at that day.</summary>
    private static bool TryAgo(DateTimeOffset now, int count, TimeSpan unit, out DateTimeOffset time)
    {
        long room = (now - DateTimeOffset.MinValue).Ticks / unit.Ticks;
        time = count > room ? DateTimeOffset.MinValue : now - (unit * count);
        return true;
    }
}
