using System.Globalization;

namespace DatFs.Discovery.Dns;

/// <summary>A discovery server as a user names it: "host", "host:port" or "host:port,secondary" (discovery.md §5.1).</summary>
/// <param name="Host">Name or IPv4 address.</param>
/// <param name="Port">The port that is asked first.</param>
/// <param name="Secondary">The port that is asked beside it when it does not answer soon; 0 = there is none.</param>
public readonly record struct DnsServerAddress(string Host, ushort Port, ushort Secondary)
{
    /// <summary>Where servers listen.</summary>
    public const ushort DefaultPort = 5300;

    /// <summary>Where servers listen too, for networks that let nothing else out.</summary>
    public const ushort DefaultSecondary = 53;

    /// <summary>Reads one of the three forms. A port given alone has no secondary.</summary>
    public static bool TryParse(string text, out DnsServerAddress address)
    {
        address = default;
        string[] parts = text.Split(':');
        if (parts.Length > 2 || parts[0].Length == 0 || parts[0].AsSpan().ContainsAny(" ,/[]")) return false;
        if (parts.Length == 1)
        {
            address = new DnsServerAddress(parts[0], DefaultPort, DefaultSecondary);
            return true;
        }

        string[] ports = parts[1].Split(',');
        ushort secondary = 0;
        if (ports.Length > 2 || !TryPort(ports[0], out ushort port) || (ports.Length == 2 && !TryPort(ports[1], out secondary))) return false;
        address = new DnsServerAddress(parts[0], port, secondary == port ? (ushort)0 : secondary);
        return true;
    }

    /// <summary>In the form it is read in.</summary>
    public override string ToString() => FormattableString.Invariant($"{Host}:{Port}") + (Secondary == 0 ? "" : FormattableString.Invariant($",{Secondary}"));

    private static bool TryPort(string digits, out ushort port) =>
        ushort.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port > 0;
}
