using System.Collections.Concurrent;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>A reader that waits is not left to one slow peer (wire-protocol.md §8.3 point 8).</summary>
public sealed class HedgingTests : IAsyncDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly List<IAsyncDisposable> _ends = [];
    private ReplicaNode _owner = null!;
    private ReplicaNode _reader = null!;

    public async ValueTask DisposeAsync()
    {
        foreach (IAsyncDisposable end in Enumerable.Reverse(_ends)) await end.DisposeAsync();
    }

    [Fact]
    public async Task A_late_answer_is_asked_of_a_second_peer_and_the_first_to_come_wins()
    {
        await StartAsync();
        HeldBack first = await ConnectAsync();
        Task<byte[]> read = _reader.ReadAsync(5);
        await first.AskedAsync(5);
        HeldBack second = await ConnectAsync();

        _time.Advance(TimeSpan.FromMilliseconds(Hedging.MinWaitMs - 1));
        second.Peer.Requests.Should().NotContain(r => r.Index == 5);
        _time.Advance(TimeSpan.FromMilliseconds(250));
        await second.AskedAsync(5);
        read.IsCompleted.Should().BeFalse();
        second.Answer(5);
        (await read).Should().Equal(ReplicaNode.Block(5));

        // The loser's answer is nobody's fault: what comes after it is taken as before.
        first.Answer(5);
        Task<byte[]> next = _reader.ReadAsync(6);
        await ReplicaNode.UntilAsync(() => first.Has(6) || second.Has(6), "the next block was asked for");
        (first.Has(6) ? first : second).Answer(6);
        (await next).Should().Equal(ReplicaNode.Block(6));
        _reader.Replicator.Peers.Should().HaveCount(2).And.OnlyContain(p => p.TimedOut == 0);
        first.Peer.Heard.OfType<UnhaveMessage>().Should().BeEmpty();
    }

    [Fact]
    public async Task Nobody_is_asked_twice_for_what_nobody_waits_for()
    {
        await StartAsync();
        HeldBack first = await ConnectAsync();
        Task<byte[]> ahead = _reader.ReadAsync(5, FetchPriority.ReadAhead);
        await first.AskedAsync(5);
        HeldBack second = await ConnectAsync();
        await ReplicaNode.UntilAsync(() => _reader.Replicator.Peers.Count(p => p.Feeds.Any(f => f.Informed)) == 2, "both have told what they have");
        _time.Advance(TimeSpan.FromMilliseconds(PeerConnection.StallMs / 2));
        second.Peer.Requests.Should().NotContain(r => r.Index == 5);

        // Until a reader comes to the same block.
        Task<byte[]> read = _reader.ReadAsync(5);
        _time.Advance(TimeSpan.FromMilliseconds(300));
        await second.AskedAsync(5);
        second.Answer(5);
        (await read).Should().Equal(await ahead);
    }

    [Fact]
    public async Task When_the_slow_peer_leaves_the_second_one_is_not_asked_again()
    {
        await StartAsync();
        HeldBack first = await ConnectAsync();
        Task<byte[]> read = _reader.ReadAsync(5);
        await first.AskedAsync(5);
        HeldBack second = await ConnectAsync();
        _time.Advance(TimeSpan.FromMilliseconds(300));
        await second.AskedAsync(5);

        await first.Peer.DisposeAsync();
        await ReplicaNode.UntilAsync(() => _reader.Replicator.Peers.Count < 2, "the first one is gone");
        _reader.Replicator.Peers.Should().ContainSingle();
        second.Answer(5);

        (await read).Should().Equal(ReplicaNode.Block(5));
        second.Peer.Requests.Where(r => r.Index == 5).Should().ContainSingle();
    }

    [Fact]
    public async Task When_the_second_peer_leaves_the_first_is_still_waited_for()
    {
        await StartAsync();
        HeldBack first = await ConnectAsync();
        Task<byte[]> read = _reader.ReadAsync(5);
        await first.AskedAsync(5);
        HeldBack second = await ConnectAsync();
        _time.Advance(TimeSpan.FromMilliseconds(300));
        await second.AskedAsync(5);

        await second.Peer.DisposeAsync();
        await ReplicaNode.UntilAsync(() => _reader.Replicator.Peers.Count < 2, "the second one is gone");
        _reader.Replicator.Peers.Should().ContainSingle();
        first.Answer(5);

        (await read).Should().Equal(ReplicaNode.Block(5));
        first.Peer.Requests.Where(r => r.Index == 5).Should().ContainSingle();
    }

    [Fact]
    public async Task Second_requests_stay_within_their_budget()
    {
        await StartAsync();
        HeldBack first = await ConnectAsync();
        List<Task<byte[]>> reads = [.. Enumerable.Range(0, 30).Select(i => _reader.ReadAsync(i))];
        foreach (int i in Enumerable.Range(0, 30)) await first.AskedAsync(i);
        HeldBack second = await ConnectAsync();
        int asked = first.Peer.Requests.Count() + second.Peer.Requests.Count();

        for (int i = 0; i < 3; i++) _time.Advance(TimeSpan.FromMilliseconds(250));

        _reader.Replicator.Scheduler.Hedging.Sent.Should().BeInRange(1, Hedging.Initial + 1 + asked / Hedging.OneIn);
        await ReplicaNode.UntilAsync(() => second.Peer.Requests.Any(r => !r.Hash), "the second peer was asked");
        foreach (int i in Enumerable.Range(0, 30)) first.Answer(i);
        await Task.WhenAll(reads).WaitAsync(ReplicaNode.Patience);
    }

    [Fact]
    public async Task A_peer_that_was_outrun_is_not_asked_first_again()
    {
        await StartAsync();
        HeldBack silent = await ConnectAsync();
        Task<byte[]> read = _reader.ReadAsync(5);
        await silent.AskedAsync(5);
        HeldBack quick = await ConnectAsync();
        _time.Advance(TimeSpan.FromMilliseconds(300));
        await quick.AskedAsync(5);
        quick.Answer(5);
        await read;

        // More reads than there may be second requests.
        for (int index = 10; index < 10 + 2 * Hedging.Initial; index++)
        {
            Task<byte[]> next = _reader.ReadAsync(index);
            await quick.AskedAsync(index);
            quick.Answer(index);
            (await next).Should().Equal(ReplicaNode.Block(index));
        }

        silent.Has(10).Should().BeFalse();
    }

    private async Task StartAsync()
    {
        _ends.Add(_owner = await ReplicaNode.OwnerAsync(64));
        _ends.Add(_reader = ReplicaNode.Reader(_owner.Feed.Key, new ReplicatorOptions { Time = _time }));
    }

    // A peer that has told what it has and answers a block only when the test says so; hashes at once.
    private async Task<HeldBack> ConnectAsync()
    {
        ScriptedPeer peer = ScriptedPeer.Honest(_owner.Feed);
        HeldBack held = new(peer, _owner.Feed);
        peer.Request = held.Take;
        _ends.Add(peer);
        int before = _reader.Replicator.Peers.Count;
        _reader.Connect(peer);
        await ReplicaNode.UntilAsync(() => _reader.Replicator.Peers.Count(p => p.Feeds.Any(f => f.Informed)) == before + 1, "the peer told what it has");
        // An answer that is on its way while the clock is moved would be a slow one.
        await ReplicaNode.UntilAsync(() => _reader.Feed.Length == 64, "the length is verified");
        return held;
    }

    private sealed class HeldBack(ScriptedPeer peer, Feed feed)
    {
        private readonly ConcurrentDictionary<long, (WireChannel Channel, RequestMessage Request)> _asked = new();

        public ScriptedPeer Peer => peer;

        // The newest block is asked for on its own account, and comes.
        public void Take(WireChannel channel, RequestMessage request)
        {
            if (request.Hash || request.Index == feed.Length - 1) peer.AnswerRequest(channel, request, feed);
            else _asked[request.Index] = (channel, request);
        }

        public bool Has(long index) => _asked.ContainsKey(index);

        public Task AskedAsync(long index) => ReplicaNode.UntilAsync(() => Has(index), $"block {index} was asked for");

        public void Answer(long index) => peer.AnswerRequest(_asked[index].Channel, _asked[index].Request, feed);
    }
}
