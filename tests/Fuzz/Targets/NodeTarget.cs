using System.Text.Json;
using DatFs;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatMount.Fuzz.Engine;
using Google.Protobuf;
using Message = DatFs.Encoding.Schemas.Hyperdrive;

namespace DatMount.Fuzz.Targets;

/// <summary>Blocks of the metadata feed: a number in front is the node's own, the rest the block, which is also read as a header and as attributes.</summary>
internal sealed class NodeTarget : IFuzzTarget
{
    public string Name => "nodes";

    public IReadOnlyList<byte[]> Dictionary { get; } =
        [[0x0A, 2, 0x2F, 0x61], [0x12, 4, 8, 0xA4, 0x83, 2], [0x1A, 2, 1, 0], [0x1A, 1, 0], [0x1A, 4, 0, 1, 1, 0], "//"u8.ToArray(), [0xC3, 0x28], [0x52, 1, 0x78], [0x08, 0xFF, 0x83, 2]];

    public long AllocationLimit(int inputLength) => 64 * 1024 + 512L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        JsonElement encodings = Vectors.Json("hyperdrive/encodings.json");
        foreach (JsonElement row in encodings.GetProperty("node").EnumerateArray()) yield return new InputWriter().Number(row.GetProperty("seq").GetInt64()).Raw(row.Hex("hex")!).ToArray();
        foreach (string list in new[] { "index", "stat", "statDecodeOnly", "nodeInvalid" })
        {
            foreach (JsonElement row in encodings.GetProperty(list).EnumerateArray())
                if (row.Hex("hex") is { } bytes) yield return new InputWriter().Number(5).Raw(bytes).ToArray();
        }

        foreach (JsonElement sequence in Vectors.Json("hyperdrive/sequences.json").EnumerateArray())
        {
            foreach (JsonElement op in sequence.GetProperty("ops").EnumerateArray().Take(15))
                yield return new InputWriter().Number(op.GetProperty("seq").GetInt64()).Raw(op.Hex("hex")!).ToArray();
        }
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        long seq = reader.Number();
        ReadOnlySpan<byte> block = reader.Rest;
        Header(block);
        Stat(block);
        if (seq > 0) Node(seq, block);
    }

    private static void Header(ReadOnlySpan<byte> block)
    {
        if (HyperCodec.DecodeHeader(block) is not { } header) return;
        if (Second(Message.Header.Parser, block) is not { } second) return;
        Oracle.Equal(header.Type, second.Type, "the type by the generated parser");
        Oracle.Equal(header.Content is null, !second.HasContent, "a key or none");
        Oracle.Same(header.Content, second.Content.Span, "the key by the generated parser");
        if (header.Content is null) return;
        Oracle.Same(HyperCodec.DecodeHeader(HyperCodec.EncodeHeader(header.Content))!.Content, header.Content, "a header written and read");
    }

    private static void Stat(ReadOnlySpan<byte> block)
    {
        if (!HyperCodec.TryDecodeStat(block, out HyperStat stat)) return;
        Oracle.That(HyperCodec.TryDecodeStat(HyperCodec.EncodeFileStat(stat), out HyperStat again), "attributes written and read");
        Oracle.Equal(stat with { LinkName = null }, again, "attributes");
        if (Second(Message.Stat.Parser, block) is not { } second) return;
        Oracle.Equal(
            (stat.Mode, stat.Uid, stat.Gid, (ulong)stat.Size, (ulong)stat.Blocks, (ulong)stat.Offset, (ulong)stat.ByteOffset),
            (second.Mode, second.Uid, second.Gid, second.Size, second.Blocks, second.Offset, second.ByteOffset),
            "attributes by the generated parser");
        Oracle.Equal(((ulong)stat.Mtime, (ulong)stat.Ctime), (second.Mtime, second.Ctime), "times by the generated parser");
        if (stat.LinkName is not null) Oracle.Equal(System.Text.Encoding.UTF8.GetString(stat.LinkName), second.Linkname, "link");
    }

    private static void Node(long seq, ReadOnlySpan<byte> block)
    {
        HyperNode node;
        try
        {
            node = HyperCodec.DecodeNode(seq, block);
        }
        catch (DatException refused)
        {
            Oracle.Equal(refused.Error, DatError.Corrupt, "the reason of a refusal");
            return;
        }

        Oracle.That(node.Parts.Length <= HyperCodec.MaxComponents, "not too deep");
        foreach (string part in node.Parts) Oracle.That(!part.Contains('/', StringComparison.Ordinal), "components without slashes");
        if (Second(Message.Node.Parser, block) is not { } second) return;
        Oracle.Equal(node.IsPut, second.HasValue, "a put or a deletion");
        Oracle.That(node.Stat is null || node.IsPut, "attributes of a put only");
        Oracle.That(HyperCodec.Split(second.Name).SequenceEqual(node.Parts), "components of the name");
        Index(seq, block, second.Paths.ToByteArray(), node);
        byte[] again = HyperCodec.EncodeNode(seq, second.Name, second.HasValue ? second.Value.ToByteArray() : null, Levels(seq, second.Paths.Span));
        HyperNode back = HyperCodec.DecodeNode(seq, again);
        Oracle.That(back.Parts.SequenceEqual(node.Parts) && back.IsPut == node.IsPut, "a node written and read");
    }

    // The generated parser refuses text that is not UTF-8. Names of archives may be that; they are read, and marked as never to be shown.
    private static T? Second<T>(MessageParser<T> parser, ReadOnlySpan<byte> block)
        where T : class, IMessage<T>
    {
        try
        {
            return parser.ParseFrom(block);
        }
        catch (InvalidProtocolBufferException refused) when (refused.InnerException is System.Text.DecoderFallbackException)
        {
            return null;
        }
    }

    private static void Index(long seq, ReadOnlySpan<byte> block, byte[] paths, HyperNode node)
    {
        Oracle.That(HyperIndex.IsValid(seq, paths), "the index of an accepted node");
        Oracle.Equal(node.Index is not null, paths.Length <= HyperCodec.MaxKeptIndex, "only short indexes are kept");
        long[][] levels = Levels(seq, paths);
        for (int depth = 0; depth < levels.Length; depth++)
        {
            if (depth < 8 || depth == levels.Length - 1)
            {
                Oracle.That(HyperIndex.Level(seq, paths, depth).AsSpan().SequenceEqual(levels[depth]), "one level and all");
                Oracle.That(HyperCodec.DecodeLevel(seq, block, depth).AsSpan().SequenceEqual(levels[depth]), "a level read from the block");
            }

            long last = 0;
            foreach (long representative in levels[depth])
            {
                Oracle.That(representative > last && representative <= seq, "ascending, and no newer than the node");
                last = representative;
            }
        }

        Oracle.Equal(HyperIndex.Level(seq, paths, levels.Length).Length, 0, "nothing behind the last level");
        byte[] encoded = HyperIndex.Encode(seq, levels);
        Oracle.That(HyperIndex.TryDecode(seq, encoded, out long[][] again) && again.Length == levels.Length, "an index written and read");
        for (int depth = 0; depth < levels.Length; depth++) Oracle.That(levels[depth].AsSpan().SequenceEqual(again[depth]), "a level written and read");
    }

    private static long[][] Levels(long seq, ReadOnlySpan<byte> paths)
    {
        Oracle.That(HyperIndex.TryDecode(seq, paths, out long[][] levels), "a valid index is decoded");
        return levels;
    }
}
