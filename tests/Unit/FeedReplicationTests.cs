using System.Text.Json;
using CsCheck;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class FeedReplicationTests
{
    private static readonly JsonElement s_hostile = Vectors.Json("hypercore/hostile-proofs.json");
    private static readonly JsonElement s_scenarios = Vectors.Json("hypercore/clone-scenarios.json").GetProperty("scenarios");

    public static TheoryData<string> HostileCases => [.. s_hostile.GetProperty("cases").EnumerateArray().Select(row => row.GetProperty("name").GetString()!)];

    public static TheoryData<string> Scenarios => [.. s_scenarios.EnumerateArray().Select(row => row.GetProperty("name").GetString()!)];

    [Theory]
    [MemberData(nameof(HostileCases))]
    public async Task Stores_exactly_what_it_believes(string name)
    {
        JsonElement row = s_hostile.GetProperty("cases").EnumerateArray().Single(item => item.GetProperty("name").GetString() == name);
        MemoryFolder folder = new();
        Feed feed = Feed.Open(new FeedFiles(folder), new FeedOptions { Key = FeedKey.From(s_hostile.Hex("key")), VerifyReads = true });
        foreach (JsonElement earlier in row.GetProperty("before").EnumerateArray())
            (await feed.AcceptAsync(ProofOf(earlier), default)).Should().BeOneOf(ProofOutcome.Accepted, ProofOutcome.AcceptedLonger);
        feed.Length.Should().Be(row.GetProperty("lengthBefore").GetInt64());
        await feed.FlushAsync(default);
        string before = Snapshot(folder);

        Proof message;
        try
        {
            message = ProofOf(row.GetProperty("message"));
        }
        catch (ArgumentException) when (name is "short-hash" or "hash-only-boundary-shift")
        {
            // A hash of another size than 32 bytes is not a hash: it fails before it gets here.
            await feed.DisposeAsync();
            return;
        }

        ProofOutcome outcome = await feed.AcceptAsync(message, default);
        long length = feed.Length;
        string expect = row.GetProperty("expect").GetString()!;
        switch (expect)
        {
            case "accept":
                outcome.Should().BeOneOf(ProofOutcome.Accepted, ProofOutcome.AcceptedLonger);
                length.Should().Be(row.GetProperty("reference").GetProperty("length").GetInt64());
                break;
            case "accept-keep-length":
                outcome.Should().Be(ProofOutcome.Accepted);
                length.Should().Be(row.GetProperty("lengthBefore").GetInt64());
                break;
            case "accept-without-storing-extra":
                outcome.Should().Be(ProofOutcome.Accepted);
                feed.HasNode(0).Should().BeFalse();
                break;
            case "reject":
                outcome.Should().Be(ProofOutcome.Rejected);
                break;
            case "reject-and-mark-forked":
                outcome.Should().Be(ProofOutcome.Forked);
                feed.IsForked.Should().BeTrue();
                break;
            case "reject-or-quarantine":
                outcome.Should().Be(ProofOutcome.AcceptedLonger);
                feed.TryGetSize(message.Index, out _).Should().BeFalse("the split of the pair is only the peer's word");
                feed.TryGetOffset(message.Index | 1, out _).Should().BeFalse();
                feed.TryGetOffset((message.Index | 1) + 1, out _).Should().BeTrue("the sum is certain");
                break;
            default:
                Assert.Fail($"unknown expectation {expect}");
                break;
        }

        if (expect.StartsWith("accept", StringComparison.Ordinal) && message.Value is { } value)
        {
            feed.TryRead(message.Index, out BlockLease block).Should().BeTrue();
            block.Memory.ToArray().Should().Equal(value.ToArray());
            block.Dispose();
        }

        await feed.DisposeAsync();
        if (expect.StartsWith("reject", StringComparison.Ordinal) && expect != "reject-or-quarantine") Snapshot(folder).Should().Be(before);
        await using Feed again = Feed.Open(new FeedFiles(folder), new FeedOptions());
        again.Length.Should().Be(length);
        again.IsForked.Should().Be(expect == "reject-and-mark-forked");
    }

    [Theory]
    [MemberData(nameof(Scenarios))]
    public async Task A_recorded_exchange_is_repeated_to_the_same_files(string name)
    {
        JsonElement scenario = s_scenarios.EnumerateArray().Single(item => item.GetProperty("name").GetString() == name);
        RecordedFeed recorded = RecordedFeed.Named(name);
        FeedOptions layout = new() { BitfieldEntrySize = recorded.IsOld ? SleepHeader.OldBitfieldEntry : SleepHeader.BitfieldEntry };
        MemoryFolder folder = new();
        await using Feed owner = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { SecretKey = scenario.Hex("secretKey") });
        Feed clone = Feed.Open(new FeedFiles(folder), layout with { Key = owner.Key });
        List<(long Start, long End)> cleared = [];
        foreach (JsonElement step in scenario.GetProperty("steps").EnumerateArray())
        {
            switch (step.GetProperty("op").GetString())
            {
                case "append":
                    for (int rest = step.GetProperty("count").GetInt32(), batch = step.GetProperty("batch").GetInt32(); rest > 0; rest -= batch)
                    {
                        long first = owner.Length;
                        ReadOnlyMemory<byte>[] blocks = [.. Enumerable.Range(0, Math.Min(rest, batch)).Select(i => (ReadOnlyMemory<byte>)FormulaBlocks.Of(scenario.GetProperty("blocks"), first + i))];
                        await owner.AppendAsync(blocks, default);
                    }

                    owner.Length.Should().Be(step.GetProperty("length").GetInt64());
                    break;
                case "fetch":
                    await Repeat(owner, clone, step);
                    break;
                case "clear":
                    cleared.Add((step.GetProperty("start").GetInt64(), step.GetProperty("end").GetInt64()));
                    await clone.ClearAsync(cleared[^1].Start, cleared[^1].End, default);
                    break;
                default:
                    Assert.Fail("unknown step");
                    break;
            }
        }

        await clone.DisposeAsync();
        foreach (string file in RecordedFeed.FileNames.Except(["secret_key"]))
        {
            JsonElement expected = recorded.Row.GetProperty("files").GetProperty(file);
            byte[] content = RecordedFeed.Read(folder, file)!;
            content.Length.Should().Be(expected.GetProperty("size").GetInt32(), file);

            // The reference leaves the bytes of a cleared block where they were; here they are freed.
            if (file == "data" && cleared.Count > 0) continue;
            Sha256Of.Bytes(content).Should().Be(expected.GetProperty("sha256").GetString(), file);
        }
    }

    [Fact]
    public void Any_clone_of_any_feed_ends_with_its_bytes_and_can_pass_them_on()
    {
        Gen.Select(Gen.Int[0, 40].Array[1, 60], Gen.Int[1, 5].Array[1, 60], Gen.Int[0, 1 << 20].Array[1, 80]).Sample(
            (sizes, batches, picks) => Exchange(sizes, batches, picks).GetAwaiter().GetResult(), iter: 60);
    }

    [Fact]
    public async Task Answers_that_arrive_at_once_are_stored_one_by_one()
    {
        await using Feed owner = await Owner(200);
        await using Feed clone = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = owner.Key, VerifyReads = true });
        await Fetch(owner, clone, 199);
        await Parallel.ForAsync(0, 199, async (block, ct) => await Fetch(owner, clone, block));
        clone.HeldBlocks.Should().Be(200);
        for (long block = 0; block < 200; block++)
        {
            clone.TryRead(block, out BlockLease lease).Should().BeTrue();
            lease.Memory.ToArray().Should().Equal(Content(block));
            lease.Dispose();
        }
    }

    [Fact]
    public async Task A_block_that_is_held_is_not_stored_again()
    {
        await using Feed owner = await Owner(3);
        await using Feed clone = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = owner.Key });
        (await Fetch(owner, clone, 1)).Should().Be(ProofOutcome.AcceptedLonger);
        (await Fetch(owner, clone, 1)).Should().Be(ProofOutcome.AlreadyHeld);
        HeardChanges heard = new();
        clone.Observe(heard);
        owner.TryProve(1, 0, false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
        (await clone.AcceptAsync(proof, default)).Should().BeOneOf(ProofOutcome.AlreadyHeld, ProofOutcome.Accepted);
        lease.Dispose();
        heard.Events.Should().BeEmpty();
    }

    [Fact]
    public async Task A_rotten_node_does_not_put_a_block_far_behind_the_end()
    {
        MemoryFolder folder = new();
        await using Feed owner = await Owner(4);
        Feed clone = Feed.Open(new FeedFiles(folder), new FeedOptions { Key = owner.Key });
        await Fetch(owner, clone, 0);
        await Fetch(owner, clone, 1);
        await clone.DisposeAsync();
        long before;
        using (IRandomAccessFile tree = folder.Open("tree", FileUse.ReadWrite)!)
        {
            // The size of the node above blocks 0 and 1, on which the place of block 2 depends.
            tree.Write(TreeFile.OffsetOf(1) + NodeHash.Size, [0, 1]);
            before = folder.Open("data", FileUse.Read)!.Length;
        }

        await using Feed again = Feed.Open(new FeedFiles(folder), new FeedOptions());
        await FluentActions.Awaiting(() => Fetch(owner, again, 2)).Should().ThrowAsync<DatException>().Where(e => e.Error == DatError.Corrupt);
        again.HasBlock(2).Should().BeFalse();
        folder.Open("data", FileUse.Read)!.Length.Should().Be(before);
    }

    [Fact]
    public async Task Haves_show_the_blocks_of_any_window()
    {
        await using Feed owner = await Owner(20);
        owner.EncodeHave(0, 1 << 20).Should().Equal(Encoding.BitfieldRle.Encode([0xFF, 0xFF, 0xF0]));
        owner.EncodeHave(8, 4).Should().Equal(Encoding.BitfieldRle.Encode([0xF0]));
        owner.EncodeHave(16, 1 << 20).Should().Equal(Encoding.BitfieldRle.Encode([0xF0]));
        owner.EncodeHave(8192, 1 << 20).Should().BeEmpty();
        owner.EncodeHave(0, 0).Should().BeEmpty();
        owner.EncodeHave(0, long.MaxValue).Should().Equal(owner.EncodeHave(0, 1 << 20));
    }

    [Fact]
    public async Task Nothing_is_proven_that_is_not_held()
    {
        await using Feed owner = await Owner(10);
        await using Feed clone = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = owner.Key });
        await Fetch(owner, clone, 4, hash: true);
        foreach (long block in (long[])[-1, 0, 4, 9, 10, long.MaxValue / 4])
            clone.TryProve(block, 0, false, new RemoteTree(), out _, out _).Should().BeFalse();
        clone.TryProve(4, 0, true, new RemoteTree(), out Proof proof, out _).Should().BeTrue("its hash is held");
        proof.Value.Should().BeNull();
    }

    [Fact]
    public async Task A_forked_feed_is_frozen_but_readable()
    {
        byte[] secret = RecordedFeed.Named("v7-len3").SecretKey;
        await using Feed one = await Owner(4, secret);
        await using Feed two = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { SecretKey = secret });
        await two.AppendAsync([new byte[1], new byte[2], new byte[3], new byte[4], new byte[5]], default);
        MemoryFolder folder = new();
        Feed clone = Feed.Open(new FeedFiles(folder), new FeedOptions { Key = one.Key });
        await Fetch(one, clone, 2);
        two.TryProve(2, 0, true, new RemoteTree(), out Proof other, out _).Should().BeTrue();
        (await clone.AcceptAsync(other, default)).Should().Be(ProofOutcome.Forked);
        (await clone.AcceptAsync(other, default)).Should().Be(ProofOutcome.Forked);
        clone.IsForked.Should().BeTrue();
        clone.Length.Should().Be(4);
        clone.TryRead(2, out BlockLease block).Should().BeTrue();
        block.Dispose();
        clone.TryProve(2, 0, false, new RemoteTree(), out _, out _).Should().BeFalse();
        clone.EncodeHave(0, 8192).Should().BeEmpty();
        await clone.DisposeAsync();
        byte[] evidence = RecordedFeed.Read(folder, "fork")!;
        evidence.AsSpan().IndexOf(other.Signature!.Value.Span).Should().BeGreaterThan(0);
        await using Feed again = Feed.Open(new FeedFiles(folder), new FeedOptions());
        again.IsForked.Should().BeTrue();

        (await two.AcceptAsync(Prove(one, 1), default)).Should().Be(ProofOutcome.Forked);
        await FluentActions.Awaiting(() => two.AppendAsync([new byte[1]], default).AsTask()).Should().ThrowAsync<DatException>().Where(e => e.Error == DatError.Forked);
    }

    [Fact]
    public async Task A_feed_that_began_in_memory_goes_on_elsewhere()
    {
        using TempFolder temp = TempFolder.Create("feed");
        await using Feed owner = await Owner(100);
        Feed clone = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = owner.Key });
        await Fetch(owner, clone, 0);
        await Fetch(owner, clone, 99);
        HeardChanges heard = new();
        clone.Observe(heard);
        FeedFiles target = new(new DiskFolder(temp.File("metadata")));
        await clone.RehomeAsync(target, default);
        heard.Events.Should().BeEmpty("nothing changed but the place");
        clone.Files.Should().Be(target);
        await Fetch(owner, clone, 50);
        clone.TryRead(0, out BlockLease block).Should().BeTrue();
        block.Memory.ToArray().Should().Equal(Content(0));
        block.Dispose();
        await clone.DisposeAsync();

        await using Feed again = Feed.Open(new FeedFiles(new DiskFolder(temp.File("metadata"))), new FeedOptions { VerifyReads = true });
        again.Length.Should().Be(100);
        foreach (long held in (long[])[0, 50, 99])
        {
            again.TryRead(held, out BlockLease lease).Should().BeTrue();
            lease.Memory.ToArray().Should().Equal(Content(held));
            lease.Dispose();
        }

        again.HeldBlocks.Should().Be(3);
        await FluentActions.Awaiting(() => owner.RehomeAsync(target, default).AsTask()).Should().ThrowAsync<DatException>().Where(e => e.Error == DatError.Invalid);
        await owner.RehomeAsync(new FeedFiles(new DiskFolder(temp.File("own"))), default);
        await owner.AppendAsync([Content(100)], default);
        owner.Length.Should().Be(101);
        File.Exists(temp.File("own/secret_key")).Should().BeTrue();
    }

    [Fact]
    public async Task A_move_that_was_interrupted_is_made_anew()
    {
        await using Feed owner = await Owner(9);
        await using Feed clone = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = owner.Key });
        for (long block = 0; block < 9; block += 2) await Fetch(owner, clone, block);
        MemoryFolder folder = new();
        foreach (string name in (string[])["tree", "signatures", "data", "bitfield"])
        {
            // The length had reached the disk, and what was written there had not.
            using IRandomAccessFile file = folder.Open(name, FileUse.ReadWrite)!;
            file.SetLength(5000);
        }

        await clone.RehomeAsync(new FeedFiles(folder), default);
        await clone.DisposeAsync();

        await using Feed again = Feed.Open(new FeedFiles(folder), new FeedOptions { VerifyReads = true });
        again.HeldBlocks.Should().Be(5);
        again.TryRead(4, out BlockLease lease).Should().BeTrue();
        lease.Memory.ToArray().Should().Equal(Content(4));
        lease.Dispose();
    }

    [Fact]
    public async Task Fetched_blocks_become_durable_by_themselves()
    {
        Microsoft.Extensions.Time.Testing.FakeTimeProvider time = new();
        MemoryFolder folder = new();
        await using Feed owner = await Owner(3);
        await using Feed clone = Feed.Open(new FeedFiles(folder), new FeedOptions { Key = owner.Key, Time = time });
        await Fetch(owner, clone, 1);
        new FeedBits(folder).Has(1).Should().BeFalse();
        time.Advance(Feed.FlushDelay);
        new FeedBits(folder).Has(1).Should().BeTrue();
    }

    private static async Task Exchange(int[] sizes, int[] batches, int[] picks)
    {
        await using Feed owner = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
        await using Feed clone = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = owner.Key, VerifyReads = true });
        await using Feed second = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = owner.Key, VerifyReads = true });
        RemoteTree toClone = new();
        RemoteTree toSecond = new();
        int batch = 0;
        foreach (int pick in picks)
        {
            if (owner.Length < sizes.Length && (owner.Length == 0 || pick % 3 == 0))
            {
                int first = (int)owner.Length;
                int count = Math.Min(batches[batch++ % batches.Length], sizes.Length - first);
                await owner.AppendAsync([.. Enumerable.Range(first, count).Select(i => (ReadOnlyMemory<byte>)SeededBytes.Take(3, i * 100L, sizes[i]))], default);
            }

            long index = pick % owner.Length;
            bool hash = pick % 5 == 4;
            (Feed from, Feed to, RemoteTree remote) = pick % 2 == 0 || !clone.HasBlock(index) ? (owner, clone, toClone) : (clone, second, toSecond);
            if (!to.HasBlock(index))
            {
                from.TryProve(index, to.DigestFor(index), hash, remote, out Proof proof, out BlockLease lease).Should().BeTrue();
                ProofOutcome outcome = await to.AcceptAsync(proof, default);
                lease.Dispose();
                outcome.Should().NotBe(ProofOutcome.Rejected).And.NotBe(ProofOutcome.Forked);
                to.HasBlock(index).Should().Be(!hash);
            }

            foreach (Feed feed in (Feed[])[clone, second])
            {
                if (!feed.TryRead(index, out BlockLease block)) continue;
                block.Memory.ToArray().Should().Equal(SeededBytes.Take(3, index * 100, sizes[index]));
                block.Dispose();
            }
        }
    }

    private static async Task Repeat(Feed owner, Feed clone, JsonElement step)
    {
        Proof proof = ProofOf(step);
        JsonElement request = step.GetProperty("request");
        bool hash = request.GetProperty("hash").GetBoolean();
        ulong digest = request.GetProperty("digest").GetUInt64();
        owner.TryProve(proof.Index, digest, hash, new RemoteTree(), out Proof ours, out BlockLease lease).Should().BeTrue();
        ours.Nodes.Should().Equal(proof.Nodes);
        (ours.Signature?.ToArray() ?? []).Should().Equal(proof.Signature?.ToArray() ?? []);
        (ours.Value?.ToArray() ?? []).Should().Equal(proof.Value?.ToArray() ?? []);
        lease.Dispose();
        (await clone.AcceptAsync(proof, default)).Should().NotBe(ProofOutcome.Rejected).And.NotBe(ProofOutcome.Forked);
        clone.Length.Should().Be(step.GetProperty("after").GetProperty("length").GetInt64());
        clone.ByteLength.Should().Be(step.GetProperty("after").GetProperty("byteLength").GetInt64());
    }

    private static byte[] Content(long block) => FormulaBlocks.Bytes(5, block, (int)(block * 37 % 61));

    private static async Task<Feed> Owner(int length, byte[]? secret = null)
    {
        Feed owner = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true, SecretKey = secret });
        await owner.AppendAsync([.. Enumerable.Range(0, length).Select(i => (ReadOnlyMemory<byte>)Content(i))], default);
        return owner;
    }

    private static Proof Prove(Feed owner, long block)
    {
        owner.TryProve(block, 0, false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
        Proof copy = proof with { Value = lease.Memory.ToArray() };
        lease.Dispose();
        return copy;
    }

    private static async Task<ProofOutcome> Fetch(Feed owner, Feed clone, long block, bool hash = false)
    {
        owner.TryProve(block, clone.DigestFor(block), hash, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
        ProofOutcome outcome = await clone.AcceptAsync(proof, default);
        lease.Dispose();
        return outcome;
    }

    private static Proof ProofOf(JsonElement row)
    {
        JsonElement nodes = row.GetProperty("nodes");
        TreeNode[] list = nodes.ValueKind == JsonValueKind.Object
            ? [.. Enumerable.Repeat(NodeList.Node(nodes.GetProperty("node")), nodes.GetProperty("repeat").GetInt32())]
            : NodeList.Nodes(row, "nodes");
        return new Proof(row.GetProperty("index").GetInt64(), Bytes(row, "value"), list, Bytes(row, "signature"));
    }

    private static ReadOnlyMemory<byte>? Bytes(JsonElement row, string member)
    {
        if (row.Hex(member) is not { } bytes) return null;
        return bytes;
    }

    private static string Snapshot(MemoryFolder folder)
    {
        MemoryFolder found = folder.Clone();
        return string.Join('\n', RecordedFeed.FileNames.Where(found.Exists).Select(name => $"{name} {Sha256Of.Bytes(RecordedFeed.Read(found, name)!)}"));
    }

    /// <summary>What a file says, beside the feed that has it open.</summary>
    private sealed class FeedBits(MemoryFolder folder)
    {
        public bool Has(long block)
        {
            MemoryFolder copy = folder.Clone();
            using IRandomAccessFile file = copy.Open("bitfield", FileUse.Read)!;
            return Bitfield.Load(file, SleepHeader.BitfieldEntry, "bitfield").HasBlock(block);
        }
    }
}
