using System.Buffers;
using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>Reading blocks and finding byte positions (hypercore.md §8). Nothing here waits for a writer.</summary>
public sealed partial class Feed
{
    /// <summary>How often a block that vanished again after it was fetched is fetched anew.</summary>
    private const int MaxFetches = 3;

    /// <summary>Questions that a seek may need: each halves the range at least.</summary>
    private const int MaxSeekSteps = 2 * FlatTree.MaxRoots;

    private readonly Lock _waiting = new();
    private readonly List<(long MinLength, TaskCompletionSource Done)> _lengthWaiters = [];
    private volatile NextBlock? _next;
    private long _clears;

    /// <summary>Reads a block that is held; false when it is not (also when its bytes turned out damaged: the data bit is dropped).</summary>
    /// <exception cref="DatException">Corrupt, Io.</exception>
    public bool TryRead(long index, out BlockLease block)
    {
        block = default;
        while (_bits.HasBlock(index))
        {
            long clears = Volatile.Read(ref _clears);
            bool lent = _bits.IsLent(index);
            if (!TryReadVerified(index, lent, out block))
            {
                if (Volatile.Read(ref _clears) != clears || !DropDamaged(index, lent)) continue;
                return false;
            }

            // The bytes may have been freed while they were read.
            Interlocked.MemoryBarrier();
            if (_bits.HasBlock(index) && Volatile.Read(ref _clears) == clears) return true;
            block.Dispose();
            block = default;
        }

        return false;
    }

    /// <summary>Reads a block, from a peer through <see cref="Source"/> when it is not held. Completes synchronously when held.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Invalid, Corrupt, Io.</exception>
    public ValueTask<BlockLease> ReadAsync(long index, FetchPriority priority, CancellationToken ct)
    {
        if (index < 0) throw new DatException(DatError.Invalid, $"There is no block {index}.");
        return TryRead(index, out BlockLease block) ? ValueTask.FromResult(block) : FetchAndReadAsync(index, priority, ct);
    }

    private async ValueTask<BlockLease> FetchAndReadAsync(long index, FetchPriority priority, CancellationToken ct)
    {
        for (int fetches = 0; fetches < MaxFetches; fetches++)
        {
            IBlockSource source = Source ?? throw new DatException(DatError.Offline, $"Block {index} is not held, and there is no peer to ask.");
            await source.FetchAsync(index, priority, ct);
            if (TryRead(index, out BlockLease block)) return block;
        }

        throw new DatException(DatError.Io, $"Block {index} was fetched and could not be read back from {Files.Folder.DisplayName}.");
    }

    /// <summary>Byte position of a block within the feed, where the tree nodes for it are held (§8).</summary>
    public bool TryGetOffset(long index, out long byteOffset) => _tree.TryGetOffset(index, out byteOffset);

    /// <summary>Size of a block in bytes, where known for certain (§12.6).</summary>
    public bool TryGetSize(long index, out long size) => _tree.TryGetSize(index, out size);

    /// <summary>Hash of a block, where it is held (§4): equal hashes are equal bytes.</summary>
    internal bool TryLeaf(long index, out NodeHash hash)
    {
        (bool held, TreeNode leaf) = Consistent(2 * index, static (feed, node) => (feed._tree.TryGet(node, out TreeNode found), found));
        hash = leaf.Hash;
        return held;
    }

    /// <summary>
    /// Finds the block that holds a byte among blocks [start, end), with the tree nodes held; narrows [start, end) when it cannot (§8).
    /// When it answers true, start is the block and end the one after it; the feed's length with offset 0 stands for its end. An empty range
    /// and false mean that the byte is not among these blocks at all.
    /// </summary>
    public bool TrySeek(long byteOffset, ref long start, ref long end, out long offsetInBlock)
    {
        (bool found, start, end, offsetInBlock) = Consistent((byteOffset, start, end), static (feed, of) => feed.Seek(of.byteOffset, of.start, of.end));
        return found;
    }

    /// <summary>As <see cref="TrySeek"/>, asking <see cref="Source"/> for missing nodes.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt (the byte is not among these blocks), Io.</exception>
    public async ValueTask<(long Block, long OffsetInBlock)> SeekAsync(long byteOffset, long start, long end, FetchPriority priority, CancellationToken ct)
    {
        for (int steps = 0; steps < MaxSeekSteps; steps++)
        {
            if (TrySeek(byteOffset, ref start, ref end, out long offset)) return (start, offset);
            if (start >= end) throw new DatException(DatError.Corrupt, $"Byte {byteOffset} is not where the archive says it is.");
            IBlockSource source = Source ?? throw new DatException(DatError.Offline, $"The position of byte {byteOffset} is not known, and there is no peer to ask.");
            await source.FetchOffsetAsync(byteOffset, start, end, priority, ct);
        }

        throw new DatException(DatError.TimedOut, $"Peers did not help to find byte {byteOffset}.");
    }

    /// <summary>Completes when the verified length is at least <paramref name="minLength"/>.</summary>
    /// <exception cref="DatException">Offline, TimedOut.</exception>
    public async ValueTask WaitForLengthAsync(long minLength, FetchPriority priority, CancellationToken ct)
    {
        if (Length >= minLength) return;
        if (Source is { } source)
        {
            await source.FetchLengthAsync(minLength, priority, ct);
            return;
        }

        TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_waiting) _lengthWaiters.Add((minLength, done));
        if (Length >= minLength) done.TrySetResult();
        try
        {
            await done.Task.WaitAsync(ct);
        }
        finally
        {
            lock (_waiting) _lengthWaiters.RemoveAll(waiter => waiter.Done == done);
        }
    }

    private void WakeLengthWaiters()
    {
        lock (_waiting)
        {
            foreach ((long minLength, TaskCompletionSource done) in _lengthWaiters)
            {
                if (Length >= minLength) done.TrySetResult();
            }
        }
    }

    private bool TryLocate(long index, bool guess, out long offset, out TreeNode leaf)
    {
        offset = 0;
        if (!_tree.TryGet(2 * index, out leaf)) return false;
        NextBlock? next = _next;
        if (next?.Index == index) offset = next.Offset;
        else if (!_tree.TryGetOffset(index, out offset, guess)) return false;
        return true;
    }

    private bool TryReadVerified(long index, bool lent, out BlockLease block)
    {
        block = default;
        if (!TryLocate(index, lent, out long offset, out TreeNode leaf) || leaf.Size > ProofVerifier.MaxBlockSize) return false;
        if (TryReadBytes(lent ? Lender : _tree.Store.Data, offset, (int)leaf.Size, out block) && (!(lent || _options.VerifyReads) || TreeHash.Leaf(index, block.Memory.Span) == leaf))
        {
            _next = new NextBlock(index + 1, offset + leaf.Size);
            return true;
        }

        block.Dispose();
        block = default;
        return false;
    }

    private bool TryReadBytes(IRandomAccessFile? data, long offset, int size, out BlockLease block)
    {
        block = default;
        if (size == 0) return true;
        if (data is null) return false;
        try
        {
            // A size is only a claim until there are as many bytes.
            if (data.Length < offset + size) return false;
            IMemoryOwner<byte> owner = _options.Memory.Rent(size);
            block = new BlockLease(owner.Memory[..size], owner);
            return data.Read(offset, owner.Memory.Span[..size]) == size;
        }
        catch (Exception e) when (IsDiskError(e))
        {
            block.Dispose();
            throw DiskError("read", e);
        }
    }

    // False when the block is not what it was any more.
    private bool DropDamaged(long index, bool lent)
    {
        lock (_commit)
        {
            if (!_bits.ClearBlock(index, lent)) return false;
        }

        if (lent) Interlocked.Increment(ref _clears);
        else ScheduleFlush(0);
        AnnounceCleared(index, 1);
        return true;
    }

    private (bool Found, long Start, long End, long OffsetInBlock) Seek(long at, long start, long end)
    {
        long length = Length;
        start = Math.Max(0, start);
        if (at < 0 || start >= end) return (false, start, start, 0);
        if (at == 0 && start == 0 && length > 0) return (true, 0, 1, 0);
        if (at == ByteLength && length >= start && length <= end) return (true, length, length + 1, 0);
        if (at >= ByteLength) return end > length ? (false, Math.Max(start, length), end, 0) : (false, start, start, 0);

        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        foreach (long root in roots[..FlatTree.FullRoots(length, roots)])
        {
            if (!_tree.TryGet(root, out TreeNode node)) break;
            if (at < node.Size) return Descend(node, at, start, end);
            at -= node.Size;
        }

        return (false, start, end, 0);
    }

    private (bool Found, long Start, long End, long OffsetInBlock) Descend(TreeNode node, long at, long start, long end)
    {
        while (!FlatTree.IsLeaf(node.Index))
        {
            bool hasLeft = _tree.TryGet(FlatTree.LeftChild(node.Index), out TreeNode left);
            bool hasRight = _tree.TryGet(FlatTree.RightChild(node.Index), out TreeNode right);
            if (!hasLeft && !hasRight) break;
            if (FlatTree.IsLeaf(FlatTree.LeftChild(node.Index)) && hasLeft && _tree.SizeIsProvisional(left.Index)) break;

            // Only the sum of the two is needed from above, so one tells the other.
            long leftSize = hasLeft ? left.Size : node.Size - right.Size;
            TreeNode next = at < leftSize
                ? hasLeft ? left : new TreeNode(FlatTree.LeftChild(node.Index), default, leftSize)
                : hasRight ? right : new TreeNode(FlatTree.RightChild(node.Index), default, node.Size - leftSize);
            if (at >= leftSize) at -= leftSize;
            node = next;
        }

        long from = Math.Max(start, FlatTree.LeftSpan(node.Index) / 2);
        long to = Math.Min(end, FlatTree.LengthThrough(node.Index));
        if (from >= to) return (false, start, start, 0);
        return FlatTree.IsLeaf(node.Index) ? (true, from, to, at) : (false, from, to, 0);
    }

    /// <summary>Where the block after the last one read begins: reading in order needs no other nodes than leaves.</summary>
    private sealed record NextBlock(long Index, long Offset);
}
