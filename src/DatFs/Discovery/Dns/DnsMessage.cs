namespace DatFs.Discovery.Dns;

/// <summary>
/// A message of RFC 1035 as the Dat network uses it on port 5300 and over mDNS (discovery.md §3). Decoding takes any bytes and
/// never throws; records of types and classes nobody here uses are left out; names come in lower case. Encoding never compresses,
/// as the reference never does, so that what was decoded encodes to the same bytes.
/// </summary>
internal sealed class DnsMessage
{
    /// <summary>Flags of a query over unicast; over mDNS they are 0.</summary>
    public const ushort QueryFlags = 0x0100;

    /// <summary>Flags of a response over unicast.</summary>
    public const ushort ResponseFlags = 0x8000;

    /// <summary>Flags of a response over mDNS.</summary>
    public const ushort MulticastResponseFlags = 0x8400;

    /// <summary>Bytes of the header.</summary>
    public const int HeaderSize = 12;

    /// <summary>Largest message that is encoded: what passes every network unbroken.</summary>
    public const int MaxEncoded = 1232;

    public ushort Id { get; init; }
    public ushort Flags { get; init; }
    public IReadOnlyList<DnsQuestion> Questions { get; init; } = [];
    public IReadOnlyList<DnsRecord> Answers { get; init; } = [];
    public IReadOnlyList<DnsRecord> Authorities { get; init; } = [];
    public IReadOnlyList<DnsRecord> Additionals { get; init; } = [];

    /// <summary>Only the top bit of the flags tells.</summary>
    public bool IsResponse => (Flags & 0x8000) != 0;

    /// <summary>Decodes a datagram; false when it is no message.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> datagram, out DnsMessage message) => new DnsReader(datagram, salvage: false).TryRead(out message);

    /// <summary>
    /// Decodes a reply that the reference server broke by putting more than <see cref="PeersText.MaxPeers"/> peers into a string: everything
    /// from "peers=" to the end of the record is that string (discovery.md §3). Everything else must be whole.
    /// </summary>
    public static bool TrySalvage(ReadOnlySpan<byte> datagram, out DnsMessage message) => new DnsReader(datagram, salvage: true).TryRead(out message);

    /// <summary>Encodes the message.</summary>
    /// <exception cref="ArgumentException">A name or string is too long, or all of it is more than <see cref="MaxEncoded"/>.</exception>
    public byte[] ToBytes()
    {
        Span<byte> buffer = stackalloc byte[MaxEncoded];
        return buffer[..Write(buffer)].ToArray();
    }

    /// <summary>Encodes the message into a buffer, and answers how many bytes it took.</summary>
    /// <exception cref="ArgumentException">A name or string is too long, or the buffer too small.</exception>
    public int Write(Span<byte> buffer)
    {
        DnsWriter writer = new(buffer);
        writer.Number(Id);
        writer.Number(Flags);
        writer.Number((ushort)Questions.Count);
        writer.Number((ushort)Answers.Count);
        writer.Number((ushort)Authorities.Count);
        writer.Number((ushort)Additionals.Count);
        foreach (DnsQuestion question in Questions) writer.Question(question);
        foreach (DnsRecord record in Answers) writer.Record(record);
        foreach (DnsRecord record in Authorities) writer.Record(record);
        foreach (DnsRecord record in Additionals) writer.Record(record);
        return writer.Written;
    }
}
