using System.Buffers.Binary;
using System.Security.Cryptography;

namespace DatFs.Discovery.Server;

/// <summary>What servers say to each other.</summary>
internal enum GossipKind : byte
{
    /// <summary>"I live", and with a number of 1 "take a copy of my table: I could not tell you everything".</summary>
    Hello = 1,

    /// <summary>Records, under a number that is to be acknowledged.</summary>
    Records = 2,

    /// <summary>The number of records that arrived.</summary>
    Acknowledge = 3,

    /// <summary>Asks for the records from a slot on.</summary>
    Pull = 4,

    /// <summary>The records from a slot on; the second number is how many slots there are.</summary>
    Page = 5,
}

/// <summary>A datagram between servers. The boot is chosen at random by each process: it tells of a server that restarted.</summary>
internal readonly record struct GossipMessage(GossipKind Kind, ulong Boot, uint Number, uint Second, IReadOnlyList<(NamedEntry Entry, bool Removed)> Entries);

/// <summary>
/// The datagrams of the gossip: "datG", version, kind, boot, milliseconds since 1970, two numbers, entries of 31 bytes (name, peer, age in seconds, removed),
/// and an HMAC-SHA-256 of it all with the shared secret (discovery.md §7). The first four bytes are no DNS message any client sends.
/// </summary>
internal static class GossipCodec
{
    /// <summary>Entries of one datagram, which so stays below 1232 bytes.</summary>
    public const int MaxEntries = 36;

    /// <summary>How wrong another server's clock may be; also how long a recorded datagram can be sent once more.</summary>
    public static readonly TimeSpan MaxSkew = TimeSpan.FromMinutes(5);

    private const byte Version = 1;
    private const int Header = 4 + 1 + 1 + 8 + 8 + 4 + 4;
    private const int EntrySize = Name20.Size + Ipv4Peer.Size + 4 + 1;

    private static ReadOnlySpan<byte> Magic => "datG"u8;

    public static bool IsGossip(ReadOnlySpan<byte> datagram) => datagram.StartsWith(Magic);

    public static byte[] Write(GossipMessage message, DateTimeOffset now, byte[] secret)
    {
        byte[] bytes = new byte[Header + message.Entries.Count * EntrySize + HMACSHA256.HashSizeInBytes];
        Magic.CopyTo(bytes);
        (bytes[4], bytes[5]) = (Version, (byte)message.Kind);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(6), message.Boot);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(14), now.ToUnixTimeMilliseconds());
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(22), message.Number);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(26), message.Second);
        Span<byte> at = bytes.AsSpan(Header);
        foreach ((NamedEntry entry, bool removed) in message.Entries)
        {
            entry.Name.Write(at);
            entry.Peer.Write(at[Name20.Size..]);
            BinaryPrimitives.WriteUInt32BigEndian(at[(Name20.Size + Ipv4Peer.Size)..], (uint)Math.Max(0, now.ToUnixTimeSeconds() - entry.Seen));
            at[EntrySize - 1] = removed ? (byte)1 : (byte)0;
            at = at[EntrySize..];
        }

        HMACSHA256.HashData(secret, bytes.AsSpan(0, bytes.Length - HMACSHA256.HashSizeInBytes), at);
        return bytes;
    }

    /// <summary>Reads a datagram; false when it was not made with the secret, lately.</summary>
    public static bool TryRead(ReadOnlySpan<byte> datagram, DateTimeOffset now, byte[] secret, out GossipMessage message)
    {
        message = default;
        int entries = datagram.Length - Header - HMACSHA256.HashSizeInBytes;
        if (entries < 0 || entries % EntrySize != 0 || entries / EntrySize > MaxEntries || !IsGossip(datagram) || datagram[4] != Version) return false;
        Span<byte> proof = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(secret, datagram[..(Header + entries)], proof);
        if (!CryptographicOperations.FixedTimeEquals(proof, datagram[(Header + entries)..])) return false;
        long skew = unchecked(now.ToUnixTimeMilliseconds() - BinaryPrimitives.ReadInt64BigEndian(datagram[14..]));
        if (skew > MaxSkew.TotalMilliseconds || skew < -MaxSkew.TotalMilliseconds) return false;
        (NamedEntry, bool)[] read = new (NamedEntry, bool)[entries / EntrySize];
        ReadOnlySpan<byte> at = datagram[Header..];
        for (int i = 0; i < read.Length; i++, at = at[EntrySize..])
        {
            long seen = now.ToUnixTimeSeconds() - BinaryPrimitives.ReadUInt32BigEndian(at[(Name20.Size + Ipv4Peer.Size)..]);
            read[i] = (new NamedEntry(Name20.Read(at), Ipv4Peer.Read(at[Name20.Size..]), (int)Math.Max(0, seen), 0), at[EntrySize - 1] == 1);
        }

        message = new GossipMessage((GossipKind)datagram[5], BinaryPrimitives.ReadUInt64BigEndian(datagram[6..]), BinaryPrimitives.ReadUInt32BigEndian(datagram[22..]), BinaryPrimitives.ReadUInt32BigEndian(datagram[26..]), read);
        return true;
    }
}
