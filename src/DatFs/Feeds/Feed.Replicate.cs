using DatFs.Crypto;
using DatFs.Encoding;

namespace DatFs.Feeds;

/// <summary>What peers ask and answer (hypercore.md §11 to §14).</summary>
public sealed partial class Feed
{
    private readonly SignatureCache _signatures = new();

    /// <summary>The digest to send with a request for a block (§11.1).</summary>
    public ulong DigestFor(long index) => Consistent(index, static (feed, block) => Digest.For(feed._tree, block));

    /// <summary>
    /// Answers a request (§11.2); false when the block's leaf (or, without <paramref name="hashOnly"/>, its bytes) is not held, when no signed
    /// length covers it, or when the feed is frozen. The lease, if any, backs Value.
    /// </summary>
    /// <exception cref="DatException">Corrupt, Io.</exception>
    internal bool TryProve(long index, ulong digest, bool hashOnly, RemoteTree remote, out Proof proof, out BlockLease lease)
    {
        proof = null!;
        lease = default;
        if (_forked || index < 0 || index >= Length) return false;
        if (!hashOnly && !TryRead(index, out lease)) return false;
        try
        {
            Proof? built = Consistent((index, digest, hashOnly, remote, lease.Memory), static (feed, of) => feed.Prove(of.index, of.digest, of.hashOnly, of.remote, of.Memory));
            if (built is not null)
            {
                proof = built;
                return true;
            }
        }
        catch
        {
            lease.Dispose();
            throw;
        }

        lease.Dispose();
        lease = default;
        return false;
    }

    private Proof? Prove(long index, ulong digest, bool hashOnly, RemoteTree remote, ReadOnlyMemory<byte> value)
    {
        List<TreeNode> nodes = [];
        Span<byte> signature = stackalloc byte[Ed25519.SignatureSize];
        if (!ProofBuilder.TryBuild(_tree, index, digest, hashOnly, remote, nodes, signature, out bool signed)) return null;
        return new Proof(index, hashOnly ? (ReadOnlyMemory<byte>?)null : value, nodes, signed ? signature.ToArray() : (ReadOnlyMemory<byte>?)null);
    }

    /// <summary>The data bits [start, start+length) as RLE (§15), for a Have. start is a multiple of 8.</summary>
    public byte[] EncodeHave(long start, long length)
    {
        long blocks = Math.Min(length, _bits.PageCount * BitfieldPage.Blocks - start);
        if (_forked || blocks <= 0) return [];
        byte[] bits = new byte[Math.Min((blocks + 7) / 8, BitfieldRle.MaxOpenEndedBytes)];
        _bits.CopyBlocks(start, bits);
        if (blocks < 8L * bits.Length) bits[^1] &= (byte)(0xFF << (int)(8L * bits.Length - blocks));
        return BitfieldRle.Encode(bits);
    }

    /// <summary>Verifies an answer by the strict rules of §12 and stores it, all or nothing.</summary>
    /// <remarks>The caller has matched it with a request of its own for this block and kind.</remarks>
    /// <exception cref="DatException">Corrupt or Io: the trouble is here, not with the peer.</exception>
    public async ValueTask<ProofOutcome> AcceptAsync(Proof proof, CancellationToken ct)
    {
        if (_forked) return ProofOutcome.Forked;
        if (proof.Signature is null && proof.Value is not null && HasBlock(proof.Index)) return ProofOutcome.AlreadyHeld;
        NodeHash leafHash = default;
        if (proof.Value is { } value)
        {
            if (value.Length > ProofVerifier.MaxBlockSize) return ProofOutcome.Rejected;
            leafHash = TreeHash.Leaf(0, value.Span).Hash;
        }

        await _turn.WaitAsync(ct);
        try
        {
            CheckChangeable();
            if (_tree.Store.ReadOnly || _tree.Store.HasForeignData)
                throw new DatException(DatError.NotWritable, $"The feed in {Files.Folder.DisplayName} is only read: nothing can be stored there.");
            Verdict verdict = ProofVerifier.Verify(_tree, proof, proof.Value is null, proof.Index, leafHash, _signatures);
            if (verdict.Outcome == ProofOutcome.Forked) Freeze(proof, verdict);
            return verdict.IsAccepted ? Store(proof, verdict) : verdict.Outcome;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw DiskError("written", e);
        }
        finally
        {
            _turn.Release();
        }
    }

    // Step 7: files first, then bits and length in one moment.
    private ProofOutcome Store(Proof proof, in Verdict verdict)
    {
        FeedStore store = _tree.Store;
        foreach (TreeNode node in verdict.Correct ?? []) store.Tree.Write(node);
        foreach (TreeNode node in verdict.Store!) store.Tree.Write(node);
        bool adds = proof.Value is not null && !HasBlock(proof.Index);
        long bytes = 0;
        if (adds && proof.Value is { Length: > 0 } value)
        {
            store.DataForWrite().Write(PlaceOf(verdict, proof.Index, value.Length), value.Span);
            bytes = value.Length;
        }

        if (verdict.StoreSignature) store.Signatures.Write(verdict.ClaimedLength, proof.Signature!.Value.Span);
        if (!adds && verdict.Store!.Count == 0 && verdict.Correct is null) return ProofOutcome.AlreadyHeld;

        long oldLength = Length;
        bool longer = verdict.Outcome == ProofOutcome.AcceptedLonger;
        InOneMoment((verdict, proof.Index, adds), static (feed, of) =>
        {
            foreach (TreeNode node in of.verdict.Store!) feed._bits.SetNode(node.Index);
            if (of.adds) feed._bits.SetBlock(of.Index);
            if (of.verdict.Outcome == ProofOutcome.AcceptedLonger) feed._tree.SetExtent(of.verdict.ClaimedLength, of.verdict.ClaimedByteLength, !of.verdict.StoreSignature);
        });

        ScheduleFlush(bytes);
        Announce(oldLength, longer ? verdict.ClaimedLength : oldLength, proof.Index, adds ? 1 : 0);
        return verdict.Outcome;
    }

    // The nodes left of a verified block are held or come with its proof (§8). Held ones may have rotted since they were checked.
    private long PlaceOf(in Verdict verdict, long block, int size)
    {
        long signedBytes = Math.Max(ByteLength, verdict.ClaimedByteLength);
        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        long offset = 0;
        foreach (long root in roots[..FlatTree.FullRoots(block, roots)])
        {
            TreeNode node = default;
            int at = verdict.Store!.FindIndex(candidate => candidate.Index == root);
            if (at >= 0) node = verdict.Store[at];
            else if (!_tree.TryGet(root, out node)) throw new DatException(DatError.Corrupt, $"Tree node {root} is missing, so block {block} has no place in {Files.Folder.DisplayName}.");
            if (!TreeHash.CanAdd(offset, node.Size)) throw new DatException(DatError.Corrupt, "The sizes of stored tree nodes add up to more than a feed can hold.");
            offset += node.Size;
        }

        if (offset > signedBytes - size)
            throw new DatException(DatError.Corrupt, $"Block {block} would lie behind the end of the feed in {Files.Folder.DisplayName}: stored tree nodes are damaged.");
        return offset;
    }
}
