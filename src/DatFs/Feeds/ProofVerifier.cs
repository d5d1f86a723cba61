using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>
/// Decides whether a proof is believed (hypercore.md §12, §18). A block or node is believed only when a chain of hashes leads from it to a
/// node that is trusted already, or to the roots of a tree that the owner signed. Decides only: nothing is stored here.
/// </summary>
internal static class ProofVerifier
{
    /// <summary>Most nodes of a proof: a sibling and a root for each bit of a number.</summary>
    public const int MaxNodes = 2 * FlatTree.MaxRoots;

    /// <summary>Largest block accepted; no frame carries more.</summary>
    public const int MaxBlockSize = 8 * 1024 * 1024;

    /// <summary>Longest feed accepted, by policy: sparse files stay within what file systems can address (§18.5).</summary>
    public const long MaxLength = 1L << 40;

    /// <summary>
    /// Verifies an answer. <paramref name="requestedIndex"/> is the block asked for, null when a byte offset was;
    /// <paramref name="leafHash"/> is the hash of the value, if there is one: computed by the caller, who may do that elsewhere.
    /// </summary>
    /// <exception cref="DatException">Corrupt: what is stored here contradicts itself.</exception>
    public static Verdict Verify(
        ITrustedTree tree, Proof proof, bool hashRequested, long? requestedIndex, in NodeHash leafHash, SignatureCache? cache = null)
    {
        if (ShapeError(proof, hashRequested, requestedIndex) is { } error) return Verdict.Reject(error);
        TreeNode leaf = proof.Value is { } value ? new TreeNode(2 * proof.Index, leafHash, value.Length) : proof.Nodes[0];
        return Climb(tree, proof, leaf, cache);
    }

    // Step 0.
    private static string? ShapeError(Proof proof, bool hashRequested, long? requestedIndex)
    {
        IReadOnlyList<TreeNode> nodes = proof.Nodes;
        if (proof.Index is < 0 or >= MaxLength) return "block index out of range";
        if (requestedIndex is { } requested && requested != proof.Index) return "answer for another block";
        if (hashRequested != proof.Value is null) return hashRequested ? "bytes where only hashes were asked for" : "no bytes";
        if (proof.Value is { Length: > MaxBlockSize }) return "block too large";
        if (proof.Signature is { Length: not Ed25519.SignatureSize }) return "signature is not 64 bytes";
        if (nodes.Count > MaxNodes) return "too many nodes";
        if (hashRequested && (nodes.Count == 0 || nodes[0].Index != 2 * proof.Index)) return "hashes without the leaf asked for";

        Span<long> indexes = stackalloc long[MaxNodes];
        for (int i = 0; i < nodes.Count; i++)
        {
            TreeNode node = nodes[i];
            if (node.Index is < 0 or > FlatTree.MaxIndex) return "node index out of range";
            if (node.Size is < 0 or > TreeHash.MaxSize) return "node size out of range";
            indexes[i] = node.Index;
        }

        indexes = indexes[..nodes.Count];
        indexes.Sort();
        for (int i = 1; i < indexes.Length; i++)
        {
            if (indexes[i] == indexes[i - 1]) return "a node twice";
        }

        return null;
    }

    // Steps 1 and 2.
    private static Verdict Climb(ITrustedTree tree, Proof proof, in TreeNode leaf, SignatureCache? cache)
    {
        List<TreeNode> store = [];
        long provisionalPair = -1;
        TreeNode top = leaf;
        int next = proof.Value is null ? 1 : 0;
        TreeNode stored;
        while (!tree.TryGet(top.Index, out stored))
        {
            long index = FlatTree.Sibling(top.Index);
            bool held = tree.TryGet(index, out TreeNode sibling);
            bool sent = next < proof.Nodes.Count && proof.Nodes[next].Index == index;
            if (!held && !sent) return Authenticate(tree, proof, leaf, top, next, store, provisionalPair, cache);
            if (sent)
            {
                TreeNode remote = proof.Nodes[next++];
                if (held && remote.Hash != sibling.Hash) return Contradicted(tree, proof, leaf, index);
                if (held && remote.Size != sibling.Size && !IsProvisional(tree, index)) return Verdict.Reject("another size for a trusted node");
                if (!held) sibling = remote;
            }

            // The split between two leaves is under no hash, unless the size of one is known for certain (§12.6).
            if (proof.Value is null && top.Index == leaf.Index && (!held || IsProvisional(tree, index))) provisionalPair = FlatTree.Parent(index);
            if (!TreeHash.CanAdd(top.Size, sibling.Size)) return Verdict.Reject("sizes overflow");
            store.Add(top);
            if (!held) store.Add(sibling);
            top = TreeHash.Parent(top, sibling);
        }

        return stored.Hash == top.Hash
            ? Linked(tree, proof, leaf, stored, store, provisionalPair)
            : Contradicted(tree, proof, leaf, top.Index);
    }

    // Step 6: unread nodes are normal here, and forgotten.
    private static Verdict Linked(ITrustedTree tree, Proof proof, in TreeNode leaf, in TreeNode stored, List<TreeNode> store, long provisionalPair)
    {
        List<TreeNode>? correct = null;
        if (stored.Index == leaf.Index)
        {
            bool provisional = tree.SizeIsProvisional(leaf.Index);
            if (proof.Value is null && leaf.Size != stored.Size && !provisional) return Verdict.Reject("another size for a trusted node");
            if (proof.Value is not null && provisional) correct = SizesKnownNow(tree, leaf);
        }

        ProofOutcome outcome = proof.Value is null && store.Count == 0 ? ProofOutcome.AlreadyHeld : ProofOutcome.Accepted;
        return new Verdict(outcome, null, store, 0, 0, false, provisionalPair, correct);
    }

    // Steps 3 to 5.
    private static Verdict Authenticate(
        ITrustedTree tree, Proof proof, in TreeNode leaf, in TreeNode top, int next, List<TreeNode> store, long provisionalPair, SignatureCache? cache)
    {
        long last = next < proof.Nodes.Count ? proof.Nodes[^1].Index : top.Index;
        long claimed = Math.Max(FlatTree.LengthThrough(top.Index), FlatTree.LengthThrough(last));
        if (claimed > MaxLength) return Verdict.Reject("claimed length out of range");

        Span<long> indexes = stackalloc long[FlatTree.MaxRoots];
        Span<TreeNode> roots = stackalloc TreeNode[FlatTree.MaxRoots];
        int count = FlatTree.FullRoots(claimed, indexes);
        bool reached = false;
        long byteLength = 0;
        store.Add(top);
        for (int i = 0; i < count; i++)
        {
            long index = indexes[i];
            bool held = tree.TryGet(index, out roots[i]);
            if (index == top.Index)
            {
                roots[i] = top;
                reached = true;
            }
            else if (next < proof.Nodes.Count && proof.Nodes[next].Index == index)
            {
                TreeNode remote = proof.Nodes[next++];
                if (held && remote.Hash != roots[i].Hash) return Contradicted(tree, proof, leaf, index);
                if (held && remote.Size != roots[i].Size) return Verdict.Reject("another size for a trusted root");
                if (!held) store.Add(remote);
                roots[i] = remote;
            }
            else if (!held) return Verdict.Reject("roots are missing");

            if (!TreeHash.CanAdd(byteLength, roots[i].Size)) return Verdict.Reject("sizes overflow");
            byteLength += roots[i].Size;
        }

        // Without this, genuine roots would vouch for any leaf sent along with them (§18.1).
        if (!reached) return Verdict.Reject("not linked to the roots");
        if (next != proof.Nodes.Count) return Verdict.Reject("nodes left over");
        if (!IsAuthentic(tree, proof, TreeHash.Root(roots[..count]), cache)) return Verdict.Reject("not signed by the owner");

        bool longer = claimed > tree.Length;
        if (longer ? byteLength < tree.ByteLength : byteLength > tree.ByteLength) return ContradictsLength(tree, claimed, byteLength);
        ProofOutcome outcome = longer ? ProofOutcome.AcceptedLonger : ProofOutcome.Accepted;
        return new Verdict(outcome, null, store, claimed, byteLength, proof.Signature is not null, provisionalPair, null);
    }

    private static bool IsAuthentic(ITrustedTree tree, Proof proof, in NodeHash root, SignatureCache? cache)
    {
        if (proof.Signature is { } signature)
            return cache is null ? SignatureCache.VerifyNow(tree.Key, root, signature.Span) : cache.Verify(tree.Key, root, signature.Span);

        // A static feed is named by its root hash; the shortcut is open only until anything is known (§5.4).
        Span<byte> bytes = stackalloc byte[NodeHash.Size];
        root.CopyTo(bytes);
        return tree.IsStatic && tree.Length == 0 && FeedKey.From(bytes) == tree.Key;
    }

    // §12.4: the same message judged without what is known here tells a second history of the owner from a lying peer.
    private static Verdict Contradicted(ITrustedTree tree, Proof proof, in TreeNode leaf, long node)
    {
        Verdict alone = Climb(new UnknownTree(tree.Key), proof, leaf, null);
        if (!alone.StoreSignature) return Verdict.Reject($"contradicts trusted node {node}");
        OwnSide.Check(tree, node);
        return Verdict.Fork($"node {node} was signed with two contents", alone.ClaimedLength);
    }

    // §12.5: bytes are only ever added.
    private static Verdict ContradictsLength(ITrustedTree tree, long claimed, long byteLength)
    {
        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        FlatTree.FullRoots(tree.Length, roots);
        OwnSide.Check(tree, roots[0]);
        return Verdict.Fork($"{tree.Length} blocks of {tree.ByteLength} bytes and {claimed} blocks of {byteLength} bytes were signed", claimed);
    }

    private static List<TreeNode> SizesKnownNow(ITrustedTree tree, in TreeNode leaf)
    {
        List<TreeNode> known = [leaf];
        if (!tree.TryGet(FlatTree.Parent(leaf.Index), out TreeNode parent) || !tree.TryGet(FlatTree.Sibling(leaf.Index), out TreeNode sibling)) return known;
        if (parent.Size < leaf.Size) throw new DatException(DatError.Corrupt, $"tree node {parent.Index} is smaller than a block below it");
        known.Add(sibling with { Size = parent.Size - leaf.Size });
        return known;
    }

    private static bool IsProvisional(ITrustedTree tree, long node) => FlatTree.IsLeaf(node) && tree.SizeIsProvisional(node);

    /// <summary>The tree of somebody who has only heard the key, and that it signs.</summary>
    private sealed class UnknownTree(FeedKey key) : ITrustedTree
    {
        public FeedKey Key => key;
        public long Length => 0;
        public long ByteLength => 0;
        public bool IsStatic => false;
        public long BitLimit => 0;
        public bool Has(long node) => false;
        public bool SizeIsProvisional(long leafNode) => false;
        public bool TryGetSignature(long length, Span<byte> into64) => false;

        public bool TryGet(long node, out TreeNode value)
        {
            value = default;
            return false;
        }
    }
}
