using System.Buffers;
using DatFs.Encoding;

namespace DatFs.Drives.Hyperdb;

/// <summary>An entry, by the number of its writer and its own. Whose numbering it is depends on where it stands.</summary>
internal readonly record struct EntryId(int Writer, long Seq);

/// <summary>The lists at one index of a path, one for each digit.</summary>
internal sealed class TrieBucket(int index)
{
    private readonly EntryId[]?[] _lists = new EntryId[]?[KeyPath.DigitValues];

    public int Index => index;

    /// <summary>What lies under a digit; most often nothing or one entry.</summary>
    public EntryId[] this[int digit]
    {
        get => _lists[digit] ?? [];
        set => _lists[digit] = value.Length == 0 ? null : value;
    }
}

/// <summary>
/// The index of an entry over everything its writer saw (hyperdb-multiwriter.md §4, §5): buckets in ascending order, none of them empty.
/// </summary>
internal sealed class Trie(TrieBucket[] buckets)
{
    /// <summary>Longest index accepted, in bytes: several hundred times what a big archive needs, and small beside what it becomes in memory.</summary>
    public const int MaxSize = 256 * 1024;

    private const int DigitBits = (1 << KeyPath.DigitValues) - 1;

    public static Trie Empty { get; } = new([]);

    public ReadOnlySpan<TrieBucket> Buckets => buckets;

    /// <summary>The bucket at an index, null when it is empty.</summary>
    public TrieBucket? At(int index) => From(index) is { } bucket && bucket.Index == index ? bucket : null;

    /// <summary>The first bucket that is not empty from an index on.</summary>
    public TrieBucket? From(int index)
    {
        int low = 0, high = buckets.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (buckets[middle].Index < index) low = middle + 1;
            else high = middle;
        }

        return low < buckets.Length ? buckets[low] : null;
    }

    /// <summary>The same index with other numbers for the writers.</summary>
    public Trie Renumber(ReadOnlySpan<int> numbers)
    {
        TrieBucket[] renumbered = new TrieBucket[buckets.Length];
        for (int i = 0; i < buckets.Length; i++)
        {
            renumbered[i] = new TrieBucket(buckets[i].Index);
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
            {
                EntryId[] list = [.. buckets[i][digit]];
                for (int k = 0; k < list.Length; k++) list[k] = list[k] with { Writer = numbers[list[k].Writer] };
                renumbered[i][digit] = list;
            }
        }

        return new Trie(renumbered);
    }

    /// <summary>
    /// Reads an index of an entry whose path has so many digits (§5). False unless it is exactly what a writer could have written: indexes
    /// ascend and lie on the path, and every entry named is one that the clock knows.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<byte> packed, int pathLength, ReadOnlySpan<long> clock, out Trie trie)
    {
        trie = Empty;
        if (packed.Length > MaxSize) return false;
        List<TrieBucket> buckets = [];
        List<EntryId> list = [];
        for (int last = -1; !packed.IsEmpty;)
        {
            if (!Varint.TryRead(ref packed, out ulong index) || index >= (ulong)pathLength || (int)index <= last) return false;
            if (!Varint.TryRead(ref packed, out ulong digits) || digits is 0 or > DigitBits) return false;
            TrieBucket bucket = new(last = (int)index);
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
            {
                if ((digits >> digit & 1) == 0) continue;
                list.Clear();
                for (bool more = true; more;)
                {
                    if (!Varint.TryRead(ref packed, out ulong feed) || !Varint.TryRead(ref packed, out ulong seq)) return false;
                    more = (feed & 1) != 0;
                    feed >>= 1;
                    if (feed >= (ulong)clock.Length || seq == 0 || (long)seq >= clock[(int)feed]) return false;
                    list.Add(new EntryId((int)feed, (long)seq));
                }

                bucket[digit] = [.. list];
            }

            buckets.Add(bucket);
        }

        if (buckets.Count > 0) trie = new Trie([.. buckets]);
        return true;
    }

    /// <summary>Writes the index (§5).</summary>
    /// <param name="numbers">The stored number of each writer.</param>
    public byte[] Encode(ReadOnlySpan<int> numbers)
    {
        ArrayBufferWriter<byte> packed = new();
        foreach (TrieBucket bucket in buckets)
        {
            ulong digits = 0;
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
                if (bucket[digit].Length > 0) digits |= 1UL << digit;
            Write(packed, (ulong)bucket.Index);
            Write(packed, digits);
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
            {
                EntryId[] list = bucket[digit];
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
