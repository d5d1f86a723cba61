using System.Diagnostics.CodeAnalysis;
using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>Opening files and directories.</summary>
public sealed partial class DatFileSystem
{
    /// <inheritdoc/>
    public ValueTask<Result<IFileHandle>> OpenAsync(NodeId node, OpenMode mode, CancellationToken ct)
    {
        Node? known = Find(node);
        if (known is null) return new(FsError.Stale);
        if (known.Kind == NodeKind.Directory) return new(FsError.IsDirectory);
        if (known.Kind != NodeKind.File) return new(FsError.Invalid);
        if ((mode & (OpenMode.Write | OpenMode.Append | OpenMode.Truncate)) != 0) return new(FsError.ReadOnly);
        if (known.Virtual != VirtualKind.None) return new(Result.Of<IFileHandle>(OpenGenerated(known)));
        return TryOpen(known, out FileHandle? handle) ? new(Result.Of<IFileHandle>(handle)) : OpenSlowlyAsync(known, ct);
    }

    /// <inheritdoc/>
    public ValueTask<Result<IDirHandle>> OpenDirAsync(NodeId node, CancellationToken ct)
    {
        Node? known = Find(node);
        if (known is null) return new(FsError.Stale);
        if (known.Kind != NodeKind.Directory) return new(FsError.NotDirectory);
        if (known.Virtual != VirtualKind.None) return OpenVirtualDirAsync(known, ct);
        if (known.Detached) return new(FsError.NotFound);
        if (!TryView(known.Name.Space, out IDriveView view)) return OpenDirSlowlyAsync(known, ct);
        ValueTask<Result<IReadOnlyList<DriveEntry>?>> listed = ListAsync(view, known.Name.Path, ct);
        return listed.IsCompletedSuccessfully ? new(Snapshot(known, view, listed.Result)) : AwaitListingAsync(known, view, listed);
    }

    /// <summary>The node's handle is gone.</summary>
    internal void Close(Node node)
    {
        lock (_gate) _nodes.Unpin(node);
    }

    /// <summary>One entry of a listing as the adapter hands it out, with a reference; false = ask <see cref="AcquireListedAsync"/>.</summary>
    internal bool TryAcquireListed(Space space, IDriveView listed, DriveEntry entry, out NodeInfo info)
    {
        NodeName name = new(space, entry.Path);
        lock (_gate)
        {
            info = default;
            Node? node = _nodes.At(name);
            bool current = space.Kind != SpaceKind.Live || ReferenceEquals(listed, _newest);
            if (node is null ? !current : node.Stale || (current && !Equals(node.Entry?.Identity, entry.Identity))) return false;
            node ??= _nodes.Add(name, KindOf(entry.Kind), entry, VirtualKind.None);
            node.Lookups++;
            info = InfoOf(node);
            return true;
        }
    }

    /// <summary>As a lookup: the directory changed since it was listed. NotFound = the entry is gone.</summary>
    internal ValueTask<Result<NodeInfo>> AcquireListedAsync(Space space, DrivePath path, CancellationToken ct) =>
        LookupSlowlyAsync(new NodeName(space, path), null, default, ct);

    internal ulong FileNumberOf(NodeName name)
    {
        lock (_gate) return _nodes.FileNumber(name);
    }

    internal bool HidesVirtualName(NodeName directory) => directory.IsRoot && directory.Space.Equals(_root);

    private async ValueTask<Result<IFileHandle>> OpenSlowlyAsync(Node node, CancellationToken ct)
    {
        for (int overtaken = 0; overtaken < MaxOvertaken; overtaken++)
        {
            FsError failed = await SettleAsync(node, ct);
            if (failed != FsError.None) return failed;
            if (TryOpen(node, out FileHandle? handle)) return handle;
        }

        return FsError.TimedOut;
    }

    private bool TryOpen(Node node, [NotNullWhen(true)] out FileHandle? handle)
    {
        handle = null;
        DriveEntry entry;
        lock (_gate)
        {
            if (node.Stale) return false;
            entry = node.Entry!;
            node.Handles++;
        }

        try
        {
            handle = new FileHandle(this, node, Content(node.Name.Space, entry), _patience);
            return true;
        }
        finally
        {
            if (handle is null) Close(node);
        }
    }

    private GeneratedHandle OpenGenerated(Node node)
    {
        byte[] content = Generate(node.Virtual);
        Pin(node);
        return new GeneratedHandle(this, node, content);
    }

    private void Pin(Node node)
    {
        lock (_gate) node.Handles++;
    }

    private ValueTask<Result<IReadOnlyList<DriveEntry>?>> ListAsync(IDriveView view, DrivePath path, CancellationToken ct) =>
        _patience.RunAsync((view, path), static (s, token) => s.view.ListAsync(s.path, token), ct);

    private async ValueTask<Result<IDirHandle>> OpenDirSlowlyAsync(Node node, CancellationToken ct)
    {
        Result<IDriveView> view = await ViewAsync(node.Name.Space, ct);
        if (!view.Ok) return view.Error;
        return Snapshot(node, view.Value, await ListAsync(view.Value, node.Name.Path, ct));
    }

    private async ValueTask<Result<IDirHandle>> AwaitListingAsync(Node node, IDriveView view, ValueTask<Result<IReadOnlyList<DriveEntry>?>> listed) =>
        Snapshot(node, view, await listed);

    private Result<IDirHandle> Snapshot(Node node, IDriveView view, Result<IReadOnlyList<DriveEntry>?> listed)
    {
        if (!listed.Ok) return listed.Error;
        if (listed.Value is not { } entries)
        {
            if (!node.Name.IsRoot) return FsError.NotFound;
            entries = [];
        }

        Pin(node);
        return new DriveDirHandle(this, node, view, entries);
    }

    private async ValueTask<Result<IDirHandle>> OpenVirtualDirAsync(Node node, CancellationToken ct)
    {
        List<ListedName> names = [];
        if (node.Virtual == VirtualKind.Folder)
            names.AddRange(VirtualTree.Entries.Select(entry => new ListedName(Text(entry.Name), new NodeName(_virtual, entry.Path), entry.Kind, entry)));
        else
        {
            Result<IDriveView> newest = await ViewAsync(_live, ct);
            if (!newest.Ok) return newest.Error;
            long last = newest.Value.Version;
            for (long n = Math.Max(0, last - MaxListedVersions + 1); n <= last; n++)
                names.Add(new ListedName(Text(VersionName.Of(n)), new NodeName(new Space(SpaceKind.Version, n), DrivePath.Root), NodeKind.Directory, null));
            names.Add(new ListedName(Text(VirtualTree.Latest.Name), new NodeName(_virtual, VirtualTree.Latest.Path), NodeKind.Symlink, VirtualTree.Latest));
            names.Sort(static (a, b) => a.Name.AsSpan().SequenceCompareTo(b.Name));
        }

        Pin(node);
        return new VirtualDirHandle(this, node, names);
    }

    /// <summary>An entry of the virtual folder with a reference; a version is named without being checked out, so it has none.</summary>
    internal NodeInfo AcquireListed(in ListedName name) => name.Virtual is { } entry
        ? AcquireVirtual(entry).Value
        : VirtualInfo(VirtualKind.Versions, NodeKind.Directory, null) with { FileNumber = FileNumberOf(name.Node), AttrTtl = TimeSpan.Zero };
}
