using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Unit;

/// <summary>A feed's tree in memory: what the verifier decides is stored here exactly as a feed on disk has to store it.</summary>
internal sealed class MemoryTree(FeedKey key) : ITrustedTree
{
    private const long NodesPerPage = 16384;

    private readonly Dictionary<long, TreeNode> _nodes = [];
    private readonly Dictionary<long, byte[]> _signatures = [];
    private readonly HashSet<long> _bits = [];
    private readonly HashSet<long> _provisional = [];
    private readonly SortedDictionary<long, byte[]> _blocks = [];

    public FeedKey Key => key;
    public long Length { get; private set; }
    public long ByteLength { get; private set; }
    public bool IsStatic { get; set; } = true;
    public long BitLimit => _bits.Count == 0 ? 0 : (_bits.Max() / NodesPerPage + 1) * NodesPerPage;

    public IEnumerable<long> Bits => _bits.Order();
    public IReadOnlyDictionary<long, byte[]> Blocks => _blocks;
    public IReadOnlyDictionary<long, TreeNode> Nodes => _nodes;

    public bool Has(long node) => _bits.Contains(node);

    public bool TryGet(long node, out TreeNode value)
    {
        value = default;
        return _bits.Contains(node) && _nodes.TryGetValue(node, out value);
    }

    public bool SizeIsProvisional(long leafNode) => _provisional.Contains(leafNode);

    public bool TryGetSignature(long length, Span<byte> into64)
    {
        if (!_signatures.TryGetValue(length, out byte[]? signature)) return false;
        signature.CopyTo(into64);
        return true;
    }

    /// <summary>Sets tree bits as they are, without nodes and without filling parents.</summary>
    public void SetBits(IEnumerable<long> nodes)
    {
        foreach (long node in nodes) _bits.Add(node);
    }

    /// <summary>Appends a batch as the owner; without a key the feed stays unsigned.</summary>
    public void Append(IEnumerable<byte[]> blocks, SecretKey? secret)
    {
        List<TreeNode> roots = RootsOf(Length);
        foreach (byte[] block in blocks)
        {
            _blocks[Length] = block;
            roots.Add(TreeHash.Leaf(Length, block));
            Store(roots[^1]);
            while (roots.Count > 1 && FlatTree.Parent(roots[^1].Index) == FlatTree.Parent(roots[^2].Index))
            {
                TreeNode parent = TreeHash.Parent(roots[^2], roots[^1]);
                roots.RemoveRange(roots.Count - 2, 2);
                roots.Add(parent);
                Store(parent);
            }

            Length++;
            ByteLength += block.Length;
        }

        if (secret is null) return;
        IsStatic = false;
        byte[] signature = new byte[Ed25519.SignatureSize];
        secret.Sign(HashOf(roots), signature);
        _signatures[Length] = signature;
    }

    /// <summary>Hash over the roots, which is the key of a static feed.</summary>
    public byte[] RootHash() => HashOf(RootsOf(Length));

    /// <summary>Overwrites a stored node, as a failing disk would.</summary>
    public void Damage(TreeNode node) => _nodes[node.Index] = node;

    /// <summary>Gives up the bytes of blocks [start, end); the tree stays.</summary>
    public void Clear(long start, long end)
    {
        for (long block = start; block < end; block++) _blocks.Remove(block);
    }

    /// <summary>Carries out an accepting verdict.</summary>
    public void Apply(in Verdict verdict, Proof proof)
    {
        foreach (TreeNode node in verdict.Store!)
        {
            if (_nodes.ContainsKey(node.Index)) throw new InvalidOperationException($"a verdict overwrites trusted node {node.Index}");
            Store(node);
        }

        foreach (TreeNode node in verdict.Correct ?? [])
        {
            _nodes[node.Index] = node;
            _provisional.Remove(node.Index);
        }

        if (verdict.ProvisionalPair >= 0)
        {
            _provisional.Add(FlatTree.LeftChild(verdict.ProvisionalPair));
            _provisional.Add(FlatTree.RightChild(verdict.ProvisionalPair));
        }

        if (proof.Value is ReadOnlyMemory<byte> value) _blocks[proof.Index] = value.ToArray();
        if (verdict.StoreSignature)
        {
            _signatures[verdict.ClaimedLength] = proof.Signature!.Value.ToArray();
            IsStatic = false;
        }

        if (verdict.Outcome != ProofOutcome.AcceptedLonger) return;
        Length = verdict.ClaimedLength;
        ByteLength = verdict.ClaimedByteLength;
    }

    /// <summary>Everything that must not change when a proof is refused, as text.</summary>
    public string Snapshot() => string.Join('\n', [
        $"{Length} {ByteLength} {IsStatic}",
        string.Join(' ', Bits),
        string.Join(' ', _provisional.Order()),
        .. _nodes.OrderBy(node => node.Key).Select(node => $"{node.Value}"),
        .. _signatures.OrderBy(entry => entry.Key).Select(entry => $"{entry.Key} {Convert.ToHexStringLower(entry.Value)}"),
        .. _blocks.Select(entry => $"{entry.Key} {Convert.ToHexStringLower(entry.Value)}")]);

    private void Store(TreeNode node)
    {
        _nodes[node.Index] = node;
        for (long at = node.Index; _bits.Add(at) && _bits.Contains(FlatTree.Sibling(at));) at = FlatTree.Parent(at);
    }

    private List<TreeNode> RootsOf(long length)
    {
        Span<long> indexes = stackalloc long[FlatTree.MaxRoots];
        List<TreeNode> roots = [];
        foreach (long index in indexes[..FlatTree.FullRoots(length, indexes)]) roots.Add(_nodes[index]);
        return roots;
    }

    private static byte[] HashOf(List<TreeNode> roots)
    {
        byte[] hash = new byte[NodeHash.Size];
        TreeHash.Root([.. roots]).CopyTo(hash);
        return hash;
    }
}
