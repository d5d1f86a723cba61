using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;
using DatFs.Wire;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>What is asked of whom, when, and what happens when nothing comes back (wire-protocol.md §5.4, §8.3).</summary>
public sealed class SchedulingTests
{
    [Fact]
    public async Task An_interactive_read_overtakes_a_thousand_queued_ones()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(2000);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer peer = ScriptedPeer.Honest(owner.Feed);
        peer.Request = (channel, request) =>
        {
            if (request.Index is 1999 || request.Hash) peer.AnswerRequest(channel, request, owner.Feed);
        };
        reader.Connect(peer);
        await reader.ReadAsync(1999);
        List<Task<byte[]>> background = [.. Enumerable.Range(0, 1000).Select(i => reader.ReadAsync(i, FetchPriority.Background))];
        await peer.UntilAsync(p => p.Requests.Count(r => !r.Hash) >= 1 + RequestWindow.StartCount / 4 * 3, "the window is full for background reads");

        Task<byte[]> interactive = reader.ReadAsync(1500);
        await peer.UntilAsync(p => p.Requests.Any(r => r.Index == 1500), "the interactive one left at once");

        int before = peer.Requests.Count(r => r.Index < 1000);
        before.Should().Be(RequestWindow.StartCount / 4 * 3);
        peer.Request = (channel, request) => peer.AnswerRequest(channel, request, owner.Feed);
        WireChannel open = await peer.OpenAsync();
        foreach (RequestMessage request in peer.Requests.Where(r => r.Index < 1999 && !r.Hash).ToList()) peer.AnswerRequest(open, request, owner.Feed);
        (await interactive).Should().Equal(ReplicaNode.Block(1500));
        await Task.WhenAll(background).WaitAsync(ReplicaNode.Patience);
    }

    [Fact]
    public async Task Readers_of_one_block_share_a_request_and_a_cancelled_one_asks_for_nothing()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(50);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        using CancellationTokenSource cancel = new();
        Task<byte[]> first = reader.ReadAsync(7);
        Task<byte[]> second = reader.ReadAsync(7, FetchPriority.Background);
        Task given = reader.Feed.Source!.FetchAsync(8, FetchPriority.Interactive, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await given.Awaiting(t => t).Should().ThrowAsync<OperationCanceledException>();

        await using ScriptedPeer peer = ScriptedPeer.Honest(owner.Feed);
        reader.Connect(peer);

        (await first).Should().Equal(await second);
        peer.Requests.Where(r => r.Index == 7).Should().ContainSingle();
        peer.Requests.Should().NotContain(r => r.Index == 8);
    }

    [Fact]
    public async Task Nothing_is_asked_that_was_not_announced()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(50);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer peer = ScriptedPeer.Honest(owner.Feed);
        peer.Want = (channel, want) =>
        {
            channel.Send(new HaveMessage(20, 10, null, false));
            channel.Send(new HaveMessage(0, PeerChannel.WantBlocks, ReadOnlyMemory<byte>.Empty, false));
            channel.Send(new HaveMessage(20, 10, null, false));
        };
        Task<byte[]> elsewhere = reader.ReadAsync(40);
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        reader.Connect(peer);

        await reader.UntilHeldAsync(20, 30);

        peer.Requests.Should().OnlyContain(r => r.Index >= 20 && r.Index < 30);
        elsewhere.IsCompleted.Should().BeFalse();
        (await peer.OpenAsync()).Send(new HaveMessage(40, null, null, false));
        (await elsewhere).Should().Equal(ReplicaNode.Block(40));
    }

    [Fact]
    public async Task In_the_background_what_fewest_peers_have_is_asked_for_first()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(600);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer all = Holding(owner.Feed, 600), most = Holding(owner.Feed, 500), some = Holding(owner.Feed, 400);
        await ConnectAsync(reader, all, most, some);

        using IDisposable range = reader.Feed.Source!.Download(0, 600, DownloadOrder.Ascending, FetchPriority.Background);

        // The newest block is held already.
        await ReplicaNode.UntilAsync(() => Blocks(all).Count > 99 && Blocks(most).Count > 99 && Blocks(some).Count > 99, "all were asked");
        Blocks(all).Take(99).Should().Equal(Enumerable.Range(500, 99).Select(i => (long)i), "one peer has them");
        Blocks(all).Concat(Blocks(most)).Where(i => i is >= 400 and < 500).Should().HaveCount(100, "two peers have them");
        Blocks(most).Take(8).Should().Equal(Enumerable.Range(400, 8).Select(i => (long)i));
        Blocks(some).Should().BeInAscendingOrder().And.OnlyContain(i => i < 400, "three peers have them");
    }

    [Fact]
    public async Task A_large_read_is_split_over_peers_in_runs_of_eight()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(600);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer one = Holding(owner.Feed, 600), other = Holding(owner.Feed, 600);
        await ConnectAsync(reader, one, other);

        using IDisposable range = reader.Feed.Source!.Download(0, 64, DownloadOrder.Ascending, FetchPriority.ReadAhead);

        await ReplicaNode.UntilAsync(() => Blocks(one).Count + Blocks(other).Count == 64, "all were asked for");
        foreach (ScriptedPeer peer in new[] { one, other })
        {
            Blocks(peer).Should().HaveCount(32);
            foreach (long[] run in Blocks(peer).Chunk(RequestScheduler.RunBlocks)) run.Should().Equal(Enumerable.Range(0, RequestScheduler.RunBlocks).Select(i => run[0] + i));
        }
    }

    // Answers for the newest block of the feed only, so that its length is known and all else stays asked for.
    private static ScriptedPeer Holding(Feed feed, int blocks)
    {
        ScriptedPeer peer = ScriptedPeer.Honest(feed);
        peer.Want = (channel, want) =>
        {
            channel.Send(new HaveMessage(0, PeerChannel.WantBlocks, ReadOnlyMemory<byte>.Empty, false));
            channel.Send(new HaveMessage(0, blocks, null, false));
        };
        peer.Request = (channel, request) =>
        {
            if (request.Hash || request.Index == feed.Length - 1) peer.AnswerRequest(channel, request, feed);
        };
        return peer;
    }

    private static async Task ConnectAsync(ReplicaNode reader, params ScriptedPeer[] peers)
    {
        // The first one has all, and is asked for the newest block.
        reader.Connect(peers[0]);
        await ReplicaNode.UntilAsync(() => reader.Feed.Length == 600, "the length is known");
        foreach (ScriptedPeer peer in peers.Skip(1)) reader.Connect(peer);
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Count(p => p.Feeds.Any(f => f.Informed && f.ClaimedLength > 0)) == peers.Length
            && reader.Replicator.Peers.All(p => p.InFlight == 0), "all have told what they have");
        foreach (ScriptedPeer peer in peers) peer.Heard.Clear();
    }

    private static List<long> Blocks(ScriptedPeer peer) => [.. peer.Requests.Where(r => !r.Hash).Select(r => (long)r.Index)];

    [Fact]
    public async Task A_peer_that_stalls_loses_its_requests_to_another()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer silent = Silent(owner.Feed);
        await using ScriptedPeer speaking = ScriptedPeer.Honest(owner.Feed);
        reader.Connect(silent);
        Task<byte[]> read = reader.ReadAsync(5, FetchPriority.Background);
        await silent.UntilAsync(p => p.Requests.Any(r => r.Index == 5), "the silent one was asked");
        reader.Connect(speaking);
        await speaking.UntilAsync(p => p.Requests.Any() || p.Heard.OfType<WantMessage>().Any(), "the other one is there");
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.All(p => p.Feeds.Any(f => f.Informed)), "both have told what they have");
        speaking.Requests.Should().NotContain(r => r.Index == 5);

        time.Advance(TimeSpan.FromMilliseconds(PeerConnection.StallMs - 250));
        read.IsCompleted.Should().BeFalse();
        time.Advance(TimeSpan.FromMilliseconds(500));

        (await read).Should().Equal(ReplicaNode.Block(5));
        reader.Replicator.Peers.Should().HaveCount(2).And.OnlyContain(p => p.InFlight == 0 && p.TimedOut == 0, "a pause is no offence");
    }

    [Fact]
    public async Task A_peer_that_stalls_is_tried_with_one_request_at_a_time()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(400);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer silent = ScriptedPeer.Honest(owner.Feed);
        silent.Request = (_, _) => { };
        await using ScriptedPeer speaking = ScriptedPeer.Honest(owner.Feed);
        reader.Connect(silent);
        reader.Connect(speaking);
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Count(p => p.Feeds.Any(f => f.Informed)) == 2, "both have told what they have");
        using (reader.Feed.Source!.Download(0, 200, DownloadOrder.Ascending, FetchPriority.ReadAhead))
        {
            await silent.UntilAsync(p => p.Requests.Any(r => !r.Hash), "the silent one was asked");
            await PassAsync(() => reader.Feed.FirstMissing(0, 200) >= 200);
        }

        int asked = silent.Requests.Count();
        using IDisposable rest = reader.Feed.Source!.Download(200, 400, DownloadOrder.Ascending, FetchPriority.ReadAhead);
        await ReplicaNode.UntilAsync(() => reader.Feed.HeldBlocks >= 399, "the other one sends the rest");
        silent.Requests.Count().Should().BeLessThanOrEqualTo(asked + 1);
        await PassAsync(() => reader.Feed.FirstMissing(200, 400) >= 400);

        // The clock stands while the other one has something to answer: it is quick.
        async Task PassAsync(Func<bool> condition)
        {
            for (int i = 0; i < 40 && !condition(); i++)
            {
                await ReplicaNode.UntilAsync(() => condition() || reader.Replicator.Peers.MaxBy(p => p.BytesReceived) is null or { InFlight: 0 }, "the other one answers");
                if (!condition()) time.Advance(TimeSpan.FromMilliseconds(PeerConnection.StallMs / 4));
            }

            condition().Should().BeTrue();
        }
    }

    [Fact]
    public async Task A_peer_silent_three_times_in_a_row_is_left()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer silent = Silent(owner.Feed);
        reader.Connect(silent);
        Task<byte[]> read = reader.ReadAsync(5);
        for (int round = 1; round <= RequestScheduler.MaxTimeoutsInRow; round++)
        {
            await silent.UntilAsync(p => p.Requests.Count(r => r.Index == 5) == round || p.IsClosed, "it was asked again");
            silent.IsClosed.Should().BeFalse();
            for (int i = 0; i < 21 && !silent.IsClosed; i++)
            {
                // A sign of life, so that it is the missing answers that count.
                long received = Received();
                (await silent.OpenAsync()).Send(new UnhaveMessage(900, 1));
                await ReplicaNode.UntilAsync(() => Received() != received || silent.IsClosed, "the sign of life came");
                time.Advance(TimeSpan.FromMilliseconds(500));
            }
        }

        await silent.ClosedAsync();
        long Received() => reader.Replicator.Peers.Sum(peer => peer.BytesReceived);
        read.IsCompleted.Should().BeFalse();
        reader.Connect(owner);
        (await read).Should().Equal(ReplicaNode.Block(5));
    }

    [Fact]
    public async Task Without_a_peer_a_read_fails_as_offline_and_says_why()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode reader = ReplicaNode.Reader(ReplicaNode.KeyOf("lonely"), new ReplicatorOptions { Time = time });
        reader.Replicator.ExplainOffline = () => "nobody answered";
        Task<byte[]> read = reader.ReadAsync(5);

        time.Advance(TimeSpan.FromSeconds(9));
        read.IsCompleted.Should().BeFalse();
        time.Advance(TimeSpan.FromSeconds(2));

        DatException error = (await read.Awaiting(t => t).Should().ThrowAsync<DatException>()).Which;
        error.Error.Should().Be(DatError.Offline);
        error.Message.Should().Contain("nobody answered");
    }

    [Fact]
    public async Task Each_reader_waits_its_own_time_for_the_same_block()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode reader = ReplicaNode.Reader(ReplicaNode.KeyOf("lonely"), new ReplicatorOptions { Time = time });
        Task<byte[]> early = reader.ReadAsync(5);
        time.Advance(TimeSpan.FromSeconds(6));
        Task<byte[]> late = reader.ReadAsync(5);

        time.Advance(TimeSpan.FromSeconds(5));
        await early.Awaiting(t => t).Should().ThrowAsync<DatException>();
        late.IsCompleted.Should().BeFalse();
        time.Advance(TimeSpan.FromSeconds(6));

        (await late.Awaiting(t => t).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Offline);
    }

    [Fact]
    public async Task A_reader_outlasts_a_break_of_its_only_peer()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer dying = Silent(owner.Feed);
        reader.Connect(dying);
        Task<byte[]> read = reader.ReadAsync(5);
        await dying.UntilAsync(p => p.Requests.Any(r => r.Index == 5), "it was asked");
        for (int i = 0; i < 19; i++) time.Advance(TimeSpan.FromMilliseconds(500));
        dying.Wire.Close(null);
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Count == 0, "it is gone");

        for (int i = 0; i < 18; i++) time.Advance(TimeSpan.FromMilliseconds(500));

        read.IsCompleted.Should().BeFalse("for less than ten seconds nobody has it");
        reader.Connect(owner);
        (await read).Should().Equal(ReplicaNode.Block(5));
    }

    [Fact]
    public async Task A_reader_of_what_is_not_written_yet_gets_it_when_it_is()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1);
        Task<byte[]> read = owner.ReadAsync(2);
        await ReplicaNode.UntilAsync(() => read.IsCompleted || owner.Feed.Length == 1, "it waits");

        await owner.AppendAsync(1, 2);

        (await read).Should().Equal(ReplicaNode.Block(2));
    }

    [Fact]
    public async Task A_block_that_its_peer_takes_back_is_asked_of_another_at_once()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer clearing = Silent(owner.Feed);
        await using ScriptedPeer holding = ScriptedPeer.Honest(owner.Feed);
        reader.Connect(clearing);
        Task<byte[]> read = reader.ReadAsync(5, FetchPriority.Background);
        await clearing.UntilAsync(p => p.Requests.Any(r => r.Index == 5), "it was asked");
        reader.Connect(holding);
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Count(p => p.Feeds.Any(f => f.Informed)) == 2, "both have told what they have");

        (await clearing.OpenAsync()).Send(new UnhaveMessage(4, 3));

        (await read).Should().Equal(ReplicaNode.Block(5));
        clearing.Requests.Where(r => r.Index == 5).Should().ContainSingle();
    }

    [Fact]
    public async Task A_peer_that_offers_anew_what_it_takes_back_is_left()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer teasing = Silent(owner.Feed);
        teasing.Request = (channel, request) =>
        {
            if (request.Hash)
            {
                teasing.AnswerRequest(channel, request, owner.Feed);
                return;
            }

            channel.Send(new UnhaveMessage(request.Index, 1));
            channel.Send(new HaveMessage(request.Index, null, null, false));
        };
        reader.Connect(teasing);
        Task<byte[]> read = reader.ReadAsync(5);

        Exception? reason = await teasing.ClosedAsync();

        reason.Should().NotBeNull();
        teasing.Requests.Count(r => !r.Hash).Should().BeInRange(PeerConnection.MaxRefusalsInRow + 1, PeerConnection.MaxRefusalsInRow + 2);
        reader.Connect(owner);
        (await read).Should().Equal(ReplicaNode.Block(5));
    }

    [Fact]
    public async Task What_rots_in_the_tree_fails_a_read_and_not_the_replicator()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(8);
        MemoryFolder folder = new();
        await using (ReplicaNode before = ReplicaNode.Of(Feed.Open(new FeedFiles(folder), new FeedOptions { Key = owner.Feed.Key })))
        {
            before.Connect(owner);
            await before.ReadAsync(0);
        }

        // The bit of the node above blocks 2 and 3 says that it is there.
        using (IRandomAccessFile tree = folder.Open("tree", FileUse.ReadWrite)!) tree.Write(TreeFile.OffsetOf(5), new byte[SleepHeader.TreeEntry]);
        await using ReplicaNode reader = ReplicaNode.Of(Feed.Open(new FeedFiles(folder), new FeedOptions()), new ReplicatorOptions { Time = time });
        reader.Connect(owner);

        await reader.Awaiting(r => r.ReadAsync(2)).Should().ThrowAsync<DatException>().Where(e => e.Error == DatError.Corrupt);

        (await reader.ReadAsync(6)).Should().Equal(ReplicaNode.Block(6));
    }

    [Fact]
    public async Task A_claim_that_is_never_proven_does_not_keep_the_truth_away()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer liar = new();
        reader.Connect(liar);
        (await liar.OpenAsync()).Send(new HaveMessage(1L << 39, null, null, false));
        await liar.UntilAsync(p => p.Requests.Any(), "it is asked to prove it");
        reader.Connect(owner);
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Any(p => p.Feeds.Any(f => f.ClaimedLength == 10)), "the truth is claimed too");

        time.Advance(TimeSpan.FromMilliseconds(RequestScheduler.RequestTimeoutMs));

        await ReplicaNode.UntilAsync(() => reader.Feed.Length == 10, "the truth is known");
        liar.IsClosed.Should().BeFalse();
    }

    [Fact]
    public async Task A_block_that_no_connected_peer_has_fails_as_offline()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        reader.Connect(owner);
        Task<byte[]> read = reader.ReadAsync(100);
        await ReplicaNode.UntilAsync(() => reader.Feed.Length == 10, "the peer is known");

        time.Advance(TimeSpan.FromSeconds(11));

        (await read.Awaiting(t => t).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Offline);
    }

    [Fact]
    public async Task A_peer_that_answers_all_but_one_request_is_asked_again_after_a_minute()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(100);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time, FetchTimeout = TimeSpan.FromMinutes(5) });
        await using ScriptedPeer peer = Silent(owner.Feed);
        reader.Connect(peer);
        Task<byte[]> read = reader.ReadAsync(5);
        await peer.UntilAsync(p => p.Requests.Any(r => r.Index == 5), "it was asked");

        for (double passed = 0; passed < RequestScheduler.SlowRequestTimeoutMs; passed += 4000)
        {
            peer.Requests.Where(r => r.Index == 5).Should().ContainSingle();
            await reader.ReadAsync(10 + (long)(passed / 4000));
            time.Advance(TimeSpan.FromSeconds(4));
        }

        await peer.UntilAsync(p => p.Requests.Count(r => r.Index == 5) == 2, "it was asked again");
        peer.AnswerRequest(await peer.OpenAsync(), peer.Requests.Last(r => r.Index == 5), owner.Feed);
        (await read).Should().Equal(ReplicaNode.Block(5));
    }

    [Fact]
    public async Task An_answer_that_comes_slowly_is_waited_for()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(1, tail: 100_000);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        owner.Feed.TryProve(0, 0, false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
        byte[] answer;
        using (lease) answer = RawPeer.Frame(0, FrameType.Data, RawPeer.Body(proof));
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
        reader.Run(there);
        using RawPeer slow = new(here, reader.Feed.Key);
        await slow.GreetAsync();
        await slow.SendAsync(0, FrameType.Have, "0800");
        Task<byte[]> read = reader.ReadAsync(0);
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Any(p => p.InFlight == 1), "it was asked");

        // A block of 100 KB at 4 KB a second takes longer than a silent peer would be given.
        for (int at = 0; at < answer.Length; at += 4000)
        {
            long received = reader.Replicator.Peers.Single().BytesReceived;
            byte[] piece = answer[at..Math.Min(at + 4000, answer.Length)];
            await slow.SendAsync(piece);
            await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Single().BytesReceived == received + piece.Length, "it arrived");
            if (at + 4000 < answer.Length) time.Advance(TimeSpan.FromSeconds(1));
        }

        (await read).Should().Equal(ReplicaNode.Block(0, tail: 100_000));
        reader.Replicator.Peers.Single().TimedOut.Should().Be(0);
    }

    [Fact]
    public async Task A_full_disk_fails_the_read_and_rests_the_background_but_is_no_fault_of_the_peer()
    {
        FakeTimeProvider time = new();
        using GateFolder folder = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(20);
        await using ReplicaNode reader = ReplicaNode.Of(
            Feed.Open(new FeedFiles(folder), new FeedOptions { Key = owner.Feed.Key, Time = time }), new ReplicatorOptions { Time = time });
        await using ScriptedPeer peer = ScriptedPeer.Honest(owner.Feed);
        folder.IsFull = true;
        reader.Connect(peer);

        (await reader.Awaiting(r => r.ReadAsync(5)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Io);
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        int asked = peer.Requests.Count();
        time.Advance(TimeSpan.FromMilliseconds(RequestScheduler.PauseMs - 500));
        peer.Requests.Count().Should().Be(asked);
        peer.IsClosed.Should().BeFalse();

        folder.IsFull = false;
        time.Advance(TimeSpan.FromSeconds(1));

        await reader.UntilHeldAsync(0, 20);
    }

    [Fact]
    public async Task So_many_ranges_are_asked_about_and_no_more()
    {
        await using ReplicaNode reader = ReplicaNode.Reader(ReplicaNode.KeyOf("endless"));
        await using ScriptedPeer peer = new();
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
        reader.Connect(peer);
        WireChannel channel = await peer.OpenAsync();
        await peer.UntilAsync(p => p.Heard.OfType<WantMessage>().Any(), "the first was asked");
        channel.Send(new HaveMessage((1L << 40) - 1, null, null, false));
        await peer.UntilAsync(p => p.Heard.OfType<WantMessage>().Count() == PeerChannel.MaxOpenWants, "no more than this wait for their answer");

        int wanted = PeerChannel.MaxOpenWants;
        peer.Want = (_, want) =>
        {
            Interlocked.Increment(ref wanted);
            Answer(want);
        };
        foreach (WantMessage want in peer.Heard.OfType<WantMessage>().ToArray()) Answer(want);
        await ReplicaNode.UntilAsync(() => Volatile.Read(ref wanted) >= PeerChannel.MaxWants, "all that may be was asked");
        channel.Send(new HaveMessage(0, null, null, false));
        channel.Send(new WantMessage(0, 8192));
        await peer.UntilAsync(p => p.Heard.OfType<HaveMessage>().Any(), "it goes on");
        peer.Heard.OfType<WantMessage>().Should().HaveCount(PeerChannel.MaxWants);

        void Answer(WantMessage want) => channel.Send(new HaveMessage(want.Start, want.Length, ReadOnlyMemory<byte>.Empty, false));
    }

    [Fact]
    public async Task A_seek_that_a_peer_ignores_is_answered_by_guesses()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(64, tail: 3);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer peer = ScriptedPeer.Honest(owner.Feed);
        peer.Request = (channel, request) =>
        {
            if (request.Bytes == 0) peer.AnswerRequest(channel, request, owner.Feed);
        };
        reader.Connect(peer);
        await reader.Feed.WaitForLengthAsync(64, FetchPriority.Interactive, default).AsTask().WaitAsync(ReplicaNode.Patience);
        Task<(long, long)> seek = reader.Feed.SeekAsync(11 * 21 + 4, 0, 64, FetchPriority.Interactive, default).AsTask();
        await peer.UntilAsync(p => p.Requests.Any(r => r.Bytes > 0), "the offset was asked for");

        time.Advance(TimeSpan.FromSeconds(4));

        (await seek.WaitAsync(ReplicaNode.Patience)).Should().Be((21, 4));
        peer.Requests.Where(r => r.Bytes > 0).Should().ContainSingle();
    }

    [Fact]
    public async Task An_old_peer_hears_unhave_before_a_repeated_request()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(10);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer old = ScriptedPeer.Honest(owner.Feed, legacy: true);
        old.Request = (_, _) => { };
        reader.Connect(old);
        Task<byte[]> read = reader.ReadAsync(5);
        await old.UntilAsync(p => p.Requests.Any(r => r.Index == 5), "it was asked");
        old.Heard.OfType<UnhaveMessage>().Should().BeEmpty();
        old.Request = (channel, request) => old.AnswerRequest(channel, request, owner.Feed);

        time.Advance(TimeSpan.FromSeconds(10.5));

        (await read).Should().Equal(ReplicaNode.Block(5));
        old.Heard.Where(m => m is UnhaveMessage { Start: 5 } or RequestMessage { Index: 5 }).Select(m => m.GetType().Name)
            .Should().Equal(nameof(RequestMessage), nameof(UnhaveMessage), nameof(RequestMessage));
    }

    [Fact]
    public async Task The_first_flight_carries_the_wants_in_one_piece()
    {
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
        await using ReplicaNode reader = ReplicaNode.Reader(ReplicaNode.KeyOf("first"));
        reader.Join(ReplicaNode.OpenFeed(ReplicaNode.KeyOf("second")));

        reader.Run(here);

        var read = await there.Input.ReadAsync();
        // Feed 62, Handshake 40 to 42, Want 8, Feed 36, Want 8.
        read.Buffer.Length.Should().BeInRange(62 + 40 + 8 + 36 + 8, 62 + 42 + 8 + 36 + 8);
    }

    [Fact]
    public async Task Newest_first_asks_from_the_end()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(200);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer peer = ScriptedPeer.Honest(owner.Feed);
        peer.Request = (_, _) => { };
        using IDisposable all = reader.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.NewestFirst, FetchPriority.Metadata);
        reader.Connect(peer);

        await peer.UntilAsync(p => p.Requests.Count() >= 40, "requests came");

        peer.Requests.Take(40).Select(r => r.Index).Should().Equal(Enumerable.Range(0, 40).Select(i => 199L - i));
    }

    private static ScriptedPeer Silent(Feed feed)
    {
        ScriptedPeer peer = ScriptedPeer.Honest(feed);
        peer.Request = (channel, request) =>
        {
            if (request.Index != 5) peer.AnswerRequest(channel, request, feed);
        };
        return peer;
    }
}
