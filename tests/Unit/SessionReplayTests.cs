using System.Buffers;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>We take the part of one side in recorded connections of the reference (wire-protocol.md §10 point 6).</summary>
public sealed class SessionReplayTests
{
    /// <summary>The writer's part: what the recorded reader sent is answered by the recorded bytes, one for one.</summary>
    [Theory]
    [InlineData("sparse-clone-3")]
    [InlineData("sparse-seek-8")]
    [InlineData("full-clone-5-finite")]
    [InlineData("legacy-reader-6.9")]
    [InlineData("hyperdrive-clone")]
    public async Task As_the_writer_we_say_what_the_reference_said(string name)
    {
        Recorded session = new(name);
        await using Recorded.Player us = session.Owner("a");
        Task<byte[]> said = us.SpeakAsync("b->a");

        byte[] expected = session.Stream("a->b");
        byte[] actual = await said.WaitAsync(ReplicaNode.Patience);

        session.Describe("a->b", actual).Should().Equal(session.Describe("a->b", expected));
        actual.Should().Equal(expected, "not only the messages, but every byte is the same");
    }

    /// <summary>The reader's part: every recorded answer is held back until we ask for it.</summary>
    [Theory]
    [InlineData("sparse-clone-3", new long[] { 1, 0, 2 })]
    [InlineData("full-clone-5-finite", new long[] { 0, 1, 2, 3, 4 })]
    [InlineData("live-append", new long[] { 0, 1, 2, 3, 4, 5 })]
    [InlineData("legacy-writer-6.9", new long[] { 1 })]
    [InlineData("sparse-one-of-1000000", new long[] { 424242, 424243, 900000 })]
    [InlineData("ack-and-clear", new long[] { 0, 1 })]
    public async Task As_the_reader_we_ask_for_what_the_reference_asked_and_verify_it(string name, long[] blocks)
    {
        Recorded session = new(name);
        await using Recorded.Player us = session.Reader("b");
        List<Task<BlockLease>> reads = [.. blocks.Select(i => us.First.ReadAsync(i, FetchPriority.Interactive, default).AsTask())];
        List<string> asked = [];
        Task<byte[]> said = us.SpeakAsync("a->b", asked);

        for (int i = 0; i < blocks.Length; i++)
        {
            using BlockLease block = await reads[i].WaitAsync(ReplicaNode.Patience);
            Convert.ToHexStringLower(block.Memory.Span).Should().Be(session.ValueOf(blocks[i]));
        }

        us.End();
        await said.WaitAsync(ReplicaNode.Patience);
        string[] recorded = [.. session.Describe("b->a", session.Stream("b->a")).Where(m => m.StartsWith("request", StringComparison.Ordinal)).Select(m => m.Split(' ')[1])];
        asked.Where(m => m.StartsWith("request", StringComparison.Ordinal)).Select(m => m.Split(' ')[1]).Should().Contain(recorded);
        asked.Should().Contain("want 0 1048576");
        if (session.Asks("a->b")) asked.Should().Contain(m => m.StartsWith("have 1 1 - True", StringComparison.Ordinal));
    }
}

/// <summary>A recorded connection, and peers of ours that take part in it.</summary>
internal sealed class Recorded(string name)
{
    private readonly JsonElement _root = Vectors.Json($"wire/session-{name}.json");

    public sealed record Sent(byte[] Bytes, FrameType Type, JsonElement Fields);

    public byte[] Stream(string direction) => _root.GetProperty("streams").GetProperty(direction).Hex("ciphertext")!;

    /// <summary>The frames of one direction, in clear.</summary>
    public IEnumerable<Sent> Frames(string direction) =>
        from frame in _root.GetProperty("frames").EnumerateArray()
        where frame.GetProperty("dir").GetString() == direction && frame.TryGetProperty("hex", out _)
        select new Sent(frame.Hex("hex")!, (FrameType)frame.GetProperty("typeId").GetInt32(), frame.GetProperty("fields"));

    /// <summary>Whether that side wants acknowledgements.</summary>
    public bool Asks(string direction) => Frames(direction).Any(f => f.Type == FrameType.Handshake && f.Fields.GetProperty("ack").GetBoolean());

    public string ValueOf(long index) => _root.GetProperty("frames").EnumerateArray()
        .Where(f => f.TryGetProperty("type", out JsonElement type) && type.GetString() == "Data")
        .Select(f => f.GetProperty("fields"))
        .First(f => f.GetProperty("index").GetInt64() == index && f.TryGetProperty("value", out JsonElement v) && v.ValueKind == JsonValueKind.String)
        .GetProperty("value").GetString()!;

    /// <summary>The messages in a direction's bytes, one line each.</summary>
    public List<string> Describe(string direction, byte[] stream)
    {
        Decoder decoder = new(FirstKey);
        List<string> lines = [];
        decoder.Take(stream, lines.Add);
        return lines;
    }

    public Player Owner(string side)
    {
        List<Feed> feeds = [];
        foreach (JsonElement feed in _root.GetProperty("feeds").EnumerateArray())
        {
            Feed owned = ReplicaNode.OpenFeed(FeedKey.From(feed.Hex("key")), feed.Hex("secretKey"));
            feeds.Add(owned);
            foreach (ReadOnlyMemory<byte> block in BlocksOf(feed)) owned.AppendAsync([block], default).AsTask().Wait();
        }

        return new Player(this, side, feeds);
    }

    public Player Reader(string side) => new(this, side, [ReplicaNode.OpenFeed(FirstKey)]);

    private FeedKey FirstKey => FeedKey.From(_root.GetProperty("feeds")[0].Hex("key"));

    private IEnumerable<ReadOnlyMemory<byte>> BlocksOf(JsonElement feed)
    {
        if (feed.TryGetProperty("blocks", out JsonElement blocks) && blocks.ValueKind == JsonValueKind.Array)
            return blocks.EnumerateArray().Select(b => (ReadOnlyMemory<byte>)Convert.FromHexString(b.GetString()!));
        string label = feed.GetProperty("name").GetString()!;
        return from frame in _root.GetProperty("frames").EnumerateArray()
               where frame.TryGetProperty("feed", out JsonElement of) && of.GetString() == label && frame.GetProperty("type").GetString() == "Data"
               orderby frame.GetProperty("fields").GetProperty("index").GetInt64()
               select (ReadOnlyMemory<byte>)Value(frame.Hex("hex")!);
    }

    private static byte[] Value(byte[] frame)
    {
        ReadOnlySpan<byte> rest = frame;
        Varint.TryRead(ref rest, out _);
        Varint.TryRead(ref rest, out _);
        DataCodec.TryDecode(rest.ToArray(), out Proof? proof).Should().BeTrue();
        return proof!.Value!.Value.ToArray();
    }

    /// <summary>Reads what a side sends, as it comes.</summary>
    private sealed class Decoder(FeedKey key) : IFrameRules
    {
        private readonly List<byte> _head = [];
        private FrameReader? _frames;

        public int MaxLength(int channel, FrameType type) => FrameReader.MaxFrameLength;

        public void Take(ReadOnlySpan<byte> bytes, Action<string> told)
        {
            const int FirstFrame = 62;
            int clear = Math.Min(bytes.Length, FirstFrame - _head.Count);
            if (clear > 0)
            {
                _head.AddRange(bytes[..clear]);
                bytes = bytes[clear..];
            }

            if (_head.Count < FirstFrame) return;
            _frames ??= new FrameReader(new XSalsa20Stream(key, _head[^24..].ToArray()), this);
            while (!bytes.IsEmpty)
            {
                int count = Math.Min(bytes.Length, 32 * 1024);
                _frames.Fill(new ReadOnlySequence<byte>(bytes[..count].ToArray()));
                bytes = bytes[count..];
                while (_frames.TryRead(out Frame frame)) told(Tell(frame));
            }
        }

        private static string Tell(Frame frame)
        {
            if (frame.IsKeepAlive) return "keep-alive";
            ReadOnlyMemory<byte> body = frame.Body;
            string line = frame.Type switch
            {
                FrameType.Info when MessageCodec.TryDecode(body.Span, out InfoMessage m) => WireRecorder.Format(m),
                FrameType.Have when MessageCodec.TryDecode(body.Span, out HaveMessage m) => WireRecorder.Format(m),
                FrameType.Unhave when MessageCodec.TryDecode(body.Span, out UnhaveMessage m) => WireRecorder.Format(m),
                FrameType.Want when MessageCodec.TryDecode(body.Span, out WantMessage m) => WireRecorder.Format(m),
                FrameType.Request when MessageCodec.TryDecode(body.Span, out RequestMessage m) => WireRecorder.Format(m),
                FrameType.Data when DataCodec.TryDecode(body, out Proof? m) => WireRecorder.Format(m!),
                _ => frame.Type + " " + Convert.ToHexStringLower(body.Span),
            };
            return frame.Channel == 0 ? line : frame.Channel + ": " + line;
        }
    }

    /// <summary>One of ours in place of a recorded side; the other side is played from the record.</summary>
    internal sealed class Player : IAsyncDisposable
    {
        private readonly Recorded _session;
        private readonly List<Feed> _feeds;
        private readonly Replicator _replicator;
        private readonly MemoryTransport _remote;
        private readonly Task _running;

        public Player(Recorded session, string side, List<Feed> feeds)
        {
            _session = session;
            _feeds = feeds;
            string direction = side == "a" ? "a->b" : "b->a";
            JsonElement handshake = session.Frames(direction).First(f => f.Type == FrameType.Handshake).Fields;
            _replicator = new Replicator(new ReplicatorOptions
            {
                Id = handshake.Hex("id"),
                Live = handshake.GetProperty("live").GetBoolean(),
                ExpectedFeeds = feeds.Count,
                FillNonce = nonce => session._root.GetProperty("streams").GetProperty(direction).Hex("nonce")!.CopyTo(nonce),
            });
            foreach (Feed feed in feeds) _replicator.Join(feed);
            (MemoryTransport local, _remote) = MemoryTransport.CreatePair();
            _running = Task.Run(() => _replicator.RunAsync(local, default));
        }

        public Feed First => _feeds[0];

        public void End() => _remote.Output.Complete();

        /// <summary>
        /// Says the frames of a direction and answers all bytes we said in return. Without <paramref name="told"/> each frame comes when
        /// we said as much as the reference had said by then, and the end is where the record ends. With it, each Data comes when its
        /// block was asked for, and the end is that of the connection.
        /// </summary>
        public async Task<byte[]> SpeakAsync(string direction, List<string>? told = null)
        {
            string ours = direction == "b->a" ? "a->b" : "b->a";
            int enough = told is null && !_session.Ends(ours) ? _session.Stream(ours).Length : int.MaxValue;
            Decoder decoder = new(_session.FirstKey);
            List<string> lines = told ?? [];
            SemaphoreSlim heard = new(0);
            Task<byte[]> listening = ListenAsync(_remote, enough, bytes => decoder.Take(bytes, line =>
            {
                lock (lines) lines.Add(line);
                heard.Release();
            }));

            using XSalsa20Stream cipher = new(_session.FirstKey, _session._root.GetProperty("streams").GetProperty(direction).Hex("nonce")!);
            int before = 0;
            bool first = true;
            foreach (JsonElement frame in _session._root.GetProperty("frames").EnumerateArray())
            {
                bool ofOurs = frame.GetProperty("dir").GetString() == ours;
                if (ofOurs) before++;
                if (ofOurs || !frame.TryGetProperty("hex", out _)) continue;
                while (!listening.IsCompleted && !MayCome(frame)) await heard.WaitAsync(ReplicaNode.Patience);
                byte[] bytes = frame.Hex("hex")!;
                if (!first) cipher.Apply(bytes);
                first = false;
                await _remote.Output.WriteAsync(bytes);
            }

            if (_session.Ends(direction)) await _remote.Output.CompleteAsync();
            return await listening;

            bool MayCome(JsonElement frame)
            {
                // Our first frame, in clear, is not among the lines.
                if (told is null)
                {
                    lock (lines) return lines.Count >= before - 1;
                }

                if (frame.GetProperty("typeId").GetInt32() != (int)FrameType.Data) return true;
                string asked = $"request {frame.GetProperty("fields").GetProperty("index").GetInt64()} ";
                lock (lines) return lines.Exists(l => l.StartsWith(asked, StringComparison.Ordinal));
            }
        }

        private static async Task<byte[]> ListenAsync(MemoryTransport transport, int enough, Action<byte[]> take)
        {
            List<byte> all = [];
            while (all.Count < enough)
            {
                var read = await transport.Input.ReadAsync();
                byte[] bytes = read.Buffer.ToArray();
                transport.Input.AdvanceTo(read.Buffer.End);
                all.AddRange(bytes);
                take(bytes);
                if (read.IsCompleted) break;
            }

            return [.. all];
        }

        public async ValueTask DisposeAsync()
        {
            await _replicator.DisposeAsync();
            await _running.WaitAsync(ReplicaNode.Patience);
            foreach (Feed feed in _feeds) await feed.DisposeAsync();
        }
    }

    private bool Ends(string direction) => _root.GetProperty("frames").EnumerateArray()
        .Any(f => f.GetProperty("dir").GetString() == direction && f.TryGetProperty("end", out _));
}
