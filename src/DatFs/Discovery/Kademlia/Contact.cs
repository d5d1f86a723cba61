namespace DatFs.Discovery.Kademlia;

/// <summary>A node and where it is reached.</summary>
/// <param name="Id">Its place; null = not known yet, or it takes no part (a client of the dht-rpc network).</param>
/// <param name="Address">Its address.</param>
internal readonly record struct Contact(NodeId? Id, Ipv4Peer Address)
{
    /// <summary>Bytes of an entry in a list of nodes whose ids have so many bytes.</summary>
    public static int SizeOf(int idSize) => idSize + Ipv4Peer.Size;

    /// <summary>Reads a list of nodes; a tail shorter than an entry is ignored.</summary>
    public static Contact[] ReadAll(ReadOnlySpan<byte> bytes, int idSize)
    {
        int size = SizeOf(idSize);
        Contact[] all = new Contact[bytes.Length / size];
        for (int i = 0; i < all.Length; i++)
        {
            ReadOnlySpan<byte> entry = bytes.Slice(i * size, size);
            all[i] = new Contact(NodeId.Read(entry[..idSize]), Ipv4Peer.Read(entry[idSize..]));
        }

        return all;
    }

    /// <summary>Writes an entry of a list of nodes. Its id must be known.</summary>
    public void Write(Span<byte> bytes, int idSize)
    {
        Id!.Value.Write(bytes[..idSize]);
        Address.Write(bytes[idSize..]);
    }

    /// <summary>
    /// True when it may be sent to: a host's address and a port; a private or loopback one only when told by a node which itself has such an
    /// address, else strangers could have us knock at doors inside our own network.
    /// </summary>
    public static bool IsWorthAsking(Ipv4Peer address, Ipv4Peer toldBy)
    {
        uint first = address.Address >> 24;
        if (address.Port == 0 || first is 0 or >= 224) return false;
        return !AddressRange.IsPrivate(address.Address) || AddressRange.IsPrivate(toldBy.Address);
    }
}
