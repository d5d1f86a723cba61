using System.Buffers.Binary;
using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>
/// The tree nodes on disk (hypercore.md §6), with the most used ones in memory: the upper levels serve nearly all look-ups. Whether a node is
/// trusted is not known here. Readers run beside the one writer.
/// </summary>
internal sealed class TreeFile : IDisposable
{
    /// <summary>Nodes kept in memory, about 300 KiB when all are in use.</summary>
    public const int CachedNodes = 4096;

    private readonly IRandomAccessFile? _file;
    private readonly Node?[] _cache = new Node?[CachedNodes];

    /// <summary>Over an open file; null reads as empty.</summary>
    public TreeFile(IRandomAccessFile? file) => _file = file;

    /// <summary>Where an entry lies.</summary>
    public static long OffsetOf(long node) => SleepHeader.Size + node * SleepHeader.TreeEntry;

    /// <summary>Reads an entry; false when it was never written.</summary>
    /// <exception cref="DatException">Corrupt: the entry cannot be a node.</exception>
    public bool TryRead(long node, out TreeNode value)
    {
        ref Node? slot = ref _cache[SlotOf(node)];
        Node? seen = Volatile.Read(ref slot);
        if (seen is not null && seen.Value.Index == node)
        {
            value = seen.Value;
            return true;
        }

        value = default;
        Span<byte> entry = stackalloc byte[SleepHeader.TreeEntry];
        if (_file is null || _file.Read(OffsetOf(node), entry) < entry.Length || !entry.ContainsAnyExcept((byte)0)) return false;
        value = Decode(node, entry);

        // A correction written meanwhile has replaced the slot, and must not be hidden by what was read before it.
        Interlocked.CompareExchange(ref slot, new Node(value), seen);
        return true;
    }

    /// <summary>Entries in the file.</summary>
    public long Entries => _file is null ? 0 : Math.Max(0, (_file.Length - SleepHeader.Size) / SleepHeader.TreeEntry);

    /// <summary>Reads an entry that may be anything: false too when it cannot be a node. It is not kept in memory.</summary>
    public bool TryPeek(long node, out TreeNode value)
    {
        value = default;
        Span<byte> entry = stackalloc byte[SleepHeader.TreeEntry];
        if (_file is null || _file.Read(OffsetOf(node), entry) < entry.Length || !entry.ContainsAnyExcept((byte)0)) return false;
        long size = BinaryPrimitives.ReadInt64BigEndian(entry[NodeHash.Size..]);
        if (size is < 0 or > TreeHash.MaxSize) return false;
        value = new TreeNode(node, NodeHash.From(entry[..NodeHash.Size]), size);
        return true;
    }

    /// <summary>Writes one entry.</summary>
    public void Write(in TreeNode node)
    {
        Span<byte> entry = stackalloc byte[SleepHeader.TreeEntry];
        Encode(node, entry);
        File.Write(OffsetOf(node.Index), entry);
        Keep(node);
    }

    /// <summary>Writes a run of entries that begins at a node, as they are encoded.</summary>
    public void Write(long first, ReadOnlySpan<byte> entries)
    {
        File.Write(OffsetOf(first), entries);

        // The recovery of a feed reads nodes that turn out not to belong to it; what takes their place must not be hidden by them.
        long end = first + entries.Length / SleepHeader.TreeEntry;
        for (long node = first; node < end; node++)
        {
            ref Node? slot = ref _cache[SlotOf(node)];
            if (Volatile.Read(ref slot)?.Value.Index == node) Volatile.Write(ref slot, null);
        }
    }

    /// <summary>Puts a node that was just written into memory.</summary>
    public void Keep(in TreeNode node) => Volatile.Write(ref _cache[SlotOf(node.Index)], new Node(node));

    /// <summary>Writes a node as its 40 bytes.</summary>
    public static void Encode(in TreeNode node, Span<byte> entry)
    {
        node.Hash.CopyTo(entry);
        BinaryPrimitives.WriteInt64BigEndian(entry[NodeHash.Size..], node.Size);
    }

    /// <summary>Makes what was written durable.</summary>
    public void Sync() => _file?.Sync();

    /// <inheritdoc/>
    public void Dispose() => _file?.Dispose();

    private IRandomAccessFile File => _file ?? throw new InvalidOperationException("the feed is open for reading only");

    private static TreeNode Decode(long node, ReadOnlySpan<byte> entry)
    {
        long size = BinaryPrimitives.ReadInt64BigEndian(entry[NodeHash.Size..]);
        if (size is < 0 or > TreeHash.MaxSize) throw new DatException(DatError.Corrupt, $"Stored tree node {node} has an impossible size: the storage is damaged.");
        return new TreeNode(node, NodeHash.From(entry[..NodeHash.Size]), size);
    }

    // Nodes of one height are 2^(d+1) apart: the product spreads all heights over the slots.
    private static int SlotOf(long node) => (int)((ulong)node * 0x9E3779B97F4A7C15 >> 52);

    private sealed class Node(TreeNode value)
    {
        public readonly TreeNode Value = value;
    }
}
