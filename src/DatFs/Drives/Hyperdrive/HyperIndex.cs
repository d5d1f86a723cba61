using DatFs.Encoding;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// The index of a node (hyperdrive.md §2.2): for each directory along its name an ascending list of representatives. Nothing is allocated
/// from a claimed count; every number is at least 1, greater than the one before it and at most the node's own, so that each step of a
/// look-up goes to an older node and every look-up ends.
/// </summary>
internal static class HyperIndex
{
    // Every level ends with the node's own number, which is left out.
    private const ulong SelfFlag = 1;

    /// <summary>True when the whole index is well formed.</summary>
    public static bool IsValid(long seq, ReadOnlySpan<byte> bytes) => TryFind(seq, bytes, int.MaxValue, out _);

    /// <summary>The representatives in the directory of the first <paramref name="depth"/> components; none when there is no such level.</summary>
    /// <remarks>The index was found valid before.</remarks>
    public static long[] Level(long seq, ReadOnlySpan<byte> bytes, int depth)
    {
        TryFind(seq, bytes, depth, out long[] level);
        return level;
    }

    /// <summary>All levels, or false when the index is not well formed.</summary>
    public static bool TryDecode(long seq, ReadOnlySpan<byte> bytes, out long[][] levels)
    {
        levels = [];
        if (!IsValid(seq, bytes)) return false;
        List<long[]> found = [];
        for (ReadOnlySpan<byte> rest = Open(bytes, out bool self); !rest.IsEmpty;)
        {
            if (!TryPass(ref rest, seq, self, keep: true, out long[] level)) return false;
            found.Add(level);
        }

        levels = [.. found];
        return true;
    }

    /// <summary>Writes an index as the reference does: with the flag exactly when every level ends with the own number.</summary>
    public static byte[] Encode(long seq, long[][] levels)
    {
        bool self = Array.TrueForAll(levels, level => level.Length > 0 && level[^1] == seq);
        using MemoryStream bytes = new();
        Span<byte> scratch = stackalloc byte[Varint.MaxBytes];
        Put(self ? (long)SelfFlag : 0, scratch);
        foreach (long[] level in levels)
        {
            int count = level.Length - (self ? 1 : 0);
            Put(count, scratch);
            long last = 0;
            for (int i = 0; i < count; i++)
            {
                Put(level[i] - last, scratch);
                last = level[i];
            }
        }

        return bytes.ToArray();

        void Put(long value, Span<byte> into) => bytes.Write(into[..Varint.Write(into, (ulong)value)]);
    }

    private static ReadOnlySpan<byte> Open(ReadOnlySpan<byte> bytes, out bool self)
    {
        Varint.TryRead(ref bytes, out ulong flags);
        self = flags == SelfFlag;
        return bytes;
    }

    private static bool TryFind(long seq, ReadOnlySpan<byte> bytes, int depth, out long[] level)
    {
        level = [];
        if (!Varint.TryRead(ref bytes, out ulong flags) || flags > SelfFlag) return false;
        for (int at = 0; !bytes.IsEmpty; at++)
        {
            if (!TryPass(ref bytes, seq, flags == SelfFlag, keep: at == depth, out level)) return false;
            if (at == depth) return true;
        }

        level = [];
        return true;
    }

    private static bool TryPass(ref ReadOnlySpan<byte> bytes, long seq, bool self, bool keep, out long[] level)
    {
        level = [];
        if (!Varint.TryRead(ref bytes, out ulong count) || count > (ulong)bytes.Length) return false;
        long[]? kept = keep ? new long[(int)count + (self ? 1 : 0)] : null;
        long last = 0, newest = self ? seq - 1 : seq;
        for (int i = 0; i < (int)count; i++)
        {
            if (!Varint.TryRead(ref bytes, out ulong delta) || delta == 0 || delta > (ulong)(newest - last)) return false;
            last += (long)delta;
            if (kept is not null) kept[i] = last;
        }

        if (kept is null) return true;
        if (self) kept[^1] = seq;
        level = kept;
        return true;
    }
}
