using System.Globalization;

namespace DatFs.Replication;

/// <summary>Where a peer listens: a host name or IP address, and a TCP port.</summary>
/// <param name="Host">Name, IPv4 or IPv6 address, without brackets.</param>
/// <param name="Port">1 to 65535; 0 only to listen on any free one.</param>
public readonly record struct PeerAddress(string Host, int Port)
{
    /// <summary>Reads "host:port" or "[ipv6]:port".</summary>
    public static bool TryParse(string text, out PeerAddress address)
    {
        address = default;
        int colon = text.LastIndexOf(':');
        if (colon <= 0 || !int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) || port > 65535) return false;
        string host = text[..colon];
        if (host[0] == '[' && host[^1] == ']') host = host[1..^1];
        else if (host.Contains(':', StringComparison.Ordinal)) return false;
        if (host.Length == 0 || host.AsSpan().ContainsAny('[', ']')) return false;
        address = new PeerAddress(host, port);
        return true;
    }

    /// <summary>"host:port", an IPv6 address in brackets.</summary>
    public override string ToString() => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
