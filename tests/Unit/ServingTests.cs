using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Google.Protobuf;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>What others hear of us (wire-protocol.md §5.3, §5.5, §5.7, §5.8, §9).</summary>
public sealed class ServingTests
{
    [Fact]
    public async Task A_want_is_answered_by_the_length_first_and_echoes_its_own()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(20);
        await using ScriptedPeer peer = new();
        owner.Connect(peer);
        WireChannel channel = await peer.OpenAsync();

        channel.Send(new WantMessage(0, 1_048_576));
        channel.Send(new WantMessage(8192, 8192));
        channel.Send(new WantMessage(0, 16_384));

        await peer.UntilAsync(p => p.Heard.OfType<HaveMessage>().Count() >= 4, "all were answered");
        peer.Heard.OfType<HaveMessage>().Select(WireRecorder.Format).Should().Equal(
            "have 19 - - False", "have 0 1048576 0b02f0 False", "have 8192 8192  False", "have 0 16384 0b02f0 False");
    }

    [Fact]
    public async Task Wants_off_the_grid_or_beyond_the_bound_stay_unanswered()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(20);
        await using ScriptedPeer peer = new();
        owner.Connect(peer);
        WireChannel channel = await peer.OpenAsync();

        channel.Send(new WantMessage(1, 8192));
        channel.Send(new WantMessage(0, 8191));
        channel.Send(new WantMessage(0, PeerConnection.MaxWantBlocks + 8192));
        channel.Send(new WantMessage(0, 8192));

        await peer.UntilAsync(p => p.Heard.OfType<HaveMessage>().Count() >= 2, "the good one was answered");
        peer.Heard.OfType<HaveMessage>().Should().HaveCount(2);
    }

    [Fact]
    public async Task A_reader_with_nothing_says_so_before_it_asks()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(5);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer old = ScriptedPeer.Honest(owner.Feed, legacy: true);
        old.Want = (channel, want) =>
        {
            channel.Send(new WantMessage(0, null));
            old.AnswerWant(channel, want, owner.Feed, legacy: true);
        };
        reader.Connect(old);

        await reader.ReadAsync(2);

        old.Heard.Where(m => m is HaveMessage or RequestMessage).Select(m => m.GetType().Name).First().Should().Be(nameof(HaveMessage));
    }

    [Fact]
    public async Task Appends_are_announced_at_once_and_clears_taken_back_only_to_who_asked()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(2);
        await using ScriptedPeer asking = new();
        await using ScriptedPeer mute = new();
        owner.Connect(asking);
        owner.Connect(mute);
        (await asking.OpenAsync()).Send(new WantMessage(0, 1_048_576));
        await mute.OpenAsync();
        await asking.UntilAsync(p => p.Heard.OfType<HaveMessage>().Count() == 2, "it knows what is there");

        await owner.AppendAsync(2, 3);
        await owner.AppendAsync(5, 1);
        await owner.Feed.ClearAsync(1, 3, default);

        await asking.UntilAsync(p => p.Heard.OfType<UnhaveMessage>().Any(), "it knows what is gone");
        asking.Heard.OfType<HaveMessage>().Where(h => h.Start >= 2).Select(WireRecorder.Format).Should().Equal("have 2 3 - False", "have 5 - - False");
        asking.Heard.OfType<UnhaveMessage>().Should().Equal(new UnhaveMessage(1, 2));
        mute.Heard.OfType<HaveMessage>().Should().BeEmpty();
    }

    [Fact]
    public async Task Downloads_are_announced_in_runs_and_not_to_their_source()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(40);
        await using ReplicaNode middle = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = time });
        await using ScriptedPeer listener = new();
        await using ScriptedPeer source = ScriptedPeer.Honest(owner.Feed);
        middle.Connect(listener);
        (await listener.OpenAsync()).Send(new WantMessage(0, 1_048_576));
        await listener.UntilAsync(p => p.Heard.OfType<HaveMessage>().Any(), "it is known to listen");
        source.Want += (channel, _) => channel.Send(new WantMessage(0, 1_048_576));
        using IDisposable some = middle.Feed.Source!.Download(10, 40, DownloadOrder.Ascending, FetchPriority.Metadata);
        middle.Connect(source);
        await middle.UntilHeldAsync(10, 40);
        await ReplicaNode.UntilAsync(() => middle.Replicator.Traffic[0].DownloadedBlocks == 30, "all is booked");
        listener.Heard.OfType<HaveMessage>().Should().ContainSingle();

        time.Advance(TimeSpan.FromMilliseconds(Announcements.MaxDelayMs));

        await listener.UntilAsync(p => p.Heard.OfType<HaveMessage>().Count() > 1, "it was told");
        listener.Heard.OfType<HaveMessage>().Skip(1).Select(WireRecorder.Format).Should().Equal("have 10 30 - False");
        source.Heard.OfType<HaveMessage>().Where(h => h.Bitfield is null).Should().BeEmpty();
    }

    [Fact]
    public async Task Acknowledgements_go_to_the_peer_that_asks_for_them()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(5);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer peer = new() { Ack = true };
        peer.Want = (channel, want) => peer.AnswerWant(channel, want, owner.Feed);
        peer.Request = (channel, request) => peer.AnswerRequest(channel, request, owner.Feed);
        reader.Connect(peer);

        await reader.ReadAsync(3);

        await peer.UntilAsync(p => p.Heard.OfType<HaveMessage>().Any(h => h is { Start: 3, Ack: true, Length: 1 }), "it was acknowledged");
    }

    [Fact]
    public async Task Requests_are_answered_with_and_without_bytes_and_by_offset()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(20);
        await using ReplicaNode check = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer peer = new();
        owner.Connect(peer);
        WireChannel channel = await peer.OpenAsync();

        channel.Send(new RequestMessage(4, 0, false, 0));
        channel.Send(new RequestMessage(5, 0, true, 0));
        channel.Send(new RequestMessage(0, 8 * 13 + 2, false, 0));
        channel.Send(new RequestMessage(6, owner.Feed.ByteLength, true, 0));

        await peer.UntilAsync(p => p.Answers.Count() == 4, "all were answered");
        peer.Answers.Select(a => (a.Index, HasValue: a.Value is not null)).Should().Equal((4, true), (5, false), (13, true), (6, false));
        (await check.Feed.AcceptAsync(peer.Answers.First(), default)).Should().Be(ProofOutcome.AcceptedLonger);
    }

    [Fact]
    public async Task A_block_is_sent_at_most_eight_times_a_minute()
    {
        FakeTimeProvider time = new();
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(20, options: new ReplicatorOptions { Time = time });
        await using ScriptedPeer peer = new();
        owner.Connect(peer);
        WireChannel channel = await peer.OpenAsync();

        for (int i = 0; i < 12; i++) channel.Send(new RequestMessage(4, 0, false, 0));
        channel.Send(new RequestMessage(5, 0, false, 0));
        await peer.UntilAsync(p => p.Answers.Any(a => a.Index == 5), "the other block came");
        peer.Answers.Count(a => a.Index == 4).Should().Be(AnswerCounts.MaxRepeats);

        // Not in one leap: a minute without a sign of life would end the connection.
        for (int i = 0; i < 7; i++)
        {
            channel.Send(new RequestMessage(6, 0, true, 0));
            await peer.UntilAsync(p => p.Answers.Count(a => a.Index == 6) > i, "it is still there");
            time.Advance(TimeSpan.FromSeconds(9));
        }

        channel.Send(new RequestMessage(4, 0, false, 0));
        await peer.UntilAsync(p => p.Answers.Count(a => a.Index == 4) == AnswerCounts.MaxRepeats + 1, "a minute later it is sent again");
    }

    [Fact]
    public async Task Blocks_never_announced_are_refused_and_too_many_such_requests_end_the_connection()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        await using ScriptedPeer peer = new();
        owner.Connect(peer);
        WireChannel channel = await peer.OpenAsync();
        channel.Send(new RequestMessage(3, 0, false, 0));
        await peer.UntilAsync(p => p.Heard.OfType<UnhaveMessage>().Any(), "it was refused");

        for (int i = 0; i < PeerConnection.MaxMisbehaviour; i++) channel.Send(new RequestMessage(4 + i, 0, false, 0));

        await peer.ClosedAsync();
        peer.Answers.Should().BeEmpty();
    }

    [Fact]
    public async Task A_connection_ends_although_its_peer_asked_for_more_than_there_is_room_for()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
        await using ScriptedPeer peer = new();
        Task<PeerEnd> connection = owner.RunAsync(there);
        peer.Run(here, owner.Feed.Key);
        WireChannel channel = await peer.OpenAsync();
        using (peer.Wire.Cork())
        {
            for (int i = 0; i < 3 * ServeQueue.MaxItems; i++) channel.Send(new RequestMessage(3 + i, 0, false, 0));
        }

        (await connection.WaitAsync(ReplicaNode.Patience)).Should().Be(PeerEnd.Violation);
    }

    [Fact]
    public async Task Blocks_nobody_asked_for_are_given_back_and_a_flood_of_them_ends_the_connection()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(200);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer peer = new();
        reader.Connect(peer);
        WireChannel channel = await peer.OpenAsync();
        channel.Send(new WantMessage(0, 1_048_576));
        channel.Send(peer.Prove(new RequestMessage(3, 0, false, 0), owner.Feed));
        await peer.UntilAsync(p => p.Heard.OfType<UnhaveMessage>().Any(), "it was given back");
        peer.Heard.OfType<UnhaveMessage>().Should().Equal(new UnhaveMessage(3, 1));
        reader.Feed.Length.Should().Be(0);

        for (int i = 0; i < PeerConnection.MaxMisbehaviour; i++) channel.Send(peer.Prove(new RequestMessage(i, 0, true, 0), owner.Feed));

        await peer.ClosedAsync();
        reader.Feed.Length.Should().Be(0);
    }

    [Fact]
    public async Task A_peer_that_asks_much_and_reads_nothing_is_still_heard()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(4, tail: 600_000);
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
        owner.Run(there);
        using RawPeer deaf = new(here, owner.Feed.Key);
        await deaf.GreetAsync();
        for (int i = 0; i < 4; i++) await deaf.SendAsync(0, FrameType.Request, $"080{i}100018002000");
        for (int i = 0; i < 3 * PeerConnection.FreeWantAnswers; i++) await deaf.SendAsync(0, FrameType.Want, "080010808040");

        await deaf.SendAsync(0, FrameType.Have, "0863");

        await ReplicaNode.UntilAsync(() => owner.Replicator.Peers.Any(p => p.Feeds.Any(f => f.ClaimedLength == 100)), "it was heard");
    }

    [Fact]
    public async Task Wants_of_a_peer_that_reads_nothing_are_forgotten_beyond_the_bound()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(4, tail: 600_000);
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
        owner.Run(there);
        using RawPeer deaf = new(here, owner.Feed.Key);
        await deaf.GreetAsync();
        for (int i = 0; i < 4; i++) await deaf.SendAsync(0, FrameType.Request, $"080{i}100018002000");

        // More than the queue of answers holds: one again and again, then ever others.
        byte[] again = RawPeer.Frame(0, FrameType.Want, Convert.FromHexString("080010808040"));
        await deaf.SendAsync([.. Enumerable.Repeat(again, 2 * ServeQueue.MaxItems).SelectMany(frame => frame)]);
        await deaf.SendAsync([.. Enumerable.Range(1, 2 * ServeQueue.MaxItems).SelectMany(i => RawPeer.Frame(0, FrameType.Want, MessageCodec.Encode(new WantMessage(i * PeerConnection.WantAlignment, PeerConnection.WantAlignment)).ToByteArray()))]);
        await deaf.SendAsync(0, FrameType.Have, "0863");

        await ReplicaNode.UntilAsync(() => owner.Replicator.Peers.Any(p => p.Feeds.Any(f => f.ClaimedLength == 100)), "it was read to the end");
    }

    [Fact]
    public async Task A_bitfield_bomb_costs_the_connection_only()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer bomber = new();
        reader.Connect(bomber);

        // 2^31 bytes of ones in six bytes, inside a window of 131,072.
        (await bomber.OpenAsync()).Send(new HaveMessage(0, 1_048_576, new byte[] { 0x83, 0x80, 0x80, 0x80, 0x20 }, false));

        await bomber.ClosedAsync();
        reader.Connect(owner);
        (await reader.ReadAsync(1)).Should().Equal(ReplicaNode.Block(1));
    }

    [Theory]
    [InlineData("08808080808020100118002000", "one block at 2^40")]
    [InlineData("08ffffffffff1f1002", "a run over 2^40")]
    [InlineData("08808080808020108080401a0103", "a bitfield above 2^40")]
    [InlineData("08041080401a0107", "a bitfield off the byte")]
    public async Task A_claim_beyond_the_bounds_costs_the_connection(string body, string because)
    {
        await using ReplicaNode reader = ReplicaNode.Reader(ReplicaNode.KeyOf("claims"));
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
        Task<PeerEnd> running = reader.RunAsync(there);
        using RawPeer peer = new(here, reader.Feed.Key);
        await peer.GreetAsync();

        await peer.SendAsync(0, FrameType.Have, body);

        (await running.WaitAsync(ReplicaNode.Patience)).Should().Be(PeerEnd.Violation, because);
    }

    [Fact]
    public async Task Long_appends_are_announced_in_runs_that_others_can_bear()
    {
        const int Blocks = (int)Announcements.MaxRun + 5;
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(0);
        await using ScriptedPeer peer = new();
        owner.Connect(peer);
        (await peer.OpenAsync()).Send(new WantMessage(0, 1_048_576));
        await peer.UntilAsync(p => p.Heard.OfType<HaveMessage>().Any(), "it is known to listen");

        await owner.AppendAsync(0, Blocks);

        await peer.UntilAsync(p => p.Heard.OfType<HaveMessage>().Count() == 3, "it was told");
        peer.Heard.OfType<HaveMessage>().Skip(1).Select(WireRecorder.Format).Should().Equal($"have 0 {Announcements.MaxRun} - False", $"have {Announcements.MaxRun} 5 - False");
    }

    [Fact]
    public async Task Downloads_are_announced_at_the_latest_when_so_many_have_come()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(Announcements.MaxPending + 1);
        await using ReplicaNode middle = ReplicaNode.Reader(owner.Feed.Key, new ReplicatorOptions { Time = new FakeTimeProvider() });
        await using ScriptedPeer listener = new();
        middle.Connect(listener);
        (await listener.OpenAsync()).Send(new WantMessage(0, 1_048_576));
        await listener.UntilAsync(p => p.Heard.OfType<HaveMessage>().Any(), "it is known to listen");
        using IDisposable all = middle.Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Metadata);

        middle.Connect(owner);

        await listener.UntilAsync(p => p.Heard.OfType<HaveMessage>().Count() > 1, "it was told although no time passed");
        listener.Heard.OfType<HaveMessage>().Skip(1).Sum(h => h.Length ?? 1).Should().Be(Announcements.MaxPending);
    }

    [Fact]
    public async Task A_length_lie_is_shown_as_a_claim_only()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(3);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        await using ScriptedPeer liar = new();
        reader.Connect(liar);

        (await liar.OpenAsync()).Send(new HaveMessage(0, 1L << 40, null, false));

        await liar.UntilAsync(p => p.Requests.Any(), "it is asked to prove it");
        reader.Replicator.Peers.Single().Feeds.Single().ClaimedLength.Should().Be(1L << 40);
        reader.Feed.Length.Should().Be(0);
    }
}
