namespace DatMount.Platform.Fuse;

/// <summary>Requests of the FUSE kernel protocol by number (platform.md §3).</summary>
internal enum Opcode : uint
{
    Lookup = 1,
    Forget = 2,
    GetAttr = 3,
    SetAttr = 4,
    ReadLink = 5,
    SymLink = 6,
    MkNod = 8,
    MkDir = 9,
    Unlink = 10,
    RmDir = 11,
    Rename = 12,
    Link = 13,
    Open = 14,
    Read = 15,
    Write = 16,
    StatFs = 17,
    Release = 18,
    FSync = 20,
    SetXattr = 21,
    GetXattr = 22,
    ListXattr = 23,
    RemoveXattr = 24,
    Flush = 25,
    Init = 26,
    OpenDir = 27,
    ReadDir = 28,
    ReleaseDir = 29,
    FSyncDir = 30,
    GetLk = 31,
    SetLk = 32,
    SetLkW = 33,
    Access = 34,
    Create = 35,
    Interrupt = 36,
    BMap = 37,
    Destroy = 38,
    IoCtl = 39,
    Poll = 40,
    NotifyReply = 41,
    BatchForget = 42,
    FAllocate = 43,
    ReadDirPlus = 44,
    Rename2 = 45,
    LSeek = 46,
    CopyFileRange = 47,
    SyncFs = 50,
    TmpFile = 51,
    StatX = 52,
    CopyFileRange64 = 53,
}

/// <summary>Codes of messages we send without being asked (platform.md §3, "Cache times and live changes").</summary>
internal enum NoticeCode
{
    InvalInode = 2,
    InvalEntry = 3,
    Delete = 6,
    IncEpoch = 8,
}

/// <summary>INIT flags; bits above 31 travel in flags2 (platform.md §3).</summary>
[Flags]
internal enum InitFlags : ulong
{
    None = 0,
    AsyncRead = 1UL << 0,
    AtomicOTrunc = 1UL << 3,
    BigWrites = 1UL << 5,
    DontMask = 1UL << 6,
    DoReadDirPlus = 1UL << 13,
    ReadDirPlusAuto = 1UL << 14,
    AsyncDio = 1UL << 15,
    ParallelDirOps = 1UL << 18,
    MaxPages = 1UL << 22,
    CacheSymlinks = 1UL << 23,
    ExplicitInvalData = 1UL << 25,
    InitExt = 1UL << 30,
    HasExpireOnly = 1UL << 35,
}

/// <summary>Bits of an OPEN or OPENDIR reply.</summary>
[Flags]
internal enum OpenFlags : uint
{
    None = 0,
    DirectIo = 1,
    KeepCache = 2,
    CacheDir = 8,
    NoFlush = 32,
}

/// <summary>Which fields of a SETATTR count.</summary>
[Flags]
internal enum SetAttrFields : uint
{
    Mode = 1,
    Uid = 2,
    Gid = 4,
    Size = 8,
    Atime = 16,
    Mtime = 32,
    Handle = 64,
    AtimeNow = 128,
    MtimeNow = 256,
    Ctime = 1024,
}
