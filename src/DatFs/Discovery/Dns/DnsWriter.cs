using System.Buffers.Binary;

namespace DatFs.Discovery.Dns;

/// <summary>Writes a message's parts into a buffer. What does not fit is the caller's mistake.</summary>
internal ref struct DnsWriter(Span<byte> buffer)
{
    private const ushort Internet = 1;
    private const int MaxLabel = 63;
    private const int MaxString = 255;

    private readonly Span<byte> _buffer = buffer;

    public int Written { get; private set; }

    public void Number(ushort number) => BinaryPrimitives.WriteUInt16BigEndian(Take(2), number);

    public void Question(DnsQuestion question)
    {
        Name(question.Name);
        Number((ushort)question.Type);
        Number(Internet);
    }

    public void Record(DnsRecord record)
    {
        Name(record.Name);
        Number((ushort)(record switch { DnsText => DnsType.Txt, DnsService => DnsType.Srv, _ => DnsType.A }));
        Number(Internet);
        BinaryPrimitives.WriteUInt32BigEndian(Take(4), record.Ttl);
        Span<byte> length = Take(2);
        int start = Written;
        switch (record)
        {
            case DnsText text:
                foreach (string one in text.Strings) Counted(one, MaxString);
                // A record without a string would be none: an empty one stands for it (RFC 6763 §6.1).
                if (text.Strings.Count == 0) Take(1)[0] = 0;
                break;
            case DnsService service:
                Number(0);
                Number(0);
                Number(service.Port);
                Name(service.Target);
                break;
            case DnsAddress address:
                BinaryPrimitives.WriteUInt32BigEndian(Take(4), address.Address);
                break;
        }

        BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)(Written - start));
    }

    private void Name(string name)
    {
        foreach (Range label in name.AsSpan().Split('.'))
        {
            if (name.Length > 0) Counted(name.AsSpan()[label], MaxLabel);
        }

        Take(1)[0] = 0;
    }

    private void Counted(ReadOnlySpan<char> text, int most)
    {
        if (text.Length > most) throw new ArgumentException($"'{text}' is longer than {most} bytes");
        Take(1)[0] = (byte)text.Length;
        System.Text.Encoding.Latin1.GetBytes(text, Take(text.Length));
    }

    private Span<byte> Take(int count)
    {
        if (_buffer.Length - Written < count) throw new ArgumentException("the message is too long");
        Span<byte> taken = _buffer.Slice(Written, count);
        Written += count;
        return taken;
    }
}
