using System.Runtime.InteropServices;

namespace DatMount.Platform.Fuse;

// The kernel's structs (platform.md §3): native byte order, 8-aligned, the same on every CPU. Offsets are given where the order of
// fields does not make them obvious; FuseWireTests checks each against fixed bytes.

/// <summary>Before every request.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
internal struct InHeader
{
    public const int Length = 40;
    [FieldOffset(0)] public uint Len;
    [FieldOffset(4)] public Opcode Opcode;
    [FieldOffset(8)] public ulong Unique;
    [FieldOffset(16)] public ulong Node;
    [FieldOffset(24)] public uint Uid;
    [FieldOffset(28)] public uint Gid;
    [FieldOffset(32)] public uint Pid;
    [FieldOffset(36)] public ushort ExtLen;
}

/// <summary>Before every reply (error 0 or minus errno) and every notification (unique 0, error = code).</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct OutHeader
{
    public const int Length = 16;
    [FieldOffset(0)] public uint Len;
    [FieldOffset(4)] public int Error;
    [FieldOffset(8)] public ulong Unique;
}

[StructLayout(LayoutKind.Explicit, Size = 88)]
internal struct Attr
{
    [FieldOffset(0)] public ulong Ino;
    [FieldOffset(8)] public ulong Size;
    [FieldOffset(16)] public ulong Blocks;
    [FieldOffset(24)] public long Atime;
    [FieldOffset(32)] public long Mtime;
    [FieldOffset(40)] public long Ctime;
    [FieldOffset(48)] public uint AtimeNsec;
    [FieldOffset(52)] public uint MtimeNsec;
    [FieldOffset(56)] public uint CtimeNsec;
    [FieldOffset(60)] public uint Mode;
    [FieldOffset(64)] public uint Links;
    [FieldOffset(68)] public uint Uid;
    [FieldOffset(72)] public uint Gid;
    [FieldOffset(76)] public uint Rdev;
    [FieldOffset(80)] public uint BlockSize;
    [FieldOffset(84)] public uint Flags;
}

/// <summary>A name's answer. Node 0 with a positive <see cref="EntryValid"/> is a cached "does not exist".</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
internal struct EntryOut
{
    public const int Length = 128;
    [FieldOffset(0)] public ulong Node;
    [FieldOffset(8)] public ulong Generation;
    [FieldOffset(16)] public ulong EntryValid;
    [FieldOffset(24)] public ulong AttrValid;
    [FieldOffset(32)] public uint EntryValidNsec;
    [FieldOffset(36)] public uint AttrValidNsec;
    [FieldOffset(40)] public Attr Attr;
}

[StructLayout(LayoutKind.Explicit, Size = 104)]
internal struct AttrOut
{
    [FieldOffset(0)] public ulong AttrValid;
    [FieldOffset(8)] public uint AttrValidNsec;
    [FieldOffset(16)] public Attr Attr;
}

[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct OpenOut
{
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public OpenFlags Flags;
    [FieldOffset(12)] public int BackingId;
}

[StructLayout(LayoutKind.Explicit, Size = 144)]
internal struct CreateOut
{
    [FieldOffset(0)] public EntryOut Entry;
    [FieldOffset(128)] public OpenOut Open;
}

[StructLayout(LayoutKind.Explicit, Size = 80)]
internal struct StatFsOut
{
    [FieldOffset(0)] public ulong Blocks;
    [FieldOffset(8)] public ulong FreeBlocks;
    [FieldOffset(16)] public ulong AvailableBlocks;
    [FieldOffset(24)] public ulong Files;
    [FieldOffset(32)] public ulong FreeFiles;
    [FieldOffset(40)] public uint BlockSize;
    [FieldOffset(44)] public uint NameLength;
    [FieldOffset(48)] public uint FragmentSize;
}

[StructLayout(LayoutKind.Explicit, Size = 64)]
internal struct InitOut
{
    [FieldOffset(0)] public uint Major;
    [FieldOffset(4)] public uint Minor;
    [FieldOffset(8)] public uint MaxReadAhead;
    [FieldOffset(12)] public uint Flags;
    [FieldOffset(16)] public ushort MaxBackground;
    [FieldOffset(18)] public ushort CongestionThreshold;
    [FieldOffset(20)] public uint MaxWrite;
    [FieldOffset(24)] public uint TimeGran;
    [FieldOffset(28)] public ushort MaxPages;
    [FieldOffset(30)] public ushort MapAlignment;
    [FieldOffset(32)] public uint Flags2;
    [FieldOffset(36)] public uint MaxStackDepth;
    [FieldOffset(40)] public ushort RequestTimeout;
}

/// <summary>{size u32, pad}: the answer to WRITE and to a size question of GETXATTR or LISTXATTR.</summary>
[StructLayout(LayoutKind.Explicit, Size = 8)]
internal struct SizeOut
{
    [FieldOffset(0)] public uint Size;
}

/// <summary>A directory record's head; the name follows, padded to 8.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
internal struct Dirent
{
    public const int Length = 24;
    [FieldOffset(0)] public ulong Ino;
    [FieldOffset(8)] public ulong Next;
    [FieldOffset(16)] public uint NameLength;
    [FieldOffset(20)] public uint Type;
}

[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct InitIn
{
    [FieldOffset(0)] public uint Major;
    [FieldOffset(4)] public uint Minor;
    [FieldOffset(8)] public uint MaxReadAhead;
    [FieldOffset(12)] public uint Flags;
    // flags2 u32@16 follows from 7.36 on
}

[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct GetAttrIn
{
    public const uint HandleValid = 1;
    [FieldOffset(0)] public uint Flags;
    [FieldOffset(8)] public ulong Handle;
}

[StructLayout(LayoutKind.Explicit, Size = 88)]
internal struct SetAttrIn
{
    [FieldOffset(0)] public SetAttrFields Valid;
    [FieldOffset(8)] public ulong Handle;
    [FieldOffset(16)] public ulong Size;
    [FieldOffset(24)] public ulong LockOwner;
    [FieldOffset(32)] public long Atime;
    [FieldOffset(40)] public long Mtime;
    [FieldOffset(48)] public long Ctime;
    [FieldOffset(56)] public uint AtimeNsec;
    [FieldOffset(60)] public uint MtimeNsec;
    [FieldOffset(64)] public uint CtimeNsec;
    [FieldOffset(68)] public uint Mode;
    [FieldOffset(76)] public uint Uid;
    [FieldOffset(80)] public uint Gid;
}

[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct MkNodIn
{
    [FieldOffset(0)] public uint Mode;
    [FieldOffset(4)] public uint Rdev;
    [FieldOffset(8)] public uint Umask;
}

[StructLayout(LayoutKind.Explicit, Size = 8)]
internal struct MkDirIn
{
    [FieldOffset(0)] public uint Mode;
    [FieldOffset(4)] public uint Umask;
}

[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct Rename2In
{
    public const uint NoReplace = 1;
    public const uint Exchange = 2;
    [FieldOffset(0)] public ulong NewDirectory;
    [FieldOffset(8)] public uint Flags;
}

[StructLayout(LayoutKind.Explicit, Size = 8)]
internal struct OpenIn
{
    [FieldOffset(0)] public uint Flags;
}

[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct CreateIn
{
    [FieldOffset(0)] public uint Flags;
    [FieldOffset(4)] public uint Mode;
    [FieldOffset(8)] public uint Umask;
}

/// <summary>READ, READDIR, READDIRPLUS; WRITE has the same shape with its data behind.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
internal struct ReadIn
{
    public const int Length = 40;
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public ulong Offset;
    [FieldOffset(16)] public uint Size;
    [FieldOffset(20)] public uint IoFlags;
    [FieldOffset(24)] public ulong LockOwner;
    [FieldOffset(32)] public uint Flags;
}

[StructLayout(LayoutKind.Explicit, Size = 24)]
internal struct ReleaseIn
{
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public uint Flags;
    [FieldOffset(12)] public uint ReleaseFlags;
    [FieldOffset(16)] public ulong LockOwner;
}

[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct FSyncIn
{
    public const uint DataOnly = 1;
    [FieldOffset(0)] public ulong Handle;
    [FieldOffset(8)] public uint Flags;
}

[StructLayout(LayoutKind.Explicit, Size = Length)]
internal struct XattrIn
{
    public const int Length = 8;
    public const uint CreateOnly = 1;
    public const uint ReplaceOnly = 2;
    [FieldOffset(0)] public uint Size;
    [FieldOffset(4)] public uint Flags;
}

[StructLayout(LayoutKind.Explicit, Size = 8)]
internal struct InterruptIn
{
    [FieldOffset(0)] public ulong Unique;
}

[StructLayout(LayoutKind.Explicit, Size = 8)]
internal struct ForgetIn
{
    [FieldOffset(0)] public ulong Count;
}

[StructLayout(LayoutKind.Explicit, Size = Length)]
internal struct BatchForgetIn
{
    public const int Length = 8;
    [FieldOffset(0)] public uint Count;
}

[StructLayout(LayoutKind.Explicit, Size = Length)]
internal struct ForgetOne
{
    public const int Length = 16;
    [FieldOffset(0)] public ulong Node;
    [FieldOffset(8)] public ulong Count;
}

[StructLayout(LayoutKind.Explicit, Size = 24)]
internal struct NotifyInode
{
    [FieldOffset(0)] public ulong Node;
    [FieldOffset(8)] public long Offset;
    [FieldOffset(16)] public long Length;
}

/// <summary>The name and a NUL follow.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct NotifyEntry
{
    [FieldOffset(0)] public ulong Parent;
    [FieldOffset(8)] public uint NameLength;
    [FieldOffset(12)] public uint Flags;
}

/// <summary>The name and a NUL follow.</summary>
[StructLayout(LayoutKind.Explicit, Size = 24)]
internal struct NotifyDelete
{
    [FieldOffset(0)] public ulong Parent;
    [FieldOffset(8)] public ulong Child;
    [FieldOffset(16)] public uint NameLength;
}
