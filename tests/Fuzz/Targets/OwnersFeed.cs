using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Unit;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// A feed whose owner never signed two histories, as peers of several ages hold it, and readers that got so far: what proofs and digests are
/// judged against.
/// </summary>
internal sealed class OwnersFeed
{
    /// <summary>Lengths that the owner signed.</summary>
    public static readonly int[] Lengths = [1, 2, 5, 8, 11, 16, 23];

    // What a reader got, in order: which age answered, which block, whether only its hashes.
    private static readonly (int Age, int Block, bool Hash)[][] s_histories =
    [
        [],
        [(2, 4, false)],
        [(4, 10, false), (4, 3, true)],
        [(6, 22, false)],
        [(6, 7, true)],
        [(5, 0, false), (5, 15, false), (5, 8, true)],
        [(3, 7, false), (6, 16, false), (6, 18, true), (6, 2, false)],
        [(0, 0, false), (1, 1, false), (2, 4, true)],
    ];

    private readonly SignatureCache _cache = new();
    private readonly SecretKey _secret = SecretKey.FromSeed([.. Enumerable.Repeat<byte>(42, SecretKey.SeedSize)]);

    public OwnersFeed()
    {
        Ages = [.. Lengths.Select(Grown)];
        Whole = Ages[^1];
    }

    /// <summary>The owner's tree at each signed length.</summary>
    public IReadOnlyList<MemoryTree> Ages { get; }

    /// <summary>The owner's tree now.</summary>
    public MemoryTree Whole { get; }

    public static int Histories => s_histories.Length;

    /// <summary>A reader that got what one of the histories says.</summary>
    public MemoryTree Reader(int history)
    {
        MemoryTree reader = new(Whole.Key);
        foreach ((int age, int block, bool hash) in s_histories[history % s_histories.Length])
        {
            Proof proof = Answer(Ages[age], reader, block, hash);
            Verdict verdict = Offer(reader, proof, hash, block);
            if (!verdict.IsAccepted) throw new BrokenPromiseException($"history {history}, block {block}: {verdict}");
        }

        return reader;
    }

    /// <summary>The honest answer to what a reader asks.</summary>
    public static Proof Answer(MemoryTree from, MemoryTree to, long block, bool hash)
    {
        List<TreeNode> nodes = [];
        byte[] signature = new byte[Ed25519.SignatureSize];
        bool built = ProofBuilder.TryBuild(from, block, Digest.For(to, block), hash, new RemoteTree(), nodes, signature, out bool signed);
        Oracle.That(built, "what is held is proved");
        return new Proof(block, hash ? default(ReadOnlyMemory<byte>?) : from.Blocks[block], nodes, signed ? signature : default(ReadOnlyMemory<byte>?));
    }

    /// <summary>Lets a reader judge an answer and store what it believes.</summary>
    public Verdict Offer(MemoryTree reader, Proof proof, bool hashRequested, long? requested)
    {
        NodeHash leaf = proof.Value is { } value ? TreeHash.Leaf(0, value.Span).Hash : default;
        Verdict verdict = ProofVerifier.Verify(reader, proof, hashRequested, requested, leaf, _cache);
        if (verdict.IsAccepted) reader.Apply(verdict, proof);
        return verdict;
    }

    /// <summary>Block sizes differ, so that a shifted boundary shows.</summary>
    public static byte[] Block(long index) => FormulaBlocks.Bytes(3, index, (int)(index * 37 + 5) % 61);

    private MemoryTree Grown(int length)
    {
        MemoryTree tree = new(_secret.PublicKey);
        int from = 0;
        foreach (int to in Lengths.TakeWhile(signed => signed <= length))
        {
            tree.Append(Enumerable.Range(from, to - from).Select(i => Block(i)), _secret);
            from = to;
        }

        return tree;
    }
}
