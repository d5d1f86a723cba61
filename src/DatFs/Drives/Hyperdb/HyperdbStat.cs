using System.Diagnostics.CodeAnalysis;
using DatFs.Drives.Hyperdrive;
using DatFs.Encoding.Schemas.Hyperdrive;
using Google.Protobuf;

namespace DatFs.Drives.Hyperdb;

/// <summary>
/// The value of a drive's entry (hyperdb-multiwriter.md §15): the attributes of a hyperdrive, but for owners, size and blocks being absent
/// where they say nothing. Times are milliseconds since 1970, offsets blocks and bytes of the writer's own content feed.
/// </summary>
internal sealed record HyperdbStat(uint Mode, uint? Uid, uint? Gid, long? Size, long? Blocks, long Offset, long ByteOffset, long Mtime, long Ctime, byte[]? LinkName = null)
{
    /// <summary>Reads attributes; false when a peer of the reference would refuse them too, or when a number is above 2^53-1.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out HyperdbStat? stat)
    {
        stat = null;
        if (!HyperCodec.TryDecodeStat(bytes, out HyperStat read)) return false;
        bool[] present = HyperCodec.StatFields(bytes);
        stat = new HyperdbStat(
            read.Mode, present[2] ? read.Uid : null, present[3] ? read.Gid : null, present[4] ? read.Size : null, present[5] ? read.Blocks : null,
            read.Offset, read.ByteOffset, read.Mtime, read.Ctime, read.LinkName);
        return true;
    }

    /// <summary>As the reference writes them.</summary>
    public byte[] Encode()
    {
        Stat message = new() { Mode = Mode, Offset = (ulong)Offset, ByteOffset = (ulong)ByteOffset, Mtime = (ulong)Mtime, Ctime = (ulong)Ctime };
        if (Uid is { } uid) message.Uid = uid;
        if (Gid is { } gid) message.Gid = gid;
        if (Size is { } size) message.Size = (ulong)size;
        if (Blocks is { } blocks) message.Blocks = (ulong)blocks;
        if (LinkName is { } link) message.Linkname = System.Text.Encoding.UTF8.GetString(link);
        return message.ToByteArray();
    }
}
