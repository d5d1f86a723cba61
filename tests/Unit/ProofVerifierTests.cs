using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;
using static DatFs.Unit.ProofExchange;

namespace DatFs.Unit;

public sealed class ProofVerifierTests
{
    private static readonly JsonElement s_hostile = Vectors.Json("hypercore/hostile-proofs.json");

    public static TheoryData<string> HostileCases => [.. s_hostile.GetProperty("cases").EnumerateArray().Select(row => row.GetProperty("name").GetString()!)];

    public static TheoryData<string> Scenarios =>
        [.. Vectors.Json("hypercore/clone-scenarios.json").GetProperty("scenarios").EnumerateArray().Select(row => row.GetProperty("name").GetString()!)];

    [Theory]
    [MemberData(nameof(HostileCases))]
    public void Judges_each_recorded_answer_as_it_should(string name)
    {
        JsonElement row = s_hostile.GetProperty("cases").EnumerateArray().Single(item => item.GetProperty("name").GetString() == name);
        MemoryTree clone = new(FeedKey.From(s_hostile.Hex("key")));
        foreach (JsonElement earlier in row.GetProperty("before").EnumerateArray()) Offer(clone, ProofOf(earlier)).IsAccepted.Should().BeTrue("the answers before it are honest");
        clone.Length.Should().Be(row.GetProperty("lengthBefore").GetInt64());

        string expect = row.GetProperty("expect").GetString()!;
        string before = clone.Snapshot();
        Proof message;
        try
        {
            message = ProofOf(row.GetProperty("message"));
        }
        catch (ArgumentException) when (expect == "reject" && name is "short-hash" or "hash-only-boundary-shift")
        {
            // A hash of another size than 32 bytes is not a hash: it fails before anything is verified.
            return;
        }

        Verdict verdict = Offer(clone, message);
        switch (expect)
        {
            case "accept":
                verdict.IsAccepted.Should().BeTrue(verdict.Reason);
                clone.Length.Should().Be(row.GetProperty("reference").GetProperty("length").GetInt64());
                break;
            case "accept-keep-length":
                verdict.Outcome.Should().Be(ProofOutcome.Accepted, verdict.Reason);
                clone.Length.Should().Be(row.GetProperty("lengthBefore").GetInt64());
                break;
            case "accept-without-storing-extra":
                verdict.IsAccepted.Should().BeTrue(verdict.Reason);
                clone.Has(0).Should().BeFalse();
                break;
            case "reject":
                verdict.Outcome.Should().Be(ProofOutcome.Rejected);
                clone.Snapshot().Should().Be(before);
                break;
            case "reject-and-mark-forked":
                verdict.Outcome.Should().Be(ProofOutcome.Forked, verdict.Reason);
                clone.Snapshot().Should().Be(before);
                break;
            case "reject-or-quarantine":
                verdict.IsAccepted.Should().BeTrue(verdict.Reason);
                verdict.ProvisionalPair.Should().Be(FlatTree.Parent(2 * message.Index));
                clone.SizeIsProvisional(2 * message.Index).Should().BeTrue();
                clone.SizeIsProvisional(FlatTree.Sibling(2 * message.Index)).Should().BeTrue();
                break;
            default:
                Assert.Fail($"unknown expectation {expect}");
                break;
        }
    }

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void A_clone_ends_with_exactly_the_nodes_of_the_reference(string name)
    {
        JsonElement scenario = Vectors.Json("hypercore/clone-scenarios.json").GetProperty("scenarios").EnumerateArray()
            .Single(item => item.GetProperty("name").GetString() == name);
        SecretKey.TryFrom(scenario.Hex("secretKey"), out SecretKey? secret).Should().BeTrue();
        using SecretKey key = secret!;
        MemoryTree owner = new(key.PublicKey);
        MemoryTree clone = new(key.PublicKey);
        foreach (JsonElement step in scenario.GetProperty("steps").EnumerateArray())
        {
            switch (step.GetProperty("op").GetString())
            {
                case "append":
                    for (int rest = step.GetProperty("count").GetInt32(), batch = step.GetProperty("batch").GetInt32(); rest > 0; rest -= batch)
                    {
                        long first = owner.Length;
                        owner.Append(Enumerable.Range(0, Math.Min(rest, batch)).Select(i => FormulaBlocks.Of(scenario.GetProperty("blocks"), first + i)), key);
                    }

                    owner.Length.Should().Be(step.GetProperty("length").GetInt64());
                    break;
                case "fetch":
                    ReplayFetch(owner, clone, step);
                    break;
                case "clear":
                    clone.Clear(step.GetProperty("start").GetInt64(), step.GetProperty("end").GetInt64());
                    break;
                default:
                    Assert.Fail("unknown step");
                    break;
            }
        }

        JsonElement final = scenario.GetProperty("final");
        clone.Bits.Should().Equal(NodeList.Indexes(final, "treeBits"));
        clone.Blocks.Keys.Should().Equal(NodeList.Indexes(final, "dataBits"));
        TreeLength.Implied(clone).Should().Be(clone.Length);
    }

    [Fact]
    public void An_unsigned_feed_is_believed_by_its_root_hash_only_while_nothing_is_known()
    {
        MemoryTree owner = new(default);
        owner.Append(Enumerable.Range(0, 5).Select(i => FormulaBlocks.Bytes(3, i, 10)), null);
        FeedKey key = FeedKey.From(owner.RootHash());

        MemoryTree clone = new(key);
        Proof first = Answer(owner, clone, 1, hash: false);
        first.Signature.Should().BeNull();
        Offer(clone, first).Outcome.Should().Be(ProofOutcome.AcceptedLonger);
        Offer(clone, Answer(owner, clone, 4, hash: false)).Outcome.Should().Be(ProofOutcome.Accepted);

        Offer(new MemoryTree(key) { IsStatic = false }, first).Outcome.Should().Be(ProofOutcome.Rejected, "the feed is known to be signed");
        Offer(new MemoryTree(default), first).Outcome.Should().Be(ProofOutcome.Rejected, "the key is another");

        MemoryTree other = new(key);
        other.Append([[1]], null);
        Proof apart = Answer(owner, new MemoryTree(key), 4, hash: false);
        Offer(new MemoryTree(key), apart).Outcome.Should().Be(ProofOutcome.AcceptedLonger);
        Offer(other, apart).Outcome.Should().Be(ProofOutcome.Rejected, "something else is known already");
    }

    [Fact]
    public void The_bytes_of_a_block_settle_sizes_that_were_only_claimed()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 10);
        MemoryTree clone = new(secret.PublicKey);
        Proof honest = Answer(owner, clone, 4, hash: true);
        TreeNode[] shifted = [.. honest.Nodes];
        shifted[0] = shifted[0] with { Size = shifted[0].Size + 5 };
        shifted[1] = shifted[1] with { Size = shifted[1].Size - 5 };

        Verdict lie = Offer(clone, honest with { Nodes = shifted });
        lie.Outcome.Should().Be(ProofOutcome.AcceptedLonger, "the hashes do not commit to the split");
        lie.ProvisionalPair.Should().Be(9);
        clone.Nodes[8].Size.Should().Be(15);

        Verdict truth = Offer(clone, Answer(owner, clone, 5, hash: false));
        truth.Correct.Should().Equal(owner.Nodes[10], owner.Nodes[8]);
        clone.SizeIsProvisional(8).Should().BeFalse();
        clone.Nodes[8].Should().Be(owner.Nodes[8]);
        clone.Nodes[10].Should().Be(owner.Nodes[10]);
    }

    [Fact]
    public void A_leaf_whose_neighbour_is_known_for_certain_is_certain_too()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 11);
        MemoryTree clone = new(secret.PublicKey);
        Offer(clone, Answer(owner, clone, 0, hash: true)).ProvisionalPair.Should().Be(1);
        owner.Append([FormulaBlocks.Bytes(1, 11, 10)], secret);
        Verdict upgrade = Offer(clone, Answer(owner, clone, 11, hash: true));
        upgrade.Outcome.Should().Be(ProofOutcome.AcceptedLonger);
        upgrade.ProvisionalPair.Should().Be(-1, "block 10 was a root and its size was signed");
    }

    [Fact]
    public void Asking_again_for_known_hashes_teaches_nothing()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 6);
        MemoryTree clone = new(secret.PublicKey);
        Offer(clone, Answer(owner, clone, 2, hash: true));
        string before = clone.Snapshot();
        Offer(clone, Answer(owner, clone, 2, hash: true)).Outcome.Should().Be(ProofOutcome.AlreadyHeld);
        clone.Snapshot().Should().Be(before);
    }

    [Fact]
    public void An_answer_to_another_request_is_refused()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 6);
        MemoryTree clone = new(secret.PublicKey);
        Proof data = Answer(owner, clone, 2, hash: false);
        Proof hashes = Answer(owner, clone, 2, hash: true);
        NodeHash leaf = owner.Nodes[4].Hash;

        ProofVerifier.Verify(clone, data, false, 3, leaf).Outcome.Should().Be(ProofOutcome.Rejected, "block 3 was asked for");
        ProofVerifier.Verify(clone, data, true, 2, leaf).Outcome.Should().Be(ProofOutcome.Rejected, "hashes were asked for");
        ProofVerifier.Verify(clone, hashes, false, 2, default).Outcome.Should().Be(ProofOutcome.Rejected, "bytes were asked for");
        ProofVerifier.Verify(clone, data, false, null, leaf).Outcome.Should().Be(ProofOutcome.AcceptedLonger, "a byte offset may be answered by any block");
        ProofVerifier.Verify(clone, hashes, true, 2, default).Outcome.Should().Be(ProofOutcome.AcceptedLonger);
    }

    [Fact]
    public void Messages_beyond_the_bounds_are_refused_before_anything_is_hashed()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 6);
        MemoryTree clone = new(secret.PublicKey);
        Proof good = Answer(owner, clone, 2, hash: false);
        TreeNode node = good.Nodes[0];
        TreeNode[] Padded(int count) => [.. good.Nodes, .. Enumerable.Range(0, count - good.Nodes.Count).Select(i => node with { Index = 1000 + i })];

        Refusal(good with { Nodes = Padded(ProofVerifier.MaxNodes + 1) }).Should().Be("too many nodes");
        Refusal(good with { Nodes = Padded(ProofVerifier.MaxNodes) }).Should().NotBe("too many nodes");
        Refusal(good with { Nodes = [.. good.Nodes, node] }).Should().Be("a node twice");
        Refusal(good with { Nodes = [node with { Index = FlatTree.MaxIndex + 1 }] }).Should().Be("node index out of range");
        Refusal(good with { Nodes = [node with { Index = -1 }] }).Should().Be("node index out of range");
        Refusal(good with { Nodes = [node with { Size = TreeHash.MaxSize + 1 }] }).Should().Be("node size out of range");
        Refusal(good with { Nodes = [node with { Size = -1 }] }).Should().Be("node size out of range");
        Refusal(good with { Nodes = [node with { Size = TreeHash.MaxSize }] }).Should().Be("sizes overflow");
        Refusal(good with { Nodes = [good.Nodes[0], good.Nodes[1], good.Nodes[2] with { Size = TreeHash.MaxSize }] }).Should().Be("sizes overflow");
        Refusal(good with { Nodes = [node with { Index = FlatTree.Index(41, 0) }] }).Should().Be("claimed length out of range");
        Refusal(good with { Nodes = [node with { Index = FlatTree.MaxIndex }] }).Should().Be("claimed length out of range");
        Refusal(good with { Index = ProofVerifier.MaxLength }).Should().Be("block index out of range");
        Refusal(good with { Index = long.MaxValue }).Should().Be("block index out of range");
        Refusal(good with { Index = -1 }).Should().Be("block index out of range");
        Refusal(good with { Value = new byte[ProofVerifier.MaxBlockSize + 1] }).Should().Be("block too large");
        Refusal(good with { Value = new byte[ProofVerifier.MaxBlockSize] }).Should().NotBe("block too large");
        Refusal(good with { Signature = Array.Empty<byte>() }).Should().Be("signature is not 64 bytes");

        string? Refusal(Proof proof)
        {
            Verdict verdict = ProofVerifier.Verify(clone, proof, false, null, owner.Nodes[4].Hash);
            verdict.Outcome.Should().Be(ProofOutcome.Rejected);
            verdict.Store.Should().BeNull();
            return verdict.Reason;
        }
    }

    [Fact]
    public void A_longer_tree_with_fewer_bytes_is_a_fork()
    {
        using SecretKey secret = Key(1);
        MemoryTree clone = new(secret.PublicKey);
        Offer(clone, Answer(Feed(secret, 3), clone, 0, hash: false));
        MemoryTree other = new(secret.PublicKey);
        other.Append(Enumerable.Repeat(new byte[] { 1 }, 8), secret);

        // Block 7 of 8 shows nodes 12, 9 and 3, none of which can be compared with the roots 1 and 4 of length 3.
        Proof proof = Answer(other, new MemoryTree(secret.PublicKey), 7, hash: false);
        string before = clone.Snapshot();
        Verdict verdict = Offer(clone, proof);
        verdict.Outcome.Should().Be(ProofOutcome.Forked, verdict.Reason);
        verdict.ClaimedLength.Should().Be(8);
        clone.Snapshot().Should().Be(before);
    }

    [Fact]
    public void A_damaged_disk_is_not_mistaken_for_a_fork()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 6);
        MemoryTree clone = new(secret.PublicKey);
        Offer(clone, Answer(owner, clone, 2, hash: false));
        Proof complete = Answer(owner, new MemoryTree(secret.PublicKey), 3, hash: false);
        clone.Damage(owner.Nodes[6] with { Hash = owner.Nodes[0].Hash });

        Action offer = () => Offer(clone, complete);
        offer.Should().Throw<DatException>().Which.Error.Should().Be(DatError.Corrupt);
    }

    [Fact]
    public void A_damaged_disk_is_not_mistaken_for_a_shrunken_feed()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 3);
        MemoryTree clone = new(secret.PublicKey);
        Offer(clone, Answer(owner, clone, 0, hash: false));
        clone.Damage(owner.Nodes[4] with { Size = 11 });
        MemoryTree other = new(secret.PublicKey);
        other.Append(Enumerable.Repeat(new byte[] { 1 }, 8), secret);

        Action offer = () => Offer(clone, Answer(other, new MemoryTree(secret.PublicKey), 7, hash: false));
        offer.Should().Throw<DatException>().Which.Error.Should().Be(DatError.Corrupt);
    }

    [Fact]
    public void A_fork_shows_in_a_sibling_as_well()
    {
        using SecretKey secret = Key(1);
        MemoryTree clone = new(secret.PublicKey);
        Offer(clone, Answer(Feed(secret, 3), clone, 0, hash: false));
        MemoryTree other = new(secret.PublicKey);
        other.Append(Enumerable.Range(0, 4).Select(i => FormulaBlocks.Bytes(i == 2 ? 7 : 1, i, 10)), secret);

        Proof proof = Answer(other, new MemoryTree(secret.PublicKey), 3, hash: false);
        proof.Nodes[0].Index.Should().Be(4, "a root of length 3 is the sibling of block 3");
        Verdict verdict = Offer(clone, proof);
        verdict.Outcome.Should().Be(ProofOutcome.Forked, verdict.Reason);
        verdict.Reason.Should().Contain("node 4");
    }

    [Fact]
    public void A_trusted_node_with_another_size_is_refused_though_it_would_not_be_needed()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 3);
        MemoryTree clone = new(secret.PublicKey);
        Offer(clone, Answer(owner, clone, 2, hash: false));
        Proof leaf = Answer(owner, clone, 2, hash: true);
        Offer(clone, leaf with { Nodes = [leaf.Nodes[0] with { Size = 9 }] }).Reason.Should().Be("another size for a trusted node");

        owner.Append([FormulaBlocks.Bytes(1, 3, 10), FormulaBlocks.Bytes(1, 4, 10)], secret);
        Proof sibling = Answer(owner, clone, 3, hash: false, digest: Digest.Nothing);
        Offer(clone, sibling with { Nodes = [sibling.Nodes[0] with { Size = 9 }, .. sibling.Nodes.Skip(1)] }).Reason.Should().Be("another size for a trusted node");

        Offer(clone, Answer(owner, clone, 3, hash: false)).Outcome.Should().Be(ProofOutcome.AcceptedLonger);
        owner.Append([FormulaBlocks.Bytes(1, 5, 10), FormulaBlocks.Bytes(1, 6, 10)], secret);
        Proof root = Answer(owner, clone, 6, hash: false, digest: Digest.Nothing);
        root.Nodes[0].Index.Should().Be(3);
        Offer(clone, root with { Nodes = [root.Nodes[0] with { Size = 39 }, .. root.Nodes.Skip(1)] }).Reason.Should().Be("another size for a trusted root");
        Offer(clone, root).Outcome.Should().Be(ProofOutcome.AcceptedLonger);
    }

    [Fact]
    public void A_node_left_over_after_the_roots_is_refused()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 10);
        MemoryTree clone = new(secret.PublicKey);
        Proof good = Answer(owner, clone, 4, hash: false);
        Offer(clone, good with { Nodes = [.. good.Nodes, owner.Nodes[0]] }).Reason.Should().Be("nodes left over");
        Offer(clone, good).Outcome.Should().Be(ProofOutcome.AcceptedLonger);
    }

    [Fact]
    public void A_contradiction_that_nobody_signed_is_only_a_bad_peer()
    {
        using SecretKey secret = Key(1);
        using SecretKey stranger = Key(2);
        MemoryTree clone = new(secret.PublicKey);
        Offer(clone, Answer(Feed(secret, 6), clone, 2, hash: false));
        MemoryTree other = new(stranger.PublicKey);
        other.Append(Enumerable.Range(0, 6).Select(i => FormulaBlocks.Bytes(9, i, 10)), stranger);

        Verdict verdict = Offer(clone, Answer(other, new MemoryTree(secret.PublicKey), 2, hash: false));
        verdict.Outcome.Should().Be(ProofOutcome.Rejected);
        verdict.Reason.Should().StartWith("contradicts trusted node");
    }

    [Fact]
    public void A_signature_that_passed_is_not_computed_again_and_vouches_for_nothing_else()
    {
        using SecretKey secret = Key(1);
        MemoryTree owner = Feed(secret, 6);
        NodeHash root = NodeHash.From(owner.RootHash());
        byte[] signature = new byte[Ed25519.SignatureSize];
        owner.TryGetSignature(6, signature);
        byte[] wrong = [.. signature];
        wrong[63] ^= 1;

        SignatureCache cache = new();
        cache.Verify(secret.PublicKey, root, wrong).Should().BeFalse();
        cache.Verify(secret.PublicKey, root, wrong).Should().BeFalse("what failed is not remembered as good");
        cache.Verify(secret.PublicKey, root, signature).Should().BeTrue();
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool again = cache.Verify(secret.PublicKey, root, signature);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        again.Should().BeTrue();
        allocated.Should().Be(0, "the key is not even imported");
        cache.Verify(secret.PublicKey, root, wrong).Should().BeFalse();
        cache.Verify(secret.PublicKey, owner.Nodes[0].Hash, signature).Should().BeFalse();
        using SecretKey stranger = Key(2);
        cache.Verify(stranger.PublicKey, root, signature).Should().BeFalse();
    }

    private static void ReplayFetch(MemoryTree owner, MemoryTree clone, JsonElement step)
    {
        Proof proof = ProofOf(step);
        JsonElement request = step.GetProperty("request");
        bool hash = request.GetProperty("hash").GetBoolean();
        ulong digest = request.GetProperty("digest").GetUInt64();
        Digest.For(clone, proof.Index).Should().Be(digest);

        Proof answer = Answer(owner, clone, proof.Index, hash);
        answer.Nodes.Should().Equal(proof.Nodes);
        (answer.Signature?.ToArray()).Should().Equal(proof.Signature?.ToArray());

        Verdict verdict = Offer(clone, proof);
        (verdict.IsAccepted || verdict.Outcome == ProofOutcome.AlreadyHeld).Should().BeTrue($"of block {proof.Index}: {verdict.Reason}");
        clone.Length.Should().Be(step.GetProperty("after").GetProperty("length").GetInt64());
        clone.ByteLength.Should().Be(step.GetProperty("after").GetProperty("byteLength").GetInt64());
    }

    private static Proof ProofOf(JsonElement message)
    {
        JsonElement nodes = message.GetProperty("nodes");
        IReadOnlyList<TreeNode> list = nodes.ValueKind == JsonValueKind.Array
            ? NodeList.Nodes(message, "nodes")
            : [.. Enumerable.Repeat(NodeList.Node(nodes.GetProperty("node")), nodes.GetProperty("repeat").GetInt32())];
        return new Proof(message.GetProperty("index").GetInt64(), Bytes(message, "value"), list, Bytes(message, "signature"));
    }

    private static ReadOnlyMemory<byte>? Bytes(JsonElement message, string member) =>
        message.Hex(member) is { } bytes ? bytes : default(ReadOnlyMemory<byte>?);
}
