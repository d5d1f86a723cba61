using System.Net;
using System.Net.Sockets;

namespace DatFs.Discovery;

/// <summary>Which addresses make sense to dial, whoever named them (discovery.md §8.2).</summary>
internal static class AddressRules
{
    /// <summary>Loopback, link-local, or of a private network: means something else for everybody else.</summary>
    public static bool IsPrivate(IPAddress address)
    {
        IPAddress plain = Plain(address);
        if (IPAddress.IsLoopback(plain)) return true;
        if (plain.AddressFamily != AddressFamily.InterNetwork) return plain.IsIPv6LinkLocal || plain.IsIPv6UniqueLocal || plain.IsIPv6SiteLocal;
        uint bits = Bits(plain);
        return bits >> 24 == 10 || bits >> 20 == 0xAC1 || bits >> 16 == 0xC0A8 || bits >> 16 == 0xA9FE || bits >> 22 == 0x191;
    }

    /// <summary>True for an address and port that one host may listen on.</summary>
    public static bool IsHost(IPEndPoint address)
    {
        IPAddress plain = Plain(address.Address);
        if (address.Port == 0) return false;
        if (plain.AddressFamily != AddressFamily.InterNetwork) return !plain.IsIPv6Multicast && !plain.Equals(IPAddress.IPv6Any);
        uint bits = Bits(plain);
        // 0.0.0.0/8 is "this host"; from 224.0.0.0 on come multicast, reserved and broadcast.
        return bits >> 24 != 0 && bits >> 28 < 0xE;
    }

    /// <summary>True when a sighting may be dialled: private and loopback addresses only when told by somebody to whom they mean the same.</summary>
    public static bool MayDial(PeerSighting sighting) => IsHost(sighting.Address) && (sighting.ToldPrivately || !IsPrivate(sighting.Address.Address));

    /// <summary>The address without the IPv6 form of an IPv4 address (discovery.md §8.2).</summary>
    public static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    private static uint Bits(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[4];
        _ = address.TryWriteBytes(bytes, out _);
        return System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(bytes);
    }
}
