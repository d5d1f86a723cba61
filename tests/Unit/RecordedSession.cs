using System.Buffers;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;

namespace DatFs.Unit;

/// <summary>One frame of a recorded connection; an end of a half has no bytes.</summary>
internal sealed record RecordedFrame(string Direction, string Feed, FrameType? Type, JsonElement Json, byte[] Bytes)
{
    public bool IsEnd => Type is null;

    public JsonElement Fields => Json.GetProperty("fields");

    public byte[] Body
    {
        get
        {
            ReadOnlySpan<byte> bytes = Bytes;
            Varint.TryRead(ref bytes, out _).Should().BeTrue();
            Varint.TryRead(ref bytes, out _).Should().BeTrue();
            return bytes.ToArray();
        }
    }
}

/// <summary>One feed of a recorded connection; its place is the number of its channel in both directions.</summary>
internal sealed record RecordedFeedOnWire(string Name, int Channel, FeedKey Key, byte[]? SecretKey);

/// <summary>A connection of the reference as it was recorded (vectors/wire/README.md).</summary>
internal sealed class RecordedSession
{
    private readonly JsonElement _root;

    public RecordedSession(string file)
    {
        _root = Vectors.Json("wire/" + file);
        Feeds = [.. _root.GetProperty("feeds").EnumerateArray().Select((f, i) =>
            new RecordedFeedOnWire(f.GetProperty("name").GetString()!, i, FeedKey.From(f.Hex("key")), f.Hex("secretKey")))];
        Frames = [.. _root.GetProperty("frames").EnumerateArray().Select(f => f.TryGetProperty("hex", out _)
            ? new RecordedFrame(f.GetProperty("dir").GetString()!, f.GetProperty("feed").GetString()!, (FrameType)f.GetProperty("typeId").GetInt32(), f, f.Hex("hex")!)
            : new RecordedFrame(f.GetProperty("dir").GetString()!, "", null, f, []))];
    }

    public static IEnumerable<string> Files => Directory.GetFiles(Vectors.PathOf("wire"), "session-*.json").Select(path => Path.GetFileName(path)).Order();

    public IReadOnlyList<RecordedFeedOnWire> Feeds { get; }

    /// <summary>Both directions, in the order of sending.</summary>
    public IReadOnlyList<RecordedFrame> Frames { get; }

    public FeedKey FirstKey => Feeds.Single(f => f.Name == Stream("a->b").GetProperty("firstFeed").GetString()).Key;

    public byte[] BytesOf(string direction) => Stream(direction).Hex("ciphertext")!;

    public byte[] NonceOf(string direction) => Stream(direction).Hex("nonce")!;

    public int ClearLength(string direction) => Stream(direction).GetProperty("clearLength").GetInt32();

    public FeedKey KeyOf(DiscoveryKey discoveryKey) => Feeds.Single(f => f.Key.ToDiscoveryKey() == discoveryKey).Key;

    public List<RecordedFrame> Of(string direction) => [.. Frames.Where(f => f.Direction == direction && !f.IsEnd)];

    public bool Ends(string direction) => Frames.Any(f => f.Direction == direction && f.IsEnd);

    public HandshakeMessage HandshakeOf(string direction)
    {
        MessageCodec.TryDecode(Of(direction)[1].Body, out HandshakeMessage? handshake).Should().BeTrue();
        return handshake!;
    }

    public byte[] FirstFlight(string direction) => BytesOf(direction)[..(ClearLength(direction) + Of(direction)[1].Bytes.Length)];

    /// <summary>What its owner had in the feed at the end of the record.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> BlocksOf(RecordedFeedOnWire feed)
    {
        if (_root.GetProperty("feeds")[feed.Channel].TryGetProperty("blocks", out JsonElement blocks) && blocks.ValueKind == JsonValueKind.Array)
            return [.. blocks.EnumerateArray().Select(b => (ReadOnlyMemory<byte>)Convert.FromHexString(b.GetString()!))];
        long length = 1 + Frames.Where(f => f.Feed == feed.Name && f.Type == FrameType.Have).Max(f => f.Fields.GetProperty("start").GetInt64());
        Dictionary<long, ReadOnlyMemory<byte>> sent = [];
        foreach (RecordedFrame frame in Frames.Where(f => f.Feed == feed.Name && f.Type == FrameType.Data))
        {
            DataCodec.TryDecode(frame.Body, out Proof? proof).Should().BeTrue();
            if (proof!.Value is { } value) sent[proof.Index] = value;
        }

        // A feed too long to be written down has the number of each block in it.
        return sent.Count == length ? [.. sent.OrderBy(s => s.Key).Select(s => s.Value)] : [.. Enumerable.Range(0, (int)length).Select(i => (ReadOnlyMemory<byte>)ReplicaNode.Block(i))];
    }

    /// <summary>The messages in a direction's bytes, Handshake and later Feeds included, one line each.</summary>
    public List<string> Tell(string direction, byte[] stream)
    {
        SessionDecoder decoder = new(FirstKey);
        List<string> lines = [];
        decoder.Take(stream, (_, line) => lines.Add(line));
        return lines;
    }

    private JsonElement Stream(string direction) => _root.GetProperty("streams").GetProperty(direction);
}

/// <summary>Reads what one side of a connection sends, as it comes: one line for each frame after the first.</summary>
internal sealed class SessionDecoder(FeedKey key) : IFrameRules
{
    private const int FirstFrame = 62;

    private readonly List<byte> _head = [];
    private FrameReader? _frames;

    public int MaxLength(int channel, FrameType type) => FrameReader.MaxFrameLength;

    public void Take(ReadOnlySpan<byte> bytes, Action<Frame, string> told)
    {
        int clear = Math.Min(bytes.Length, FirstFrame - _head.Count);
        if (clear > 0)
        {
            _head.AddRange(bytes[..clear]);
            bytes = bytes[clear..];
        }

        if (_head.Count < FirstFrame) return;
        _frames ??= new FrameReader(new XSalsa20Stream(key, _head[^XSalsa20Stream.NonceSize..].ToArray()), this);
        while (!bytes.IsEmpty)
        {
            int count = Math.Min(bytes.Length, FrameReader.MaxFill);
            _frames.Fill(new ReadOnlySequence<byte>(bytes[..count].ToArray()));
            bytes = bytes[count..];
            while (_frames.TryRead(out Frame frame)) told(frame, Line(frame));
        }
    }

    private static string Line(Frame frame)
    {
        if (frame.IsKeepAlive) return "keep-alive";
        string line = WireRecorder.TryFormat(frame.Type!.Value, frame.Body, out string message) ? message : frame.Type + " " + Convert.ToHexStringLower(frame.Body.Span);
        return frame.Channel == 0 ? line : $"{frame.Channel}: {line}";
    }
}
