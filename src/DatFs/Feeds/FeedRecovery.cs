using System.Buffers;
using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>
/// Finds, when a feed is opened, the longest tree that its files prove (hypercore.md §10, §16). The bits say where to begin; only a valid
/// signature over roots that are really there decides. An interrupted append is carried to its end, never begun anew with other blocks.
/// </summary>
internal sealed class FeedRecovery
{
    /// <summary>Most signatures checked on the way back through a damaged feed.</summary>
    public const int MaxChecks = 4096;

    private readonly FeedTree _tree;
    private readonly FeedStore _store;
    private readonly bool _writer;
    private bool _refuted;

    private FeedRecovery(FeedTree tree, bool writer)
    {
        _tree = tree;
        _store = tree.Store;
        _writer = writer;
    }

    /// <summary>Blocks that were once signed here, as far as anything tells; more than the length when some could not be recovered.</summary>
    public long Claimed { get; private set; }

    /// <summary>The bits were changed and are to be written.</summary>
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
        bool isStatic = false;
        long byteLength = 0;
        long length = implied == 0 || IsSigned(implied, out byteLength) || (isStatic = IsStaticRoot(implied, out byteLength)) ? implied : -1;
        if (!isStatic)
        {
            long from = length;
            Forward(implied, ref length, ref byteLength);
            if (length < 0)
            {
                Backward(implied, out length, out byteLength);

                // What the owner can rebuild behind the damage is theirs now, and not only when the feed is opened the next time.
                if (_writer) Forward(length, ref length, ref byteLength);
            }

            if (length != from) Changed = true;
        }

        if (length == 0 && implied > 0 && _refuted)
            throw new DatException(DatError.Corrupt, $"The feed in {_store.Files.Folder.DisplayName} has {implied} blocks but no valid signature: it is damaged, or of another generation.");

        Claimed = Math.Max(Claimed, length);
        if (_tree.Bits.CutAfter(length)) Changed = true;
        TrustRoots(length);

        // What was signed and then lost is kept: it is the evidence that peers may have more.
        if (!_store.ReadOnly && _store.Signatures.Slots > length && (!_writer || Claimed == length))
        {
            _store.Signatures.CutAfter(length);
            Changed = true;
        }

        _tree.SetExtent(length, byteLength, isStatic || (length == 0 && !_writer));
    }

    // An append whose bits did not reach the disk: its signature was written after everything it signs.
    private void Forward(long implied, ref long length, ref long byteLength)
    {
        long whole = implied;
        long candidate = implied;
        for (int checks = 0; checks < MaxChecks; checks++)
        {
            candidate = _store.Signatures.NextAfter(candidate);
            if (candidate is 0 or > ProofVerifier.MaxLength) return;
            bool signed;
            long bytes;
            if (!_writer) signed = IsSigned(candidate, out bytes);
            else if (CanRebuild(whole, candidate, out bytes) && HasBlocks(whole, candidate))
            {
                TrustBlocks(whole, candidate);
                signed = true;
            }
            else
            {
                if (IsSigned(candidate, out _)) Claimed = Math.Max(Claimed, candidate);
                signed = false;
            }

            if (!signed) continue;
            whole = length = candidate;
            byteLength = bytes;
        }
    }

    private void Backward(long implied, out long length, out long byteLength)
    {
        length = implied;
        for (int checks = 0; checks < MaxChecks; checks++)
        {
            length = _store.Signatures.LastUpTo(length - 1);
            if (length == 0) break;
            if (IsSigned(length, out byteLength)) return;
        }

        (length, byteLength) = (0, 0);
    }

    private bool IsSigned(long length, out long byteLength)
    {
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        if (!TryRoots(length, roots, out int count, out byteLength)) return false;
        return IsSignature(length, roots[..count]);
    }

    private bool IsSignature(long length, ReadOnlySpan<TreeNode> roots)
    {
        Span<byte> signature = stackalloc byte[Ed25519.SignatureSize];
        if (!_store.Signatures.TryRead(length, signature)) return false;
        if (SignatureCache.VerifyNow(_tree.Key, TreeHash.Root(roots), signature)) return true;
        _refuted = true;
        return false;
    }

    private bool IsStaticRoot(long length, out long byteLength)
    {
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        if (!TryRoots(length, roots, out int count, out byteLength)) return false;
        Span<byte> hash = stackalloc byte[NodeHash.Size];
        TreeHash.Root(roots[..count]).CopyTo(hash);
        return FeedKey.From(hash) == _tree.Key;
    }

    private bool TryRoots(long length, Span<TreeNode> roots, out int count, out long byteLength)
    {
        Span<long> indexes = stackalloc long[FlatTree.MaxRoots];
        byteLength = 0;
        count = FlatTree.FullRoots(length, indexes);
        for (int i = 0; i < count; i++)
        {
            if (!_store.Tree.TryRead(indexes[i], out roots[i]) || !TreeHash.CanAdd(byteLength, roots[i].Size)) return false;
            byteLength += roots[i].Size;
        }

        return true;
    }

    // Parents that did not reach the disk follow from the leaves.
    private bool CanRebuild(long from, long to, out long byteLength)
    {
        byteLength = 0;
        Span<TreeNode> first = stackalloc TreeNode[FlatTree.MaxRoots];
        if (!TryRoots(from, first, out int count, out byteLength)) return false;
        List<TreeNode> parents = [];
        RootStack roots = new(first[..count]);
        for (long block = from; block < to; block++)
        {
            if (!_store.Tree.TryRead(2 * block, out TreeNode leaf) || !TreeHash.CanAdd(byteLength, leaf.Size)) return false;
            byteLength += leaf.Size;
            roots.Push(leaf, parents);
        }

        if (!IsSignature(to, roots.Roots)) return false;
        foreach (TreeNode parent in parents)
        {
            if (!FlatTree.IsLeaf(parent.Index)) _store.Tree.Write(parent);
        }

        Changed = true;
        return true;
    }

    private bool HasBlocks(long from, long to)
    {
        if (_store.Data is not { } data) return false;
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        if (!TryRoots(from, roots, out _, out long offset)) return false;
        for (long block = from; block < to; block++)
        {
            if (!_store.Tree.TryRead(2 * block, out TreeNode leaf) || leaf.Size > ProofVerifier.MaxBlockSize) return false;
            byte[] bytes = ArrayPool<byte>.Shared.Rent((int)leaf.Size);
            try
            {
                Span<byte> read = bytes.AsSpan(0, data.Read(offset, bytes.AsSpan(0, (int)leaf.Size)));
                if (TreeHash.Leaf(block, read) != leaf) return false;
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(bytes);
            }

            offset += leaf.Size;
        }

        return true;
    }

    private void TrustBlocks(long from, long to)
    {
        for (long block = from; block < to; block++) _tree.Bits.SetNode(2 * block);
        _tree.Bits.SetBlocks(from, to, true);
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
}
