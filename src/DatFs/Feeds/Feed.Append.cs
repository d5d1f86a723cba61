using System.Buffers;
using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>
/// Appending (hypercore.md §9, §16). Block bytes and nodes are durable before they are signed, and the signature before the bits, so a
/// signature found after a crash can always be honoured. Batches that wait for each other share one signature and one set of barriers.
/// </summary>
public sealed partial class Feed
{
    /// <summary>Largest block that still fits into a frame with its proof (§9).</summary>
    public const int MaxBlockSize = 8 * 1024 * 1024 - 8 * 1024;

    private const int WriteBuffer = 1 << 20;
    private const int SegmentBlocks = 4096;

    private readonly Lock _appending = new();
    private long _claimed;
    private List<PendingAppend> _pending = [];

    /// <summary>Appends a batch under one signature, durable when it returns (§9, §16). Returns the index of the first block.</summary>
    /// <remarks>The blocks' memory must not change until it returns. Cancelling has no effect once the batch is being written.</remarks>
    /// <exception cref="DatException">NotWritable, Forked, Invalid, Io.</exception>
    public async ValueTask<long> AppendAsync(IReadOnlyList<ReadOnlyMemory<byte>> blocks, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        CheckAppendable();
        if (blocks.Count == 0) return Length;
        PendingAppend pending = new(blocks);
        lock (_appending) _pending.Add(pending);
        try
        {
            await _turn.WaitAsync(ct);
        }
        catch (OperationCanceledException)
        {
            lock (_appending)
            {
                if (_pending.Remove(pending)) throw;
            }

            return await pending.Done.Task;
        }

        try
        {
            List<PendingAppend> group;
            lock (_appending) (group, _pending) = (_pending, []);
            if (group.Count > 0) await CommitAsync(group);
        }
        finally
        {
            _turn.Release();
        }

        return await pending.Done.Task;
    }

    private async ValueTask CommitAsync(List<PendingAppend> group)
    {
        await _flushTurn.WaitAsync(CancellationToken.None);
        try
        {
            long first = Length;
            Commit(group);
            foreach (PendingAppend pending in group)
            {
                pending.Done.SetResult(first);
                first += pending.Blocks.Count;
            }
        }
        catch (Exception e)
        {
            Exception error = IsDiskError(e) ? DiskError("written", e) : e;
            foreach (PendingAppend pending in group) pending.Done.TrySetException(error);
        }
        finally
        {
            _flushTurn.Release();
        }
    }

    private void Commit(List<PendingAppend> group)
    {
        CheckAppendable();
        FeedStore store = _tree.Store;
        if (LostBlocks > 0) Durable(GiveUpLoss);
        long oldLength = Length;
        long oldBytes = ByteLength;
        RootStack roots = new(_tree.Roots(oldLength));
        long newBytes = WriteBlocks(store, group, oldBytes);
        long newLength = WriteNodes(store.Tree, group, oldLength, roots);
        if (newLength > ProofVerifier.MaxLength) throw new DatException(DatError.Invalid, "The feed has reached its greatest length.");
        Durable(() =>
        {
            if (store.Signatures.Slots > oldLength) store.Signatures.CutAfter(oldLength);
            store.SyncContents();
        });

        // From here on the blocks are signed: nothing else may take their place, whatever happens.
        Span<byte> signature = stackalloc byte[Ed25519.SignatureSize];
        Span<byte> root = stackalloc byte[NodeHash.Size];
        TreeHash.Root(roots.Roots).CopyTo(root);
        _secret!.Sign(root, signature);
        byte[] signed = signature.ToArray();
        Durable(() =>
        {
            store.Signatures.Write(newLength, signed);
            store.Signatures.Sync();
        });

        _bits.BeginStage();
        try
        {
            for (long block = oldLength; block < newLength; block++) _bits.SetNode(2 * block);
            _bits.SetBlocks(oldLength, newLength, true);
            Durable(() => store.WriteBits(_bits, _bits.TakeDirty()));
        }
        catch
        {
            _bits.Discard();
            throw;
        }

        foreach (TreeNode node in roots.Roots) store.Tree.Keep(node);
        InOneMoment((newLength, newBytes), static (feed, to) =>
        {
            feed._bits.Publish();
            feed._tree.SetExtent(to.newLength, to.newBytes, false);
        });

        Announce(oldLength, newLength, oldLength, newLength - oldLength);
    }

    private void GiveUpLoss()
    {
        _tree.Store.DeleteClaim();
        Volatile.Write(ref _claimed, 0);
    }

    private void Durable(Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (IsDiskError(e))
        {
            throw Fail(e);
        }
    }

    private void CheckAppendable()
    {
        CheckChangeable();
        if (_forked) throw new DatException(DatError.Forked, $"The feed in {Files.Folder.DisplayName} has two signed histories and is frozen.");
        if (!Writable) throw new DatException(DatError.NotWritable, $"The feed in {Files.Folder.DisplayName} cannot be written here.");
        if (LostBlocks > 0 && !_options.AppendAfterLoss)
            throw new DatException(DatError.NotWritable, $"The feed in {Files.Folder.DisplayName} lost {LostBlocks} blocks that peers may have: connect to one before writing.");
    }

    private static long WriteBlocks(FeedStore store, List<PendingAppend> group, long offset)
    {
        long total = 0;
        foreach (PendingAppend pending in group) total += pending.Bytes;
        if (total == 0) return offset;
        if (!TreeHash.CanAdd(offset, total)) throw new DatException(DatError.Invalid, "The feed has reached its greatest size.");
        IRandomAccessFile data = store.DataForWrite();
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(total, WriteBuffer));
        try
        {
            int used = 0;
            foreach (ReadOnlyMemory<byte> block in group.SelectMany(pending => pending.Blocks))
            {
                if (block.Length > buffer.Length - used)
                {
                    data.Write(offset, buffer.AsSpan(0, used));
                    offset += used;
                    used = 0;
                }

                if (block.Length > buffer.Length)
                {
                    data.Write(offset, block.Span);
                    offset += block.Length;
                    continue;
                }

                block.Span.CopyTo(buffer.AsSpan(used));
                used += block.Length;
            }

            data.Write(offset, buffer.AsSpan(0, used));
            return offset + used;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    // The nodes of a run of blocks lie together, but for the parents that reach back beyond it; parents not yet complete stay zero (§19).
    private static long WriteNodes(TreeFile tree, List<PendingAppend> group, long length, RootStack roots)
    {
        byte[] entries = ArrayPool<byte>.Shared.Rent(2 * SegmentBlocks * SleepHeader.TreeEntry);
        try
        {
            List<TreeNode> created = [];
            foreach (TreeNode[] leaves in group.SelectMany(pending => pending.Leaves.Chunk(SegmentBlocks)))
            {
                long first = 2 * length;
                Span<byte> segment = entries.AsSpan(0, (2 * leaves.Length - 1) * SleepHeader.TreeEntry);
                segment.Clear();
                foreach (TreeNode leaf in leaves)
                {
                    created.Clear();
                    roots.Push(leaf with { Index = 2 * length++ }, created);
                    foreach (TreeNode node in created)
                    {
                        if (node.Index < first) tree.Write(node);
                        else TreeFile.Encode(node, segment.Slice((int)(node.Index - first) * SleepHeader.TreeEntry, SleepHeader.TreeEntry));
                    }
                }

                tree.Write(first, segment);
            }

            return length;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(entries);
        }
    }

    private sealed class PendingAppend
    {
        public PendingAppend(IReadOnlyList<ReadOnlyMemory<byte>> blocks)
        {
            Blocks = blocks;
            Leaves = new TreeNode[blocks.Count];
            for (int i = 0; i < Leaves.Length; i++)
            {
                if (blocks[i].Length > MaxBlockSize) throw new DatException(DatError.Invalid, $"A block of {blocks[i].Length} bytes is too large to be sent to anyone.");
                Leaves[i] = TreeHash.Leaf(0, blocks[i].Span);
                Bytes += blocks[i].Length;
            }
        }

        public IReadOnlyList<ReadOnlyMemory<byte>> Blocks { get; }

        /// <summary>Hashed before the turn is taken; the index is not part of the hash.</summary>
        public TreeNode[] Leaves { get; }

        public long Bytes { get; }

        public TaskCompletionSource<long> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
