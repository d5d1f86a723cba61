using System.Net;

namespace DatFs.Discovery;

/// <summary>What kind of network an address belongs to.</summary>
internal static class AddressRange
{
    /// <summary>True for loopback, link-local and private IPv4 addresses (RFC 1918, RFC 3927), which mean something on the spot only.</summary>
    public static bool IsPrivate(IPAddress address) => IsPrivate(Ipv4Peer.ToNumber(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address));

    /// <summary>As above.</summary>
    public static bool IsPrivate(uint address) =>
        address >> 24 is 127 or 10 || address >> 16 is 0xc0a8 or 0xa9fe || address >> 20 == 0xac1;
}
