using System.Buffers;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Wire;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// The stream of one direction behind its first frame, as it is after deciphering: in one piece and in pieces of any size it gives the same
/// frames and breaks the same rule. The first byte decides the sizes of the pieces.
/// </summary>
internal sealed class FrameTarget : IFuzzTarget
{
    private static readonly FeedKey s_key = FeedKey.From(new byte[FeedKey.Size]);
    private static readonly byte[] s_nonce = new byte[XSalsa20Stream.NonceSize];

    public string Name => "frames";

    public int MaxLength => 96 * 1024;

    public IReadOnlyList<byte[]> Dictionary { get; } =
        [[0], [1, 0], [0x80, 0], [0x80, 0x80, 0x80, 0x04], [0x81, 0x80, 0x80, 0x04], [0x80, 0x80, 0x80, 0x80], [2, 0xFF, 0x1F], [3, 0x80, 0x20, 0], [5, 9, 0x12, 1, 2]];

    public long AllocationLimit(int inputLength) => 96 * 1024 + 256L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        int piece = 0;
        foreach (List<byte[]> frames in Directions())
        {
            byte[] bytes = [(byte)(piece += 37), .. frames.Skip(1).SelectMany(frame => frame)];
            if (bytes.Length < MaxLength) yield return bytes;
        }

        yield return [3, .. Enumerable.Repeat<byte>(0, 200)];
    }

    /// <summary>The frames in clear of recorded sessions, one list for each direction.</summary>
    public static IEnumerable<List<byte[]>> Directions()
    {
        foreach (string file in Directory.EnumerateFiles(Vectors.PathOf("wire"), "session-*.json").Order(StringComparer.Ordinal))
        {
            JsonElement frames = Vectors.Json("wire/" + Path.GetFileName(file)).GetProperty("frames");
            foreach (string direction in new[] { "a->b", "b->a" })
                yield return [.. frames.EnumerateArray().Where(frame => frame.GetProperty("dir").GetString() == direction).Select(frame => frame.Hex("hex")).OfType<byte[]>()];
        }
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        int seed = reader.Byte();
        byte[] cipher = new byte[reader.Rest.Length];
        using (XSalsa20Stream sender = new(s_key, s_nonce)) sender.Apply(reader.Rest, cipher);
        (List<(int, FrameType?, int)> Frames, string End) whole = Read(cipher, int.MaxValue), pieces = Read(cipher, seed);
        Oracle.Equal(whole.End, pieces.End, "the end");
        Oracle.That(whole.Frames.SequenceEqual(pieces.Frames), "frames of the whole and of pieces");
    }

    private static (List<(int Channel, FrameType? Type, int Body)> Frames, string End) Read(byte[] cipher, int seed)
    {
        List<(int, FrameType?, int)> frames = [];
        using FrameReader reader = new(new XSalsa20Stream(s_key, s_nonce), new Rules());
        uint state = (uint)seed + 1;
        try
        {
            for (int at = 0; at < cipher.Length;)
            {
                state = state * 1664525 + 1013904223;
                int count = seed == int.MaxValue ? FrameReader.MaxFill : 1 + (int)(state >> 16) % (1 + seed * seed / 4);
                count = Math.Min(count, cipher.Length - at);
                reader.Fill(new ReadOnlySequence<byte>(cipher, at, count));
                at += count;
                while (reader.TryRead(out Frame frame))
                {
                    HashCode body = new();
                    body.AddBytes(frame.Body.Span);
                    frames.Add((frame.Channel, frame.Type, body.ToHashCode()));
                    Oracle.Equal(frame.IsKeepAlive, frame.Type is null, "a keep-alive");
                    Oracle.That(frame.Channel is >= 0 and <= FrameReader.MaxChannel, "a channel within bounds");
                    Oracle.That(frame.Body.Length <= cipher.Length, "a body of what was received");
                }

                Oracle.That(reader.Capacity <= Math.Max(32 * 1024, 4 * at), "memory follows what was received");
            }

            return (frames, reader.HasPartial ? "inside a frame" : "between frames");
        }
        catch (ProtocolViolationException violation)
        {
            return (frames, violation.Message);
        }
    }

    /// <summary>The bounds of a connection on which everything is open and one block was asked for.</summary>
    private sealed class Rules : IFrameRules
    {
        public int MaxLength(int channel, FrameType type) => type switch
        {
            FrameType.Data or FrameType.Have => FrameReader.MaxFrameLength,
            FrameType.Handshake or FrameType.Extension => WireConnection.MaxHandshakeOrExtension,
            _ => WireConnection.MaxControl,
        };
    }
}
