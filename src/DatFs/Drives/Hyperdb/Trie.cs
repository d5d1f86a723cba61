using System.Buffers;
using DatFs.Encoding;

namespace DatFs.Drives.Hyperdb;

/// <summary>An entry, by the number of its writer and its own. Whose numbering it is depends on where it stands.</summary>
internal readonly record struct EntryId(int Writer, long Seq);

/// <summary>The lists at one index of a path, one for each digit.</summary>
internal readonly record struct TrieBucket(Trie Trie, int Position)
{
    /// <summary>Position in the path.</summary>
    public int Index => Trie.IndexOf(Position);

    /// <summary>What lies under a digit; most often nothing or one entry.</summary>
    public ReadOnlySpan<EntryId> this[int digit] => Trie.ListOf(Position, digit);
}

/// <summary>
/// The index of an entry over everything its writer saw (hyperdb-multiwriter.md §4, §5): buckets in ascending order, none of them empty.
/// Three arrays hold it, since a database is read by going through many of them.
/// </summary>
internal sealed class Trie
{
    /// <summary>Longest index accepted, in bytes: several hundred times what a big archive needs, and small beside what it becomes in memory.</summary>
    public const int MaxSize = 256 * 1024;

    private const int DigitBits = (1 << KeyPath.DigitValues) - 1;

    // What a pointer and a bucket have at least, packed.
    private const int MinPointer = 2;
    private const int MinBucket = 2 + MinPointer;

    private readonly int[] _indexes;
    private readonly int[] _ends;
    private readonly EntryId[] _pointers;

    private Trie(int[] indexes, int[] ends, EntryId[] pointers) => (_indexes, _ends, _pointers) = (indexes, ends, pointers);

    public static Trie Empty { get; } = new([], [], []);

    /// <summary>How many buckets there are.</summary>
    public int Count => _indexes.Length;

    /// <summary>The buckets.</summary>
    public IEnumerable<TrieBucket> Buckets => Enumerable.Range(0, Count).Select(position => new TrieBucket(this, position));

    /// <summary>Every entry named, wherever.</summary>
    public ReadOnlySpan<EntryId> Pointers => _pointers;

    /// <summary>About how many bytes of memory it takes.</summary>
    public long Weight => 128 + 24L * _indexes.Length + 16L * _pointers.Length;

    /// <summary>An index made of lists, one for each digit, at ascending indexes.</summary>
    public static Trie Of(IEnumerable<KeyValuePair<int, List<EntryId>[]>> buckets)
    {
        List<int> indexes = [], ends = [];
        List<EntryId> pointers = [];
        foreach ((int index, List<EntryId>[] lists) in buckets)
        {
            indexes.Add(index);
            foreach (List<EntryId> list in lists)
            {
                pointers.AddRange(list);
                ends.Add(pointers.Count);
            }
        }

        return new Trie([.. indexes], [.. ends], [.. pointers]);
    }

    /// <summary>The bucket at an index, null when it is empty.</summary>
    public TrieBucket? At(int index) => Find(index) is var position && position < Count && _indexes[position] == index ? new TrieBucket(this, position) : null;

    /// <summary>The first bucket that is not empty from an index on.</summary>
    public TrieBucket? From(int index) => Find(index) is var position && position < Count ? new TrieBucket(this, position) : null;

    /// <summary>The same index with other numbers for the writers.</summary>
    public Trie Renumber(ReadOnlySpan<int> numbers)
    {
        EntryId[] renumbered = new EntryId[_pointers.Length];
        for (int i = 0; i < renumbered.Length; i++) renumbered[i] = _pointers[i] with { Writer = numbers[_pointers[i].Writer] };
        return new Trie(_indexes, _ends, renumbered);
    }

    internal int IndexOf(int position) => _indexes[position];

    internal ReadOnlySpan<EntryId> ListOf(int position, int digit)
    {
        int at = KeyPath.DigitValues * position + digit, start = at == 0 ? 0 : _ends[at - 1];
        return _pointers.AsSpan(start, _ends[at] - start);
    }

    private int Find(int index)
    {
        int found = Array.BinarySearch(_indexes, index);
        return found < 0 ? ~found : found;
    }

    /// <summary>
    /// Reads an index of an entry whose path has so many digits (§5). False unless it is exactly what a writer could have written: indexes
    /// ascend and lie on the path, and every entry named is one that the clock knows.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<byte> packed, int pathLength, ReadOnlySpan<long> clock, out Trie trie)
    {
        trie = Empty;
        if (packed.Length > MaxSize) return false;
        int buckets = packed.Length / MinBucket + 1;
        int[] indexes = ArrayPool<int>.Shared.Rent(buckets), ends = ArrayPool<int>.Shared.Rent(KeyPath.DigitValues * buckets);
        EntryId[] pointers = ArrayPool<EntryId>.Shared.Rent(packed.Length / MinPointer + 1);
        try
        {
            (int count, int named) = Unpack(packed, pathLength, clock, indexes, ends, pointers);
            if (count > 0) trie = new Trie(indexes[..count], ends[..(KeyPath.DigitValues * count)], pointers[..named]);
            return count >= 0;
        }
        finally
        {
            ArrayPool<int>.Shared.Return(indexes);
            ArrayPool<int>.Shared.Return(ends);
            ArrayPool<EntryId>.Shared.Return(pointers);
        }
    }

    // -1 buckets where a writer could not have written it so.
    private static (int Buckets, int Pointers) Unpack(ReadOnlySpan<byte> packed, int pathLength, ReadOnlySpan<long> clock, int[] indexes, int[] ends, EntryId[] pointers)
    {
        int count = 0, named = 0;
        for (int last = -1; !packed.IsEmpty; count++)
        {
            if (!Varint.TryRead(ref packed, out ulong index) || index >= (ulong)pathLength || (int)index <= last) return (-1, 0);
            if (!Varint.TryRead(ref packed, out ulong digits) || digits is 0 or > DigitBits) return (-1, 0);
            indexes[count] = last = (int)index;
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
            {
                for (bool more = (digits >> digit & 1) != 0; more;)
                {
                    if (!Varint.TryRead(ref packed, out ulong feed) || !Varint.TryRead(ref packed, out ulong seq)) return (-1, 0);
                    more = (feed & 1) != 0;
                    feed >>= 1;
                    if (feed >= (ulong)clock.Length || seq == 0 || (long)seq >= clock[(int)feed]) return (-1, 0);
                    pointers[named++] = new EntryId((int)feed, (long)seq);
                }

                ends[KeyPath.DigitValues * count + digit] = named;
            }
        }

        return (count, named);
    }

    /// <summary>Writes the index (§5).</summary>
    /// <param name="numbers">The stored number of each writer.</param>
    public byte[] Encode(ReadOnlySpan<int> numbers)
    {
        ArrayBufferWriter<byte> packed = new();
        for (int position = 0; position < Count; position++)
        {
            ulong digits = 0;
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
                if (!ListOf(position, digit).IsEmpty) digits |= 1UL << digit;
            Write(packed, (ulong)_indexes[position]);
            Write(packed, digits);
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
            {
                ReadOnlySpan<EntryId> list = ListOf(position, digit);
                for (int k = 0; k < list.Length; k++)
                {
                    Write(packed, (ulong)numbers[list[k].Writer] * 2 + (k < list.Length - 1 ? 1UL : 0));
                    Write(packed, (ulong)list[k].Seq);
                }
            }
        }

        return packed.WrittenSpan.ToArray();
    }

    private static void Write(ArrayBufferWriter<byte> into, ulong value) => into.Advance(Varint.Write(into.GetSpan(Varint.MaxBytes), value));
}
