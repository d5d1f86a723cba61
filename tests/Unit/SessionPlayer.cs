using System.Buffers;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;

namespace DatFs.Unit;

/// <summary>One of ours in place of a recorded side; the other side is played from the record.</summary>
internal sealed class SessionPlayer : IAsyncDisposable
{
    private readonly RecordedSession _session;
    private readonly string _side;
    private readonly Replicator _replicator;
    private readonly MemoryTransport _remote;
    private readonly Task _running;
    private readonly List<string> _said = [];
    private readonly SemaphoreSlim _heard = new(0);

    private SessionPlayer(RecordedSession session, string side, IReadOnlyList<Feed> feeds)
    {
        _session = session;
        _side = side;
        Feeds = feeds;
        Recorded = session.Tell(Direction, session.BytesOf(Direction));
        HandshakeMessage own = session.HandshakeOf(Direction);
        _replicator = new Replicator(new ReplicatorOptions
        {
            Id = own.Id,
            Live = own.Live,
            Ack = own.Ack,
            UserData = own.UserData,
            Extensions = own.Extensions,
            ExpectedFeeds = feeds.Count,
            FillNonce = nonce => session.NonceOf(Direction).CopyTo(nonce),
        });
        foreach (Feed feed in feeds) _replicator.Join(feed);
        (MemoryTransport local, _remote) = MemoryTransport.CreatePair();
        _running = Task.Run(() => _replicator.RunAsync(local, default));
    }

    public IReadOnlyList<Feed> Feeds { get; }

    /// <summary>Ours.</summary>
    public string Direction => _side == "a" ? "a->b" : "b->a";

    /// <summary>What the reference said in our place.</summary>
    public IReadOnlyList<string> Recorded { get; }

    private string Incoming => _side == "a" ? "b->a" : "a->b";

    /// <summary>A side: owner of the feeds that it owned, with the blocks that were in them when the connection began, and reader of the others.</summary>
    public static SessionPlayer Create(RecordedSession session, string side)
    {
        List<Feed> feeds = [];
        foreach (RecordedFeedOnWire recorded in session.Feeds)
        {
            bool owner = OwnerOf(session, recorded) == side;
            Feed feed = ReplicaNode.OpenFeed(recorded.Key, owner ? recorded.SecretKey : null);
            feeds.Add(feed);
            if (!owner) continue;
            feed.AppendAsync([.. session.BlocksOf(recorded).Take((int)FirstLength(session, recorded))], default).AsTask().Wait();
        }

        return new SessionPlayer(session, side, feeds);
    }

    /// <summary>The side that sent a feed's blocks, or told of them.</summary>
    public static string OwnerOf(RecordedSession session, RecordedFeedOnWire feed) =>
        (session.Frames.FirstOrDefault(f => f.Feed == feed.Name && f.Type == FrameType.Data)
            ?? session.Frames.First(f => f.Feed == feed.Name && f.Type == FrameType.Have)).Direction[..1];

    /// <summary>The blocks of a feed that went over the wire.</summary>
    public static IReadOnlyDictionary<long, byte[]> Sent(RecordedSession session, RecordedFeedOnWire feed)
    {
        Dictionary<long, byte[]> blocks = [];
        foreach (RecordedFrame frame in session.Frames.Where(f => f.Feed == feed.Name && f.Type == FrameType.Data))
        {
            DataCodec.TryDecode(frame.Body, out Proof? proof).Should().BeTrue();
            if (proof!.Value is { } value) blocks[proof.Index] = value.ToArray();
        }

        return blocks;
    }

    /// <summary>Whether a line belongs to a channel, and the line without it.</summary>
    public static bool IsOn(int channel, string line, out string message)
    {
        string prefix = channel == 0 ? "" : $"{channel}: ";
        message = line.StartsWith(prefix, StringComparison.Ordinal) ? line[prefix.Length..] : "";
        return message.Length > 0 && (channel > 0 || !char.IsDigit(line[0]));
    }

    /// <summary>
    /// Plays the record, each frame once we have said as much of what counts as the reference had by then, and does what the recorded
    /// application did meanwhile. Answers all bytes that we said until as much was said as in the record, and so many lines more, or until
    /// the end if it had one.
    /// </summary>
    public async Task<byte[]> AnswerAsync(Func<string, bool> counts, int more = 0)
    {
        int all = Recorded.Count(counts) + more;
        Task<byte[]> listening = ListenAsync(_session.Ends(Direction) ? int.MaxValue : all, counts);
        Queue<string> due = new(Recorded);
        int before = 0;
        foreach (RecordedFrame frame in _session.Frames)
        {
            if (frame.Direction == Direction)
            {
                // Our first frame, in clear, is not among the lines.
                await UntilAsync(() => _said.Count(counts) >= before, listening);
                await RepeatAsync(frame);
                if (!frame.IsEnd && frame != _session.Of(Direction)[0] && counts(due.Dequeue())) before++;
                continue;
            }

            await UntilAsync(() => _said.Count(counts) >= before, listening);
            await PlayAsync(frame);
        }

        return await listening;
    }

    /// <summary>Plays the record, each block of a feed once we asked for it, and answers what we said on that feed's channel.</summary>
    public async Task<IReadOnlyList<string>> AskAsync(RecordedFeedOnWire feed)
    {
        Task listening = ListenAsync(int.MaxValue, _ => true);
        foreach (RecordedFrame frame in _session.Frames.Where(f => f.Direction == Incoming && !f.IsEnd))
        {
            if (frame.Type == FrameType.Data)
            {
                if (frame.Feed != feed.Name) continue;
                string asked = $"request {frame.Fields.GetProperty("index").GetInt64()} ";
                await UntilAsync(() => _said.Exists(l => IsOn(feed.Channel, l, out string m) && m.StartsWith(asked, StringComparison.Ordinal)), listening);
            }

            await PlayAsync(frame);
        }

        string[] owed = [.. Recorded.Where(l => IsOn(feed.Channel, l, out string m) && (m.EndsWith(" True", StringComparison.Ordinal) || m.StartsWith("unhave", StringComparison.Ordinal)))];
        await UntilAsync(() => owed.All(_said.Contains), listening);
        await _remote.Output.CompleteAsync();
        await listening;
        lock (_said) return [.. _said.Where(l => IsOn(feed.Channel, l, out _)).Select(l => IsOn(feed.Channel, l, out string m) ? m : "")];
    }

    /// <summary>What the recorded reader gave up, we give up.</summary>
    public async Task ClearWhatWasClearedAsync(RecordedFeedOnWire feed)
    {
        foreach (RecordedFrame frame in _session.Of(Direction).Where(f => f.Feed == feed.Name && f.Type == FrameType.Unhave))
        {
            long start = frame.Fields.GetProperty("start").GetInt64();
            await Feeds[feed.Channel].ClearAsync(start, start + frame.Fields.GetProperty("length").GetInt64(), default);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _replicator.DisposeAsync();
        await _running.WaitAsync(ReplicaNode.Patience);
        foreach (Feed feed in Feeds) await feed.DisposeAsync();
    }

    private static long FirstLength(RecordedSession session, RecordedFeedOnWire feed)
    {
        JsonElement first = session.Frames.First(f => f.Feed == feed.Name && f.Type == FrameType.Have && f.Direction[..1] == OwnerOf(session, feed)).Fields;
        return first.Hex("bitfield") is null ? first.GetProperty("start").GetInt64() + 1 : long.MaxValue >> 33;
    }

    // A Have without a bitfield, beyond what is there, was an append of the recorded application.
    private async Task RepeatAsync(RecordedFrame frame)
    {
        if (frame.Type != FrameType.Have || frame.Fields.Hex("bitfield") is not null) return;
        RecordedFeedOnWire recorded = _session.Feeds.Single(f => f.Name == frame.Feed);
        Feed feed = Feeds[recorded.Channel];
        long end = frame.Fields.GetProperty("start").GetInt64() + frame.Fields.GetProperty("length").GetInt64();
        if (!feed.Writable || end <= feed.Length) return;
        await feed.AppendAsync([.. _session.BlocksOf(recorded).Take((int)end).Skip((int)feed.Length)], default);
    }

    private XSalsa20Stream? _cipher;

    private async Task PlayAsync(RecordedFrame frame)
    {
        if (frame.IsEnd)
        {
            await _remote.Output.CompleteAsync();
            return;
        }

        byte[] bytes = [.. frame.Bytes];
        if (_cipher is null) _cipher = new XSalsa20Stream(_session.FirstKey, _session.NonceOf(Incoming));
        else _cipher.Apply(bytes);
        await _remote.Output.WriteAsync(bytes);
    }

    private async Task UntilAsync(Func<bool> condition, Task listening)
    {
        while (!listening.IsCompleted)
        {
            lock (_said)
            {
                if (condition()) return;
            }

            (await _heard.WaitAsync(ReplicaNode.Patience)).Should().BeTrue("the reference said more by now; we said:\n" + string.Join('\n', _said));
        }
    }

    private async Task<byte[]> ListenAsync(int enough, Func<string, bool> counts)
    {
        SessionDecoder decoder = new(_session.FirstKey);
        List<byte> all = [];
        int counted = -1;
        while (counted < enough)
        {
            var read = await _remote.Input.ReadAsync();
            byte[] bytes = read.Buffer.ToArray();
            _remote.Input.AdvanceTo(read.Buffer.End);
            all.AddRange(bytes);
            counted = Math.Max(counted, 0);
            decoder.Take(bytes, (_, line) =>
            {
                lock (_said) _said.Add(line);
                if (counts(line)) counted++;
                _heard.Release();
            });
            if (read.IsCompleted) break;
        }

        _heard.Release();
        return [.. all];
    }
}
