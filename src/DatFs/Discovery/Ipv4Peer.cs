using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace DatFs.Discovery;

/// <summary>A peer in the six bytes all networks of this generation know: IPv4 address, then port, big endian (discovery.md §3, §6.1).</summary>
/// <param name="Address">The address, most significant byte first in the dotted form; 0 stands for the sender of the packet.</param>
/// <param name="Port">The port; 0 stands for the port the packet came from where the format allows it.</param>
internal readonly record struct Ipv4Peer(uint Address, ushort Port)
{
    public const int Size = 6;

    /// <summary>An end point as IPv4; false when it is not one.</summary>
    public static bool TryFrom(IPEndPoint endPoint, out Ipv4Peer peer)
    {
        IPAddress address = endPoint.Address.IsIPv4MappedToIPv6 ? endPoint.Address.MapToIPv4() : endPoint.Address;
        peer = default;
        if (address.AddressFamily != AddressFamily.InterNetwork) return false;
        peer = new Ipv4Peer(ToNumber(address), (ushort)endPoint.Port);
        return true;
    }

    /// <summary>Reads <see cref="Size"/> bytes.</summary>
    public static Ipv4Peer Read(ReadOnlySpan<byte> bytes) =>
        new(BinaryPrimitives.ReadUInt32BigEndian(bytes), BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]));

    /// <summary>Reads a dotted address, four decimal numbers and nothing else.</summary>
    public static bool TryReadAddress(ReadOnlySpan<char> text, out uint address)
    {
        address = 0;
        int parts = 0;
        foreach (Range range in text.Split('.'))
        {
            ReadOnlySpan<char> part = text[range];
            if (++parts > 4 || part.Length is 0 or > 3 || !byte.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out byte number)) return false;
            address = address << 8 | number;
        }

        return parts == 4;
    }

    /// <summary>An IPv4 address as the number that is kept here.</summary>
    public static uint ToNumber(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[4];
        return address.TryWriteBytes(bytes, out int count) && count == 4 ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : 0;
    }

    /// <summary>Writes <see cref="Size"/> bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Address);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[4..], Port);
    }

    public IPEndPoint ToEndPoint()
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, Address);
        return new IPEndPoint(new IPAddress(bytes), Port);
    }

    /// <summary>The address in dotted form.</summary>
    public string Host => string.Create(CultureInfo.InvariantCulture, $"{Address >> 24}.{Address >> 16 & 255}.{Address >> 8 & 255}.{Address & 255}");

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Host}:{Port}");
}
