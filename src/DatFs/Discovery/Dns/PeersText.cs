namespace DatFs.Discovery.Dns;

/// <summary>The value of "peers" in a TXT record: base64 of six-byte entries (discovery.md §3).</summary>
internal static class PeersText
{
    /// <summary>Entries that fit one string of a TXT record, which is at most 255 bytes long.</summary>
    public const int MaxPeers = 31;

    /// <summary>Entries taken from an answer; the reference server never puts in more, though it breaks its packet with them.</summary>
    public const int MaxRead = 100;

    /// <summary>Reads a value. A tail shorter than an entry is ignored, missing padding borne.</summary>
    public static IReadOnlyList<Ipv4Peer> Read(string? base64)
    {
        if (string.IsNullOrEmpty(base64)) return [];
        ReadOnlySpan<char> digits = base64.AsSpan().TrimEnd('=');
        if (digits.Length > MaxRead * 8) digits = digits[..(MaxRead * 8)];
        if (digits.Length % 4 == 1) digits = digits[..^1];
        Span<char> padded = stackalloc char[MaxRead * 8 + 3];
        digits.CopyTo(padded);
        int length = (digits.Length + 3) / 4 * 4;
        padded[digits.Length..length].Fill('=');
        Span<byte> bytes = stackalloc byte[MaxRead * Ipv4Peer.Size + 3];
        if (!Convert.TryFromBase64Chars(padded[..length], bytes, out int count)) return [];
        Ipv4Peer[] peers = new Ipv4Peer[count / Ipv4Peer.Size];
        for (int i = 0; i < peers.Length; i++) peers[i] = Ipv4Peer.Read(bytes[(i * Ipv4Peer.Size)..]);
        return peers;
    }

    /// <summary>Writes a value of at most <see cref="MaxPeers"/> entries.</summary>
    public static string Write(ReadOnlySpan<Ipv4Peer> peers)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(peers.Length, MaxPeers);
        Span<byte> bytes = stackalloc byte[MaxPeers * Ipv4Peer.Size];
        for (int i = 0; i < peers.Length; i++) peers[i].Write(bytes[(i * Ipv4Peer.Size)..]);
        return Convert.ToBase64String(bytes[..(peers.Length * Ipv4Peer.Size)]);
    }
}
