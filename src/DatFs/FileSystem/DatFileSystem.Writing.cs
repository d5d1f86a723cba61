namespace DatFs.FileSystem;

/// <summary>Calls that would change something. Only what a caller must be told first differs from "read-only".</summary>
public sealed partial class DatFileSystem
{
    /// <inheritdoc/>
    public ValueTask<Result<NodeInfo>> SetAsync(NodeId node, IFileHandle? handle, in NodeChange change, CancellationToken ct) => new(FsError.ReadOnly);

    /// <inheritdoc/>
    public ValueTask<Result<NodeInfo>> MakeAsync(
        NodeId parent, ReadOnlyMemory<byte> name, NodeKind kind, uint mode, ReadOnlyMemory<byte> linkTarget, Caller who, CancellationToken ct) =>
        new(RefuseToMake(parent, name));

    /// <inheritdoc/>
    public ValueTask<FsError> RemoveAsync(NodeId parent, ReadOnlyMemory<byte> name, bool directory, CancellationToken ct) => new(FsError.ReadOnly);

    /// <inheritdoc/>
    public ValueTask<FsError> RenameAsync(
        NodeId fromDir, ReadOnlyMemory<byte> from, NodeId toDir, ReadOnlyMemory<byte> to, RenameMode mode, CancellationToken ct) => new(FsError.ReadOnly);

    /// <inheritdoc/>
    public ValueTask<Result<(NodeInfo Info, IFileHandle Handle)>> CreateAsync(
        NodeId parent, ReadOnlyMemory<byte> name, OpenMode mode, uint perm, Caller who, CancellationToken ct) => new(RefuseToMake(parent, name));

    /// <inheritdoc/>
    public ValueTask<FsError> SyncAsync(NodeId? node, bool dataOnly, CancellationToken ct) => new(FsError.None);

    /// <inheritdoc/>
    public ValueTask<FsError> SetXattrAsync(NodeId node, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, CancellationToken ct) => new(FsError.ReadOnly);

    /// <inheritdoc/>
    public ValueTask<FsError> RemoveXattrAsync(NodeId node, ReadOnlyMemory<byte> name, CancellationToken ct) => new(FsError.ReadOnly);

    /// <summary>The virtual folder is there although no listing shows it.</summary>
    private static FsError RefuseToMake(NodeId parent, ReadOnlyMemory<byte> name) =>
        parent == NodeId.Root && name.Span.SequenceEqual(".dat"u8) ? FsError.Exists : FsError.ReadOnly;
}
