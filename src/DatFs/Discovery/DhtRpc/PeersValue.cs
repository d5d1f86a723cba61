using DatFs.Encoding;

namespace DatFs.Discovery.DhtRpc;

/// <summary>What the command "peers" asks (discovery.md §6.2).</summary>
/// <param name="Port">The announced port; null = the one the packet came from.</param>
/// <param name="LocalAddress">The sender's address in its own network; null = it keeps that to itself.</param>
/// <param name="Unannounce">Takes back instead.</param>
internal readonly record struct PeersRequest(int? Port, Ipv4Peer? LocalAddress, bool Unannounce)
{
    public static bool TryDecode(ReadOnlySpan<byte> value, out PeersRequest request)
    {
        request = default;
        FieldReader fields = new(value);
        while (fields.Next())
        {
            bool read = true;
            switch (fields.Field)
            {
                case 1:
                    read = fields.ReadNumber(out ulong port) && port <= ushort.MaxValue;
                    request = request with { Port = port == 0 ? null : (int)Math.Min(port, ushort.MaxValue) };
                    break;
                case 2:
                    read = fields.ReadBytes(out ReadOnlySpan<byte> local) && local.Length == Ipv4Peer.Size;
                    if (read) request = request with { LocalAddress = Ipv4Peer.Read(local) };
                    break;
                case 3:
                    read = fields.ReadNumber(out ulong unannounce);
                    request = request with { Unannounce = unannounce != 0 };
                    break;
                default:
                    read = fields.Skip();
                    break;
            }

            if (!read) return false;
        }

        return !fields.Malformed;
    }

    public byte[] ToBytes()
    {
        FieldWriter fields = new();
        if (Port is { } port) fields.Number(1, (ulong)port);
        LocalAddress?.Write(fields.Bytes(2, Ipv4Peer.Size));
        if (Unannounce) fields.Number(3, 1);
        return fields.ToBytes();
    }
}

/// <summary>What the command "peers" answers.</summary>
/// <param name="Peers">Peers, at addresses that were seen.</param>
/// <param name="LocalPeers">Peers in the asker's own network; only the last two bytes of their addresses travel.</param>
internal readonly record struct PeersAnswer(IReadOnlyList<Ipv4Peer> Peers, IReadOnlyList<Ipv4Peer> LocalPeers)
{
    /// <summary>Peers of either kind that are taken from an answer; the reference gives 128 of both together.</summary>
    public const int MaxPeers = 128;

    /// <summary>Bytes of a local peer.</summary>
    public const int LocalSize = 4;

    /// <summary>Reads an answer; lists of other lengths than whole peers are passed over, as the reference does.</summary>
    /// <param name="value">What was answered.</param>
    /// <param name="local">The address that was given with the question; null = local peers mean nothing.</param>
    /// <param name="answer">What it says.</param>
    public static bool TryDecode(ReadOnlySpan<byte> value, Ipv4Peer? local, out PeersAnswer answer)
    {
        answer = new PeersAnswer([], []);
        FieldReader fields = new(value);
        while (fields.Next())
        {
            if (fields.Field is not (1 or 2))
            {
                if (!fields.Skip()) return false;
                continue;
            }

            if (!fields.ReadBytes(out ReadOnlySpan<byte> peers)) return false;
            if (fields.Field == 1 && peers.Length % Ipv4Peer.Size == 0) answer = answer with { Peers = ReadPeers(peers) };
            if (fields.Field == 2 && local is { } own && peers.Length % LocalSize == 0) answer = answer with { LocalPeers = ReadLocal(peers, own.Address) };
        }

        return !fields.Malformed;
    }

    public byte[] ToBytes()
    {
        FieldWriter fields = new();
        if (Peers.Count > 0)
        {
            Span<byte> space = fields.Bytes(1, Peers.Count * Ipv4Peer.Size);
            for (int i = 0; i < Peers.Count; i++) Peers[i].Write(space[(i * Ipv4Peer.Size)..]);
        }

        if (LocalPeers.Count > 0)
        {
            Span<byte> space = fields.Bytes(2, LocalPeers.Count * LocalSize), whole = stackalloc byte[Ipv4Peer.Size];
            for (int i = 0; i < LocalPeers.Count; i++)
            {
                LocalPeers[i].Write(whole);
                whole[^LocalSize..].CopyTo(space[(i * LocalSize)..]);
            }
        }

        return fields.ToBytes();
    }

    private static Ipv4Peer[] ReadPeers(ReadOnlySpan<byte> bytes)
    {
        Ipv4Peer[] peers = new Ipv4Peer[Math.Min(MaxPeers, bytes.Length / Ipv4Peer.Size)];
        for (int i = 0; i < peers.Length; i++) peers[i] = Ipv4Peer.Read(bytes[(i * Ipv4Peer.Size)..]);
        return peers;
    }

    private static Ipv4Peer[] ReadLocal(ReadOnlySpan<byte> bytes, uint own)
    {
        Ipv4Peer[] peers = new Ipv4Peer[Math.Min(MaxPeers, bytes.Length / LocalSize)];
        Span<byte> whole = stackalloc byte[Ipv4Peer.Size];
        new Ipv4Peer(own, 0).Write(whole);
        for (int i = 0; i < peers.Length; i++)
        {
            bytes.Slice(i * LocalSize, LocalSize).CopyTo(whole[^LocalSize..]);
            peers[i] = Ipv4Peer.Read(whole);
        }

        return peers;
    }
}

/// <summary>What "_holepunch" carries: the node to be told of, or the one that told.</summary>
internal readonly record struct HolepunchValue(Ipv4Peer? From, Ipv4Peer? To)
{
    public static bool TryDecode(ReadOnlySpan<byte> value, out HolepunchValue holepunch)
    {
        holepunch = default;
        FieldReader fields = new(value);
        while (fields.Next())
        {
            if (fields.Field is not (2 or 3))
            {
                if (!fields.Skip()) return false;
                continue;
            }

            if (!fields.ReadBytes(out ReadOnlySpan<byte> peer) || peer.Length != Ipv4Peer.Size) return false;
            holepunch = fields.Field == 2 ? holepunch with { From = Ipv4Peer.Read(peer) } : holepunch with { To = Ipv4Peer.Read(peer) };
        }

        return !fields.Malformed;
    }

    public byte[] ToBytes()
    {
        FieldWriter fields = new();
        From?.Write(fields.Bytes(2, Ipv4Peer.Size));
        To?.Write(fields.Bytes(3, Ipv4Peer.Size));
        return fields.ToBytes();
    }
}
