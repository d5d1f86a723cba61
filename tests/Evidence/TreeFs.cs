using DatFs.FileSystem;

namespace DatFs.Evidence;

/// <summary>The adapter asked a <see cref="TreeFs"/> for what the kernel cannot have meant.</summary>
public sealed class MisusedTreeException(string message) : InvalidOperationException(message);

/// <summary>
/// A file system in memory: what adapters are tested against. Complete at once unless <see cref="Gate"/> waits; changes made through
/// its own methods are announced to the subscriber, changes through <see cref="IMountFs"/> are not.
/// </summary>
public sealed class TreeFs : IMountFs
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, TreeFsNode> _nodes = [];
    private ulong _nextId = 1;
    private int _openHandles;
    private long _reads;
    private int _leasesOut;

    public TreeFs(MountCapabilities? capabilities = null)
    {
        Capabilities = capabilities ?? new MountCapabilities
        {
            ReadOnly = false,
            CaseSensitive = true,
            Symlinks = true,
            HardLinks = false,
            Xattrs = true,
            LiveChanges = true,
        };
        Root = NewNode(NodeKind.Directory, null);
    }

    public MountCapabilities Capabilities { get; }

    public TreeFsNode Root { get; }

    public IMountNotifier? Notifier { get; private set; }

    /// <summary>Awaited before each operation; completes at once by default.</summary>
    public Func<string, TreeFsNode, CancellationToken, ValueTask> Gate { get; set; } = static (_, _, _) => ValueTask.CompletedTask;

    /// <summary>Largest file, in bytes.</summary>
    public long MaxFileSize { get; init; } = 64 * 1024 * 1024;

    /// <summary>Reads are handed out in pieces of this many bytes.</summary>
    public int Segment { get; set; } = int.MaxValue;

    public int OpenHandles => Volatile.Read(ref _openHandles);

    public long Reads => Interlocked.Read(ref _reads);

    public int LeasesOut => Volatile.Read(ref _leasesOut);

    public bool Disposed { get; private set; }

    // ---- what tests do to it

    public TreeFsNode Folder(string path) => Put(path, NodeKind.Directory, []);

    public TreeFsNode File(string path, byte[] data) => Put(path, NodeKind.File, data);

    public TreeFsNode File(string path, string text) => File(path, System.Text.Encoding.UTF8.GetBytes(text));

    public TreeFsNode Status(string path, string text) => Put(path, NodeKind.File, System.Text.Encoding.UTF8.GetBytes(text), directIo: true);

    public TreeFsNode Symlink(string path, string target) => Put(path, NodeKind.Symlink, System.Text.Encoding.UTF8.GetBytes(target));

    /// <summary>A change of content in place, as announced when nobody has the file open.</summary>
    public void Grow(TreeFsNode node, byte[] data)
    {
        lock (_lock)
        {
            node.Data = data;
            node.MtimeNs += 1_000_000_000;
        }

        Notifier?.Changed(node.Id, 0, 0, attributesOnly: false);
    }

    /// <summary>A remote replacement while the old file may be open: a new node at the same name.</summary>
    public TreeFsNode Replace(string path, byte[] data)
    {
        (TreeFsNode parent, string key) = Locate(path);
        TreeFsNode fresh = NewNode(NodeKind.File, parent);
        fresh.Data = data;
        lock (_lock) parent.Children[key] = fresh;
        Notifier?.EntryChanged(parent.Id, TreeFsNode.Bytes(key), EntryChange.Replaced, fresh.Id);
        return fresh;
    }

    public void Delete(string path)
    {
        (TreeFsNode parent, string key) = Locate(path);
        TreeFsNode? gone;
        lock (_lock) parent.Children.Remove(key, out gone);
        Notifier?.EntryChanged(parent.Id, TreeFsNode.Bytes(key), EntryChange.Removed, gone?.Id);
    }

    public TreeFsNode Appear(string path, string text)
    {
        TreeFsNode node = File(path, text);
        (TreeFsNode parent, string key) = Locate(path);
        Notifier?.EntryChanged(parent.Id, TreeFsNode.Bytes(key), EntryChange.Added, node.Id);
        return node;
    }

    public TreeFsNode At(string path)
    {
        (TreeFsNode parent, string key) = Locate(path);
        lock (_lock) return parent.Children[key];
    }

    /// <summary>References over all nodes but the root.</summary>
    public long References()
    {
        lock (_lock) return _nodes.Values.Where(n => n != Root).Sum(n => n.References);
    }

    // ---- IMountFs

    public async ValueTask<Result<NodeInfo>> LookupAsync(NodeId parent, ReadOnlyMemory<byte> utf8Name, CancellationToken ct)
    {
        TreeFsNode directory = Get(parent);
        await Gate("lookup", directory, ct);
        lock (_lock)
        {
            if (directory.Kind != NodeKind.Directory) return FsError.NotDirectory;
            if (!directory.Children.TryGetValue(TreeFsNode.Key(utf8Name.Span), out TreeFsNode? node)) return FsError.NotFound;
            node.References++;
            return node.Info;
        }
    }

    public void Forget(NodeId node, ulong count)
    {
        lock (_lock)
        {
            TreeFsNode at = Get(node);
            at.References -= (long)Math.Min(count, int.MaxValue);
            if (at.References < 0) throw new MisusedTreeException($"node {node.Value} was forgotten more often than looked up");
        }
    }

    public async ValueTask<Result<NodeInfo>> GetAsync(NodeId node, IFileHandle? handle, CancellationToken ct)
    {
        TreeFsNode at = Get(node);
        await Gate("get", at, ct);
        lock (_lock) return at.Info;
    }

    public ValueTask<Result<NodeInfo>> SetAsync(NodeId node, IFileHandle? handle, in NodeChange change, CancellationToken ct)
    {
        if (Capabilities.ReadOnly) return new(FsError.ReadOnly);
        TreeFsNode at = Get(node);
        lock (_lock)
        {
            at.Mode = change.Mode ?? at.Mode;
            at.Uid = change.Uid ?? at.Uid;
            at.Gid = change.Gid ?? at.Gid;
            at.MtimeNs = change.MtimeNs ?? at.MtimeNs;
            if (change.Size > (ulong)MaxFileSize) return new(FsError.TooBig);
            if (change.Size is { } size)
            {
                byte[] data = new byte[size];
                at.Data.AsSpan(0, Math.Min(at.Data.Length, data.Length)).CopyTo(data);
                at.Data = data;
            }

            return new(at.Info);
        }
    }

    public async ValueTask<Result<ReadOnlyMemory<byte>>> ReadLinkAsync(NodeId node, CancellationToken ct)
    {
        TreeFsNode at = Get(node);
        await Gate("readlink", at, ct);
        return at.Kind == NodeKind.Symlink ? new ReadOnlyMemory<byte>(at.Data) : FsError.Invalid;
    }

    public ValueTask<Result<NodeInfo>> MakeAsync(
        NodeId parent, ReadOnlyMemory<byte> name, NodeKind kind, uint mode, ReadOnlyMemory<byte> linkTarget, Caller who, CancellationToken ct)
    {
        if (Capabilities.ReadOnly) return new(FsError.ReadOnly);
        lock (_lock)
        {
            TreeFsNode directory = Get(parent);
            if (directory.Children.ContainsKey(TreeFsNode.Key(name.Span))) return new(FsError.Exists);
            TreeFsNode made = NewNode(kind, directory);
            made.Mode = mode;
            made.Data = linkTarget.ToArray();
            made.Uid = who.Uid;
            made.Gid = who.Gid;
            made.References = 1;
            directory.Children.Add(TreeFsNode.Key(name.Span), made);
            return new(made.Info);
        }
    }

    public ValueTask<FsError> RemoveAsync(NodeId parent, ReadOnlyMemory<byte> name, bool directory, CancellationToken ct)
    {
        if (Capabilities.ReadOnly) return new(FsError.ReadOnly);
        lock (_lock)
        {
            TreeFsNode from = Get(parent);
            if (!from.Children.TryGetValue(TreeFsNode.Key(name.Span), out TreeFsNode? node)) return new(FsError.NotFound);
            if (directory && node.Kind != NodeKind.Directory) return new(FsError.NotDirectory);
            if (!directory && node.Kind == NodeKind.Directory) return new(FsError.IsDirectory);
            if (node.Children.Count > 0) return new(FsError.NotEmpty);
            from.Children.Remove(TreeFsNode.Key(name.Span));
            return new(FsError.None);
        }
    }

    public ValueTask<FsError> RenameAsync(
        NodeId fromDir, ReadOnlyMemory<byte> from, NodeId toDir, ReadOnlyMemory<byte> to, RenameMode mode, CancellationToken ct)
    {
        if (Capabilities.ReadOnly) return new(FsError.ReadOnly);
        lock (_lock)
        {
            Dictionary<string, TreeFsNode> source = Get(fromDir).Children;
            Dictionary<string, TreeFsNode> target = Get(toDir).Children;
            string fromKey = TreeFsNode.Key(from.Span);
            string toKey = TreeFsNode.Key(to.Span);
            if (!source.TryGetValue(fromKey, out TreeFsNode? node)) return new(FsError.NotFound);
            target.TryGetValue(toKey, out TreeFsNode? there);
            if (mode == RenameMode.NoReplace && there is not null) return new(FsError.Exists);
            if (mode == RenameMode.Exchange && there is null) return new(FsError.NotFound);
            source.Remove(fromKey);
            target[toKey] = node;
            node.Parent = Get(toDir);
            if (mode == RenameMode.Exchange) source[fromKey] = there!;
            return new(FsError.None);
        }
    }

    public async ValueTask<Result<IFileHandle>> OpenAsync(NodeId node, OpenMode mode, CancellationToken ct)
    {
        TreeFsNode at = Get(node);
        await Gate("open", at, ct);
        if (Capabilities.ReadOnly && (mode & OpenMode.Write) != 0) return FsError.ReadOnly;
        if ((mode & OpenMode.Truncate) != 0) at.Data = [];
        return new TreeFileHandle(this, at);
    }

    public async ValueTask<Result<(NodeInfo Info, IFileHandle Handle)>> CreateAsync(
        NodeId parent, ReadOnlyMemory<byte> name, OpenMode mode, uint perm, Caller who, CancellationToken ct)
    {
        Result<NodeInfo> made = await MakeAsync(parent, name, NodeKind.File, perm, default, who, ct);
        if (made.Ok) return (made.Value, new TreeFileHandle(this, Get(made.Value.Id)));
        if (made.Error != FsError.Exists || (mode & OpenMode.Exclusive) != 0) return made.Error;
        Result<NodeInfo> found = await LookupAsync(parent, name, ct);
        if (!found.Ok) return found.Error;
        Result<IFileHandle> opened = await OpenAsync(found.Value.Id, mode, ct);
        return opened.Ok ? (found.Value, opened.Value) : opened.Error;
    }

    public async ValueTask<Result<IDirHandle>> OpenDirAsync(NodeId node, CancellationToken ct)
    {
        TreeFsNode at = Get(node);
        await Gate("opendir", at, ct);
        if (at.Kind != NodeKind.Directory) return FsError.NotDirectory;
        lock (_lock)
        {
            HandleOpened();
            return new TreeDirHandle(this, at, [.. at.Children]);
        }
    }

    public ValueTask<Result<VolumeInfo>> StatAsync(CancellationToken ct) =>
        new(new VolumeInfo(1000, 400, (ulong)_nodes.Count, 77, 4096, 255));

    public ValueTask<FsError> SyncAsync(NodeId? node, bool dataOnly, CancellationToken ct) => new(FsError.None);

    public ValueTask<Result<int>> GetXattrAsync(NodeId node, ReadOnlyMemory<byte> name, Memory<byte> into, CancellationToken ct) =>
        new(Get(node).Xattrs.TryGetValue(TreeFsNode.Key(name.Span), out byte[]? value) ? Copy(value, into) : FsError.NoAttribute);

    public ValueTask<Result<int>> ListXattrAsync(NodeId node, Memory<byte> into, CancellationToken ct) =>
        new(Copy(Get(node).Xattrs.Keys.SelectMany(k => TreeFsNode.Bytes(k).Append((byte)0)).ToArray(), into));

    public ValueTask<FsError> SetXattrAsync(NodeId node, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, CancellationToken ct)
    {
        if (Capabilities.ReadOnly) return new(FsError.ReadOnly);
        Get(node).Xattrs[TreeFsNode.Key(name.Span)] = value.ToArray();
        return new(FsError.None);
    }

    public ValueTask<FsError> RemoveXattrAsync(NodeId node, ReadOnlyMemory<byte> name, CancellationToken ct) =>
        new(Get(node).Xattrs.Remove(TreeFsNode.Key(name.Span)) ? FsError.None : FsError.NoAttribute);

    public IDisposable Subscribe(IMountNotifier notifier)
    {
        Notifier = notifier;
        return new Subscription(this);
    }

    public ValueTask DisposeAsync()
    {
        Disposed = true;
        return ValueTask.CompletedTask;
    }

    internal void HandleOpened() => Interlocked.Increment(ref _openHandles);

    internal void HandleClosed() => Interlocked.Decrement(ref _openHandles);

    internal void LeaseGiven()
    {
        Interlocked.Increment(ref _reads);
        Interlocked.Increment(ref _leasesOut);
    }

    internal void LeaseBack() => Interlocked.Decrement(ref _leasesOut);

    internal void AddReference(TreeFsNode node)
    {
        lock (_lock) node.References++;
    }

    private static Result<int> Copy(byte[] value, Memory<byte> into)
    {
        if (into.IsEmpty) return value.Length;
        if (into.Length < value.Length) return FsError.Range;
        value.CopyTo(into);
        return value.Length;
    }

    private TreeFsNode Get(NodeId id)
    {
        lock (_lock) return _nodes.TryGetValue(id.Value, out TreeFsNode? node) ? node : throw new MisusedTreeException($"there is no node {id.Value}");
    }

    private TreeFsNode NewNode(NodeKind kind, TreeFsNode? parent)
    {
        lock (_lock)
        {
            ulong id = _nextId++;
            // Node ids and inode numbers are different things: keep them apart, so that a mix-up shows.
            var node = new TreeFsNode(id, id == 1 ? 4_000_000_001 : 4_000_000_000 + id, kind, parent);
            _nodes.Add(id, node);
            return node;
        }
    }

    private TreeFsNode Put(string path, NodeKind kind, byte[] data, bool directIo = false)
    {
        (TreeFsNode parent, string key) = Locate(path);
        lock (_lock)
        {
            ulong id = _nextId++;
            var node = new TreeFsNode(id, 4_000_000_000 + id, kind, parent) { DirectIo = directIo, Data = data };
            _nodes.Add(id, node);
            parent.Children.Add(key, node);
            return node;
        }
    }

    private (TreeFsNode Parent, string Key) Locate(string path)
    {
        string[] parts = path.Split('/');
        lock (_lock)
        {
            TreeFsNode at = parts[..^1].Aggregate(Root, (node, part) => node.Children[TreeFsNode.Key(part)]);
            return (at, TreeFsNode.Key(parts[^1]));
        }
    }

    private sealed class Subscription(TreeFs fs) : IDisposable
    {
        public void Dispose() => fs.Notifier = null;
    }
}
