using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Peers of ours among themselves, and with peers that a test plays (wire-protocol.md §5).</summary>
public sealed class ReplicationTests
{
    [Theory]
    [InlineData(null)]
    [InlineData(11)]
    public async Task A_full_clone_brings_every_block(int? fragmentSeed)
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(300, tail: 500, batch: 7);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);

        reader.Connect(owner, fragmentSeed);
        await reader.UntilHeldAsync(0, 300);

        reader.ShouldHold(0, 300, tail: 500);
        reader.Feed.Length.Should().Be(300);
        reader.Feed.ByteLength.Should().Be(owner.Feed.ByteLength);
        owner.Replicator.Traffic[0].UploadedBlocks.Should().Be(300);
        reader.Replicator.Traffic[0].DownloadedBytes.Should().Be(300 * 508);
    }

    [Fact]
    public async Task A_sparse_read_fetches_that_block_alone()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1000);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        reader.Join(ReplicaNode.OpenFeed(ReplicaNode.KeyOf("another")));
        owner.Connect(reader);

        (await reader.ReadAsync(742)).Should().Equal(ReplicaNode.Block(742));
        (await reader.ReadAsync(3)).Should().Equal(ReplicaNode.Block(3));

        reader.Feed.Length.Should().Be(1000);
        reader.Feed.HeldBlocks.Should().BeInRange(2, 3, "the newest block may come along as proof of the length");
    }

    [Fact]
    public async Task A_new_length_becomes_known_by_itself_and_at_once_by_asking()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(4);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        reader.Connect(owner);
        await reader.Feed.WaitForLengthAsync(4, FetchPriority.Interactive, default).AsTask().WaitAsync(ReplicaNode.Patience);

        await owner.AppendAsync(4, 1);
        await ReplicaNode.UntilAsync(() => reader.Feed.Length == 5, "the appended block is known");
        await owner.AppendAsync(5, 40);
        await reader.Feed.WaitForLengthAsync(45, FetchPriority.Interactive, default).AsTask().WaitAsync(ReplicaNode.Patience);

        reader.Feed.Length.Should().Be(45);
    }

    [Fact]
    public async Task What_was_downloaded_is_passed_on_to_a_third_peer()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(100);
        await using ReplicaNode middle = ReplicaNode.Reader(owner.Feed.Key);
        await using ReplicaNode last = ReplicaNode.Reader(owner.Feed.Key);
        using IDisposable there = last.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.NewestFirst, FetchPriority.Metadata);
        last.Connect(middle);
        middle.Connect(owner);
        using IDisposable here = middle.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);

        await last.UntilHeldAsync(0, 100);
        await owner.AppendAsync(100, 3);
        await last.UntilHeldAsync(100, 103);

        last.ShouldHold(0, 103);
        owner.Replicator.Traffic[0].UploadedBlocks.Should().Be(103, "the middle one asked for each block once");
    }

    [Fact]
    public async Task What_was_passed_on_and_then_cleared_here_is_had_back()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode middle = ReplicaNode.Reader(owner.Feed.Key);
        await using ReplicaNode last = ReplicaNode.Reader(owner.Feed.Key);
        Action cut;
        using (middle.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background))
        {
            cut = middle.Connect(owner);
            await middle.UntilHeldAsync(0, 10);
        }

        cut();
        using IDisposable all = last.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        last.Connect(middle);
        await last.UntilHeldAsync(0, 10);

        await middle.Feed.ClearAsync(0, 6, default);
        (await middle.ReadAsync(4)).Should().Equal(ReplicaNode.Block(4), "the last one has it, although it had no reason to say so");
        using IDisposable again = middle.Feed.Source!.Download(0, 10, DownloadOrder.Ascending, FetchPriority.Background);
        await middle.UntilHeldAsync(0, 10);
        await middle.Feed.ClearAsync(0, 10, default);
        await middle.UntilHeldAsync(0, 10);
    }

    [Fact]
    public async Task Peers_with_different_blocks_are_asked_for_what_they_have()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(64);
        await using ReplicaNode low = ReplicaNode.Reader(owner.Feed.Key);
        await using ReplicaNode high = ReplicaNode.Reader(owner.Feed.Key);
        using (low.Feed.Source!.Download(0, 32, DownloadOrder.Ascending, FetchPriority.Background))
        using (high.Feed.Source!.Download(32, 64, DownloadOrder.Ascending, FetchPriority.Background))
        {
            Action cutLow = low.Connect(owner);
            Action cutHigh = high.Connect(owner);
            await low.UntilHeldAsync(0, 32);
            await high.UntilHeldAsync(32, 64);
            cutLow();
            cutHigh();
        }

        await ReplicaNode.UntilAsync(() => !low.Replicator.AnyPeer && !high.Replicator.AnyPeer, "the owner is gone");
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        reader.Connect(low);
        reader.Connect(high);

        await reader.UntilHeldAsync(0, 63);

        reader.ShouldHold(0, 63);
        low.Replicator.Traffic[0].UploadedBlocks.Should().BeGreaterOrEqualTo(31);
        high.Replicator.Traffic[0].UploadedBlocks.Should().BeGreaterOrEqualTo(31);
    }

    [Fact]
    public async Task A_block_asked_of_a_peer_that_leaves_comes_from_another()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer dying = ScriptedPeer.Honest(owner.Feed);
        dying.Request = (_, request) =>
        {
            if (!request.Hash) dying.Wire.Close(null);
        };
        reader.Connect(dying);
        Task<byte[]> read = reader.ReadAsync(4);
        await dying.ClosedAsync();
        read.IsCompleted.Should().BeFalse();

        reader.Connect(owner);

        (await read).Should().Equal(ReplicaNode.Block(4));
    }

    [Fact]
    public async Task A_peer_that_lies_is_dropped_and_the_read_succeeds_elsewhere()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        byte[] id = new byte[32];
        await using ScriptedPeer liar = Liar(owner.Feed, id);
        reader.Connect(liar);
        Task<byte[]> read = reader.ReadAsync(9);
        await liar.ClosedAsync();
        reader.Connect(owner);

        (await read).Should().Equal(ReplicaNode.Block(9));
        reader.Feed.HasBlock(9).Should().BeTrue();
    }

    [Fact]
    public async Task A_peer_that_lied_twice_is_refused()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        byte[] id = new byte[32];
        for (int i = 0; i < PeerBans.Strikes; i++)
        {
            await using ScriptedPeer liar = Liar(owner.Feed, id);
            reader.Connect(liar);
            await liar.ClosedAsync();
            liar.Requests.Should().NotBeEmpty();
        }

        await using ScriptedPeer again = Liar(owner.Feed, id);
        reader.Connect(again);
        await again.ClosedAsync();

        again.Requests.Should().BeEmpty();
    }

    [Fact]
    public async Task A_peer_whose_name_another_one_borrows_is_kept()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        byte[] name = owner.Replicator.Options.Id.ToArray();
        reader.Connect(owner);
        await reader.ReadAsync(0);
        await using ScriptedPeer lower = new() { Id = name };
        await using ScriptedPeer again = new() { Id = name };
        reader.Connect(lower, "elsewhere");
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Count(p => p.State == PeerState.Connected) == 2, "both are connected");
        reader.Connect(again, "elsewhere");
        await ReplicaNode.UntilAsync(() => lower.IsClosed || again.IsClosed, "one of two from the same place is dropped");

        reader.Replicator.Peers.Count(p => p.State == PeerState.Connected).Should().Be(2);
        (await reader.ReadAsync(3)).Should().Equal(ReplicaNode.Block(3));
    }

    [Fact]
    public async Task A_byte_is_found_by_asking_for_it()
    {
        await using ReplicaNode owner = ReplicaNode.Of(ReplicaNode.NewFeed());
        for (int i = 0; i < 200; i++) await owner.Feed.AppendAsync([new byte[1 + i * 37 % 91]], default);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        reader.Connect(owner);
        await reader.Feed.WaitForLengthAsync(200, FetchPriority.Interactive, default).AsTask().WaitAsync(ReplicaNode.Patience);

        foreach (long offset in new long[] { 0, 1, 4000, owner.Feed.ByteLength / 2, owner.Feed.ByteLength - 1 })
        {
            (long start, long end) = (0, 200);
            owner.Feed.TrySeek(offset, ref start, ref end, out long inBlock).Should().BeTrue();
            (long block, long at) = await reader.Feed.SeekAsync(offset, 0, 200, FetchPriority.Interactive, default).AsTask().WaitAsync(ReplicaNode.Patience);
            (block, at).Should().Be((start, inBlock));
        }

        reader.Feed.HeldBlocks.Should().BeLessThan(10);
    }

    [Fact]
    public async Task An_old_peer_is_understood()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(50);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer old = ScriptedPeer.Honest(owner.Feed, legacy: true);
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        reader.Connect(old);

        await reader.UntilHeldAsync(0, 50);

        reader.Replicator.Peers.Single().Feeds.Single().Legacy.Should().BeTrue();
        old.Heard.OfType<WantMessage>().Should().ContainSingle();
    }

    [Fact]
    public async Task An_old_reader_gets_the_whole_bitfield_for_its_open_ended_want()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(20);
        await using ScriptedPeer old = new();
        owner.Connect(old);
        (await old.OpenAsync()).Send(new WantMessage(0, null));

        await old.UntilAsync(p => p.Heard.OfType<HaveMessage>().Any(h => h.Bitfield is not null), "the bitfield came");

        // The append itself may be announced after it, when its event was handled late.
        old.Heard.OfType<HaveMessage>().Select(WireRecorder.Format).Take(2).Should().Equal("have 19 - - False", "have 0 0 0b02f0 False");
    }

    [Fact]
    public async Task A_second_feed_is_replicated_as_soon_as_both_sides_joined_it()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        Feed content = owner.Join(ReplicaNode.NewFeed());
        await content.AppendAsync([ReplicaNode.Block(77)], default);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        reader.Connect(owner);
        await reader.ReadAsync(0);

        Feed copy = reader.Join(ReplicaNode.OpenFeed(content.Key));

        using BlockLease block = await copy.ReadAsync(0, FetchPriority.Interactive, default).AsTask().WaitAsync(ReplicaNode.Patience);
        block.Memory.ToArray().Should().Equal(ReplicaNode.Block(77));
    }

    [Fact]
    public async Task Two_finite_peers_end_the_connection_when_all_is_copied()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(30, options: new ReplicatorOptions { Live = false });
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Live = false });
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        reader.Connect(owner);

        await reader.UntilHeldAsync(0, 30);
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Count == 0 && owner.Replicator.Peers.Count == 0, "both ended");
    }

    [Fact]
    public async Task A_finite_reader_of_a_live_owner_can_end_and_a_live_one_stays()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(30);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Live = false });
        await using ReplicaNode live = ReplicaNode.Reader(owner.Feed.Key);
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        using IDisposable alive = live.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        live.Connect(owner);
        reader.Connect(owner);

        await reader.UntilHeldAsync(0, 30);
        await live.UntilHeldAsync(0, 30);
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Count == 0, "the finite one ended");
        live.Replicator.AnyPeer.Should().BeTrue();
    }

    [Fact]
    public async Task An_acceptor_with_several_drives_gives_each_connection_to_the_right_one()
    {
        await using ReplicaNode one = await ReplicaNode.OwnerAsync(3);
        await using ReplicaNode two = await ReplicaNode.OwnerAsync(5);
        await using ReplicaNode reader = ReplicaNode.Reader(two.Feed.Key);
        await using ReplicaNode stranger = ReplicaNode.Reader(ReplicaNode.KeyOf("unknown"));
        ReplicatorHost host = new();
        using IDisposable first = host.Add(one.Replicator);
        using IDisposable second = host.Add(two.Replicator);

        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair(fragmentSeed: 3);
        Task<PeerEnd> served = host.RunAsync(there, default);
        reader.Run(here);
        (await reader.ReadAsync(4)).Should().Equal(ReplicaNode.Block(4));
        one.Replicator.Peers.Should().BeEmpty();

        (MemoryTransport strange, MemoryTransport refused) = MemoryTransport.CreatePair();
        stranger.Run(strange);
        (await host.RunAsync(refused, default).WaitAsync(ReplicaNode.Patience)).Should().Be(PeerEnd.Violation);
        await reader.DisposeAsync();
        await served.WaitAsync(ReplicaNode.Patience);
    }

    [Fact]
    public async Task A_feed_signed_twice_is_frozen()
    {
        (FeedKey key, byte[] secret) = ReplicaNode.KeyPair();
        await using ReplicaNode owner = ReplicaNode.Of(ReplicaNode.OpenFeed(key, secret));
        await owner.AppendAsync(0, 4);
        await using ReplicaNode twin = ReplicaNode.Of(ReplicaNode.OpenFeed(key, secret));
        await twin.Feed.AppendAsync([.. Enumerable.Range(0, 6).Select(i => (ReadOnlyMemory<byte>)ReplicaNode.Block(1000 + i))], default);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        reader.Connect(owner);
        for (int i = 0; i < 4; i++) await reader.ReadAsync(i);

        // What we claim to know hides the contradiction the first time; a peer under suspicion is asked for the whole proof.
        (await reader.ConnectToEndAsync(twin)).Should().Be(PeerEnd.Violation);
        await ReplicaNode.UntilAsync(() => !twin.Replicator.AnyPeer, "the other side has seen the end, and does not take the next connection for a second one");
        reader.Connect(twin);
        await ReplicaNode.UntilAsync(() => reader.Feed.IsForked, "the second history was seen");

        await ReplicaNode.UntilAsync(() => reader.Replicator.Traffic[0].Frozen, "replication stopped");
        Func<Task> more = () => reader.Feed.Source!.FetchAsync(5, FetchPriority.Interactive, default).AsTask();
        (await more.Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Forked);
        reader.ShouldHold(0, 4);
    }

    private static ScriptedPeer Liar(Feed truth, byte[] id)
    {
        ScriptedPeer liar = new() { Id = id };
        liar.Want = (channel, want) => liar.AnswerWant(channel, want, truth);
        liar.Request = (channel, request) =>
        {
            Proof proof = liar.Prove(request, truth);
            if (proof.Value is { } value)
            {
                byte[] changed = value.ToArray();
                changed[^1] ^= 1;
                proof = proof with { Value = changed };
            }
            else
            {
                proof = proof with { Nodes = [.. proof.Nodes.Select(n => n with { Size = n.Size + 1 })] };
            }

            channel.Send(proof);
        };
        return liar;
    }
}
