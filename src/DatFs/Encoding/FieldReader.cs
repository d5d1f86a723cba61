namespace DatFs.Encoding;

/// <summary>
/// Walks the fields of a protobuf body as strictly as wire-protocol.md §2.4 wants: only wire types 0, 1, 2 and 5, every field
/// inside the message. After <see cref="Next"/> exactly one of the Read methods or <see cref="Skip"/> follows.
/// </summary>
internal ref struct FieldReader(ReadOnlySpan<byte> body)
{
    public const int VarintType = 0;
    public const int BytesType = 2;

    private const int Fixed64Type = 1;
    private const int Fixed32Type = 5;
    private const ulong MaxTag = uint.MaxValue;

    private readonly int _length = body.Length;
    private ReadOnlySpan<byte> _rest = body;

    public int Field { get; private set; }
    public int WireType { get; private set; }
    public bool Malformed { get; private set; }

    /// <summary>Offset of the next unread byte in the body.</summary>
    public readonly int Offset => _length - _rest.Length;

    /// <summary>Moves to the next field; false at the end and on malformed input.</summary>
    public bool Next()
    {
        if (Malformed || _rest.IsEmpty) return false;
        if (!Varint.TryRead(ref _rest, out ulong tag) || tag > MaxTag || tag >> 3 == 0) return Fail();
        Field = (int)(tag >> 3);
        WireType = (int)(tag & 7);
        return true;
    }

    public bool ReadNumber(out ulong value)
    {
        value = 0;
        if (WireType != VarintType || !Varint.TryRead(ref _rest, out value)) return Fail();
        return true;
    }

    /// <summary>One byte exactly: peers read one, whatever its high bit says.</summary>
    public bool ReadBool(out bool value)
    {
        value = false;
        if (WireType != VarintType || _rest.IsEmpty || _rest[0] >= 0x80) return Fail();
        value = _rest[0] != 0;
        _rest = _rest[1..];
        return true;
    }

    public bool ReadBytes(out ReadOnlySpan<byte> value)
    {
        value = default;
        if (WireType != BytesType || !Varint.TryRead(ref _rest, out ulong length) || length > (ulong)_rest.Length) return Fail();
        value = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return true;
    }

    /// <summary>Passes over the value of a field that this version does not know.</summary>
    public bool Skip()
    {
        switch (WireType)
        {
            case VarintType:
                int end = _rest[..Math.Min(_rest.Length, Varint.MaxBytes)].IndexOfAnyInRange((byte)0, (byte)0x7F);
                return end >= 0 ? Advance(end + 1) : Fail();
            case BytesType:
                return ReadBytes(out _);
            case Fixed64Type:
                return Advance(sizeof(ulong));
            case Fixed32Type:
                return Advance(sizeof(uint));
            default:
                return Fail();
        }
    }

    private bool Advance(int count)
    {
        if (count > _rest.Length) return Fail();
        _rest = _rest[count..];
        return true;
    }

    private bool Fail()
    {
        Malformed = true;
        return false;
    }
}
