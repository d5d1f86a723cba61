using DatFs.Discovery;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class ReplicationBoundsTests
{
    [Fact]
    public async Task A_request_queue_full_by_count_makes_the_sender_wait()
    {
        ServeQueue queue = new();
        for (int i = 0; i < ServeQueue.MaxItems; i++) await queue.AddAsync(Item(i, 1));

        ValueTask more = queue.AddAsync(Item(1000, 1));

        more.IsCompleted.Should().BeFalse();
        (await queue.TakeAsync())!.Request.Index.Should().Be(0);
        await more;
    }

    [Fact]
    public async Task A_request_queue_full_by_bytes_makes_the_sender_wait()
    {
        ServeQueue queue = new();
        await queue.AddAsync(Item(0, ServeQueue.MaxBytes));

        ValueTask more = queue.AddAsync(Item(1, 1));

        more.IsCompleted.Should().BeFalse();
        await queue.TakeAsync();
        await more;
        queue.Close();
        (await queue.TakeAsync()).Should().BeNull();
    }

    [Fact]
    public async Task A_cancelled_request_is_not_answered()
    {
        ServeQueue queue = new();
        await queue.AddAsync(Item(7, 1));
        await queue.AddAsync(Item(8, 1));

        queue.Cancel(null!, new CancelMessage(7, 0, false)).Should().BeTrue();

        queue.Cancel(null!, new CancelMessage(7, 0, false)).Should().BeFalse();
        (await queue.TakeAsync())!.Request.Index.Should().Be(8);
    }

    [Fact]
    public void A_quarter_of_the_window_is_left_to_interactive_reads()
    {
        RequestWindow window = new();
        int background = 0;
        while (window.HasRoom(FetchPriority.Background))
        {
            window.Sent(1);
            background++;
        }

        int interactive = 0;
        while (window.HasRoom(FetchPriority.Interactive))
        {
            window.Sent(1);
            interactive++;
        }

        background.Should().Be(RequestWindow.StartCount / 4 * 3);
        interactive.Should().Be(RequestWindow.StartCount / 4);
    }

    [Theory]
    [InlineData(10, RequestWindow.NearBytes)]
    [InlineData(40, 40 * 512 * 1024)]
    [InlineData(100, RequestWindow.MaxBytes)]
    [InlineData(5000, RequestWindow.MaxBytes)]
    public void The_window_holds_what_the_line_holds_after_a_few_round_trips(double roundTripMs, long bound)
    {
        RequestWindow window = new();
        int trips = 0;
        while (window.HasRoom(FetchPriority.Background)) window.Sent(65_536);
        for (; window.ByteLimit < bound && trips < 10; trips++)
        {
            // What is asked when an answer comes is answered one round trip later.
            for (int answers = window.Count; answers > 0; answers--)
            {
                window.Ended(65_536);
                window.Answered(65_536, roundTripMs);
                while (window.HasRoom(FetchPriority.Background)) window.Sent(65_536);
            }
        }

        window.ByteLimit.Should().Be(bound);
        trips.Should().BeLessThan(7);
    }

    [Fact]
    public void The_window_grows_to_its_bound_while_answers_are_quick_and_no_further()
    {
        RequestWindow window = new();
        for (int round = 0; round < 2000; round++)
        {
            while (window.HasRoom(FetchPriority.Interactive)) window.Sent(65_536);
            window.Ended(65_536);
            window.Answered(65_536, 10);
        }

        window.ByteLimit.Should().Be(RequestWindow.NearBytes);
        window.CountLimit.Should().BeLessOrEqualTo(RequestWindow.MaxCount);
        for (int i = 0; i < 20; i++) window.TimedOut();
        window.ByteLimit.Should().Be(RequestWindow.MinBytes);
        window.CountLimit.Should().Be(RequestWindow.MinCount);
    }

    [Fact]
    public void The_window_stays_when_answers_begin_to_queue()
    {
        RequestWindow window = new();
        window.Answered(1, 10);
        for (int round = 0; round < 200; round++)
        {
            while (window.HasRoom(FetchPriority.Interactive)) window.Sent(65_536);
            window.Ended(65_536);
            window.Answered(65_536, 150);
        }

        window.ByteLimit.Should().Be(RequestWindow.StartBytes);
    }

    [Fact]
    public void The_window_shrinks_to_its_bound_while_a_reader_would_wait_long_behind_it()
    {
        RequestWindow window = new();
        window.Answered(1, 10);
        for (int round = 0; round < 200; round++)
        {
            window.Sent(65_536);
            window.Ended(65_536);
            window.Answered(65_536, 400);
        }

        window.ByteLimit.Should().Be(RequestWindow.MinBytes);
    }

    [Fact]
    public void Of_late_answers_the_newest_are_remembered()
    {
        PeerChannel channel = new(null!, null!, null!);

        for (long i = 0; i <= PeerChannel.MaxLate; i++) channel.Forget(new PendingRequest(channel, RequestKind.Block, i, FetchPriority.Background, 1, 0));

        channel.TryTake(0, hash: false, out _).Should().BeFalse("the oldest was forgotten");
        channel.TryTake(1, hash: false, out _).Should().BeTrue();
        channel.TryTake(1, hash: false, out _).Should().BeFalse("it comes once");
        channel.TryTake(PeerChannel.MaxLate, hash: true, out _).Should().BeFalse("its bytes were asked for");
        channel.TryTake(PeerChannel.MaxLate, hash: false, out _).Should().BeTrue();
    }

    [Fact]
    public void One_block_larger_than_the_window_may_still_be_asked()
    {
        RequestWindow window = new();
        window.HasRoom(FetchPriority.Background).Should().BeTrue();
        window.Sent(8_000_000);
        window.HasRoom(FetchPriority.Interactive).Should().BeFalse();
    }

    [Fact]
    public void A_peer_is_banned_at_its_second_wrong_proof_and_for_ten_minutes()
    {
        PeerBans bans = new();

        bans.Strike("a", 0);
        bans.IsBanned("a", 1).Should().BeFalse();
        bans.Strike("a", 5);
        bans.IsBanned("a", 6).Should().BeTrue();
        bans.IsBanned("b", 6).Should().BeFalse();
        bans.IsBanned("a", 5 + PeerBans.BanMs).Should().BeFalse();
    }

    [Fact]
    public void Strikes_long_apart_do_not_add_up()
    {
        PeerBans bans = new();

        bans.Strike("a", 0);
        bans.Strike("a", PeerBans.BanMs + 1);

        bans.IsBanned("a", PeerBans.BanMs + 2).Should().BeFalse();
    }

    [Fact]
    public void Only_so_many_liars_are_remembered()
    {
        PeerBans bans = new();
        bans.Strike("first", 0);
        bans.Strike("first", 0);

        for (int i = 0; i < PeerBans.MaxEntries; i++) bans.Strike("liar" + i, 1 + i);

        bans.IsBanned("first", 2).Should().BeFalse();
    }

    [Theory]
    [InlineData("example.org:3282", "example.org", 3282)]
    [InlineData("127.0.0.1:1", "127.0.0.1", 1)]
    [InlineData("[::1]:80", "::1", 80)]
    public void Reads_a_peer_address(string text, string host, int port)
    {
        PeerAddress.TryParse(text, out PeerAddress address).Should().BeTrue();
        address.Should().Be(new PeerAddress(host, port));
        address.ToString().Should().Be(text);
    }

    [Theory]
    [InlineData("")]
    [InlineData("host")]
    [InlineData(":1")]
    [InlineData("host:")]
    [InlineData("host:65536")]
    [InlineData("host:-1")]
    [InlineData("::1:80")]
    [InlineData("[]:80")]
    public void Refuses_what_is_no_peer_address(string text) => PeerAddress.TryParse(text, out _).Should().BeFalse();

    [Fact]
    public void Answers_are_counted_for_so_many_blocks_only()
    {
        AnswerCounts counts = new();
        for (int i = 0; i < AnswerCounts.MaxRepeats; i++) counts.IsTooMany(null!, 7, 0).Should().BeFalse();
        counts.IsTooMany(null!, 7, 1).Should().BeTrue();

        for (long index = 0; index < 2 * AnswerCounts.MaxCounted; index++)
        {
            counts.IsTooMany(null!, 1000 + index, 2);
            if (counts.Counted > AnswerCounts.MaxCounted) throw new InvalidOperationException($"{counts.Counted} blocks are counted");
        }

        counts.IsTooMany(null!, 7, 3).Should().BeFalse("counting began anew");
    }

    [Fact]
    public async Task Scattered_intervals_are_joined_and_nothing_in_them_is_lost()
    {
        await using Feed feed = ReplicaNode.OpenFeed(ReplicaNode.KeyOf("intervals"));
        RemoteBitfield remote = new();
        RangeCursor cursor = new(new DownloadRange(null!, 0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background));
        cursor.TryNext(remote, feed, [], out _).Should().BeFalse("the peer has nothing yet");
        List<long> announced = [.. Enumerable.Range(0, 3 * RangeCursor.MaxIntervals).Select(i => i * 10L)];
        foreach (long index in announced)
        {
            remote.Set(index, index + 1, true);
            cursor.Add(index, index + 1);
            cursor.Intervals.Should().BeLessThanOrEqualTo(RangeCursor.MaxIntervals);
        }

        List<long> found = [];
        while (cursor.TryNext(remote, feed, [], out long index)) found.Add(index);

        found.Should().Equal(announced);
    }

    [Fact]
    public async Task So_many_ranges_and_addresses_are_kept_and_no_more()
    {
        await using ReplicaNode reader = ReplicaNode.Reader(ReplicaNode.KeyOf("many"));
        for (int i = 0; i < FeedReplication.MaxRanges; i++) reader.Feed.Source!.Download(i, i + 1, DownloadOrder.Ascending, FetchPriority.Background);
        await using Swarm swarm = new(reader.Replicator, new SwarmOptions
        {
            Dial = async (_, ct) =>
            {
                await Task.Delay(Timeout.Infinite, ct);
                throw new OperationCanceledException(ct);
            },
        });
        for (int i = 0; i < Swarm.MaxAddresses; i++) swarm.Add(new PeerAddress("peer.example", 1 + i));

        FluentActions.Invoking(() => reader.Feed.Source!.Download(0, 1, DownloadOrder.Ascending, FetchPriority.Background)).Should().Throw<DatException>();
        FluentActions.Invoking(() => swarm.Add(new PeerAddress("peer.example", 65_535))).Should().Throw<DatException>();
    }

    private static ServeItem Item(long index, long bytes) => new(null!, new RequestMessage(index, 0, false, 0), bytes);
}
