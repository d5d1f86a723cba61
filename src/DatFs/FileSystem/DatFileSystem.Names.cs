using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>Names and attributes.</summary>
public sealed partial class DatFileSystem
{
    private const uint PermissionBits = 0x1FF;
    private const uint WriteBits = 0x92;
    private const uint RootMode = 0x1ED;

    /// <inheritdoc/>
    public ValueTask<Result<NodeInfo>> LookupAsync(NodeId parent, ReadOnlyMemory<byte> utf8Name, CancellationToken ct)
    {
        Node? directory = Find(parent);
        if (directory is null) return new(FsError.Stale);
        if (directory.Kind != NodeKind.Directory) return new(FsError.NotDirectory);
        FsError wrong = EntryName.Decode(utf8Name.Span, out string name);
        if (wrong != FsError.None) return new(wrong);
        if (directory.Virtual != VirtualKind.None) return LookupVirtualAsync(directory, name, ct);
        if (directory == _nodes.Root && name == VirtualTree.FolderName) return new(AcquireVirtual(VirtualTree.Folder));
        if (directory.Detached) return new(FsError.NotFound);

        NodeName at = new(directory.Name.Space, directory.Name.Path.Child(name));
        if (!TryView(at.Space, out IDriveView view)) return LookupSlowlyAsync(at, null, default, ct);
        ValueTask<Result<DriveEntry?>> found = FindAsync(view, at.Path, ct);
        if (!found.IsCompletedSuccessfully) return LookupSlowlyAsync(at, view, found, ct);
        Result<DriveEntry?> entry = found.Result;
        return TryAdmit(at, view, entry, out Result<NodeInfo> answer) ? new(answer) : LookupSlowlyAsync(at, view, new(entry), ct);
    }

    /// <inheritdoc/>
    public void Forget(NodeId node, ulong count)
    {
        lock (_gate)
        {
            if (_nodes.Find(node) is { } known) _nodes.Forget(known, count);
        }
    }

    /// <inheritdoc/>
    public ValueTask<Result<NodeInfo>> GetAsync(NodeId node, IFileHandle? handle, CancellationToken ct)
    {
        Node? known = Find(node);
        if (known is null) return new(FsError.Stale);
        if (known.Virtual != VirtualKind.None) return new(VirtualInfo(known, handle as GeneratedHandle));
        if (known == _nodes.Root) return new(RootInfo());
        lock (_gate)
        {
            if (!known.Stale) return new(InfoOf(known));
        }

        return GetSlowlyAsync(known, ct);
    }

    /// <inheritdoc/>
    public ValueTask<Result<ReadOnlyMemory<byte>>> ReadLinkAsync(NodeId node, CancellationToken ct)
    {
        Node? known = Find(node);
        if (known is null) return new(FsError.Stale);
        if (known.Kind != NodeKind.Symlink) return new(FsError.Invalid);
        if (known.Virtual == VirtualKind.Latest) return ReadLatestAsync(ct);
        return known.Stale ? ReadLinkSlowlyAsync(known, ct) : new(TargetOf(known));
    }

    private async ValueTask<Result<ReadOnlyMemory<byte>>> ReadLinkSlowlyAsync(Node link, CancellationToken ct)
    {
        FsError failed = await SettleAsync(link, ct);
        return failed == FsError.None ? TargetOf(link) : failed;
    }

    private Result<ReadOnlyMemory<byte>> TargetOf(Node link)
    {
        DriveEntry entry = link.Entry!;
        bool foreign = !_drive.Writable && !_options.FollowForeignLinks;
        return foreign && LinkTarget.Escapes(entry) ? FsError.AccessDenied : entry.LinkTarget;
    }

    private async ValueTask<Result<NodeInfo>> LookupSlowlyAsync(NodeName at, IDriveView? view, ValueTask<Result<DriveEntry?>> found, CancellationToken ct)
    {
        for (int overtaken = 0; overtaken < MaxOvertaken; overtaken++)
        {
            if (view is null)
            {
                Result<IDriveView> known = await ViewAsync(at.Space, ct);
                if (!known.Ok) return known.Error;
                view = known.Value;
                found = FindAsync(view, at.Path, ct);
            }

            if (TryAdmit(at, view, await found, out Result<NodeInfo> answer)) return answer;
            view = null;
        }

        return FsError.TimedOut;
    }

    /// <summary>
    /// Turns what a view says about a name into a referenced node; false when the view is not the newest any more,
    /// so that its answer might never be taken back.
    /// </summary>
    private bool TryAdmit(NodeName at, IDriveView view, Result<DriveEntry?> found, out Result<NodeInfo> answer)
    {
        answer = found.Error;
        if (!found.Ok) return true;
        var notices = new Notices();
        lock (_gate)
        {
            if (at.Space.Kind == SpaceKind.Live && !ReferenceEquals(view, _newest)) return false;
            CatchUp(at, found.Value, notices);
            answer = found.Value is { } entry ? InfoOf(Acquire(at, entry)) : FsError.NotFound;
        }

        _notices.Post(notices);
        return true;
    }

    /// <summary>Settles the node of a name if it is in doubt, or shows something else than the newest view although no change of it was told. Gate held.</summary>
    private void CatchUp(NodeName at, DriveEntry? entry, Notices notices)
    {
        if (_nodes.At(at) is not { } known) return;
        known.Stale |= !Equals(known.Entry?.Identity, entry?.Identity);
        Settle(known, entry, notices);
    }

    /// <summary>The node of a name, with one more reference. The entry is the newest view's. Gate held.</summary>
    private Node Acquire(NodeName at, DriveEntry entry)
    {
        Node node = _nodes.At(at) ?? _nodes.Add(at, KindOf(entry.Kind), entry, VirtualKind.None);
        node.Lookups++;
        return node;
    }

    private async ValueTask<Result<NodeInfo>> GetSlowlyAsync(Node node, CancellationToken ct)
    {
        FsError failed = await SettleAsync(node, ct);
        if (failed != FsError.None) return failed;
        lock (_gate) return InfoOf(node);
    }

    /// <summary>The root answers at once, from whatever is known (a mount that waits before it shows itself looks broken).</summary>
    private NodeInfo RootInfo()
    {
        Node root = _nodes.Root;
        if (TryView(root.Name.Space, out IDriveView view) && root.Stale)
        {
            if (TryFind(view, DrivePath.Root, out DriveEntry? entry) && entry is not null)
            {
                lock (_gate)
                {
                    root.Entry = entry;
                    root.Stale = root.Name.Space.Kind == SpaceKind.Live && !ReferenceEquals(view, _newest);
                }
            }
        }

        lock (_gate) return InfoOf(root);
    }

    /// <summary>Attributes of a node of the drive. Gate held.</summary>
    private NodeInfo InfoOf(Node node)
    {
        TimeSpan? ttl = node.Stale ? TimeSpan.Zero : null;
        if (node.Entry is not { } entry)
            return new NodeInfo(node.Id, node.FileNumber, NodeKind.Directory, 0, 0, Shown(RootMode), 2, _options.Uid, _options.Gid, _mountedNs, _mountedNs, _mountedNs, true) { AttrTtl = ttl };

        NodeInfo info = InfoOf(node.Name.Space, entry) with { Id = node.Id, FileNumber = node.FileNumber, AttrTtl = ttl };
        if (node.Name is { IsRoot: true, Space: { Kind: SpaceKind.Version, Alias: not null and not Space.MountAlias } }) info = info with { EntryTtl = TimeSpan.Zero };
        return node.Detached ? info with { Links = 0 } : info;
    }

    private NodeInfo InfoOf(Space space, DriveEntry entry)
    {
        NodeKind kind = KindOf(entry.Kind);
        ulong size = kind == NodeKind.Directory ? 0 : (ulong)Math.Max(0, entry.Size);
        long mtime = entry.MtimeMs;
        // The root of a version tells at least when the version was made.
        if (entry.Path.IsRoot && mtime == 0 && space.View is { } view) mtime = view.Time.ToUnixTimeMilliseconds();
        long mtimeNs = Nanoseconds(mtime);
        long ctimeNs = Nanoseconds(entry.CtimeMs == 0 ? mtime : entry.CtimeMs);
        uint mode = kind == NodeKind.Symlink ? PermissionBits : Shown(entry.Mode, space);
        return new NodeInfo(default, 0, kind, size, size, mode, kind == NodeKind.Directory ? 2u : 1u,
            _options.Uid, _options.Gid, mtimeNs, ctimeNs, mtimeNs, IsLocal(space, entry, kind, size));
    }

    /// <summary>Write bits would promise what the drive cannot keep (hyperdrive.md §8).</summary>
    private uint Shown(uint mode, Space? space = null)
    {
        bool writable = _drive.Writable && !Capabilities.ReadOnly && (space ?? _root).Kind == SpaceKind.Live;
        return mode & PermissionBits & ~(writable ? 0 : WriteBits);
    }

    private bool IsLocal(Space space, DriveEntry entry, NodeKind kind, ulong size)
    {
        if (kind != NodeKind.File || size == 0) return true;
        return _options.ShowLocal && Content(space, entry).LocalBytes() >= entry.Size;
    }

    private IFileContent Content(Space space, DriveEntry entry) => (space.View ?? _drive.Live).OpenContent(entry);

    internal static NodeKind KindOf(EntryKind kind) => kind switch
    {
        EntryKind.Directory => NodeKind.Directory,
        EntryKind.Symlink => NodeKind.Symlink,
        _ => NodeKind.File,
    };
}
