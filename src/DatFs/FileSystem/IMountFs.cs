using System.Buffers;

namespace DatFs.FileSystem;

/// <summary>Names a node of a mount: 1 is the root. Stable while referenced, never used again within one mount.</summary>
public readonly record struct NodeId(ulong Value)
{
    /// <summary>The root directory.</summary>
    public static NodeId Root => new(1);
}

/// <summary>What a node is; fixed for its life.</summary>
public enum NodeKind : byte
{
    /// <summary>Regular file.</summary>
    File,
    /// <summary>Directory.</summary>
    Directory,
    /// <summary>Symbolic link.</summary>
    Symlink,
}

/// <summary>Expected outcomes of a call (platform.md §6); mapped to errno and NTSTATUS in exactly one switch each.</summary>
public enum FsError
{
#pragma warning disable CS1591 // the table of platform.md §6 is the documentation of each
    None, NotFound, Exists, NotDirectory, IsDirectory, NotEmpty, AccessDenied, ReadOnly, NoSpace, NameTooLong,
    InvalidName, Invalid, TooBig, CrossDevice, Busy, Interrupted, TimedOut, Offline, Corrupt, Io, NotSupported, NoAttribute, Range, Stale,
#pragma warning restore CS1591
}

/// <summary>A value or the reason why there is none.</summary>
public readonly struct Result<T>
{
    private Result(T value, FsError error) => (Value, Error) = (value, error);

    /// <summary>The value; meaningful only when <see cref="Ok"/>.</summary>
    public T Value { get; }

    /// <summary><see cref="FsError.None"/> on success.</summary>
    public FsError Error { get; }

    /// <summary>True on success.</summary>
    public bool Ok => Error == FsError.None;

    /// <summary>Success.</summary>
    public static implicit operator Result<T>(T value) => new(value, FsError.None);

    /// <summary>Failure.</summary>
    public static implicit operator Result<T>(FsError error) => new(default!, error);
}

/// <summary>Makes results where the value's type is an interface, which no conversion operator may accept.</summary>
public static class Result
{
    /// <summary>Success.</summary>
    public static Result<T> Of<T>(T value) => value;
}

/// <summary>Attributes of a node. Times are nanoseconds since 1970; sizes bytes.</summary>
/// <param name="FileNumber">What programs see as inode number: a hash of (view, path), unlike <paramref name="Id"/> stable over forget and remount.</param>
/// <param name="StoredBytes">What the node occupies, for st_blocks.</param>
/// <param name="Uid">Null = the user who mounted.</param>
/// <param name="Gid">Null = the group of the user who mounted.</param>
/// <param name="Local">All bytes are held on this machine.</param>
#pragma warning disable CS1573
public readonly record struct NodeInfo(NodeId Id, ulong FileNumber, NodeKind Kind, ulong Size, ulong StoredBytes, uint Mode, uint Links,
    uint? Uid, uint? Gid, long MtimeNs, long CtimeNs, long AtimeNs, bool Local)
{
    /// <summary>How long the adapter may let the operating system keep the attributes; null = <see cref="MountCapabilities.AttrTtl"/>.</summary>
    public TimeSpan? AttrTtl { get; init; }

    /// <summary>How long the adapter may let the operating system keep the name; null = <see cref="MountCapabilities.EntryTtl"/>.</summary>
    public TimeSpan? EntryTtl { get; init; }
}
#pragma warning restore CS1573

/// <summary>What a mount can do, and how long answers may be cached.</summary>
public sealed record MountCapabilities
{
    /// <summary>Nothing can ever be written (fixed version, --read-only): the kernel is told too.</summary>
    public required bool ReadOnly { get; init; }
    /// <summary>Names that differ only in case are different.</summary>
    public required bool CaseSensitive { get; init; }
    /// <summary>Symbolic links are shown.</summary>
    public required bool Symlinks { get; init; }
    /// <summary>Hard links can be made.</summary>
    public required bool HardLinks { get; init; }
    /// <summary>Extended attributes can be read.</summary>
    public required bool Xattrs { get; init; }
    /// <summary>Content changes while mounted, and notifications are sent.</summary>
    public required bool LiveChanges { get; init; }
    /// <summary>Largest read in bytes.</summary>
    public int MaxRead { get; init; } = 1 << 20;
    /// <summary>Largest write in bytes.</summary>
    public int MaxWrite { get; init; } = 1 << 20;
    /// <summary>Largest name in bytes.</summary>
    public int MaxName { get; init; } = 255;
    /// <summary>Life of a cached name.</summary>
    public TimeSpan EntryTtl { get; init; } = TimeSpan.FromHours(1);
    /// <summary>Life of cached attributes.</summary>
    public TimeSpan AttrTtl { get; init; } = TimeSpan.FromHours(1);
    /// <summary>Life of a cached "does not exist".</summary>
    public TimeSpan NegativeTtl { get; init; } = TimeSpan.FromSeconds(1);
    /// <summary>Label.</summary>
    public string VolumeName { get; init; } = "dat";
    /// <summary>What the system shows as the source of the mount; never the key.</summary>
    public string FsName { get; init; } = "datmount";
}

/// <summary>Who called. Advice only: access is decided by the kernel or driver.</summary>
public readonly record struct Caller(uint Uid, uint Gid, uint Pid);

/// <summary>Access asked for at open.</summary>
[Flags]
public enum OpenMode
{
    /// <summary>Read.</summary>
    Read = 1,
    /// <summary>Write.</summary>
    Write = 2,
    /// <summary>Every write goes to the end.</summary>
    Append = 4,
    /// <summary>Cut to nothing first.</summary>
    Truncate = 8,
    /// <summary>Create only: fail if it exists.</summary>
    Exclusive = 16,
}

/// <summary>How a rename treats its target.</summary>
public enum RenameMode
{
    /// <summary>Replace it.</summary>
    Replace,
    /// <summary>Fail if it exists.</summary>
    NoReplace,
    /// <summary>Swap both.</summary>
    Exchange,
}

/// <summary>Attributes to change; null = leave.</summary>
public readonly record struct NodeChange(uint? Mode, uint? Uid, uint? Gid, ulong? Size, long? MtimeNs, long? AtimeNs, long? CtimeNs);

/// <summary>Facts of statfs. Sizes in blocks of <paramref name="BlockSize"/> bytes.</summary>
#pragma warning disable CS1573
public readonly record struct VolumeInfo(ulong Blocks, ulong FreeBlocks, ulong Files, ulong FreeFiles, uint BlockSize, uint MaxName);
#pragma warning restore CS1573

/// <summary>
/// The neutral interface between a file system and an operating system (platform.md §6): node based, asynchronous, no OS types.
/// Every method that returns a <see cref="NodeInfo"/> which the adapter hands to the OS (lookup, make, create, readdir with info)
/// adds one reference to that node. Answers that are local complete synchronously. Expected failures are <see cref="FsError"/>
/// values; cancelled work answers <see cref="FsError.Interrupted"/>.
/// </summary>
public interface IMountFs : IAsyncDisposable
{
    /// <summary>What this mount can do.</summary>
    MountCapabilities Capabilities { get; }

    /// <summary>Finds a name in a directory; adds a reference.</summary>
    ValueTask<Result<NodeInfo>> LookupAsync(NodeId parent, ReadOnlyMemory<byte> utf8Name, CancellationToken ct);

    /// <summary>Gives back references.</summary>
    void Forget(NodeId node, ulong count);

    /// <summary>Attributes.</summary>
    ValueTask<Result<NodeInfo>> GetAsync(NodeId node, IFileHandle? handle, CancellationToken ct);

    /// <summary>Changes attributes.</summary>
    ValueTask<Result<NodeInfo>> SetAsync(NodeId node, IFileHandle? handle, in NodeChange change, CancellationToken ct);

    /// <summary>Target of a symbolic link, no terminator.</summary>
    ValueTask<Result<ReadOnlyMemory<byte>>> ReadLinkAsync(NodeId node, CancellationToken ct);

    /// <summary>Makes a file, directory or link; adds a reference.</summary>
    ValueTask<Result<NodeInfo>> MakeAsync(NodeId parent, ReadOnlyMemory<byte> name, NodeKind kind, uint mode, ReadOnlyMemory<byte> linkTarget, Caller who, CancellationToken ct);

    /// <summary>Unlink or rmdir.</summary>
    ValueTask<FsError> RemoveAsync(NodeId parent, ReadOnlyMemory<byte> name, bool directory, CancellationToken ct);

    /// <summary>Rename.</summary>
    ValueTask<FsError> RenameAsync(NodeId fromDir, ReadOnlyMemory<byte> from, NodeId toDir, ReadOnlyMemory<byte> to, RenameMode mode, CancellationToken ct);

    /// <summary>Opens a file.</summary>
    ValueTask<Result<IFileHandle>> OpenAsync(NodeId node, OpenMode mode, CancellationToken ct);

    /// <summary>Creates and opens a file; adds a reference.</summary>
    ValueTask<Result<(NodeInfo Info, IFileHandle Handle)>> CreateAsync(NodeId parent, ReadOnlyMemory<byte> name, OpenMode mode, uint perm, Caller who, CancellationToken ct);

    /// <summary>Opens a directory for listing.</summary>
    ValueTask<Result<IDirHandle>> OpenDirAsync(NodeId node, CancellationToken ct);

    /// <summary>Facts of the volume.</summary>
    ValueTask<Result<VolumeInfo>> StatAsync(CancellationToken ct);

    /// <summary>fsync, of one node or of everything.</summary>
    ValueTask<FsError> SyncAsync(NodeId? node, bool dataOnly, CancellationToken ct);

    /// <summary>Reads an extended attribute: its size; written to <paramref name="into"/> when that is not empty, else <see cref="FsError.Range"/> if too small.</summary>
    ValueTask<Result<int>> GetXattrAsync(NodeId node, ReadOnlyMemory<byte> name, Memory<byte> into, CancellationToken ct);

    /// <summary>Names of extended attributes, NUL-terminated each; as <see cref="GetXattrAsync"/>.</summary>
    ValueTask<Result<int>> ListXattrAsync(NodeId node, Memory<byte> into, CancellationToken ct);

    /// <summary>Sets an extended attribute.</summary>
    ValueTask<FsError> SetXattrAsync(NodeId node, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, CancellationToken ct);

    /// <summary>Removes an extended attribute.</summary>
    ValueTask<FsError> RemoveXattrAsync(NodeId node, ReadOnlyMemory<byte> name, CancellationToken ct);

    /// <summary>Subscribes the adapter to changes until disposed.</summary>
    IDisposable Subscribe(IMountNotifier notifier);
}

/// <summary>An open file; outlives unlink. Disposed once, after the last use.</summary>
public interface IFileHandle : IAsyncDisposable
{
    /// <summary>The node.</summary>
    NodeId Node { get; }

    /// <summary>Content is made at open and has no place in a page cache (status files): the adapter reads around it.</summary>
    bool DirectIo { get; }

    /// <summary>Reads without copying; shorter than <paramref name="length"/> only at the end of the file.</summary>
    ValueTask<Result<ReadLease>> ReadAsync(long offset, int length, CancellationToken ct);

    /// <summary>Writes; offset -1 = at the end, atomically.</summary>
    ValueTask<Result<int>> WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken ct);

    /// <summary>Each close(2) of a duplicate.</summary>
    ValueTask<FsError> FlushAsync(CancellationToken ct);
}

/// <summary>An open directory: a snapshot of its names; cookies are stable for this handle.</summary>
public interface IDirHandle : IAsyncDisposable
{
    /// <summary>The directory never changes: the adapter may let the kernel cache the listing.</summary>
    bool Immutable { get; }

    /// <summary>
    /// Calls <paramref name="add"/> for entries from <paramref name="position"/> (0 = start, "." and ".." included) until it answers false
    /// or the end (result true). With <paramref name="withInfo"/> each accepted entry except "." and ".." adds a reference to its node;
    /// without, NodeInfo carries only kind and file number, and no reference is added. An entry whose id is 0 was not looked up: no reference either.
    /// </summary>
    ValueTask<Result<bool>> ReadAsync(ulong position, DirAdd add, bool withInfo, CancellationToken ct);

    /// <summary>The position of the first entry strictly after this name in ordinal order.</summary>
    ulong PositionAfter(ReadOnlySpan<byte> utf8Name);
}

/// <summary>Receives one directory entry; false = no room, the entry was not taken.</summary>
public delegate bool DirAdd(ReadOnlySpan<byte> utf8Name, in NodeInfo info, ulong nextPosition);

/// <summary>Bytes of a file, valid until disposed.</summary>
public readonly struct ReadLease : IDisposable
{
    private readonly IDisposable? _owner;

    /// <summary>Creates a lease.</summary>
    public ReadLease(ReadOnlySequence<byte> data, IDisposable? owner)
    {
        Data = data;
        _owner = owner;
    }

    /// <summary>The bytes.</summary>
    public ReadOnlySequence<byte> Data { get; }

    /// <inheritdoc/>
    public void Dispose() => _owner?.Dispose();
}

/// <summary>What happened to a name.</summary>
public enum EntryChange
{
#pragma warning disable CS1591
    Added, Removed, Replaced, RenamedFrom, RenamedTo,
#pragma warning restore CS1591
}

/// <summary>Implemented by the adapter; calls return at once (queued). Sent after the state they describe can be read.</summary>
public interface IMountNotifier
{
    /// <summary>Content (or only attributes) of a node changed.</summary>
    void Changed(NodeId node, long offset, long length, bool attributesOnly);

    /// <summary>A name in a directory changed.</summary>
    void EntryChanged(NodeId parent, ReadOnlyMemory<byte> name, EntryChange what, NodeId? node);

    /// <summary>Every name may have changed.</summary>
    void AllEntriesChanged();

    /// <summary>The file system cannot go on.</summary>
    void Unmount(string reason);
}
