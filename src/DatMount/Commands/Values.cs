using System.Globalization;
using DatFs.Replication;

namespace DatMount.Commands;

/// <summary>An address as typed: "host:port", "[::1]:port", or ":port" for every interface.</summary>
internal static class Address
{
    private const string EveryInterface = "0.0.0.0";

    public static bool TryParse(string text, out PeerAddress address) =>
        PeerAddress.TryParse(text.StartsWith(':') ? EveryInterface + text : text, out address);
}

/// <summary>A length of time as typed: "30s", "500ms", "2m", "1h", a bare number of seconds, or 0.</summary>
internal static class Duration
{
    public static bool TryParse(string text, out TimeSpan value)
    {
        (string digits, double unit) = text switch
        {
            _ when text.EndsWith("ms", StringComparison.Ordinal) => (text[..^2], 0.001),
            _ when text.EndsWith('s') => (text[..^1], 1),
            _ when text.EndsWith('m') => (text[..^1], 60),
            _ when text.EndsWith('h') => (text[..^1], 3600),
            _ => (text, 1),
        };
        value = default;
        if (!double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number) || number * unit > TimeSpan.FromDays(365).TotalSeconds) return false;
        value = TimeSpan.FromSeconds(number * unit);
        return true;
    }
}
