namespace DatFs.Discovery.Mainline;

/// <summary>
/// Walks bencoded bytes of a stranger (BEP 3) without copying them. After a failed read <see cref="Malformed"/> stays true and nothing more is
/// read. Numbers have one form only: no leading zeros, no minus zero.
/// </summary>
internal ref struct BencodeReader(ReadOnlySpan<byte> bytes)
{
    /// <summary>Lists and dictionaries in one another that are passed over.</summary>
    public const int MaxDepth = 32;

    private const int MaxDigits = 18;

    private ReadOnlySpan<byte> _rest = bytes;

    public bool Malformed { get; private set; }

    /// <summary>True when all was read.</summary>
    public readonly bool IsEmpty => _rest.IsEmpty;

    /// <summary>True when a number follows.</summary>
    public readonly bool IsNumber => !_rest.IsEmpty && _rest[0] == 'i';

    /// <summary>True when bytes follow.</summary>
    public readonly bool IsBytes => !_rest.IsEmpty && char.IsAsciiDigit((char)_rest[0]);

    /// <summary>True when a list follows.</summary>
    public readonly bool IsList => !_rest.IsEmpty && _rest[0] == 'l';

    /// <summary>True when a dictionary follows.</summary>
    public readonly bool IsDictionary => !_rest.IsEmpty && _rest[0] == 'd';

    /// <summary>Enters the list or dictionary that follows.</summary>
    public bool Enter() => (IsList || IsDictionary) ? Advance(1) : Fail();

    /// <summary>Leaves a list or dictionary if this is its end.</summary>
    public bool TryLeave() => !Malformed && !_rest.IsEmpty && _rest[0] == 'e' && Advance(1);

    /// <summary>Reads a dictionary's next key; false at its end, which is passed, and when malformed.</summary>
    public bool NextKey(out ReadOnlySpan<byte> key)
    {
        key = default;
        return !TryLeave() && ReadBytes(out key);
    }

    public bool ReadBytes(out ReadOnlySpan<byte> value)
    {
        value = default;
        int colon = Malformed ? -1 : _rest[..Math.Min(_rest.Length, MaxDigits + 1)].IndexOf((byte)':');
        if (colon < 0 || !TryParse(_rest[..colon], out long length) || length > _rest.Length - colon - 1) return Fail();
        value = _rest.Slice(colon + 1, (int)length);
        return Advance(colon + 1 + (int)length);
    }

    public bool ReadNumber(out long value)
    {
        value = 0;
        int end = Malformed || !IsNumber ? -1 : _rest[..Math.Min(_rest.Length, MaxDigits + 3)].IndexOf((byte)'e');
        if (end < 0) return Fail();
        ReadOnlySpan<byte> digits = _rest[1..end];
        bool negative = digits.StartsWith("-"u8);
        if (!TryParse(negative ? digits[1..] : digits, out value) || (negative && value == 0)) return Fail();
        if (negative) value = -value;
        return Advance(end + 1);
    }

    /// <summary>Passes over whatever follows.</summary>
    public bool Skip()
    {
        int depth = 0;
        do
        {
            if (depth > 0 && TryLeave()) depth--;
            else if (IsNumber) ReadNumber(out _);
            else if (IsBytes) ReadBytes(out _);
            else if (Enter() && ++depth > MaxDepth) return Fail();
        }
        while (!Malformed && depth > 0);
        return !Malformed;
    }

    /// <summary>What was read is not what its place asks for.</summary>
    public void Refuse() => Malformed = true;

    private static bool TryParse(ReadOnlySpan<byte> digits, out long value)
    {
        value = 0;
        if (digits.Length is 0 or > MaxDigits || (digits[0] == '0' && digits.Length > 1)) return false;
        foreach (byte digit in digits)
        {
            if (!char.IsAsciiDigit((char)digit)) return false;
            value = value * 10 + (digit - '0');
        }

        return true;
    }

    private bool Advance(int count)
    {
        _rest = _rest[count..];
        return true;
    }

    private bool Fail()
    {
        Malformed = true;
        return false;
    }
}
