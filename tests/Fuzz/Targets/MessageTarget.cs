using System.Text.Json;
using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Evidence;
using DatFs.Wire;
using DatMount.Fuzz.Engine;
using Google.Protobuf;

namespace DatMount.Fuzz.Targets;

/// <summary>The bodies of all messages but Data: the first byte is the type, the rest the body. What is read is written and read again.</summary>
internal sealed class MessageTarget : IFuzzTarget
{
    public string Name => "messages";

    public int MaxLength => 8 * 1024;

    public IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [0x08], [0x0A], [0x10], [0x12], [0x18], [0x1A], [0x20], [0x22], [0x28], [0x0A, 0x20], [0x12, 0x18], [0x4B, 0x4C], [0x4D, 0, 0, 0, 0],
        [0x49, 0, 0, 0, 0, 0, 0, 0, 0], [0x22, 0x01, 0xFF], [0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10],
        [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0x10, 0x00], [0x10, 0x01], [0x18, 0x02],
    ];

    public IEnumerable<byte[]> Corpus()
    {
        JsonElement messages = Vectors.Json("wire/messages.json");
        foreach (string list in new[] { "valid", "tolerated", "malformed" })
        {
            foreach (JsonElement row in messages.GetProperty(list).EnumerateArray())
            {
                if (row.Hex("body") is not { Length: < 4096 } body) continue;
                byte type = row.TryGetProperty("type", out JsonElement number) ? number.GetByte() : (byte)Enum.Parse<FrameType>(row.GetProperty("name").GetString()!);
                if (type <= (byte)FrameType.Cancel) yield return [type, .. body];
            }
        }

        for (byte type = 0; type <= (byte)FrameType.Cancel; type++) yield return [type, 8, 1, 16, 2, 24, 1, 32, 3];
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        if (input.IsEmpty) return;
        ReadOnlySpan<byte> body = input[1..];
        try
        {
            Decode((FrameType)(input[0] % 9), body);
        }
        catch (ProtocolViolationException)
        {
            // A bound that closes the connection.
        }
    }

    private static void Decode(FrameType type, ReadOnlySpan<byte> body)
    {
        switch (type)
        {
            case FrameType.Feed when MessageCodec.TryDecodeFeed(body, out DiscoveryKey key, out ReadOnlyMemory<byte> nonce):
                Oracle.That(MessageCodec.TryDecodeFeed(MessageCodec.Encode(key, nonce).ToByteArray(), out DiscoveryKey same, out ReadOnlyMemory<byte> again), "Feed again");
                Oracle.Equal(key, same, "discovery key");
                Oracle.Same(nonce.Span, again.Span, "nonce");
                break;
            case FrameType.Handshake when MessageCodec.TryDecode(body, out HandshakeMessage? first):
                RoundTrip(first!);
                break;
            case FrameType.Info when MessageCodec.TryDecode(body, out InfoMessage first):
                Oracle.That(MessageCodec.TryDecode(MessageCodec.Encode(first).ToByteArray(), out InfoMessage info), "Info again");
                Oracle.Equal(first, info, "Info");
                break;
            case FrameType.Have when MessageCodec.TryDecode(body, out HaveMessage first):
                Numbers(first.Start, first.Length ?? 0);
                Oracle.That(MessageCodec.TryDecode(MessageCodec.Encode(first).ToByteArray(), out HaveMessage have), "Have again");
                Oracle.Equal(first with { Bitfield = null }, have with { Bitfield = null }, "Have");
                Oracle.Equal(first.Bitfield is null, have.Bitfield is null, "a bitfield or none");
                Oracle.Same(first.Bitfield.GetValueOrDefault().Span, have.Bitfield.GetValueOrDefault().Span, "bitfield");
                break;
            case FrameType.Unhave when MessageCodec.TryDecode(body, out UnhaveMessage first):
                Numbers(first.Start, first.Length);
                Oracle.That(MessageCodec.TryDecode(MessageCodec.Encode(first).ToByteArray(), out UnhaveMessage unhave), "Unhave again");
                Oracle.Equal(first, unhave, "Unhave");
                break;
            case FrameType.Want when MessageCodec.TryDecode(body, out WantMessage first):
                Numbers(first.Start, first.Length ?? 0);
                Oracle.That(MessageCodec.TryDecode(MessageCodec.Encode(first).ToByteArray(), out WantMessage want), "Want again");
                Oracle.Equal(first, want, "Want");
                break;
            case FrameType.Unwant when MessageCodec.TryDecode(body, out UnwantMessage first):
                Numbers(first.Start, first.Length ?? 0);
                Oracle.That(MessageCodec.TryDecode(MessageCodec.Encode(first).ToByteArray(), out UnwantMessage unwant), "Unwant again");
                Oracle.Equal(first, unwant, "Unwant");
                break;
            case FrameType.Request when MessageCodec.TryDecode(body, out RequestMessage first):
                Numbers(first.Index, first.Bytes);
                Oracle.That(first.Nodes <= Varint.MaxValue, "a digest within 2^53");
                Oracle.That(MessageCodec.TryDecode(MessageCodec.Encode(first).ToByteArray(), out RequestMessage request), "Request again");
                Oracle.Equal(first, request, "Request");
                break;
            case FrameType.Cancel when MessageCodec.TryDecode(body, out CancelMessage first):
                Numbers(first.Index, first.Bytes);
                Oracle.That(MessageCodec.TryDecode(MessageCodec.Encode(first).ToByteArray(), out CancelMessage cancel), "Cancel again");
                Oracle.Equal(first, cancel, "Cancel");
                break;
        }
    }

    private static void RoundTrip(HandshakeMessage first)
    {
        Oracle.That(first.Id.Length <= 64, "an id of at most 64 bytes");
        Oracle.That(first.Extensions.Count <= MessageCodec.MaxExtensions, "not too many extensions");
        Oracle.That(first.UserData.GetValueOrDefault().Length <= MessageCodec.MaxUserData, "not too much user data");
        Oracle.That(MessageCodec.TryDecode(MessageCodec.Encode(first).ToByteArray(), out HandshakeMessage? again), "Handshake again");
        Oracle.Same(first.Id.Span, again!.Id.Span, "id");
        Oracle.Equal((first.Live, first.Ack, first.UserData is null), (again.Live, again.Ack, again.UserData is null), "Handshake");
        Oracle.Same(first.UserData.GetValueOrDefault().Span, again.UserData.GetValueOrDefault().Span, "user data");
        Oracle.That(first.Extensions.SequenceEqual(again.Extensions, StringComparer.Ordinal), "extensions");
    }

    private static void Numbers(long first, long second) =>
        Oracle.That(first is >= 0 and <= (long)Varint.MaxValue && second is >= 0 and <= (long)Varint.MaxValue, "numbers within 2^53");
}
