using System.Diagnostics.CodeAnalysis;
using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Encoding.Schemas.Hyperdb;
using Google.Protobuf;

namespace DatFs.Drives.Hyperdb;

/// <summary>The message in a block of a writer's feed (hyperdb-multiwriter.md §2).</summary>
/// <param name="Key">As stored.</param>
/// <param name="Value">Null = none, which is not an empty one.</param>
/// <param name="Deleted">A tombstone; it may have a value all the same.</param>
/// <param name="Trie">The packed index.</param>
/// <param name="Clock">How many blocks of each writer were known.</param>
/// <param name="Inflate">The block of the same feed that holds the list of writers.</param>
/// <param name="Feeds">That list, where this is the block; else empty.</param>
/// <param name="ContentFeed">The writer's content feed, where the list is.</param>
internal sealed record EntryMessage(string Key, byte[]? Value, bool Deleted, byte[] Trie, long[] Clock, long? Inflate, FeedKey[] Feeds, FeedKey? ContentFeed);

/// <summary>An entry as it is stored: its message makes sense, and writers are positions in the list of the feed it lies in (§6).</summary>
/// <param name="Message">The message; its list of writers counts only where <see cref="IsInflated"/>.</param>
/// <param name="Path">Where the key lies in the trie.</param>
/// <param name="Trie">The index.</param>
/// <param name="IsInflated">The list of writers is in this block.</param>
internal sealed record EntryBlock(EntryMessage Message, KeyPath Path, Trie Trie, bool IsInflated);

/// <summary>
/// Between blocks of a writer's feed and what they mean (hyperdb-multiwriter.md §1, §2). Reads by hand and strictly, as the other format's
/// codec does: of a field that comes twice the last one counts, unknown fields are passed over, wrong wire types and numbers above 2^53
/// are refused. Names that are not UTF-8 are read as the reference reads them, with U+FFFD where the text is broken.
/// </summary>
internal static class EntryCodec
{
    /// <summary>What a feed of this format says it is.</summary>
    public const string Protocol = "hyperdb";

    /// <summary>Longest key accepted, in bytes.</summary>
    public const int MaxKeyLength = 64 * 1024;

    /// <summary>Deepest key accepted.</summary>
    public const int MaxComponents = 4096;

    /// <summary>Longest list of writers and longest clock accepted: as many as hyperdb's authors hoped for (§18).</summary>
    public const int MaxWriters = 1024;

    /// <summary>Block 0 of every writer's feed.</summary>
    public static byte[] Header => new Header { Protocol = Protocol }.ToByteArray();

    /// <summary>True for a first block that begins a feed of this format.</summary>
    public static bool IsHeader(ReadOnlySpan<byte> block) => Hyperdrive.HyperCodec.DecodeHeader(block)?.Type == Protocol;

    /// <summary>Reads block <paramref name="seq"/> of a writer's feed.</summary>
    /// <exception cref="DatException">Corrupt.</exception>
    public static EntryBlock Decode(long seq, ReadOnlySpan<byte> block)
    {
        if (!TryParse(block, out EntryMessage? message)) throw Corrupt(seq, "is not an entry");
        if (message.Key.AsSpan().Count('/') >= MaxComponents) throw Corrupt(seq, "has a key too deep");
        if (message.Inflate is not (> 0 and long inflate) || inflate > seq) throw Corrupt(seq, "names no list of writers");
        bool inflated = inflate == seq;
        if (inflated && message.Clock.Length > message.Feeds.Length) throw Corrupt(seq, "has a clock for more writers than it lists");
        KeyPath path = KeyPath.Of(message.Key);
        if (!Hyperdb.Trie.TryDecode(message.Trie, path.Length, message.Clock, out Trie index)) throw Corrupt(seq, "has an invalid index");
        return new EntryBlock(message, path, index, inflated);
    }

    /// <summary>Reads the message alone; what it says need not make sense.</summary>
    public static bool TryParse(ReadOnlySpan<byte> block, [NotNullWhen(true)] out EntryMessage? message)
    {
        message = null;
        ReadOnlySpan<byte> key = default, value = default, trie = default, content = default;
        bool hasKey = false, hasValue = false, hasTrie = false, hasContent = false, deleted = false;
        long? inflate = null;
        List<long> clock = [];
        List<FeedKey> feeds = [];
        FieldReader fields = new(block);
        while (fields.Next())
        {
            bool read;
            switch (fields.Field)
            {
                case 1:
                    hasKey = read = fields.ReadBytes(out key);
                    break;
                case 2:
                    hasValue = read = fields.ReadBytes(out value);
                    break;
                case 3:
                    read = fields.ReadBool(out deleted);
                    break;
                case 4:
                    hasTrie = read = fields.ReadBytes(out trie);
                    break;
                case 5:
                    read = ReadClock(ref fields, clock);
                    break;
                case 6:
                    read = fields.ReadNumber(out ulong number);
                    inflate = (long)number;
                    break;
                case 7:
                    read = ReadFeed(ref fields, feeds);
                    break;
                case 8:
                    hasContent = read = fields.ReadBytes(out content);
                    break;
                default:
                    read = fields.Skip();
                    break;
            }

            if (!read) return false;
        }

        if (fields.Malformed || !hasKey || !hasTrie || key.Length > MaxKeyLength || (hasContent && content.Length != FeedKey.Size)) return false;
        message = new EntryMessage(
            System.Text.Encoding.UTF8.GetString(key), hasValue ? value.ToArray() : null, deleted, trie.ToArray(), [.. clock], inflate, [.. feeds], hasContent ? FeedKey.From(content) : null);
        return true;
    }

    /// <summary>Writes a block exactly as the reference does.</summary>
    public static byte[] Encode(EntryMessage entry)
    {
        Entry message = new() { Key = entry.Key, Trie = ByteString.CopyFrom(entry.Trie) };
        if (entry.Value is not null) message.Value = ByteString.CopyFrom(entry.Value);
        if (entry.Deleted) message.Deleted = true;
        foreach (long length in entry.Clock) message.Clock.Add((ulong)length);
        if (entry.Inflate is { } inflate) message.Inflate = (ulong)inflate;
        foreach (FeedKey feed in entry.Feeds) message.Feeds.Add(new Encoding.Schemas.Hyperdb.Feed { Key = ByteString.CopyFrom(feed.ToArray()) });
        if (entry.ContentFeed is { } content) message.ContentFeed = ByteString.CopyFrom(content.ToArray());
        return message.ToByteArray();
    }

    private static bool ReadClock(ref FieldReader fields, List<long> clock)
    {
        if (clock.Count >= MaxWriters || !fields.ReadNumber(out ulong length)) return false;
        clock.Add((long)length);
        return true;
    }

    private static bool ReadFeed(ref FieldReader fields, List<FeedKey> feeds)
    {
        if (feeds.Count >= MaxWriters || !fields.ReadBytes(out ReadOnlySpan<byte> body)) return false;
        FieldReader feed = new(body);
        FeedKey? key = null;
        while (feed.Next())
        {
            if (feed.Field != 1)
            {
                if (!feed.Skip()) return false;
                continue;
            }

            if (!feed.ReadBytes(out ReadOnlySpan<byte> bytes) || bytes.Length != FeedKey.Size) return false;
            key = FeedKey.From(bytes);
        }

        if (feed.Malformed || key is not { } found || feeds.Contains(found)) return false;
        feeds.Add(found);
        return true;
    }

    private static DatException Corrupt(long seq, string why) => new(DatError.Corrupt, $"database block {seq} {why}");
}
