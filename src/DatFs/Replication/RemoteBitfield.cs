using System.Numerics;
using DatFs.Encoding;
using DatFs.Wire;

namespace DatFs.Replication;

/// <summary>
/// A set of block indexes as a peer claims to have them: a tree of pages in which an empty or a full subtree costs nothing, so that
/// "I have everything" is free at any length. Memory is bounded; a peer that needs more breaks the protocol (wire-protocol.md §9.1).
/// </summary>
internal sealed class RemoteBitfield
{
    /// <summary>Indexes at and above this are refused (wire-protocol.md §9.1).</summary>
    public const long MaxBlocks = 1L << (LeafBits + FanBits * Height);

    /// <summary>Memory of one peer's view of one feed.</summary>
    public const int MaxBytes = 4 * 1024 * 1024;

    private const int LeafBits = 15;
    private const int LeafBytes = 1 << (LeafBits - 3);
    private const int FanBits = 5;
    private const int Fan = 1 << FanBits;
    private const int Height = 5;
    private const int InnerBytes = Fan * 8 + 24;
    private static readonly object s_full = new();

    private object? _root;

    /// <summary>Memory held by pages.</summary>
    public int Bytes { get; private set; }

    /// <summary>True when the index is in the set.</summary>
    public bool Contains(long index) => index >= 0 && NextSet(index, index + 1) == index;

    /// <summary>Adds or removes [start, end).</summary>
    public void Set(long start, long end, bool present)
    {
        end = Math.Min(end, MaxBlocks);
        if (start < end) _root = Fill(_root, Height, 0, start, end, present);
    }

    /// <summary>
    /// Replaces [start, end) by the bits of a Have (wire-protocol.md §5.3, §6), which must be well formed and no longer than that.
    /// Answers the index after the last bit that is set, or 0.
    /// </summary>
    public long Replace(long start, long end, BitfieldRle.Reader runs)
    {
        end = Math.Min(end, MaxBlocks);
        Set(start, end, false);
        long length = 0;
        while (runs.Next(out BitfieldRle.Run run))
        {
            if (run.Kind == BitfieldRle.RunKind.Zeros) continue;
            long from = start + run.Offset * 8;
            long to = Math.Min(end, from + run.Count * 8);
            if (from >= to) break;
            if (run.Kind == BitfieldRle.RunKind.Ones) Set(from, to, true);
            else WriteLiteral(from, to, run.Literal);
        }

        long last = PrevSet(end - 1, start);
        if (last >= 0) length = last + 1;
        return length;
    }

    /// <summary>The lowest index of the set in [from, end), or -1.</summary>
    public long NextSet(long from, long end)
    {
        end = Math.Min(end, MaxBlocks);
        return from < end ? Next(_root, Height, 0, Math.Max(0, from), end) : -1;
    }

    /// <summary>The highest index of the set in [start, from], or -1.</summary>
    public long PrevSet(long from, long start)
    {
        from = Math.Min(from, MaxBlocks - 1);
        return from >= start ? Prev(_root, Height, 0, from, Math.Max(0, start)) : -1;
    }

    /// <summary>The lowest index not in the set in [from, end), or <paramref name="end"/>.</summary>
    public long NextClear(long from, long end) => from < Math.Min(end, MaxBlocks) ? Clear(_root, Height, 0, from, end) : Math.Min(from, end);

    private static long Span(int level) => 1L << (LeafBits + FanBits * level);

    private object? Fill(object? node, int level, long at, long start, long end, bool present)
    {
        object? whole = present ? s_full : null;
        if (node == whole) return node;
        if (start <= at && at + Span(level) <= end)
        {
            Release(node);
            return whole;
        }

        if (level == 0)
        {
            byte[] leaf = Leaf(node);
            FillBits(leaf, (int)(Math.Max(start, at) - at), (int)(Math.Min(end, at + Span(0)) - at), present);
            if (leaf.AsSpan().IndexOfAnyExcept((byte)(present ? 0xFF : 0)) >= 0) return leaf;
            Release(leaf);
            return whole;
        }

        object?[] children = Inner(node);
        long span = Span(level - 1);
        int last = (int)((Math.Min(end, at + Span(level)) - 1 - at) / span);
        for (int i = (int)((Math.Max(start, at) - at) / span); i <= last; i++)
            children[i] = Fill(children[i], level - 1, at + i * span, start, end, present);
        foreach (object? child in children)
        {
            if (child != whole) return children;
        }

        Release(children);
        return whole;
    }

    private static void FillBits(Span<byte> leaf, int start, int end, bool present)
    {
        int first = start >> 3;
        int last = (end - 1) >> 3;
        byte head = (byte)(0xFF >> (start & 7));
        byte tail = (byte)(0xFF << (7 - ((end - 1) & 7)));
        if (first == last) head &= tail;
        leaf[first] = (byte)(present ? leaf[first] | head : leaf[first] & ~head);
        if (first == last) return;
        leaf[(first + 1)..last].Fill((byte)(present ? 0xFF : 0));
        leaf[last] = (byte)(present ? leaf[last] | tail : leaf[last] & ~tail);
    }

    private void WriteLiteral(long start, long end, ReadOnlySpan<byte> literal)
    {
        literal = literal[..(int)Math.Min(literal.Length, (end - start + 7) / 8)];
        long at = start;
        while (!literal.IsEmpty)
        {
            byte[] leaf = OpenLeaf(at);
            int offset = (int)((at & (Span(0) - 1)) >> 3);
            int count = Math.Min(LeafBytes - offset, literal.Length);
            byte last = leaf[offset + count - 1];
            literal[..count].CopyTo(leaf.AsSpan(offset));
            literal = literal[count..];
            at += count * 8L;
            if (at <= end) continue;

            // Bits of the last byte that lie beyond the end are none of this Have's.
            int beyond = (1 << (int)(at - end)) - 1;
            ref byte mixed = ref leaf[offset + count - 1];
            mixed = (byte)((mixed & ~beyond) | (last & beyond));
        }
    }

    private byte[] OpenLeaf(long index)
    {
        object?[] inner = Inner(_root);
        _root = inner;
        for (int level = Height - 1; level > 0; level--)
        {
            int slot = (int)(index / Span(level)) & (Fan - 1);
            object?[] child = Inner(inner[slot]);
            inner[slot] = child;
            inner = child;
        }

        int last = (int)(index / Span(0)) & (Fan - 1);
        byte[] leaf = Leaf(inner[last]);
        inner[last] = leaf;
        return leaf;
    }

    private static long Next(object? node, int level, long at, long from, long end)
    {
        if (node is null) return -1;
        if (node == s_full) return Math.Max(from, at);
        if (node is byte[] leaf) return NextInLeaf(leaf, at, Math.Max(from, at), end);
        object?[] children = (object?[])node;
        long span = Span(level - 1);
        int i = from <= at ? 0 : (int)((from - at) / span);
        for (; i < Fan && at + i * span < end; i++)
        {
            long found = Next(children[i], level - 1, at + i * span, from, end);
            if (found >= 0) return found < end ? found : -1;
        }

        return -1;
    }

    private static long NextInLeaf(ReadOnlySpan<byte> leaf, long at, long from, long end)
    {
        int bit = (int)(from - at);
        int index = bit >> 3;
        int value = leaf[index] & (0xFF >> (bit & 7));
        if (value == 0)
        {
            int skip = leaf[(index + 1)..].IndexOfAnyExcept((byte)0);
            if (skip < 0) return -1;
            index += 1 + skip;
            value = leaf[index];
        }

        long found = at + index * 8L + BitOperations.LeadingZeroCount((uint)value) - 24;
        return found < end ? found : -1;
    }

    private static long Clear(object? node, int level, long at, long from, long end)
    {
        from = Math.Max(from, at);
        if (node is null) return Math.Min(from, end);
        if (node == s_full) return Math.Min(at + Span(level), end);
        if (node is byte[] leaf) return ClearInLeaf(leaf, at, from, end);
        object?[] children = (object?[])node;
        long span = Span(level - 1);
        for (int i = (int)((from - at) / span); i < Fan && at + i * span < end; i++)
        {
            long stop = Math.Min(at + (i + 1) * span, end);
            long found = Clear(children[i], level - 1, at + i * span, from, stop);
            if (found < stop) return found;
        }

        return Math.Min(at + Span(level), end);
    }

    private static long ClearInLeaf(ReadOnlySpan<byte> leaf, long at, long from, long end)
    {
        int bit = (int)(from - at);
        int index = bit >> 3;
        int missing = ~leaf[index] & (0xFF >> (bit & 7));
        if (missing == 0)
        {
            int skip = leaf[(index + 1)..].IndexOfAnyExcept((byte)0xFF);
            if (skip < 0) return Math.Min(at + Span(0), end);
            index += 1 + skip;
            missing = ~leaf[index] & 0xFF;
        }

        return Math.Min(at + index * 8L + BitOperations.LeadingZeroCount((uint)missing) - 24, end);
    }

    private static long Prev(object? node, int level, long at, long from, long start)
    {
        if (node is null || from < at) return -1;
        long last = Math.Min(from, at + Span(level) - 1);
        if (last < start) return -1;
        if (node == s_full) return last;
        if (node is byte[] leaf) return PrevInLeaf(leaf, at, last, start);
        object?[] children = (object?[])node;
        long span = Span(level - 1);
        for (int i = (int)((last - at) / span); i >= 0 && at + (i + 1) * span > start; i--)
        {
            long found = Prev(children[i], level - 1, at + i * span, last, start);
            if (found >= 0) return found;
        }

        return -1;
    }

    private static long PrevInLeaf(ReadOnlySpan<byte> leaf, long at, long from, long start)
    {
        int bit = (int)(from - at);
        int index = bit >> 3;
        int value = leaf[index] & (0xFF << (7 - (bit & 7)));
        if ((value & 0xFF) == 0)
        {
            index = leaf[..index].LastIndexOfAnyExcept((byte)0);
            if (index < 0) return -1;
            value = leaf[index];
        }

        long found = at + index * 8L + 7 - BitOperations.TrailingZeroCount(value & 0xFF);
        return found >= start ? found : -1;
    }

    private byte[] Leaf(object? node)
    {
        if (node is byte[] leaf) return leaf;
        Charge(LeafBytes);
        leaf = new byte[LeafBytes];
        if (node == s_full) leaf.AsSpan().Fill(0xFF);
        return leaf;
    }

    private object?[] Inner(object? node)
    {
        if (node is object?[] inner) return inner;
        Charge(InnerBytes);
        inner = new object?[Fan];
        if (node == s_full) inner.AsSpan().Fill(s_full);
        return inner;
    }

    private void Charge(int bytes)
    {
        if (Bytes + bytes > MaxBytes) throw new ProtocolViolationException("the peer's bitfield needs more than 4 MiB", "bitfield");
        Bytes += bytes;
    }

    private void Release(object? node)
    {
        if (node is byte[]) Bytes -= LeafBytes;
        if (node is not object?[] inner) return;
        Bytes -= InnerBytes;
        foreach (object? child in inner) Release(child);
    }
}
