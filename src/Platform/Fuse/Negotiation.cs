using System.Buffers.Binary;
using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>What INIT settles: the answer is a pure function of what the kernel offers and what the file system is (platform.md §3).</summary>
internal static class Negotiation
{
    public const uint Major = 7;

    /// <summary>Linux 5.4; older kernels are refused.</summary>
    public const uint MinMinor = 31;
    public const uint MaxMinor = 45;

    /// <summary>From here flags2 exists.</summary>
    public const uint Flags2Minor = 36;

    /// <summary>From here all names can be dropped in one step.</summary>
    public const uint EpochMinor = 44;

    public const int MaxPages = 256;
    private const int PageSize = 4096;
    private const int PagesWithoutMaxPages = 32;

    /// <summary>Bytes a reader must offer: the largest write and its headers.</summary>
    public const int ReadBuffer = (MaxPages * PageSize) + 4096;

    /// <summary>Formats keep milliseconds.</summary>
    private const uint TimeGranularity = 1_000_000;

    // ASYNC_DIO is not among them: with it the kernel waits for direct reads so that not even SIGKILL ends the wait.
    private const InitFlags Wanted =
        InitFlags.AsyncRead | InitFlags.AtomicOTrunc | InitFlags.BigWrites | InitFlags.DontMask | InitFlags.ExplicitInvalData
        | InitFlags.DoReadDirPlus | InitFlags.ReadDirPlusAuto | InitFlags.ParallelDirOps | InitFlags.MaxPages
        | InitFlags.InitExt | InitFlags.HasExpireOnly;

    /// <summary>All flags a kernel offers, flags2 included where it is sent.</summary>
    public static InitFlags Offered(in InitIn init, ReadOnlySpan<byte> behind)
    {
        ulong flags = init.Flags;
        if (init.Minor >= Flags2Minor && (flags & (ulong)InitFlags.InitExt) != 0 && behind.Length >= 4)
        {
            uint high = BitConverter.IsLittleEndian
                ? BinaryPrimitives.ReadUInt32LittleEndian(behind)
                : BinaryPrimitives.ReadUInt32BigEndian(behind);
            flags |= (ulong)high << 32;
        }

        return (InitFlags)flags;
    }

    /// <summary>The answer. <paramref name="maxBackground"/>: how many read-ahead requests the kernel may have under way.</summary>
    public static InitOut Answer(in InitIn init, InitFlags offered, MountCapabilities fs, int maxBackground)
    {
        // A link's target is cached for the whole connection and never dropped: only where nothing can change.
        InitFlags wanted = fs is { ReadOnly: true, LiveChanges: false } ? Wanted | InitFlags.CacheSymlinks : Wanted;
        InitFlags flags = wanted & offered;
        int pages = (flags & InitFlags.MaxPages) != 0 ? MaxPages : PagesWithoutMaxPages;
        return new InitOut
        {
            Major = Major,
            Minor = Math.Min(init.Minor, MaxMinor),
            MaxReadAhead = init.MaxReadAhead,
            Flags = (uint)flags,
            Flags2 = (uint)((ulong)flags >> 32),
            MaxBackground = (ushort)maxBackground,
            CongestionThreshold = (ushort)(maxBackground * 3 / 4),
            MaxWrite = (uint)(pages * PageSize),
            TimeGran = TimeGranularity,
            MaxPages = (ushort)((flags & InitFlags.MaxPages) != 0 ? MaxPages : 0),
        };
    }
}
