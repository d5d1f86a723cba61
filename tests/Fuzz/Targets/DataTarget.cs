using System.Runtime.InteropServices;
using System.Text.Json;
using DatFs.Encoding.Schemas.Wire;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using DatMount.Fuzz.Engine;
using Google.Protobuf;

namespace DatMount.Fuzz.Targets;

/// <summary>The body of Data, which is read by hand: beside the generated parser, and written and read again.</summary>
internal sealed class DataTarget : IFuzzTarget
{
    private readonly byte[] _body = new byte[16 * 1024];

    public string Name => "data";

    public int MaxLength => _body.Length;

    public IReadOnlyList<byte[]> Dictionary { get; } =
        [[0x08, 0], [0x12, 0], [0x1A, 0x24], [0x22, 0x40], [0x12, 0x20], [0x1A, 0], [0x22, 0], [0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F]];

    public long AllocationLimit(int inputLength) => 32 * 1024 + 256L * inputLength;

    public IEnumerable<byte[]> Corpus() => Bodies();

    /// <summary>Recorded and hostile bodies.</summary>
    public static IEnumerable<byte[]> Bodies()
    {
        foreach (JsonElement row in Vectors.Json("wire/messages.json").GetProperty("valid").EnumerateArray())
        {
            if (row.TryGetProperty("type", out JsonElement type) && type.GetInt32() == (int)FrameType.Data && row.Hex("body") is { Length: < 16384 } body)
                yield return body;
        }

        foreach (JsonElement row in Vectors.Json("hypercore/hostile-proofs.json").GetProperty("cases").EnumerateArray())
            if (row.GetProperty("message").GetProperty("nodes").ValueKind == JsonValueKind.Array) yield return Body(row.GetProperty("message"));
    }

    /// <summary>A message of the hostile proofs, also with hashes and signatures of wrong lengths.</summary>
    public static byte[] Body(JsonElement message)
    {
        Data data = new() { Index = message.GetProperty("index").GetUInt64() };
        if (message.Hex("value") is { } value) data.Value = ByteString.CopyFrom(value);
        if (message.Hex("signature") is { } signature) data.Signature = ByteString.CopyFrom(signature);
        foreach (JsonElement node in message.GetProperty("nodes").EnumerateArray())
        {
            data.Nodes.Add(new Data.Types.Node
            {
                Index = node.GetProperty("index").GetUInt64(),
                Hash = ByteString.CopyFrom(node.Hex("hash")!),
                Size = node.GetProperty("size").GetUInt64(),
            });
        }

        return data.ToByteArray();
    }

    /// <summary>The body as it is sent.</summary>
    public static byte[] Encode(Proof proof)
    {
        int head = DataCodec.HeadSize(proof), value = proof.Value?.Length ?? 0;
        byte[] body = new byte[head + value + DataCodec.TailSize(proof)];
        DataCodec.WriteHead(body, proof);
        proof.Value?.Span.CopyTo(body.AsSpan(head));
        DataCodec.WriteTail(body.AsSpan(head + value), proof);
        return body;
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        input.CopyTo(_body);
        ReadOnlyMemory<byte> body = _body.AsMemory(0, input.Length);
        Proof? proof;
        try
        {
            if (!DataCodec.TryDecode(body, out proof)) return;
        }
        catch (ProtocolViolationException)
        {
            return;
        }

        Within(proof!.Value, input.Length);
        Within(proof.Signature, input.Length);
        Oracle.That(proof.Nodes.Count <= DataCodec.MaxNodes, "not too many nodes");
        Oracle.That(DataCodec.TryDecode(Encode(proof), out Proof? again), "what was written is read");
        Same(proof, again!);
        Compare(proof, Data.Parser.ParseFrom(input));
    }

    private void Within(ReadOnlyMemory<byte>? part, int length)
    {
        if (part is not { IsEmpty: false } bytes) return;
        bool mine = MemoryMarshal.TryGetArray(bytes, out ArraySegment<byte> segment) && segment.Array == _body;
        Oracle.That(mine && segment.Offset + segment.Count <= length, "bytes lie inside the body");
    }

    private static void Same(Proof first, Proof again)
    {
        Oracle.Equal(first.Index, again.Index, "index");
        Oracle.Equal((first.Value is null, first.Signature is null), (again.Value is null, again.Signature is null), "what is there");
        Oracle.Same(first.Value.GetValueOrDefault().Span, again.Value.GetValueOrDefault().Span, "value");
        Oracle.Same(first.Signature.GetValueOrDefault().Span, again.Signature.GetValueOrDefault().Span, "signature");
        Oracle.That(first.Nodes.SequenceEqual(again.Nodes), "nodes");
    }

    private static void Compare(Proof proof, Data second)
    {
        Oracle.Equal((ulong)proof.Index, second.Index, "index by the generated parser");
        Oracle.Equal((proof.Value is not null, proof.Signature is not null), (second.HasValue, second.HasSignature), "what is there by the generated parser");
        Oracle.Same(proof.Value.GetValueOrDefault().Span, second.Value.Span, "value by the generated parser");
        Oracle.Same(proof.Signature.GetValueOrDefault().Span, second.Signature.Span, "signature by the generated parser");
        Oracle.Equal(proof.Nodes.Count, second.Nodes.Count, "nodes by the generated parser");
        for (int i = 0; i < second.Nodes.Count; i++)
        {
            Data.Types.Node node = second.Nodes[i];
            Oracle.Equal(proof.Nodes[i], new TreeNode((long)node.Index, NodeHash.From(node.Hash.Span), (long)node.Size), "a node by the generated parser");
        }
    }
}
