using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Feeds;
using DatFs.Unit;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// Requests whose digest says anything, to a holder of any part of the feed: the answer consists of true nodes within its bound, and a reader that
/// asked honestly can use it. Also asks for blocks at the ends of what numbers can say.
/// </summary>
internal sealed class DigestTarget : IFuzzTarget
{
    private const int MostRequests = 16;

    private readonly OwnersFeed _owner = new();
    private readonly MemoryTree[] _readers;

    public DigestTarget() => _readers = [.. Enumerable.Range(0, OwnersFeed.Histories).Select(_owner.Reader), .. _owner.Ages];

    public string Name => "digests";

    public int MaxLength => 256;

    public long AllocationLimit(int inputLength) => 256 * 1024 + 4096L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        for (int holder = 0; holder < _readers.Length; holder++)
        {
            InputWriter row = new InputWriter().Byte(holder);
            for (int block = 0; block < 20; block += 3) row.Byte(block % 2).Number(block).Number(block * 5);
            yield return row.ToArray();
            yield return new InputWriter().Byte(holder).Byte(0).Number(FlatTree.MaxBlocks - 1).Number((long)Varint.MaxValue).Byte(1).Number(1L << 40).Number(1L << 52).ToArray();
        }
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader requests = new(input);
        MemoryTree holder = _readers[requests.Byte() % _readers.Length];
        RemoteTree remote = new();
        byte[] signature = new byte[Ed25519.SignatureSize];
        for (int i = 0; i < MostRequests && !requests.IsEmpty; i++)
        {
            int kind = requests.Byte();
            long block = requests.Number();
            ulong digest = (ulong)requests.Number();
            ulong own = Digest.For(holder, block);
            Oracle.That(own <= Varint.MaxValue, "a digest that can be sent");
            Oracle.That(own != Digest.Complete || holder.Has(2 * block) || IsUnderHeld(holder, block), "complete only below what is held");

            List<TreeNode> nodes = [];
            if (!ProofBuilder.TryBuild(holder, block, digest, (kind & 1) != 0, remote, nodes, signature, out bool signed)) continue;
            Oracle.That(nodes.Count <= ProofVerifier.MaxNodes, "no more nodes than a proof may have");
            Oracle.That(nodes.Select(node => node.Index).Distinct().Count() == nodes.Count, "no node twice");
            foreach (TreeNode node in nodes) Oracle.That(_owner.Whole.TryGet(node.Index, out TreeNode real) && real == node, "true nodes only");
            Oracle.That(!signed || signature.AsSpan().ContainsAnyExcept((byte)0), "a signature where one is promised");
            Oracle.That(remote.PageCount <= RemoteTree.MaxPages, "what is remembered of the peer has a bound");
        }
    }

    // All siblings up to a held ancestor are held.
    private static bool IsUnderHeld(MemoryTree tree, long block)
    {
        long node = 2 * block;
        while (tree.Has(FlatTree.Sibling(node)))
        {
            node = FlatTree.Parent(node);
            if (tree.Has(node)) return true;
        }

        return false;
    }
}
