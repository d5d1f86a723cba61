using System.Buffers;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Recorded connections of the reference, read and spoken by ours (wire-protocol.md §10 points 5 and 6).</summary>
public sealed class WireSessionTests
{
    private static readonly string[] s_directions = ["a->b", "b->a"];

    public static TheoryData<string> Sessions => [.. RecordedSession.Files];

    public static TheoryData<string, string, int?> Replays
    {
        get
        {
            TheoryData<string, string, int?> rows = [];
            foreach (string session in RecordedSession.Files)
            {
                foreach (string us in new[] { "a", "b" })
                {
                    rows.Add(session, us, null);
                    rows.Add(session, us, 7);
                }
            }

            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Sessions))]
    public void Both_directions_decipher_to_the_recorded_frames(string file)
    {
        RecordedSession session = new(file);
        foreach (string direction in s_directions)
        {
            List<RecordedFrame> recorded = session.Of(direction);
            foreach (int seed in new[] { 1, 2, 3 })
            {
                List<(string Hex, Frame Frame)> frames = ReadAll(session, direction, new Random(seed));
                frames.Select(f => f.Hex).Should().Equal(recorded.Skip(1).Select(f => Convert.ToHexStringLower(f.Bytes)), "{0} {1} cut by seed {2}", file, direction, seed);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sessions))]
    public void Every_frame_decodes_to_the_recorded_fields_and_encodes_to_the_recorded_bytes(string file)
    {
        foreach (RecordedFrame frame in new RecordedSession(file).Frames.Where(f => f.Type is not (null or FrameType.Extension)))
        {
            FrameType type = frame.Type!.Value;
            byte[] body = frame.Body;
            WireFields.Of(type, body).ShouldBe(frame.Fields, $"{file} at {frame.Json.GetProperty("offset")}");
            Reencode(type, body, frame.Json).Should().Equal(body, "{0} at {1}", file, frame.Json.GetProperty("offset"));
        }
    }

    [Theory]
    [MemberData(nameof(Replays))]
    public async Task We_take_the_place_of_either_peer(string file, string us, int? fragmentSeed)
    {
        RecordedSession session = new(file);
        string outgoing = us == "a" ? "a->b" : "b->a", incoming = us == "a" ? "b->a" : "a->b";
        HandshakeMessage own = session.HandshakeOf(outgoing);
        List<string> expected = MessagesOf(session, incoming, own.Extensions);

        // Every feed the remote names is opened; requests make room for the Data that the recorded peer had asked for.
        WireRecorder recorder = new()
        {
            RemoteFeed = (connection, discoveryKey) => connection.Open(session.KeyOf(discoveryKey)),
            Opened = channel =>
            {
                for (int i = 0; i < 64; i++) channel.Send(new RequestMessage(i, 0, false, 0));
            },
        };
        (MemoryTransport remote, MemoryTransport local) = MemoryTransport.CreatePair(fragmentSeed);
        WireOptions options = new()
        {
            Id = own.Id,
            Live = own.Live,
            Ack = own.Ack,
            UserData = own.UserData,
            Extensions = own.Extensions,
            FillNonce = nonce => session.NonceOf(outgoing).CopyTo(nonce),
        };
        await using WireConnection connection = new(local, recorder, options, session.FirstKey);
        Task run = connection.RunAsync(CancellationToken.None);

        byte[] firstFlight = session.FirstFlight(outgoing);
        var sent = await remote.Input.ReadAtLeastAsync(firstFlight.Length);
        sent.Buffer.Slice(0, firstFlight.Length).ToArray().Should().Equal(firstFlight);
        remote.Input.AdvanceTo(sent.Buffer.End);
        Task discard = DiscardAsync(remote);

        await remote.Output.WriteAsync(session.BytesOf(incoming));
        await remote.Output.CompleteAsync();
        Exception? reason = await recorder.ClosedAsync();
        await run;
        await discard;

        reason.Should().BeNull();
        connection.DroppedFrames.Should().Be(0);
        connection.Traffic.Received.Should().Be(session.BytesOf(incoming).Length);
        recorder.Rest().Where(IsMessage).Should().Equal(expected);
        recorder.Handshake!.Id.ToArray().Should().Equal(session.HandshakeOf(incoming).Id.ToArray());
    }

    private static bool IsMessage(string line) => line != "handshake" && line.Split(' ')[0] is not ("open" or "feed" or "closed");

    private static async Task DiscardAsync(MemoryTransport transport)
    {
        while (true)
        {
            var read = await transport.Input.ReadAsync();
            transport.Input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) return;
        }
    }

    private static List<(string Hex, Frame Frame)> ReadAll(RecordedSession session, string direction, Random random)
    {
        byte[] stream = session.BytesOf(direction);
        using FrameReader reader = new(new XSalsa20Stream(session.FirstKey, session.NonceOf(direction)), new AnyLength());
        List<(string, Frame)> frames = [];
        for (int at = session.ClearLength(direction); at < stream.Length;)
        {
            int count = Math.Min(random.Next(1, 200), stream.Length - at);
            reader.Fill(new ReadOnlySequence<byte>(stream, at, count));
            at += count;
            while (reader.TryRead(out Frame frame)) frames.Add((WholeFrame(frame), frame));
        }

        reader.HasPartial.Should().BeFalse();
        return frames;
    }

    private static string WholeFrame(Frame frame)
    {
        if (frame.IsKeepAlive) return "00";
        byte[] head = new byte[16];
        int header = frame.Channel << 4 | (int)frame.Type!.Value;
        int at = Varint.Write(head, (ulong)(Varint.SizeOf((ulong)header) + frame.Body.Length));
        at += Varint.Write(head.AsSpan(at), (ulong)header);
        return Convert.ToHexStringLower(head.AsSpan(0, at)) + Convert.ToHexStringLower(frame.Body.Span);
    }

    /// <summary>From the fields that were on the wire; where the record shortens a long value, from what we decoded.</summary>
    private static byte[] Reencode(FrameType type, byte[] body, JsonElement frame)
    {
        if (type == FrameType.Data)
        {
            DataCodec.TryDecode(body, out Proof? proof).Should().BeTrue();
            return RawPeer.Body(proof!);
        }

        string[] names = type switch
        {
            FrameType.Feed => ["discoveryKey", "nonce"],
            FrameType.Handshake => ["id", "live", "userData", "extensions", "ack"],
            FrameType.Info => ["uploading", "downloading"],
            FrameType.Have => ["start", "length", "bitfield", "ack"],
            FrameType.Request => ["index", "bytes", "hash", "nodes"],
            FrameType.Cancel => ["index", "bytes", "hash"],
            _ => ["start", "length"],
        };
        Dictionary<string, JsonElement> present = frame.GetProperty("present").EnumerateArray()
            .Select(number => names[number.GetInt32() - 1])
            .Distinct()
            .ToDictionary(name => name, name => frame.GetProperty("fields").GetProperty(name));
        return WireFields.Encode(type, JsonSerializer.SerializeToElement(present));
    }

    private sealed class AnyLength : IFrameRules
    {
        public int MaxLength(int channel, FrameType type) => FrameReader.MaxFrameLength;
    }

    /// <summary>As a handler that opens every feed hears them.</summary>
    private static List<string> MessagesOf(RecordedSession session, string direction, IReadOnlyList<string> sharedNames)
    {
        List<string> lines = [];
        IReadOnlyList<string> names = session.HandshakeOf(direction).Extensions;
        foreach (RecordedFrame frame in session.Of(direction))
        {
            byte[] body = frame.Body;
            if (WireRecorder.TryFormat(frame.Type!.Value, body, out string line)) lines.Add(line);
            else if (frame.Type == FrameType.Extension && sharedNames.Contains(names[body[0]]))
                lines.Add($"extension {names[body[0]]} {Convert.ToHexStringLower(body.AsSpan(1))}");
        }

        return lines;
    }
}
