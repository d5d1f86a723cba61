using System.Text.Json;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Google.Protobuf;
using Schemas = DatFs.Encoding.Schemas.Wire;

namespace DatFs.Unit;

/// <summary>Bridges our decoded messages and the field objects of the recorded vectors.</summary>
internal static class WireFields
{
    /// <summary>What our codec reads, by the reference's field names; null when it refuses the body.</summary>
    public static Dictionary<string, object?>? Of(FrameType type, byte[] body)
    {
        switch (type)
        {
            case FrameType.Feed:
                if (!MessageCodec.TryDecodeFeed(body, out DiscoveryKey key, out ReadOnlyMemory<byte> nonce)) return null;
                return new() { ["discoveryKey"] = key.ToHex(), ["nonce"] = nonce.IsEmpty ? null : Hex(nonce) };
            case FrameType.Handshake:
                if (!MessageCodec.TryDecode(body, out HandshakeMessage? h)) return null;
                return new()
                {
                    ["id"] = h!.Id.IsEmpty ? null : Hex(h.Id),
                    ["live"] = h.Live,
                    ["userData"] = h.UserData is { } u ? Hex(u) : null,
                    ["extensions"] = h.Extensions.Count == 0 ? null : string.Join(',', h.Extensions),
                    ["ack"] = h.Ack,
                };
            case FrameType.Info:
                return MessageCodec.TryDecode(body, out InfoMessage info) ? new() { ["uploading"] = info.Uploading, ["downloading"] = info.Downloading } : null;
            case FrameType.Have:
                if (!MessageCodec.TryDecode(body, out HaveMessage have)) return null;
                return new() { ["start"] = have.Start, ["length"] = have.Length ?? 1, ["bitfield"] = have.Bitfield is { } b ? Hex(b) : null, ["ack"] = have.Ack };
            case FrameType.Unhave:
                return MessageCodec.TryDecode(body, out UnhaveMessage unhave) ? new() { ["start"] = unhave.Start, ["length"] = unhave.Length } : null;
            case FrameType.Want:
                return MessageCodec.TryDecode(body, out WantMessage want) ? new() { ["start"] = want.Start, ["length"] = want.Length ?? 0 } : null;
            case FrameType.Unwant:
                return MessageCodec.TryDecode(body, out UnwantMessage unwant) ? new() { ["start"] = unwant.Start, ["length"] = unwant.Length ?? 0 } : null;
            case FrameType.Request:
                if (!MessageCodec.TryDecode(body, out RequestMessage r)) return null;
                return new() { ["index"] = r.Index, ["bytes"] = r.Bytes, ["hash"] = r.Hash, ["nodes"] = (long)r.Nodes };
            case FrameType.Cancel:
                return MessageCodec.TryDecode(body, out CancelMessage c) ? new() { ["index"] = c.Index, ["bytes"] = c.Bytes, ["hash"] = c.Hash } : null;
            case FrameType.Data:
                if (!DataCodec.TryDecode(body, out Proof? proof)) return null;
                return new()
                {
                    ["index"] = proof!.Index,
                    ["value"] = proof.Value is { } v ? Hex(v) : null,
                    ["nodes"] = proof.Nodes.Count == 0 ? null : string.Join(',', proof.Nodes.Select(n => $"{n.Index}:{n.Hash}:{n.Size}")),
                    ["signature"] = proof.Signature is { } s ? Hex(s) : null,
                };
            default:
                throw new ArgumentOutOfRangeException(nameof(type));
        }
    }

    /// <summary>Asserts that every field agrees; the vectors leave absent ones out, write null, or give a long one by its length.</summary>
    public static void ShouldBe(this Dictionary<string, object?>? actual, JsonElement expected, string? because)
    {
        actual.Should().NotBeNull(because);
        foreach ((string name, object? value) in actual!)
        {
            if (expected.TryGetProperty(name + "Length", out JsonElement length)) ((string)value!).Length.Should().Be(2 * length.GetInt32(), because);
            else Plain(expected, name).Should().Be(value, "{0} of {1}", name, because);
        }
    }

    /// <summary>Encodes exactly the fields that are named in <paramref name="fields"/>.</summary>
    public static byte[] Encode(FrameType type, JsonElement fields)
    {
        switch (type)
        {
            case FrameType.Feed:
                return MessageCodec.Encode(DiscoveryKey.From(fields.Hex("discoveryKey")), fields.Hex("nonce")).ToByteArray();
            case FrameType.Handshake:
                Schemas.Handshake handshake = new();
                if (fields.Hex("id") is { } id) handshake.Id = ByteString.CopyFrom(id);
                if (Bool(fields, "live") is { } live) handshake.Live = live;
                if (fields.Hex("userData") is { } userData) handshake.UserData = ByteString.CopyFrom(userData);
                if (Present(fields, "extensions", out JsonElement names)) handshake.Extensions.AddRange(names.EnumerateArray().Select(n => n.GetString()!));
                if (Bool(fields, "ack") is { } wantsAck) handshake.Ack = wantsAck;
                return handshake.ToByteArray();
            case FrameType.Info:
                Schemas.Info info = new();
                if (Bool(fields, "uploading") is { } uploading) info.Uploading = uploading;
                if (Bool(fields, "downloading") is { } downloading) info.Downloading = downloading;
                return info.ToByteArray();
            case FrameType.Have:
                ReadOnlyMemory<byte>? bitfield = Memory(fields.Hex("bitfield"));
                HaveMessage have = new(Number(fields, "start")!.Value, Number(fields, "length"), bitfield, Bool(fields, "ack") ?? false);
                return MessageCodec.Encode(have).ToByteArray();
            case FrameType.Unhave:
                Schemas.Unhave unhave = new() { Start = (ulong)Number(fields, "start")!.Value };
                if (Number(fields, "length") is { } unhaveLength) unhave.Length = (ulong)unhaveLength;
                return unhave.ToByteArray();
            case FrameType.Want:
                return MessageCodec.Encode(new WantMessage(Number(fields, "start")!.Value, Number(fields, "length"))).ToByteArray();
            case FrameType.Unwant:
                return MessageCodec.Encode(new UnwantMessage(Number(fields, "start")!.Value, Number(fields, "length"))).ToByteArray();
            case FrameType.Request:
                Schemas.Request request = new() { Index = (ulong)Number(fields, "index")!.Value };
                if (Number(fields, "bytes") is { } bytes) request.Bytes = (ulong)bytes;
                if (Bool(fields, "hash") is { } hash) request.Hash = hash;
                if (Number(fields, "nodes") is { } digest) request.Nodes = (ulong)digest;
                return request.ToByteArray();
            case FrameType.Cancel:
                CancelMessage cancel = new(Number(fields, "index")!.Value, Number(fields, "bytes") ?? 0, Bool(fields, "hash") ?? false);
                return MessageCodec.Encode(cancel).ToByteArray();
            case FrameType.Data:
                List<TreeNode> nodes = [];
                if (Present(fields, "nodes", out JsonElement list))
                {
                    nodes.AddRange(list.EnumerateArray().Select(node =>
                        new TreeNode(Number(node, "index")!.Value, NodeHash.From(node.Hex("hash")), Number(node, "size")!.Value)));
                }

                byte[]? value = fields.Hex("value"), signature = fields.Hex("signature");
                return RawPeer.Body(new Proof(Number(fields, "index")!.Value, Memory(value), nodes, Memory(signature)));
            default:
                throw new ArgumentOutOfRangeException(nameof(type));
        }
    }

    // An implicit conversion of a null array would make an empty memory of what is absent.
    private static ReadOnlyMemory<byte>? Memory(byte[]? bytes)
    {
        if (bytes is null) return null;
        return bytes;
    }

    private static bool Present(JsonElement fields, string name, out JsonElement value) =>
        fields.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    private static long? Number(JsonElement fields, string name) => Present(fields, name, out JsonElement value) ? value.GetInt64() : null;

    private static bool? Bool(JsonElement fields, string name) => Present(fields, name, out JsonElement value) ? value.GetBoolean() : null;

    private static string Hex(ReadOnlyMemory<byte> bytes) => Convert.ToHexStringLower(bytes.Span);

    private static object? Plain(JsonElement fields, string name)
    {
        if (!Present(fields, name, out JsonElement value)) return null;
        return value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.Number => value.GetInt64(),
            JsonValueKind.String => value.GetString(),
            JsonValueKind.Array when value.GetArrayLength() == 0 => null,
            JsonValueKind.Array when value[0].ValueKind == JsonValueKind.String => string.Join(',', value.EnumerateArray().Select(e => e.GetString())),
            JsonValueKind.Array => string.Join(',', value.EnumerateArray().Select(n =>
                $"{n.GetProperty("index").GetInt64()}:{n.GetProperty("hash").GetString()}:{n.GetProperty("size").GetInt64()}")),
            _ => throw new JsonException($"unexpected {value.ValueKind} for {name}"),
        };
    }
}
