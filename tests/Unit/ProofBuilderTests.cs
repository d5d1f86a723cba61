using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class ProofBuilderTests
{
    private static readonly JsonElement s_proofs = Vectors.Json("hypercore/proofs.json");

    [Fact]
    public void A_fresh_requester_gets_the_nodes_the_reference_sends()
    {
        foreach (JsonElement feed in s_proofs.GetProperty("feeds").EnumerateArray())
        {
            Numbered tree = new(feed.GetProperty("length").GetInt64());
            foreach (JsonElement row in feed.GetProperty("digest0").EnumerateArray()) Compare(tree, row, Digest.Nothing, new RemoteTree());
        }
    }

    [Fact]
    public void Every_digest_gets_the_nodes_the_reference_sends()
    {
        foreach (JsonElement group in s_proofs.GetProperty("byDigest").EnumerateArray())
        {
            Numbered tree = new(group.GetProperty("length").GetInt64());
            long block = group.GetProperty("block").GetInt64();
            foreach (JsonElement row in group.GetProperty("rows").EnumerateArray())
                Compare(tree, row, row.GetProperty("digest").GetUInt64(), new RemoteTree(), block);
        }
    }

    [Fact]
    public void Answers_on_one_channel_shrink_as_in_the_reference()
    {
        Numbered tree = new(23);
        RemoteTree remote = new();
        foreach (JsonElement row in s_proofs.GetProperty("connection").EnumerateArray())
            Compare(tree, row, row.GetProperty("digest").GetUInt64(), remote);
    }

    [Fact]
    public void Hashes_and_signatures_equal_the_reference()
    {
        using SecretKey secret = SecretKey.FromSeed(Vectors.Json("hypercore/hostile-proofs.json").Hex("keySeed"));
        foreach (JsonElement feed in s_proofs.GetProperty("full").EnumerateArray())
        {
            secret.PublicKey.ToHex().Should().Be(feed.GetProperty("key").GetString());
            MemoryTree tree = new(secret.PublicKey);
            for (long i = 0; i < feed.GetProperty("length").GetInt64(); i++) tree.Append([FormulaBlocks.Of(feed.GetProperty("blocks"), i)], secret);

            foreach (JsonElement row in feed.GetProperty("proofs").EnumerateArray())
            {
                Answer answer = Build(tree, row.GetProperty("block").GetInt64(), Digest.Nothing, row.GetProperty("hash").GetBoolean(), new RemoteTree());
                answer.Nodes.Should().Equal(NodeList.Nodes(row, "nodes"));
                answer.Signature.Should().Equal(row.Hex("signature"));
            }
        }
    }

    [Fact]
    public void The_digests_of_the_wire_get_the_nodes_the_reference_sends()
    {
        foreach (JsonElement row in Vectors.Json("wire/digests.json").GetProperty("cases").EnumerateArray())
        {
            Numbered tree = new(row.GetProperty("feedLength").GetInt64());
            bool hash = row.GetProperty("hash").GetBoolean();
            Answer answer = Build(tree, row.GetProperty("block").GetInt64(), row.GetProperty("digest").GetUInt64(), hash, new RemoteTree());
            answer.Indexes.Should().Equal(NodeList.Indexes(row, "responseNodes"), row.GetRawText());
            answer.VerifiedBy.Should().Be(row.GetProperty("verifiedByTreeIndex").GetInt64(), row.GetRawText());
        }
    }

    [Fact]
    public void A_clone_of_an_older_length_answers_with_that_length_and_its_signature()
    {
        using SecretKey secret = SecretKey.Generate();
        MemoryTree owner = new(secret.PublicKey);
        MemoryTree clone = new(secret.PublicKey);
        owner.Append(Blocks(0, 10), secret);
        Fetch(owner, clone, 9);
        owner.Append(Blocks(10, 6), secret);
        Fetch(owner, clone, 0);
        clone.Length.Should().Be(10, "block 0 links to a root of length 10 and needs no newer one");
        Fetch(owner, clone, 15);
        clone.Length.Should().Be(16);

        Answer answer = Build(clone, 9, Digest.Nothing, false, new RemoteTree());
        answer.Indexes.Should().Equal(16, 7);
        answer.VerifiedBy.Should().Be(20);
        Build(clone, 15, Digest.Nothing, false, new RemoteTree()).VerifiedBy.Should().Be(32);
    }

    [Fact]
    public void A_static_feed_answers_without_signature()
    {
        MemoryTree tree = new(default);
        tree.Append(Blocks(0, 5), null);
        Answer answer = Build(tree, 0, Digest.Nothing, false, new RemoteTree());
        answer.Indexes.Should().Equal(2, 5, 8);
        answer.Signature.Should().BeNull();
    }

    [Fact]
    public void Nothing_is_answered_for_a_block_whose_leaf_is_not_held()
    {
        Numbered tree = new(5);
        List<TreeNode> nodes = [];
        foreach (long block in (long[])[5, 6, 1L << 40, FlatTree.MaxBlocks, long.MaxValue, -1])
            ProofBuilder.TryBuild(tree, block, Digest.Nothing, true, new RemoteTree(), nodes, new byte[64], out _).Should().BeFalse();
        nodes.Should().BeEmpty();
    }

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(ulong.MaxValue - 1)]
    [InlineData((1UL << 63) + 1)]
    [InlineData((1UL << 53) - 1)]
    public void A_digest_of_any_size_is_harmless(ulong digest)
    {
        Numbered tree = new(1000);
        RemoteTree remote = new();
        ProofBuilder.TryBuild(tree, 999, digest, false, remote, [], new byte[64], out _).Should().BeTrue();
        remote.PageCount.Should().BeLessThanOrEqualTo(1, "only nodes that exist here are remembered");
    }

    [Fact]
    public void What_a_peer_claims_is_forgotten_before_it_fills_the_memory()
    {
        RemoteTree remote = new();
        for (long page = 0; page <= RemoteTree.MaxPages; page++)
        {
            remote.Set(page * RemoteTree.PageNodes).Should().BeTrue();
            remote.PageCount.Should().BeLessThanOrEqualTo(RemoteTree.MaxPages);
        }

        remote.Has(0).Should().BeFalse("the oldest claims are gone, which only makes answers longer");
        remote.Has(RemoteTree.MaxPages * (long)RemoteTree.PageNodes).Should().BeTrue();
    }

    [Fact]
    public void Two_marked_children_mark_their_parent()
    {
        RemoteTree remote = new();
        remote.Set(0).Should().BeTrue();
        remote.Set(5).Should().BeTrue();
        remote.Has(1).Should().BeFalse();
        remote.Set(2).Should().BeTrue();
        remote.Has(1).Should().BeTrue();
        remote.Has(3).Should().BeTrue();
        remote.Set(3).Should().BeFalse();
    }

    private static void Compare(ITrustedTree tree, JsonElement row, ulong digest, RemoteTree remote, long? block = null)
    {
        long index = block ?? row.GetProperty("block").GetInt64();
        Answer answer = Build(tree, index, digest, false, remote);
        answer.Indexes.Should().Equal(NodeList.Indexes(row, "nodes"), $"length {tree.Length}, block {index}, digest {digest}");
        answer.VerifiedBy.Should().Be(row.GetProperty("verifiedBy").GetInt64());
    }

    private static Answer Build(ITrustedTree tree, long block, ulong digest, bool hash, RemoteTree remote)
    {
        List<TreeNode> nodes = [];
        byte[] signature = new byte[Ed25519.SignatureSize];
        ProofBuilder.TryBuild(tree, block, digest, hash, remote, nodes, signature, out bool signed).Should().BeTrue();
        long verifiedBy = !signed ? 0 : tree is Numbered numbered ? 2 * numbered.SignatureAsked : 2 * LengthOf((MemoryTree)tree, signature);
        return new Answer(nodes, signed ? signature : null, verifiedBy);
    }

    private static long LengthOf(MemoryTree tree, byte[] signature)
    {
        byte[] stored = new byte[Ed25519.SignatureSize];
        for (long length = 1; length <= tree.Length; length++)
        {
            if (tree.TryGetSignature(length, stored) && stored.AsSpan().SequenceEqual(signature)) return length;
        }

        return -1;
    }

    private static void Fetch(MemoryTree from, MemoryTree to, long block)
    {
        Verdict verdict = ProofExchange.Offer(to, ProofExchange.Answer(from, to, block, hash: false));
        verdict.IsAccepted.Should().BeTrue(verdict.Reason);
    }

    private static IEnumerable<byte[]> Blocks(long first, int count) => Enumerable.Range(0, count).Select(i => FormulaBlocks.Bytes(1, first + i, 10));

    private sealed record Answer(List<TreeNode> Nodes, byte[]? Signature, long VerifiedBy)
    {
        public IEnumerable<long> Indexes => Nodes.Select(node => node.Index);
    }

    /// <summary>A complete feed of which only the numbering matters: every node is the same hash.</summary>
    private sealed class Numbered(long length) : ITrustedTree
    {
        public FeedKey Key => default;
        public long Length => length;
        public long ByteLength => 0;
        public bool IsStatic => false;
        public long BitLimit => 2 * length;
        public long SignatureAsked { get; private set; }
        public bool Has(long node) => FlatTree.LengthThrough(node) <= length;
        public bool SizeIsProvisional(long leafNode) => false;

        public bool TryGet(long node, out TreeNode value)
        {
            value = new TreeNode(node, default, 0);
            return Has(node);
        }

        public bool TryGetSignature(long of, Span<byte> into64)
        {
            SignatureAsked = of;
            return true;
        }
    }
}
