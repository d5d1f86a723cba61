using System.Text;
using DatFs.Encoding;
using DatFs.Encoding.Schemas.Hyperdrive;
using Google.Protobuf;

namespace DatFs.Drives.Hyperdrive;

/// <summary>Between blocks of the metadata feed and what they mean (hyperdrive.md §1.2, §2, §3). Strict: what the reference would choke on is corrupt.</summary>
internal static class HyperCodec
{
    /// <summary>Longest name accepted: far above any real path, far below what would hurt.</summary>
    public const int MaxNameLength = 64 * 1024;

    /// <summary>Deepest path accepted.</summary>
    public const int MaxComponents = 4096;

    private const ulong SelfFlag = 1;
    private static readonly UTF8Encoding s_utf8 = new(false, throwOnInvalidBytes: false);

    public static Header? DecodeHeader(ReadOnlySpan<byte> block)
    {
        try
        {
            return Header.Parser.ParseFrom(block);
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }
    }

    public static byte[] EncodeHeader(ReadOnlySpan<byte> contentKey) => new Header { Type = "hyperdrive", Content = ByteString.CopyFrom(contentKey) }.ToByteArray();

    public static HyperNode DecodeNode(long seq, ReadOnlySpan<byte> block)
    {
        Node message;
        try
        {
            message = Node.Parser.ParseFrom(block);
        }
        catch (InvalidProtocolBufferException broken)
        {
            throw Corrupt(seq, "is not a node", broken);
        }

        if (!message.HasName) throw Corrupt(seq, "has no name");
        if (!message.HasPaths) throw Corrupt(seq, "has no index");
        if (message.Name.Length > MaxNameLength) throw Corrupt(seq, "has a name too long");
        string[] parts = Split(message.Name);
        if (parts.Length > MaxComponents) throw Corrupt(seq, "has a name too deep");
        HyperStat? stat = message.HasValue ? DecodeStat(seq, message.Value.Span) : null;
        if (!TryDecodeLevels(seq, message.Paths.Span, out long[][] levels)) throw Corrupt(seq, "has an invalid index");
        return new HyperNode(seq, parts, stat, levels);
    }

    public static byte[] EncodeNode(HyperNode node, string name, byte[]? value)
    {
        Node message = new() { Name = name, Paths = ByteString.CopyFrom(EncodeLevels(node.Seq, node.Levels, node.IsPut || value is not null)) };
        if (value is not null) message.Value = ByteString.CopyFrom(value);
        return message.ToByteArray();
    }

    public static string[] Split(string name)
    {
        ReadOnlySpan<char> text = name;
        if (text.StartsWith("/")) text = text[1..];
        if (text.EndsWith("/")) text = text[..^1];
        return text.IsEmpty ? [] : text.ToString().Split('/');
    }

    public static HyperStat DecodeStat(long seq, ReadOnlySpan<byte> bytes)
    {
        Stat stat;
        try
        {
            stat = Stat.Parser.ParseFrom(bytes);
        }
        catch (InvalidProtocolBufferException broken)
        {
            throw Corrupt(seq, "has unreadable attributes", broken);
        }

        if (!stat.HasMode) throw Corrupt(seq, "has no mode");
        if (Math.Max(Math.Max(Math.Max(stat.Size, stat.Blocks), Math.Max(stat.Offset, stat.ByteOffset)), Math.Max(stat.Mtime, stat.Ctime)) > Varint.MaxValue)
            throw Corrupt(seq, "has a number above 2^53-1");
        return new HyperStat(stat.Mode, stat.Uid, stat.Gid, (long)stat.Size, (long)stat.Blocks, (long)stat.Offset, (long)stat.ByteOffset, (long)stat.Mtime, (long)stat.Ctime,
            stat.HasLinkname ? s_utf8.GetBytes(stat.Linkname) : null);
    }

    public static byte[] EncodeFileStat(HyperStat stat)
    {
        Stat message = new()
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
        };
        return message.ToByteArray();
    }

    /// <summary>As the reference writes a directory: without size, blocks and owner.</summary>
    public static byte[] EncodeDirectoryStat(uint mode, long offset, long byteOffset, long time) =>
        new Stat { Mode = mode, Offset = (ulong)offset, ByteOffset = (ulong)byteOffset, Mtime = (ulong)time, Ctime = (ulong)time }.ToByteArray();

    public static bool TryDecodeLevels(long seq, ReadOnlySpan<byte> bytes, out long[][] levels)
    {
        levels = [];
        if (!Varint.TryRead(ref bytes, out ulong flags) || flags > SelfFlag) return false;
        List<long[]> found = [];
        while (!bytes.IsEmpty)
        {
            if (!Varint.TryRead(ref bytes, out ulong count) || count > (ulong)bytes.Length) return false;
            long[] level = new long[(int)count + (int)(flags & SelfFlag)];
            long last = 0;
            for (int i = 0; i < (int)count; i++)
            {
                if (!Varint.TryRead(ref bytes, out ulong delta) || delta == 0 || delta > (ulong)(seq - last)) return false;
                last += (long)delta;
                level[i] = last;
            }

            if (flags == SelfFlag)
            {
                if (last >= seq) return false;
                level[^1] = seq;
            }

            found.Add(level);
        }

        levels = [.. found];
        return true;
    }

    public static byte[] EncodeLevels(long seq, long[][] levels, bool self)
    {
        using MemoryStream bytes = new();
        Span<byte> scratch = stackalloc byte[Varint.MaxBytes];
        bool implied = self && levels.All(level => level.Length > 0 && level[^1] == seq);
        Put(implied ? 1 : 0, scratch);
        foreach (long[] level in levels)
        {
            int count = level.Length - (implied ? 1 : 0);
            Put(count, scratch);
            long last = 0;
            for (int i = 0; i < count; i++)
            {
                Put(level[i] - last, scratch);
                last = level[i];
            }
        }

        return bytes.ToArray();

        void Put(long value, Span<byte> into)
        {
            int size = Varint.Write(into, (ulong)value);
            bytes.Write(into[..size]);
        }
    }

    private static DatException Corrupt(long seq, string why, Exception? inner = null) => new(DatError.Corrupt, $"metadata block {seq} {why}", inner);
}
