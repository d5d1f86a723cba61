using CsCheck;
using DatFs.Crypto;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;
using static DatFs.Unit.ProofExchange;

namespace DatFs.Unit;

/// <summary>What has to hold for all histories, requests and lies, on random ones. A failure prints the seed that repeats it.</summary>
public sealed class ProofExchangeTests
{
    private const int Peers = 4;

    private static readonly Gen<(int Kind, int A, int B, int C)[]> s_steps =
        Gen.Select(Gen.Int[0, 9], Gen.Int[0, 1 << 20], Gen.Int[0, 1 << 20], Gen.Int[0, 7]).Array[5, 80];

    private static readonly Gen<int[]> s_sizes = Gen.OneOf(Gen.Const(0), Gen.Int[1, 40]).Array[1, 40];

    [Fact]
    public void Honest_answers_are_believed_whatever_their_order_and_whoever_relays_them() => s_steps.Sample(steps =>
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = new(secret.PublicKey);
        MemoryTree[] peers = [owner, .. Enumerable.Range(1, Peers).Select(_ => new MemoryTree(secret.PublicKey))];
        Dictionary<(int, int), RemoteTree> connections = [];
        Dictionary<(int, long), ulong> earlierDigests = [];
        List<(int To, Proof Answer)> underWay = [];
        foreach ((int kind, int a, int b, int c) in steps)
        {
            if (kind == 0 || owner.Length == 0) owner.Append(Enumerable.Range(0, 1 + a % 9).Select(i => new byte[(b + i * c) % 23]), secret);
            else if (kind <= 6) Ask(a % peers.Length, 1 + b % Peers, b, c);
            else if (underWay.Count > 0) Deliver(a % underWay.Count);
        }

        while (underWay.Count > 0) Deliver(0);

        void Ask(int from, int to, int pick, int c)
        {
            bool hash = (c & 1) != 0;
            MemoryTree source = peers[from];
            long[] offered = hash ? [.. source.Bits.Where(FlatTree.IsLeaf).Select(node => node / 2)] : [.. source.Blocks.Keys];
            if (from == to || offered.Length == 0) return;
            long block = offered[pick % offered.Length];
            ulong now = Digest.For(peers[to], block);
            ulong digest = (c >> 1) switch
            {
                0 => Digest.Nothing,
                1 when earlierDigests.TryGetValue((to, block), out ulong earlier) => earlier,
                _ => now,
            };
            earlierDigests[(to, block)] = now;
            if (!connections.TryGetValue((from, to), out RemoteTree? remote)) connections.Add((from, to), remote = new RemoteTree());
            underWay.Add((to, Answer(source, peers[to], block, hash, remote, digest)));
        }

        void Deliver(int which)
        {
            (int to, Proof answer) = underWay[which];
            underWay.RemoveAt(which);
            Verdict verdict = Offer(peers[to], answer);
            verdict.Outcome.Should().NotBe(ProofOutcome.Rejected, verdict.Reason).And.NotBe(ProofOutcome.Forked, verdict.Reason);
            HoldsOnlyTruth(peers[to], owner);
        }
    });

    [Fact]
    public void A_changed_answer_never_gets_anything_untrue_stored() =>
        Gen.Select(s_sizes, s_steps, Gen.Int[0, 7], Gen.Int[0, 1 << 20], Gen.Int[0, 1 << 20], Gen.Int[0, 1 << 20]).Sample((sizes, steps, change, at, bit, pick) =>
        {
            using SecretKey secret = Key(1);
            MemoryTree owner = new(secret.PublicKey);
            MemoryTree clone = new(secret.PublicKey);
            owner.Append(sizes.Select((size, i) => Block(size, i)), secret);
            foreach ((int kind, int a, _, int c) in steps.Take(pick % 8))
            {
                if (kind == 0) owner.Append([Block(a % 30, a)], secret);
                Offer(clone, Answer(owner, clone, a % owner.Length, (c & 1) != 0));
            }

            Proof honest = Answer(owner, clone, pick % owner.Length, (bit & 1) != 0, null, (bit & 2) != 0 ? Digest.Nothing : null);
            Proof changed = Change(honest, change, at, bit >> 2);
            string before = clone.Snapshot();
            Verdict verdict = Offer(clone, changed);
            verdict.Outcome.Should().NotBe(ProofOutcome.Forked, "the owner signed one history");
            if (!verdict.IsAccepted) clone.Snapshot().Should().Be(before);
            HoldsOnlyTruth(clone, owner);
        }, iter: 2000);

    [Fact]
    public void No_mixture_of_genuine_nodes_and_signatures_carries_a_forgery() =>
        Gen.Select(s_sizes, Gen.Int[0, 1 << 20].Array[0, 12], Gen.Int[0, 1 << 20], Gen.Int[0, 1 << 20], Gen.Bool).Sample((sizes, picks, block, length, forged) =>
        {
            using SecretKey secret = Key(1);
            MemoryTree owner = new(secret.PublicKey);
            foreach (int size in sizes) owner.Append([Block(size, (int)owner.Length)], secret);
            TreeNode[] genuine = [.. owner.Nodes.Values.OrderBy(node => node.Index)];
            long index = block % (owner.Length + 2);
            byte[] value = !forged && owner.Blocks.TryGetValue(index, out byte[]? real) ? real : [0xFE];
            byte[] signature = new byte[Ed25519.SignatureSize];
            owner.TryGetSignature(1 + length % owner.Length, signature).Should().BeTrue();
            TreeNode[] nodes = [.. picks.Select(pick => genuine[pick % genuine.Length])];
            TreeNode[] roots = [.. genuine.Where(node => FlatTree.IsFullRoot(node.Index, 1 + length % owner.Length))];

            foreach (TreeNode[] list in (TreeNode[][])[nodes, [.. nodes, .. roots], roots])
            {
                MemoryTree clone = new(secret.PublicKey);
                Verdict verdict = Offer(clone, new Proof(index, value, list, signature));
                if (forged) verdict.Outcome.Should().Be(ProofOutcome.Rejected);
                HoldsOnlyTruth(clone, owner);
            }
        }, iter: 500);

    [Fact]
    public void Two_histories_of_one_length_are_always_found_out() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[0, 1 << 20], Gen.Int[0, 1 << 20], Gen.Int[0, 1 << 20].Array[1, 6]).Sample((length, rewritten, seen, fetched) =>
        {
            using SecretKey secret = Key(1);
            MemoryTree one = new(secret.PublicKey);
            MemoryTree two = new(secret.PublicKey);
            MemoryTree clone = new(secret.PublicKey);
            one.Append(Enumerable.Range(0, length).Select(i => Block(10, i)), secret);
            two.Append(Enumerable.Range(0, length).Select(i => Block(10, i == rewritten % length ? 1000 : i)), secret);
            foreach (int block in fetched) Offer(clone, Answer(one, clone, block % length, false)).IsAccepted.Should().BeTrue();

            string before = clone.Snapshot();
            long asked = rewritten % 2 == 0 ? rewritten % length : seen % length;
            Proof proof = Answer(two, clone, asked, false, null, Digest.Nothing);
            bool linked = one.Blocks[asked].AsSpan().SequenceEqual(two.Blocks[asked]) && LinksBelowTheChange(clone, asked, rewritten % length);
            Verdict verdict = Offer(clone, proof);
            if (linked)
            {
                verdict.IsAccepted.Should().BeTrue("the path to a node that both histories share says nothing of the rest");
                HoldsOnlyTruth(clone, one);
                return;
            }

            verdict.Outcome.Should().Be(ProofOutcome.Forked, verdict.Reason);
            clone.Snapshot().Should().Be(before);
        });

    private static bool LinksBelowTheChange(MemoryTree clone, long asked, long rewritten)
    {
        long node = 2 * asked;
        while (!clone.Has(node))
        {
            if (clone.Has(FlatTree.Sibling(node)) && Covers(FlatTree.Sibling(node), rewritten)) return false;
            node = FlatTree.Parent(node);
        }

        return !Covers(node, rewritten);
    }

    private static bool Covers(long node, long block) => FlatTree.LeftSpan(node) <= 2 * block && 2 * block <= FlatTree.RightSpan(node);

    private static byte[] Block(int size, int number)
    {
        byte[] block = new byte[size];
        for (int i = 0; i < size; i++) block[i] = (byte)(number * 7 + i);
        return block;
    }

    private static Proof Change(Proof proof, int change, int at, int bit)
    {
        List<TreeNode> nodes = [.. proof.Nodes];
        int which = nodes.Count == 0 ? -1 : at % nodes.Count;
        switch (change)
        {
            case 0 when which >= 0:
                byte[] hash = new byte[NodeHash.Size];
                nodes[which].Hash.CopyTo(hash);
                nodes[which] = nodes[which] with { Hash = NodeHash.From(Flipped(hash, bit)) };
                break;
            case 1 when which >= 0:
                nodes[which] = nodes[which] with { Size = nodes[which].Size ^ (1L << (bit % 54)) };
                break;
            case 2 when which >= 0:
                nodes[which] = nodes[which] with { Index = nodes[which].Index ^ (1L << (bit % 54)) };
                break;
            case 3 when proof.Signature is { } signature:
                return proof with { Signature = Flipped(signature.ToArray(), bit) };
            case 4 when which >= 0:
                nodes.RemoveAt(which);
                break;
            case 5 when which >= 0:
                (nodes[which], nodes[bit % nodes.Count]) = (nodes[bit % nodes.Count], nodes[which]);
                break;
            case 6:
                nodes.Insert(at % (nodes.Count + 1), new TreeNode(bit % 100, default, bit));
                break;
            default:
                if (proof.Value is { Length: > 0 } value) return proof with { Value = Flipped(value.ToArray(), bit) };
                return proof with { Index = proof.Index ^ 1 };
        }

        return proof with { Nodes = nodes };
    }

    private static byte[] Flipped(byte[] bytes, int bit)
    {
        bytes[bit / 8 % bytes.Length] ^= (byte)(1 << (bit % 8));
        return bytes;
    }

    private static void HoldsOnlyTruth(MemoryTree tree, MemoryTree owner)
    {
        foreach (long bit in tree.Bits)
        {
            tree.TryGet(bit, out TreeNode node).Should().BeTrue($"node {bit} is trusted, so it is stored");
            TreeNode truth = owner.Nodes[bit];
            if (tree.SizeIsProvisional(bit)) node.Hash.Should().Be(truth.Hash);
            else node.Should().Be(truth);
        }

        foreach ((long index, byte[] block) in tree.Blocks)
        {
            block.Should().Equal(owner.Blocks[index]);
            tree.Has(2 * index).Should().BeTrue();
        }

        byte[] mine = new byte[Ed25519.SignatureSize];
        byte[] theirs = new byte[Ed25519.SignatureSize];
        for (long length = 1; length <= owner.Length; length++)
        {
            if (!tree.TryGetSignature(length, mine)) continue;
            owner.TryGetSignature(length, theirs).Should().BeTrue();
            mine.Should().Equal(theirs);
        }

        TreeLength.Implied(tree).Should().Be(tree.Length);
        Span<long> roots = stackalloc long[FlatTree.MaxRoots];
        long bytes = 0;
        foreach (long root in roots[..FlatTree.FullRoots(tree.Length, roots)]) bytes += owner.Nodes[root].Size;
        tree.ByteLength.Should().Be(bytes);
    }
}
