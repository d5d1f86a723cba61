using System.Text.Unicode;
using DatFs.Encoding;
using DatFs.Encoding.Schemas.Hyperdrive;
using Google.Protobuf;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// Between blocks of the metadata feed and what they mean (hyperdrive.md §1.2, §2, §3). Reads by hand and strictly: the generated parser takes
/// a field of a wrong wire type for an unknown one, lets groups pass and knows no bound of 2^53. Of a field that comes twice the last one
/// counts; unknown fields are passed over.
/// </summary>
internal static class HyperCodec
{
    /// <summary>Longest name accepted, in bytes: far above any real path, far below what would hurt.</summary>
    public const int MaxNameLength = 64 * 1024;

    /// <summary>Deepest path accepted.</summary>
    public const int MaxComponents = 4096;

    /// <summary>Longest index kept with a decoded node, in bytes.</summary>
    public const int MaxKeptIndex = 128;

    /// <summary>What a feed of this format says it is.</summary>
    public const string DriveType = "hyperdrive";

    private const int StatNumbers = 9;
    private const int LinkField = 10;

    /// <summary>Block 0: what the feed is, and the key of the content feed. Null when it is no header.</summary>
    public static HyperHeader? DecodeHeader(ReadOnlySpan<byte> block)
    {
        string? type = null;
        byte[]? content = null;
        FieldReader fields = new(block);
        while (fields.Next())
        {
            if (fields.Field == 1 && fields.ReadBytes(out ReadOnlySpan<byte> name)) type = System.Text.Encoding.UTF8.GetString(name);
            else if (fields.Field == 2 && fields.ReadBytes(out ReadOnlySpan<byte> key)) content = key.ToArray();
            else if (fields.Malformed || fields.Field <= 2 || !fields.Skip()) return null;
        }

        return fields.Malformed || type is null ? null : new HyperHeader(type, content);
    }

    public static byte[] EncodeHeader(ReadOnlySpan<byte> contentKey) => new Header { Type = DriveType, Content = ByteString.CopyFrom(contentKey) }.ToByteArray();

    /// <exception cref="DatException">Corrupt.</exception>
    public static HyperNode DecodeNode(long seq, ReadOnlySpan<byte> block)
    {
        if (!TryOpenNode(block, out NodeFields node)) throw Corrupt(seq, "is not a node");
        if (!node.HasName) throw Corrupt(seq, "has no name");
        if (!node.HasPaths) throw Corrupt(seq, "has no index");
        if (node.Name.Length > MaxNameLength) throw Corrupt(seq, "has a name too long");
        if (node.Name.Count((byte)'/') > MaxComponents) throw Corrupt(seq, "has a name too deep");
        if (!HyperIndex.IsValid(seq, node.Paths)) throw Corrupt(seq, "has an invalid index");
        HyperStat? stat = node.HasValue && TryDecodeStat(node.Value, out HyperStat? decoded) ? decoded : null;
        return new HyperNode(seq, Split(node.Name), node.HasValue, stat, node.Paths.Length <= MaxKeptIndex ? node.Paths.ToArray() : null);
    }

    /// <summary>One level of the index of a block that was decoded before.</summary>
    public static long[] DecodeLevel(long seq, ReadOnlySpan<byte> block, int depth) =>
        TryOpenNode(block, out NodeFields node) ? HyperIndex.Level(seq, node.Paths, depth) : [];

    /// <param name="seq">Where the block will lie.</param>
    /// <param name="name">With a leading and without a trailing slash.</param>
    /// <param name="value">Null = a deletion.</param>
    /// <param name="levels">The index.</param>
    public static byte[] EncodeNode(long seq, string name, byte[]? value, long[][] levels)
    {
        Node message = new() { Name = name, Paths = ByteString.CopyFrom(HyperIndex.Encode(seq, levels)) };
        if (value is not null) message.Value = ByteString.CopyFrom(value);
        return message.ToByteArray();
    }

    /// <summary>The components of a path (§2.1): one empty leading and trailing one is dropped.</summary>
    public static string[] Split(string name) => Split(System.Text.Encoding.UTF8.GetBytes(name));

    /// <summary>Reads attributes; false when a peer of the reference would refuse them too, or when a number is above 2^53-1.</summary>
    public static bool TryDecodeStat(ReadOnlySpan<byte> bytes, out HyperStat stat)
    {
        stat = null!;
        Span<long> numbers = stackalloc long[StatNumbers + 1];
        numbers.Clear();
        bool hasMode = false;
        byte[]? link = null;
        FieldReader fields = new(bytes);
        while (fields.Next())
        {
            if (fields.Field <= StatNumbers)
            {
                if (!fields.ReadNumber(out ulong number)) return false;
                numbers[fields.Field] = (long)number;
                hasMode |= fields.Field == 1;
            }
            else if (fields.Field == LinkField && fields.WireType == FieldReader.BytesType)
            {
                if (!fields.ReadBytes(out ReadOnlySpan<byte> target)) return false;
                link = target.ToArray();
            }
            else if (!fields.Skip()) return false;
        }

        if (fields.Malformed || !hasMode) return false;
        stat = new HyperStat((uint)numbers[1], (uint)numbers[2], (uint)numbers[3], numbers[4], numbers[5], numbers[6], numbers[7], numbers[8], numbers[9], link);
        return true;
    }

    /// <summary>Which numbers of attributes are there at all, by field; of attributes that could be read.</summary>
    public static bool[] StatFields(ReadOnlySpan<byte> bytes)
    {
        bool[] present = new bool[StatNumbers + 1];
        FieldReader fields = new(bytes);
        while (fields.Next())
        {
            if (fields.Field <= StatNumbers) present[fields.Field] = true;
            if (!fields.Skip()) break;
        }

        return present;
    }

    /// <summary>As the reference writes a file: all nine fields, even those that are zero.</summary>
    public static byte[] EncodeFileStat(HyperStat stat) => new Stat
    {
        Mode = stat.Mode,
        Uid = stat.Uid,
        Gid = stat.Gid,
        Size = (ulong)stat.Size,
        Blocks = (ulong)stat.Blocks,
        Offset = (ulong)stat.Offset,
        ByteOffset = (ulong)stat.ByteOffset,
        Mtime = (ulong)stat.Mtime,
        Ctime = (ulong)stat.Ctime,
    }.ToByteArray();

    /// <summary>As the reference writes a directory: without size, blocks and owner.</summary>
    public static byte[] EncodeDirectoryStat(uint mode, long offset, long byteOffset, long mtime, long ctime) =>
        new Stat { Mode = mode, Offset = (ulong)offset, ByteOffset = (ulong)byteOffset, Mtime = (ulong)mtime, Ctime = (ulong)ctime }.ToByteArray();

    private static bool TryOpenNode(ReadOnlySpan<byte> block, out NodeFields node)
    {
        node = default;
        FieldReader fields = new(block);
        while (fields.Next())
        {
            if (fields.Field > 3)
            {
                if (!fields.Skip()) return false;
                continue;
            }

            if (!fields.ReadBytes(out ReadOnlySpan<byte> bytes)) return false;
            if (fields.Field == 1) node.Name = bytes;
            else if (fields.Field == 2) node.Value = bytes;
            else node.Paths = bytes;
            node.HasName |= fields.Field == 1;
            node.HasValue |= fields.Field == 2;
            node.HasPaths |= fields.Field == 3;
        }

        return !fields.Malformed;
    }

    private static string[] Split(ReadOnlySpan<byte> name)
    {
        if (name.StartsWith("/"u8)) name = name[1..];
        if (name.EndsWith("/"u8)) name = name[..^1];
        if (name.IsEmpty) return [];
        string[] parts = new string[name.Count((byte)'/') + 1];
        int at = 0;
        foreach (Range range in name.Split((byte)'/')) parts[at++] = Text(name[range]);
        return parts;
    }

    // What is not UTF-8 stays distinct from every other name and, by its first character, is one that no file system shows (§2.1).
    private static string Text(ReadOnlySpan<byte> component) =>
        Utf8.IsValid(component) ? System.Text.Encoding.UTF8.GetString(component) : "\0" + System.Text.Encoding.Latin1.GetString(component);

    private static DatException Corrupt(long seq, string why) => new(DatError.Corrupt, $"metadata block {seq} {why}");

    private ref struct NodeFields
    {
        public bool HasName;
        public bool HasValue;
        public bool HasPaths;
        public ReadOnlySpan<byte> Name;
        public ReadOnlySpan<byte> Value;
        public ReadOnlySpan<byte> Paths;
    }
}

/// <summary>Block 0 of a feed (hyperdrive.md §1.2, hypercore.md §20): its type, and the bytes that a hyperdrive uses for the key of its content.</summary>
internal sealed record HyperHeader(string Type, byte[]? Content);
