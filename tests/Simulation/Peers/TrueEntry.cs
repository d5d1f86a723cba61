using DatFs.Crypto;
using Message = DatFs.Encoding.Schemas.Hyperdb.Entry;

namespace DatMount.Simulation;

/// <summary>
/// An entry as whoever only knows the format would read it (hyperdb-multiwriter.md §2, §6): nothing of the library under test is used. Writers
/// are numbered as the truth numbers them.
/// </summary>
internal sealed class TrueEntry
{
    private readonly long[] _clock;

    private readonly ulong _listed;

    private TrueEntry(TrueWriter writer, long seq, Message message, FeedKey[] list, long[] clock)
    {
        (Writer, Seq, Key, Deleted, List, _listed, _clock) = (writer, seq, message.Key, message.Deleted, list, message.Inflate, clock);
        Value = message.HasValue ? message.Value.ToByteArray() : null;
    }

    public TrueWriter Writer { get; }

    public long Seq { get; }

    public string Key { get; }

    public byte[]? Value { get; }

    public bool Deleted { get; }

    /// <summary>The list of writers that applies.</summary>
    public FeedKey[] List { get; }

    /// <summary>How many blocks of a writer were known.</summary>
    public long Knows(int writer) => _clock[writer];

    /// <summary>Whoever wrote this had seen the other.</summary>
    public bool Covers(TrueEntry other) => this != other && _clock[other.Writer.Number] > other.Seq;

    public bool Is(TrueChange change) =>
        Key == change.Key && Deleted == change.Deleted && (Value is null ? change.Value is null : change.Value is not null && Value.AsSpan().SequenceEqual(change.Value));

    public override string ToString() => $"w{Writer.Number}@{Seq}{(Deleted ? "-" : "")}";

    /// <summary>Reads the next block of a writer, and checks what must hold between it and those before (§6).</summary>
    public static TrueEntry Read(World world, DatabaseTruth truth, TrueWriter writer, long seq, byte[] block)
    {
        Message message = Message.Parser.ParseFrom(block);
        TrueEntry? before = writer.Entries.Count == 0 ? null : writer.Entries[^1];
        FeedKey[] earlier = before?.List ?? [], list = earlier;
        if (message.Feeds.Count > 0)
        {
            list = [.. message.Feeds.Select(feed => FeedKey.From(feed.Key.Span))];
            world.Check(message.Inflate == (ulong)seq, $"block {seq} of w{writer.Number} has a list of writers and names that of block {message.Inflate}");
            world.Check(list.Length > earlier.Length && list.AsSpan(0, earlier.Length).SequenceEqual(earlier), $"the list of writers in block {seq} of w{writer.Number} is no longer one than before");
            world.Check(list[0] == truth.Key && list.Contains(writer.Key) && list.Distinct().Count() == list.Length, $"the list of writers in block {seq} of w{writer.Number} is not one of all");
        }
        else
        {
            world.Check(message.Inflate == before?._listed, $"block {seq} of w{writer.Number} names the list of writers in block {message.Inflate}");
        }

        world.Check(list.Length > 0 && message.Clock.Count == list.Length, $"block {seq} of w{writer.Number} has a clock of {message.Clock.Count} for {list.Length} writers");
        long[] clock = new long[truth.Writers.Count];
        for (int at = 0; at < Math.Min(message.Clock.Count, list.Length); at++)
        {
            TrueWriter? known = truth.Find(list[at]);
            world.Check(known is not null, $"block {seq} of w{writer.Number} lists a writer that there is not");
            if (known is null) continue;
            long length = clock[known.Number] = (long)message.Clock[at];
            world.Check(known == writer ? length == seq + 1 : length <= known.Blocks.Count, $"block {seq} of w{writer.Number} knows of {length} blocks of w{known.Number}, who has signed {known.Blocks.Count}");
            world.Check(before is null || length >= before.Knows(known.Number), $"block {seq} of w{writer.Number} knows less of w{known.Number} than the one before");
        }

        return new TrueEntry(writer, seq, message, list, clock);
    }
}
