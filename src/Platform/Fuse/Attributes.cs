using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>Between <see cref="NodeInfo"/> and the kernel's attributes.</summary>
internal sealed class Attributes(MountCapabilities caps, uint uid, uint gid)
{
    public const uint FormatMask = 0xF000;
    public const uint RegularFile = 0x8000;
    public const uint Directory = 0x4000;
    public const uint SymbolicLink = 0xA000;
    private const uint PermissionMask = 0xFFF;
    private const uint BlockSize = 4096;
    private const uint StatBlock = 512;
    private const long NanosecondsPerSecond = 1_000_000_000;

    public static uint Format(NodeKind kind) => kind switch
    {
        NodeKind.Directory => Directory,
        NodeKind.Symlink => SymbolicLink,
        _ => RegularFile,
    };

    /// <summary>The type field of a directory record.</summary>
    public static uint DirectoryType(NodeKind kind) => Format(kind) >> 12;

    public Attr Of(in NodeInfo info)
    {
        (long atime, uint atimeNsec) = Split(info.AtimeNs);
        (long mtime, uint mtimeNsec) = Split(info.MtimeNs);
        (long ctime, uint ctimeNsec) = Split(info.CtimeNs);
        return new Attr
        {
            Ino = info.FileNumber,
            Size = info.Size,
            Blocks = (info.StoredBytes / StatBlock) + (info.StoredBytes % StatBlock == 0 ? 0UL : 1UL),
            Atime = atime,
            AtimeNsec = atimeNsec,
            Mtime = mtime,
            MtimeNsec = mtimeNsec,
            Ctime = ctime,
            CtimeNsec = ctimeNsec,
            Mode = Format(info.Kind) | (info.Mode & PermissionMask),
            Links = info.Links,
            Uid = info.Uid ?? uid,
            Gid = info.Gid ?? gid,
            BlockSize = BlockSize,
        };
    }

    public EntryOut Entry(in NodeInfo info)
    {
        (ulong entryValid, uint entryNsec) = Split(info.EntryTtl ?? caps.EntryTtl);
        (ulong attrValid, uint attrNsec) = Split(info.AttrTtl ?? caps.AttrTtl);
        return new EntryOut
        {
            Node = info.Id.Value,
            EntryValid = entryValid,
            EntryValidNsec = entryNsec,
            AttrValid = attrValid,
            AttrValidNsec = attrNsec,
            Attr = Of(info),
        };
    }

    /// <summary>A cached "does not exist".</summary>
    public EntryOut NoEntry()
    {
        (ulong valid, uint nsec) = Split(caps.NegativeTtl);
        return new EntryOut { EntryValid = valid, EntryValidNsec = nsec };
    }

    public AttrOut Answer(in NodeInfo info)
    {
        (ulong valid, uint nsec) = Split(info.AttrTtl ?? caps.AttrTtl);
        return new AttrOut { AttrValid = valid, AttrValidNsec = nsec, Attr = Of(info) };
    }

    /// <summary>Seconds and the nanoseconds after them; times before 1970 round down, so that the rest stays positive.</summary>
    public static (long Seconds, uint Nanoseconds) Split(long nanoseconds)
    {
        long seconds = Math.DivRem(nanoseconds, NanosecondsPerSecond, out long rest);
        return rest < 0 ? (seconds - 1, (uint)(rest + NanosecondsPerSecond)) : (seconds, (uint)rest);
    }

    /// <summary>Back to nanoseconds since 1970, held at the ends of the range (1677 to 2262).</summary>
    public static long Join(long seconds, uint nanoseconds)
    {
        Int128 whole = ((Int128)seconds * NanosecondsPerSecond) + nanoseconds;
        return (long)Int128.Clamp(whole, long.MinValue, long.MaxValue);
    }

    private static (ulong Seconds, uint Nanoseconds) Split(TimeSpan life) =>
        life <= TimeSpan.Zero ? (0, 0) : ((ulong)(life.Ticks / TimeSpan.TicksPerSecond), (uint)(life.Ticks % TimeSpan.TicksPerSecond) * 100);
}
