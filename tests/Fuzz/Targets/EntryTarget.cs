using System.Text.Json;
using DatFs;
using DatFs.Drives.Hyperdb;
using DatFs.Evidence;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>Blocks of a writer's feed in a hyperdb: a number in front is the entry's own, the rest the block, which is also read as attributes.</summary>
internal sealed class EntryTarget : IFuzzTarget
{
    public string Name => "entries";

    public IReadOnlyList<byte[]> Dictionary { get; } =
        [[0x0A, 1, 0x61], [0x12, 0], [0x18, 1], [0x22, 0], [0x22, 4, 1, 2, 0, 1], [0x28, 2], [0x30, 1], [0x01, 0x1F], [0x3A, 0x22, 0x0A, 0x20], [0x42, 0x20], [0xC3, 0x28], "//"u8.ToArray()];

    public long AllocationLimit(int inputLength) => 64 * 1024 + 512L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        foreach (JsonElement row in Vectors.Json("hyperdb/messages.json").EnumerateArray()) yield return new InputWriter().Number(200).Raw(row.Hex("hex")!).ToArray();
        foreach (JsonElement row in Vectors.Json("hyperdb/trie.json").EnumerateArray().Take(20)) yield return new InputWriter().Number(5).Raw(row.Hex("hex")!).ToArray();
        foreach (JsonProperty feed in Vectors.Json("hyperdb/random-3-writers.json")[0].GetProperty("feeds").EnumerateObject())
        {
            long seq = 0;
            foreach (JsonElement block in feed.Value.EnumerateArray()) yield return new InputWriter().Number(seq++).Raw(Convert.FromHexString(block.GetString()!)).ToArray();
        }
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        long seq = reader.Number();
        ReadOnlySpan<byte> block = reader.Rest;
        _ = EntryCodec.IsHeader(block);
        Stat(block);
        Message(block);
        if (seq > 0) Entry(seq, block);
        Trie.TryDecode(block, 65, [1, 100, 1L << 40], out _);
    }

    private static void Stat(ReadOnlySpan<byte> block)
    {
        if (!HyperdbStat.TryDecode(block, out HyperdbStat? stat)) return;
        Oracle.That(HyperdbStat.TryDecode(stat.Encode(), out HyperdbStat? again), "attributes written and read");
        Oracle.Equal(stat with { LinkName = null }, again with { LinkName = null }, "attributes");
    }

    private static void Message(ReadOnlySpan<byte> block)
    {
        if (!EntryCodec.TryParse(block, out EntryMessage? message)) return;
        byte[] written = EntryCodec.Encode(message);
        Oracle.That(EntryCodec.TryParse(written, out EntryMessage? again), "a message written and read");
        Oracle.Same(EntryCodec.Encode(again), written, "a message written twice");
    }

    private static void Entry(long seq, ReadOnlySpan<byte> block)
    {
        EntryBlock entry;
        try
        {
            entry = EntryCodec.Decode(seq, block);
        }
        catch (DatException refused)
        {
            Oracle.Equal(refused.Error, DatError.Corrupt, "the reason of a refusal");
            return;
        }

        EntryMessage message = entry.Message;
        Oracle.Equal(entry.IsInflated, message.Inflate == seq, "a list of writers or none");
        int last = -1;
        foreach (TrieBucket bucket in entry.Trie.Buckets)
        {
            Oracle.That(bucket.Index > last && bucket.Index < entry.Path.Length, "indexes ascend along the path");
            last = bucket.Index;
            Oracle.That(entry.Trie.At(last) == bucket && entry.Trie.From(last) == bucket, "a bucket is found");
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
            {
                foreach (EntryId id in bucket[digit]) Oracle.That(id.Seq > 0 && id.Seq < message.Clock[id.Writer], "entries that the clock knows");
            }
        }

        byte[] packed = entry.Trie.Encode([.. Enumerable.Range(0, message.Clock.Length)]);
        Oracle.That(Trie.TryDecode(packed, entry.Path.Length, message.Clock, out Trie again), "an index written and read");
        Oracle.Same(again.Encode([.. Enumerable.Range(0, message.Clock.Length)]), packed, "an index written twice");
    }
}
