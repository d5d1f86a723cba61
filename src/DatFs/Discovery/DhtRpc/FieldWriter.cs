using System.Buffers;
using DatFs.Encoding;

namespace DatFs.Discovery.DhtRpc;

/// <summary>Appends the fields of a protobuf message, in the order they are written in.</summary>
internal sealed class FieldWriter
{
    private readonly ArrayBufferWriter<byte> _bytes = new(256);

    public void Number(int field, ulong value)
    {
        Tag(field, FieldReader.VarintType);
        Varint(value);
    }

    public void Bytes(int field, ReadOnlySpan<byte> value)
    {
        Tag(field, FieldReader.BytesType);
        Varint((ulong)value.Length);
        _bytes.Write(value);
    }

    /// <summary>A field of so many bytes, to be filled by the caller at once.</summary>
    public Span<byte> Bytes(int field, int length)
    {
        Tag(field, FieldReader.BytesType);
        Varint((ulong)length);
        Span<byte> space = _bytes.GetSpan(length)[..length];
        _bytes.Advance(length);
        return space;
    }

    public ReadOnlySpan<byte> Written => _bytes.WrittenSpan;

    public byte[] ToBytes() => _bytes.WrittenSpan.ToArray();

    private void Tag(int field, int type) => Varint((ulong)(field << 3 | type));

    private void Varint(ulong value) => _bytes.Advance(Encoding.Varint.Write(_bytes.GetSpan(Encoding.Varint.MaxBytes), value));
}
