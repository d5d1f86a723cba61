using System.Buffers;

namespace DatFs.Feeds;

/// <summary>
/// Finds, when a feed is opened, the longest tree that its files prove (hypercore.md §10, §16). The bits say where to begin; only a valid
/// signature over roots that are really there decides. An interrupted append is carried to its end, never begun anew with other blocks.
/// </summary>
internal sealed class FeedRecovery
{
    /// <summary>Signatures checked one by one on the way back through a damaged feed; after these the steps grow.</summary>
    public const int MaxChecks = 4096;

    /// <summary>Lengths whose nodes are all computed from the leaves, when more than their signatures was lost.</summary>
    public const int MaxRebuilds = 16;

    private readonly FeedTree _tree;
    private readonly FeedStore _store;
    private readonly StoredRoots _roots;
    private readonly bool _writer;
    private (long Block, long Offset) _next;
    private bool _rebuilt;

    private FeedRecovery(FeedTree tree, bool writer)
    {
        _tree = tree;
        _store = tree.Store;
        _roots = new StoredRoots(tree);
        _writer = writer;
    }

    /// <summary>Blocks that were once signed here, as far as anything tells; more than the length when some could not be recovered.</summary>
    public long Claimed { get; private set; }

    /// <summary>The files were changed, or the bits are to be.</summary>
    public bool Changed { get; private set; }

    /// <summary>Sets the tree's length, and its bits to what belongs to it.</summary>
    /// <exception cref="DatException">Corrupt: there are blocks, and signatures, but none of them is valid.</exception>
    public static FeedRecovery Run(FeedTree tree, bool writer)
    {
        FeedRecovery recovery = new(tree, writer);
        recovery.Run();
        return recovery;
    }

    private void Run()
    {
        long implied = TreeLength.Implied(_tree);
        Claimed = implied;
        long length = Find(implied, out long byteLength, out bool isStatic);

        // A node that was repaired on the way may be all that a longer tree lacked.
        if (_writer && (_rebuilt || _roots.Repaired) && Claimed > length) length = Find(implied, out byteLength, out isStatic);
        if (length == 0 && implied > 0 && _roots.Refuted)
            throw new DatException(DatError.Corrupt, $"The feed in {_store.Files.Folder.DisplayName} has {implied} blocks but no valid signature: it is damaged, or of another generation.");

        if (_writer) KeepClaim(length);
        FitBits(length, isStatic);

        // What was signed and then lost is kept: it is the evidence that peers may have more.
        if (!_store.ReadOnly && _store.Signatures.Slots > length && (!_writer || Claimed <= length))
        {
            _store.Signatures.CutAfter(length);
            Changed = true;
        }

        Changed |= _roots.Repaired;
        _tree.SetExtent(length, byteLength, isStatic || (length == 0 && !_writer));
    }

    private long Find(long implied, out long byteLength, out bool isStatic)
    {
        isStatic = false;
        byteLength = 0;
        long length = implied == 0 || IsWhole(implied, out byteLength, out isStatic) ? implied : -1;
        if (isStatic) return length;
        long from = length;
        Forward(implied, ref length, ref byteLength);
        if (length < 0)
        {
            Backward(implied, out length, out byteLength);

            // What the owner can rebuild behind the damage is theirs now, and not only when the feed is opened the next time.
            if (_writer) Forward(length, ref length, ref byteLength);
        }

        if (length != from) Changed = true;
        return length;
    }

    private bool IsWhole(long length, out long byteLength, out bool isStatic)
    {
        isStatic = false;
        return _roots.IsSigned(length, out byteLength) || (isStatic = _roots.IsStatic(length, out byteLength)) || _roots.IsSignedBelow(length, out byteLength);
    }

    // Changes whose bits did not reach the disk: their signature was written after everything it signs. The highest one counts.
    private void Forward(long implied, ref long length, ref long byteLength)
    {
        if (_store.Signatures.NextAfter(implied) == 0) return;
        long top = Math.Min(_store.Signatures.Slots, ProofVerifier.MaxLength);
        if (_writer) Claim(implied, top);
        int before = _roots.Checks;
        int rebuilds = 0;
        for (long candidate = _store.Signatures.LastUpTo(top); candidate > implied && _roots.Checks - before < MaxChecks; candidate = _store.Signatures.LastUpTo(candidate - 1))
        {
            if (!_roots.IsSigned(candidate, out long bytes) && (!_writer || rebuilds++ >= MaxRebuilds || !CanRebuild(implied, candidate, out bytes))) continue;
            if (_writer && !HasLastBatch(implied, candidate)) continue;
            (length, byteLength) = (candidate, bytes);
            return;
        }
    }

    // A signature over nodes that are lost tells of blocks just as one that can be verified; one that is not valid was never whole.
    private void Claim(long implied, long top)
    {
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        int before = _roots.Checks;
        for (long candidate = _store.Signatures.LastUpTo(top); candidate > implied && _roots.Checks - before < MaxChecks; candidate = _store.Signatures.LastUpTo(candidate - 1))
        {
            if (_roots.TryRead(candidate, roots, out int count, out _) && !_roots.IsSigned(candidate, roots[..count])) continue;
            Claimed = Math.Max(Claimed, candidate);
            return;
        }
    }

    private void Backward(long implied, out long length, out long byteLength)
    {
        // The last root of n blocks is never left of node n-1: beyond the end of a short file nothing needs to be tried.
        length = Math.Min(implied, _store.Tree.Entries + 1);
        int before = _roots.Checks;
        while (true)
        {
            length = _store.Signatures.LastUpTo(_roots.Checks - before < MaxChecks ? length - 1 : length / 2);
            if (length == 0) break;
            if (_roots.IsSigned(length, out byteLength)) return;
        }

        (length, byteLength) = (0, 0);
    }

    // Nobody else may have it yet. What was signed before it was once whole, and its gaps are blocks given up, or never fetched.
    private bool HasLastBatch(long implied, long length)
    {
        for (long block = Math.Max(implied, _store.Signatures.LastUpTo(length - 1)); block < length; block++)
        {
            if (!HasBytes(block)) return false;
        }

        return true;
    }

    // Parents that did not reach the disk follow from the leaves.
    private bool CanRebuild(long from, long to, out long byteLength)
    {
        byteLength = 0;
        if (Grow(from, to, null) is not { } roots || !_roots.IsSigned(to, roots.Roots)) return false;
        foreach (TreeNode root in roots.Roots) byteLength += root.Size;
        Grow(from, to, _store.Tree);
        return Changed = _rebuilt = true;
    }

    private RootStack? Grow(long from, long to, TreeFile? repair)
    {
        Span<TreeNode> first = stackalloc TreeNode[FlatTree.MaxRoots];
        if (!_roots.TryRead(from, first, out int count, out long byteLength)) return null;
        RootStack roots = new(first[..count]);
        if (repair is not null) foreach (TreeNode root in roots.Roots) Repair(repair, root);
        List<TreeNode> created = [];
        for (long block = from; block < to; block++)
        {
            if (!_store.Tree.TryPeek(2 * block, out TreeNode leaf) || !TreeHash.CanAdd(byteLength, leaf.Size)) return null;
            byteLength += leaf.Size;
            created.Clear();
            roots.Push(leaf, created);
            if (repair is not null) foreach (TreeNode node in created) Repair(repair, node);
        }

        return roots;
    }

    private static void Repair(TreeFile tree, in TreeNode node)
    {
        if (!tree.TryPeek(node.Index, out TreeNode stored) || stored != node) tree.Write(node);
    }

    private bool HasBytes(long block)
    {
        if (!_store.Tree.TryPeek(2 * block, out TreeNode leaf) || leaf.Size > ProofVerifier.MaxBlockSize || !TryOffset(block, out long offset)) return false;
        _next = (block + 1, offset + leaf.Size);
        byte[] bytes = ArrayPool<byte>.Shared.Rent((int)leaf.Size);
        try
        {
            int read = leaf.Size == 0 ? 0 : _store.Data?.Read(offset, bytes.AsSpan(0, (int)leaf.Size)) ?? 0;
            return TreeHash.Leaf(block, bytes.AsSpan(0, read)) == leaf;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    // Of blocks in a row each begins where the one before ends.
    private bool TryOffset(long block, out long offset)
    {
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        offset = _next.Offset;
        return (block > 0 && block == _next.Block) || _roots.TryRead(block, roots, out _, out offset);
    }

    // Written before the bits are given up: nothing else may remain that tells of these blocks.
    private void KeepClaim(long length)
    {
        long known = _store.ReadClaim();
        Claimed = Math.Max(Math.Max(Claimed, known), length);
        if (_store.ReadOnly) return;
        if (Claimed > length && Claimed != known) _store.WriteClaim(Claimed);
        else if (Claimed == length && known > 0) _store.DeleteClaim();
    }

    private void FitBits(long length, bool isStatic)
    {
        Changed |= _tree.Bits.CutAfter(length);
        Changed |= _tree.Bits.CutNodes(_store.Tree.Entries, 2 * length);
        bool owned = _writer && !_store.HasForeignData;
        List<(long Start, long End)> hidden = owned ? WithoutLeaves(length) : [];
        TrustRoots(length);
        if (isStatic || length == 0) return;
        FeedAudit audit = new(_tree, _roots, forgets: !_writer);
        audit.SettleLoose();
        if (owned) Refill(audit, hidden, length);
        Changed |= audit.Changed;
    }

    private List<(long Start, long End)> WithoutLeaves(long length)
    {
        List<(long Start, long End)> ranges = [];
        for (long block = _tree.Bits.FirstWithoutLeaf(0, length); block < length; block = _tree.Bits.FirstWithoutLeaf(block, length))
        {
            long start = block;
            while (block < length && !_tree.Has(2 * block)) block++;
            ranges.Add((start, block));
        }

        return ranges;
    }

    private void TrustRoots(long length)
    {
        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        foreach (long root in roots[..FlatTree.FullRoots(length, roots)])
        {
            if (_tree.Has(root)) continue;
            _tree.Bits.SetNode(root);
            Changed = true;
        }
    }

    // Pages torn in an append, or lost, hide blocks that perhaps only their owner has. Before the last batch a missing block whose leaf is
    // trusted was given up.
    private void Refill(FeedAudit audit, List<(long Start, long End)> hidden, long length)
    {
        foreach ((long start, long end) in hidden)
        {
            for (long block = start; block < end; block++)
            {
                if (_tree.Has(2 * block) || audit.TryTrust(2 * block)) HoldIfThere(block);
            }
        }

        if (_tree.Bits.FirstMissing(0, length) == length) return;
        for (long block = _tree.Bits.FirstMissing(_store.Signatures.LastUpTo(length - 1), length); block < length; block = _tree.Bits.FirstMissing(block + 1, length)) HoldIfThere(block);
    }

    private void HoldIfThere(long block)
    {
        if (!_tree.Has(2 * block) || !HasBytes(block)) return;
        _tree.Bits.SetBlock(block);
        Changed = true;
    }
}
