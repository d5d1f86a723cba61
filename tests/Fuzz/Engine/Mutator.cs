using System.Buffers.Binary;
using DatFs.Encoding;

namespace DatMount.Fuzz.Engine;

/// <summary>
/// Makes inputs out of real ones. Knows no format, but numbers of base 128, fields of protobuf, and lengths that lie: that is what the
/// formats here are made of. Deterministic; grows with <see cref="Keep"/> only.
/// </summary>
internal sealed class Mutator
{
    private const int MostSteps = 8;

    private static readonly ulong[] s_numbers =
    [
        0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 106, 107, 127, 128, 129, 255, 256, 257, 1023, 1024, 4095, 4096, 8191, 8192, 16383, 16384,
        65535, 65536, (1 << 20) - 1, 1 << 20, (1 << 23) - 1, 1 << 23, (1 << 23) + 1, (1 << 24) + 1, int.MaxValue - 1, int.MaxValue, 1UL << 31,
        uint.MaxValue, 1UL << 32, (1UL << 32) + 1, (1UL << 40) - 1, 1UL << 40, (1UL << 52) - 1, 1UL << 52, (1UL << 53) - 2, (1UL << 53) - 1, 1UL << 53,
        1UL << 62, long.MaxValue, 1UL << 63, ulong.MaxValue - 1, ulong.MaxValue,
    ];

    private readonly Dice _dice;
    private readonly List<byte[]> _corpus;
    private readonly IReadOnlyList<byte[]> _dictionary;
    private readonly int _maxLength;
    private readonly Action[] _steps;
    private readonly List<(int Start, int Length, int Value, int ValueLength)> _fields = [];
    private readonly byte[] _bytes;
    private int _length;

    public Mutator(Dice dice, IEnumerable<byte[]> corpus, IReadOnlyList<byte[]> dictionary, int maxLength)
    {
        _dice = dice;
        _corpus = [.. corpus, []];
        _dictionary = dictionary;
        _maxLength = maxLength;
        _bytes = new byte[maxLength];
        List<Action> steps =
        [
            FlipBit, SetByte, SetNumber, Truncate, Delete, Duplicate, InsertRandom, Splice, InsertFromAnother, EditVarint, EditVarint, LieAboutLength,
            LieAboutLength, GrowField, ShuffleFields, Fill,
        ];
        if (dictionary.Count > 0) steps.AddRange([InsertWord, InsertWord, OverwriteWord]);
        _steps = [.. steps];
    }

    /// <summary>Adds an input that taught something to those that are mutated.</summary>
    public void Keep(ReadOnlySpan<byte> input) => _corpus.Add(input.ToArray());

    /// <summary>The next input; valid until the one after it.</summary>
    public ReadOnlySpan<byte> Next()
    {
        ReadOnlySpan<byte> from = _dice.Pick(_corpus);
        _length = Math.Min(from.Length, _maxLength);
        from[.._length].CopyTo(_bytes);
        for (int steps = 1 + _dice.Below(_dice.OneIn(4) ? MostSteps : 2); steps > 0; steps--) _dice.Pick(_steps)();
        return _bytes.AsSpan(0, _length);
    }

    private Span<byte> Bytes => _bytes.AsSpan(0, _length);

    private int Anywhere() => _dice.Below(_length + 1);

    private void FlipBit()
    {
        if (_length > 0) _bytes[_dice.Below(_length)] ^= (byte)(1 << _dice.Below(8));
    }

    private void SetByte()
    {
        if (_length > 0) _bytes[_dice.Below(_length)] = _dice.OneIn(2) ? (byte)_dice.Next() : _dice.Pick<byte>([0, 1, 0x2F, 0x7F, 0x80, 0xFE, 0xFF]);
    }

    // A number of fixed size, as headers of files and requests of the kernel have them.
    private void SetNumber()
    {
        int size = _dice.Pick<int>([2, 4, 8]);
        if (_length < size) return;
        Span<byte> number = stackalloc byte[8];
        ulong value = Number();
        if (_dice.OneIn(2)) BinaryPrimitives.WriteUInt64LittleEndian(number, value);
        else BinaryPrimitives.WriteUInt64BigEndian(number, value << (64 - 8 * size));
        int at = _dice.Below(_length - size + 1);
        if (_dice.OneIn(2)) at &= ~(size - 1);
        number[..size].CopyTo(_bytes.AsSpan(at));
    }

    private void Truncate() => _length = _dice.Below(_length + 1);

    private void Delete()
    {
        int at = Anywhere();
        Replace(at, Math.Min(_length - at, _dice.Length(_length)), []);
    }

    private void Duplicate()
    {
        int from = Anywhere();
        int count = Math.Min(_length - from, _dice.Length(_length));
        Replace(Anywhere(), 0, Bytes.Slice(from, count).ToArray());
    }

    private void InsertRandom()
    {
        Span<byte> fresh = stackalloc byte[_dice.Length(64)];
        foreach (ref byte b in fresh) b = (byte)_dice.Next();
        Replace(Anywhere(), 0, fresh);
    }

    private void Splice()
    {
        byte[] other = _dice.Pick(_corpus);
        int at = Anywhere();
        int from = _dice.OneIn(2) ? Math.Min(at, other.Length) : _dice.Below(other.Length + 1);
        Replace(at, _length - at, other.AsSpan(from));
    }

    private void InsertFromAnother()
    {
        byte[] other = _dice.Pick(_corpus);
        int from = _dice.Below(other.Length + 1);
        int count = Math.Min(other.Length - from, _dice.Length(Math.Max(1, other.Length)));
        Replace(Anywhere(), _dice.OneIn(2) ? 0 : Math.Min(count, _length), other.AsSpan(from, count));
    }

    private void InsertWord() => Replace(Anywhere(), 0, _dice.Pick(_dictionary));

    private void OverwriteWord()
    {
        byte[] word = _dice.Pick(_dictionary);
        Replace(Anywhere(), word.Length, word);
    }

    private void EditVarint()
    {
        int at = Anywhere();
        ReadOnlySpan<byte> rest = Bytes[at..];
        int before = rest.Length;
        ulong value = Varint.TryRead(ref rest, out ulong read) ? Near(read) : Number();
        WriteVarint(at, before - rest.Length, value);
    }

    private void LieAboutLength()
    {
        FindFields();
        if (_fields.Count == 0) return;
        (int start, int length, int at, int size) = _dice.Pick(_fields);
        // The length is what lies between the tag and the value; a field without one has its number there.
        int tag = 1;
        while (tag < length && _bytes[start + tag - 1] >= 0x80) tag++;
        WriteVarint(start + tag, Math.Max(0, at - start - tag), Near((ulong)size));
    }

    // Changes what a field contains and keeps its length true, so that the change reaches what lies inside.
    private void GrowField()
    {
        FindFields();
        if (_fields.Count == 0) return;
        (int start, int length, int at, int size) = _dice.Pick(_fields);
        int tag = 1;
        while (tag < length && _bytes[start + tag - 1] >= 0x80) tag++;
        if (size == 0 && at == start + length) return;
        Span<byte> fresh = stackalloc byte[_dice.Below(12)];
        foreach (ref byte b in fresh) b = _dice.OneIn(2) ? (byte)_dice.Below(16) : (byte)_dice.Next();
        int cut = at + _dice.Below(size + 1);
        int removed = Math.Min(at + size - cut, _dice.Below(12));
        Replace(cut, removed, fresh);
        WriteVarint(start + tag, at - start - tag, (ulong)(size - removed + fresh.Length));
    }

    private void ShuffleFields()
    {
        FindFields();
        if (_fields.Count == 0) return;
        (int start, int length, _, _) = _dice.Pick(_fields);
        byte[] field = Bytes.Slice(start, length).ToArray();
        int to = _dice.Pick(_fields).Start;
        switch (_dice.Below(3))
        {
            case 0:
                Replace(start, length, []);
                break;
            case 1:
                Replace(to, 0, field);
                break;
            default:
                for (int times = _dice.Length(128); times > 0 && _length + length < _maxLength; times--) Replace(to, 0, field);
                break;
        }
    }

    private void Fill()
    {
        int at = Anywhere();
        Bytes.Slice(at, Math.Min(_length - at, _dice.Length(_length))).Fill(_dice.Pick<byte>([0, 0xFF, 0x80, 0x2F, (byte)_dice.Next()]));
    }

    private ulong Number() => _dice.OneIn(3) ? _dice.Next() >> _dice.Below(64) : _dice.Pick(s_numbers);

    private ulong Near(ulong value) => _dice.Below(4) switch
    {
        0 => value + 1,
        1 => value - 1,
        2 => value + (ulong)_dice.Below(256),
        _ => Number(),
    };

    private void WriteVarint(int at, int removed, ulong value)
    {
        Span<byte> bytes = stackalloc byte[12];
        int size = 0;
        for (; value >= 0x80; value >>= 7) bytes[size++] = (byte)(value | 0x80);
        bytes[size++] = (byte)value;

        // Longer than need be, which some readers accept.
        for (int pad = _dice.OneIn(8) ? _dice.Below(3) : 0; pad > 0 && size < bytes.Length; pad--)
        {
            bytes[size - 1] |= 0x80;
            bytes[size++] = 0;
        }

        Replace(at, removed, bytes[..size]);
    }

    // Fields where the input, from its start or from somewhere, reads as protobuf; at times those inside one of them.
    private void FindFields()
    {
        _fields.Clear();
        int from = _dice.OneIn(4) ? Anywhere() : 0;
        int to = _length;
        Walk(from, to);
        if (_fields.Count == 0 || !_dice.OneIn(3)) return;
        (_, _, int value, int size) = _dice.Pick(_fields);
        if (size < 2) return;
        _fields.Clear();
        Walk(value, value + size);
    }

    private void Walk(int from, int to)
    {
        for (int at = from; at < to;)
        {
            ReadOnlySpan<byte> rest = _bytes.AsSpan(at..to);
            int before = rest.Length;
            if (!Varint.TryRead(ref rest, out ulong tag)) return;
            int type = (int)(tag & 7);
            if (type is not (0 or 2) || !Varint.TryRead(ref rest, out ulong number)) return;
            int head = before - rest.Length;
            if (type == 2 && number > (ulong)rest.Length) return;
            int size = type == 2 ? (int)number : 0;
            _fields.Add((at, head + size, at + head, size));
            at += head + size;
        }
    }

    private void Replace(int at, int removed, ReadOnlySpan<byte> inserted)
    {
        removed = Math.Min(removed, _length - at);
        int tail = _length - at - removed;
        inserted = inserted[..Math.Min(inserted.Length, _maxLength - at)];
        int kept = Math.Min(tail, _maxLength - at - inserted.Length);
        Bytes.Slice(at + removed, kept).CopyTo(_bytes.AsSpan(at + inserted.Length));
        inserted.CopyTo(_bytes.AsSpan(at));
        _length = at + inserted.Length + kept;
    }
}
