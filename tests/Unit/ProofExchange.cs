using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;

namespace DatFs.Unit;

/// <summary>Requests and answers between trees in memory.</summary>
internal static class ProofExchange
{
    /// <summary>A key pair that is the same in every run.</summary>
    public static SecretKey Key(byte number) => SecretKey.FromSeed([.. Enumerable.Repeat(number, SecretKey.SeedSize)]);

    /// <summary>The owner's feed of blocks of ten bytes, appended as one batch.</summary>
    public static MemoryTree Feed(SecretKey secret, int blocks)
    {
        MemoryTree tree = new(secret.PublicKey);
        tree.Append(Enumerable.Range(0, blocks).Select(i => FormulaBlocks.Bytes(1, i, 10)), secret);
        return tree;
    }

    /// <summary>What one tree answers to the request of another.</summary>
    public static Proof Answer(MemoryTree from, MemoryTree to, long block, bool hash, RemoteTree? remote = null, ulong? digest = null)
    {
        List<TreeNode> nodes = [];
        byte[] signature = new byte[Ed25519.SignatureSize];
        ProofBuilder.TryBuild(from, block, digest ?? Digest.For(to, block), hash, remote ?? new RemoteTree(), nodes, signature, out bool signed)
            .Should().BeTrue($"block {block} is held with its proof");
        return new Proof(block, hash ? default(ReadOnlyMemory<byte>?) : from.Blocks[block], nodes, signed ? signature : default(ReadOnlyMemory<byte>?));
    }

    /// <summary>Lets a tree judge an answer as the one it asked for, and store what it believes.</summary>
    public static Verdict Offer(MemoryTree tree, Proof proof)
    {
        NodeHash leaf = proof.Value is { } value ? TreeHash.Leaf(0, value.Span).Hash : default;
        Verdict verdict = ProofVerifier.Verify(tree, proof, proof.Value is null, proof.Index, leaf);
        if (verdict.IsAccepted) tree.Apply(verdict, proof);
        return verdict;
    }
}
