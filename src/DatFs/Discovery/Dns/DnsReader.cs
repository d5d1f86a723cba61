using System.Buffers.Binary;

namespace DatFs.Discovery.Dns;

/// <summary>Reads a message out of bytes a stranger sent: everything is bounded by the bytes that are really there.</summary>
internal ref struct DnsReader(ReadOnlySpan<byte> datagram, bool salvage)
{
    /// <summary>Questions and records of one message.</summary>
    internal const int MaxRecords = 128;

    /// <summary>Bytes of a name, lengths included (RFC 1035 §3.1).</summary>
    internal const int MaxName = 255;

    /// <summary>Compression pointers followed for one name.</summary>
    internal const int MaxJumps = 16;

    private const int MaxLabel = 63;
    private const int Pointer = 0xc0;
    private const int PointerMask = 0x3fff;
    private const ushort Internet = 1;
    // mDNS uses the top bit of the class for "answer by unicast" and "flush the cache".
    private const ushort ClassMask = 0x7fff;

    private readonly ReadOnlySpan<byte> _all = datagram;
    private int _at;

    public bool TryRead(out DnsMessage message)
    {
        message = null!;
        if (_all.Length < DnsMessage.HeaderSize) return false;
        Span<int> counts = stackalloc int[4];
        int total = 0;
        for (int i = 0; i < 4; i++) total += counts[i] = BinaryPrimitives.ReadUInt16BigEndian(_all[(4 + 2 * i)..]);
        if (total > MaxRecords) return false;
        _at = DnsMessage.HeaderSize;
        if (!TryQuestions(counts[0], out IReadOnlyList<DnsQuestion> questions)) return false;
        if (!TryRecords(counts[1], out IReadOnlyList<DnsRecord> answers)) return false;
        if (!TryRecords(counts[2], out IReadOnlyList<DnsRecord> authorities)) return false;
        if (!TryRecords(counts[3], out IReadOnlyList<DnsRecord> additionals)) return false;
        message = new DnsMessage
        {
            Id = BinaryPrimitives.ReadUInt16BigEndian(_all),
            Flags = BinaryPrimitives.ReadUInt16BigEndian(_all[2..]),
            Questions = questions,
            Answers = answers,
            Authorities = authorities,
            Additionals = additionals,
        };
        return true;
    }

    private bool TryQuestions(int count, out IReadOnlyList<DnsQuestion> questions)
    {
        questions = [];
        if (count == 0) return true;
        List<DnsQuestion> found = [];
        for (int i = 0; i < count; i++)
        {
            if (!TryName(ref _at, out string? name) || !TryTake(4, out ReadOnlySpan<byte> rest)) return false;
            if (name is not null && IsInternet(rest[2..])) found.Add(new DnsQuestion(name, (DnsType)BinaryPrimitives.ReadUInt16BigEndian(rest)));
        }

        questions = found;
        return true;
    }

    private bool TryRecords(int count, out IReadOnlyList<DnsRecord> records)
    {
        records = [];
        if (count == 0) return true;
        List<DnsRecord> found = [];
        for (int i = 0; i < count; i++)
        {
            if (!TryName(ref _at, out string? name) || !TryTake(10, out ReadOnlySpan<byte> head)) return false;
            int start = _at;
            if (!TryTake(BinaryPrimitives.ReadUInt16BigEndian(head[8..]), out ReadOnlySpan<byte> data)) return false;
            if (name is null || !IsInternet(head[2..])) continue;
            if (!TryData(name, (DnsType)BinaryPrimitives.ReadUInt16BigEndian(head), start, data, out DnsRecord? record)) return false;
            if (record is not null) found.Add(record with { Ttl = BinaryPrimitives.ReadUInt32BigEndian(head[4..]) });
        }

        records = found;
        return true;
    }

    /// <summary>False when the record is broken; no record when it is one nobody here uses.</summary>
    private readonly bool TryData(string name, DnsType type, int start, ReadOnlySpan<byte> data, out DnsRecord? record)
    {
        record = null;
        switch (type)
        {
            case DnsType.A:
                if (data.Length != 4) return false;
                record = new DnsAddress(name, BinaryPrimitives.ReadUInt32BigEndian(data));
                return true;
            case DnsType.Srv:
                if (data.Length < 7) return false;
                int at = start + 6;
                if (!TryName(ref at, out string? target) || at != start + data.Length) return false;
                if (target is not null) record = new DnsService(name, target, BinaryPrimitives.ReadUInt16BigEndian(data[4..]));
                return true;
            case DnsType.Txt:
                if (!TryStrings(data, out IReadOnlyList<string> strings)) return false;
                record = new DnsText(name, strings);
                return true;
            default:
                return true;
        }
    }

    private readonly bool TryStrings(ReadOnlySpan<byte> data, out IReadOnlyList<string> strings)
    {
        List<string> found = [];
        strings = found;
        ReadOnlySpan<byte> peers = "peers="u8;
        while (!data.IsEmpty)
        {
            if (salvage && data[1..].StartsWith(peers))
            {
                found.Add(System.Text.Encoding.Latin1.GetString(data[1..]));
                return true;
            }

            int length = data[0];
            if (length > data.Length - 1) return false;
            // Empty strings mean nothing (RFC 6763 §6.1), and are not worth an entry each.
            if (length > 0) found.Add(System.Text.Encoding.Latin1.GetString(data.Slice(1, length)));
            data = data[(1 + length)..];
        }

        return true;
    }

    /// <summary>False when the name is broken; null when it holds what no name of the Dat network holds: it is somebody else's then.</summary>
    private readonly bool TryName(ref int at, out string? name)
    {
        name = null;
        Span<char> text = stackalloc char[MaxName];
        int length = 0, from = at, jumps = 0;
        bool plain = true, jumped = false;
        while (true)
        {
            if (from >= _all.Length) return false;
            int first = _all[from++];
            if (first == 0) break;
            if ((first & Pointer) == Pointer)
            {
                if (from >= _all.Length || ++jumps > MaxJumps) return false;
                int target = (first << 8 | _all[from++]) & PointerMask;
                if (!jumped) at = from;
                jumped = true;
                from = target;
                continue;
            }

            if (first > MaxLabel || first > _all.Length - from || length + first + 1 > MaxName - 1) return false;
            if (length > 0) text[length++] = '.';
            foreach (byte letter in _all.Slice(from, first))
            {
                plain &= letter is > 0x20 and < 0x7f and not (byte)'.';
                text[length++] = (char)(letter is >= (byte)'A' and <= (byte)'Z' ? letter | 0x20 : letter);
            }

            from += first;
        }

        if (!jumped) at = from;
        if (plain) name = new string(text[..length]);
        return true;
    }

    private bool TryTake(int count, out ReadOnlySpan<byte> taken)
    {
        taken = default;
        if (count > _all.Length - _at) return false;
        taken = _all.Slice(_at, count);
        _at += count;
        return true;
    }

    private static bool IsInternet(ReadOnlySpan<byte> bytes) => (BinaryPrimitives.ReadUInt16BigEndian(bytes) & ClassMask) == Internet;
}
