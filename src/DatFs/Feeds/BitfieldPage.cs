using System.Buffers.Binary;
using System.Numerics;

namespace DatFs.Feeds;

/// <summary>
/// The bits of 8192 blocks and of the 16384 tree nodes above and between them, most significant bit first (hypercore.md §7), with the
/// computation of the index region that speeds up the search in other programs (§7.2).
/// </summary>
internal sealed class BitfieldPage
{
    public const int Blocks = 8192;
    public const int Nodes = 2 * Blocks;
    public const int DataBytes = Blocks / 8;
    public const int TreeBytes = Nodes / 8;

    /// <summary>Bytes of the two regions that count; the index region follows them on disk.</summary>
    public const int Size = DataBytes + TreeBytes;

    /// <summary>Index bytes that describe one page alone: a tree of 256 leaves.</summary>
    private const int OwnIndexBytes = 2 * LeafCount - 1;
    private const int LeafCount = DataBytes / 4;

    // Every second node is a leaf.
    private const int WordBlocks = 32;
    private const ulong LeafBits = 0xAAAA_AAAA_AAAA_AAAA;

    private readonly byte[] _bits;
    private byte[]? _lent;

    public BitfieldPage() => _bits = new byte[Size];

    private BitfieldPage(byte[] bits) => _bits = bits;

    /// <summary>The index byte that lies on this page but describes this and other pages.</summary>
    public byte IndexTop { get; set; }

    public ReadOnlySpan<byte> Data => _bits.AsSpan(0, DataBytes);

    public ReadOnlySpan<byte> Tree => _bits.AsSpan(DataBytes);

    public BitfieldPage Copy() => new((byte[])_bits.Clone()) { IndexTop = IndexTop, _lent = (byte[]?)_lent?.Clone() };

    /// <summary>Copies the data bits as they belong on disk: what is lent is not stored here.</summary>
    public void CopyStored(Span<byte> into)
    {
        Data.CopyTo(into);
        if (_lent is not { } lent) return;
        for (int i = 0; i < DataBytes; i++) into[i] &= (byte)~lent[i];
    }

    public bool IsLent(long block) => Volatile.Read(ref _lent) is { } lent && (Volatile.Read(ref lent[Byte(block)]) & Mask(block)) != 0;

    /// <summary>Marks a block that is not held as lent, and then as held; false when it is held.</summary>
    public bool Lend(long block)
    {
        if (HasBlock(block)) return false;
        if (_lent is null) Volatile.Write(ref _lent, new byte[DataBytes]);
        Volatile.Write(ref _lent![Byte(block)], (byte)(_lent[Byte(block)] | Mask(block)));
        return SetBlock(block, true);
    }

    /// <summary>Ends the loan of a block, after it was marked as not held.</summary>
    public void Return(long block)
    {
        if (_lent is { } lent) Volatile.Write(ref lent[Byte(block)], (byte)(lent[Byte(block)] & ~Mask(block)));
    }

    /// <summary>Takes the two regions from a page on disk, whose index is of no use here. A data bit without its tree bit is nothing to rely on.</summary>
    public void Load(ReadOnlySpan<byte> entry)
    {
        entry[..Math.Min(entry.Length, Size)].CopyTo(_bits);
        for (int i = 0; i < DataBytes; i++)
        {
            if (_bits[i] != 0) _bits[i] &= EvenBits(_bits[DataBytes + 2 * i], _bits[DataBytes + 2 * i + 1]);
        }
    }

    public bool HasBlock(long block) => Get((int)(block & (Blocks - 1)));

    public bool HasNode(long node) => Get(Blocks + (int)(node & (Nodes - 1)));

    public bool SetBlock(long block, bool value) => Set((int)(block & (Blocks - 1)), value);

    public bool SetNode(long node, bool value) => Set(Blocks + (int)(node & (Nodes - 1)), value);

    /// <summary>Position of the first bit among the blocks [from, to) of the page that has the value; -1 when there is none.</summary>
    public int NextBlock(int from, int to, bool value)
    {
        if (from >= to) return -1;
        int at = from >> 3;
        byte first = (byte)((value ? _bits[at] : ~_bits[at]) & 0xFF >> (from & 7));
        if (first == 0)
        {
            int end = (to + 7) >> 3;
            int step = _bits.AsSpan(at + 1, end - at - 1).IndexOfAnyExcept(value ? (byte)0 : (byte)0xFF);
            if (step < 0) return -1;
            at += 1 + step;
            first = (byte)(value ? _bits[at] : ~_bits[at]);
        }

        int bit = at * 8 + BitOperations.LeadingZeroCount((uint)first) - 24;
        return bit < to ? bit : -1;
    }

    /// <summary>Position of the first block of the page from one on whose leaf is not set; -1 when there is none.</summary>
    public int NextWithoutLeaf(int from)
    {
        ulong ahead = ulong.MaxValue >> (2 * (from % WordBlocks));
        for (int word = from / WordBlocks; word < Blocks / WordBlocks; word++)
        {
            ulong without = ~BinaryPrimitives.ReadUInt64BigEndian(Tree[(sizeof(ulong) * word)..]) & LeafBits & ahead;
            if (without != 0) return word * WordBlocks + BitOperations.LeadingZeroCount(without) / 2;
            ahead = ulong.MaxValue;
        }

        return -1;
    }

    /// <summary>Sets the blocks [from, to) of the page; returns by how many the number of set bits changed.</summary>
    public int SetBlocks(int from, int to, bool value)
    {
        int before = CountBlocks();
        for (; from < to && (from & 7) != 0; from++) Set(from, value);
        for (; from < to && (to & 7) != 0; to--) Set(to - 1, value);
        if (from < to) _bits.AsSpan(from >> 3, (to - from) >> 3).Fill(value ? (byte)0xFF : (byte)0);
        return CountBlocks() - before;
    }

    /// <summary>Clears the nodes [from, to) of the page; true when one was set.</summary>
    public bool ClearNodes(int from, int to)
    {
        bool any = false;
        for (; from < to && (from & 7) != 0; from++) any |= Set(Blocks + from, false);
        for (; from < to && (to & 7) != 0; to--) any |= Set(Blocks + to - 1, false);
        Span<byte> rest = _bits.AsSpan(DataBytes + (from >> 3), (to - from) >> 3);
        any |= rest.ContainsAnyExcept((byte)0);
        rest.Clear();
        return any;
    }

    /// <summary>Number of blocks set.</summary>
    public int CountBlocks()
    {
        int count = 0;
        foreach (ulong word in System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(Data)) count += BitOperations.PopCount(word);
        return count;
    }

    /// <summary>Writes the index bytes that describe this page alone, as many as there is room for, and returns the topmost of them.</summary>
    public byte WriteIndex(Span<byte> into)
    {
        Span<byte> index = stackalloc byte[OwnIndexBytes];
        Span<byte> stored = stackalloc byte[DataBytes];
        CopyStored(stored);
        for (int leaf = 0; leaf < LeafCount; leaf++)
        {
            ReadOnlySpan<byte> four = stored.Slice(4 * leaf, 4);
            index[2 * leaf] = (byte)(Summary(four[0]) << 6 | Summary(four[1]) << 4 | Summary(four[2]) << 2 | Summary(four[3]));
        }

        for (int reach = 1; reach < LeafCount; reach *= 2)
        {
            for (int node = 2 * reach - 1; node < OwnIndexBytes; node += 4 * reach) index[node] = Combine(index[node - reach], index[node + reach]);
        }

        index[..Math.Min(into.Length, OwnIndexBytes)].CopyTo(into);
        return index[LeafCount - 1];
    }

    /// <summary>The index byte above two others.</summary>
    public static byte Combine(byte left, byte right) => (byte)(Half(left >> 4) << 6 | Half(left & 15) << 4 | Half(right >> 4) << 2 | Half(right & 15));

    private static int Summary(byte bits) => bits switch { 0xFF => 3, 0 => 0, _ => 1 };

    private static int Half(int nibble) => nibble switch { 15 => 3, 0 => 0, _ => 1 };

    private static byte EvenBits(byte high, byte low)
    {
        uint bits = (uint)(high << 8 | low) >> 1 & 0x5555;
        bits = (bits | bits >> 1) & 0x3333;
        bits = (bits | bits >> 2) & 0x0F0F;
        return (byte)(bits | bits >> 4);
    }

    private static int Byte(long block) => (int)(block & (Blocks - 1)) >> 3;

    private static byte Mask(long block) => (byte)(0x80 >> (int)(block & 7));

    private bool Get(int bit) => (Volatile.Read(ref _bits[bit >> 3]) & 0x80 >> (bit & 7)) != 0;

    private bool Set(int bit, bool value)
    {
        ref byte at = ref _bits[bit >> 3];
        byte mask = (byte)(0x80 >> (bit & 7));
        byte old = at;
        byte changed = (byte)(value ? old | mask : old & ~mask);
        if (changed == old) return false;
        Volatile.Write(ref at, changed);
        return true;
    }
}
