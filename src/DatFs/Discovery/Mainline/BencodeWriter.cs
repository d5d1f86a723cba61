using System.Buffers;
using System.Buffers.Text;

namespace DatFs.Discovery.Mainline;

/// <summary>Writes bencoded bytes (BEP 3). Whoever calls it gives the keys of a dictionary in order.</summary>
internal readonly struct BencodeWriter(ArrayBufferWriter<byte> into)
{
    private const int LongestNumber = 20;

    public void BeginDictionary() => Write((byte)'d');

    public void BeginList() => Write((byte)'l');

    public void End() => Write((byte)'e');

    public void Number(long value)
    {
        Write((byte)'i');
        Digits(value);
        Write((byte)'e');
    }

    public void Bytes(ReadOnlySpan<byte> value)
    {
        Digits(value.Length);
        Write((byte)':');
        into.Write(value);
    }

    /// <summary>Begins bytes of a known length, to be filled in at once.</summary>
    public Span<byte> Bytes(int length)
    {
        Digits(length);
        Write((byte)':');
        Span<byte> space = into.GetSpan(length)[..length];
        into.Advance(length);
        return space;
    }

    private void Digits(long value)
    {
        Utf8Formatter.TryFormat(value, into.GetSpan(LongestNumber), out int count);
        into.Advance(count);
    }

    private void Write(byte value)
    {
        into.GetSpan(1)[0] = value;
        into.Advance(1);
    }
}
