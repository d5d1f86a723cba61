using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>One file, directory or link that the operating system knows or that is open. Guarded by the file system's gate.</summary>
internal sealed class Node(NodeId id, ulong fileNumber, NodeKind kind, NodeName name)
{
    public NodeId Id => id;

    public ulong FileNumber => fileNumber;

    public NodeKind Kind => kind;

    public NodeName Name => name;

    /// <summary>The entry shown; null for virtual nodes, and for a root whose metadata is not here yet.</summary>
    public DriveEntry? Entry { get; set; }

    /// <summary>What a virtual node is.</summary>
    public VirtualKind Virtual { get; init; }

    /// <summary>References handed to the operating system.</summary>
    public ulong Lookups { get; set; }

    /// <summary>Open handles.</summary>
    public int Handles { get; set; }

    /// <summary>No longer at its name: removed, or another node took the name.</summary>
    public bool Detached { get; set; }

    /// <summary>A newer view may show another entry here, which has not been read yet.</summary>
    public bool Stale { get; set; }
}

/// <summary>
/// The living nodes (platform.md §3, "Lookup counts"): by id, and by name for those that are still at it. A node lives while it has a
/// lookup or an open handle; the root lives for ever. Ids are never used again. Not thread-safe: every call holds the file system's gate.
/// </summary>
internal sealed class NodeTable
{
    private readonly Dictionary<ulong, Node> _byId = [];
    private readonly Dictionary<NodeName, Node> _byName = [];
    private readonly HashSet<ulong> _fileNumbers = [];
    private ulong _lastId;

    public NodeTable(NodeName root)
    {
        Root = Add(root, NodeKind.Directory, null, VirtualKind.None);
    }

    public Node Root { get; }

    public int Count => _byId.Count;

    public IEnumerable<Node> Named => _byName.Values;

    public Node? Find(NodeId id) => _byId.GetValueOrDefault(id.Value);

    /// <summary>The node that is at a name now.</summary>
    public Node? At(NodeName name) => _byName.GetValueOrDefault(name);

    /// <summary>Makes the node of a name that has none. It must be referenced before the gate is left.</summary>
    public Node Add(NodeName name, NodeKind kind, DriveEntry? entry, VirtualKind virtualKind)
    {
        ulong number = FileSystem.FileNumber.Of(name);
        while (!_fileNumbers.Add(number)) number = FileSystem.FileNumber.After(number);
        Node node = new(new NodeId(checked(++_lastId)), number, kind, name) { Entry = entry, Virtual = virtualKind };
        _byId.Add(node.Id.Value, node);
        _byName.Add(name, node);
        return node;
    }

    /// <summary>Takes a node from its name; it lives on for those who hold it.</summary>
    public void Detach(Node node)
    {
        if (node.Detached || node == Root) return;
        node.Detached = true;
        _byName.Remove(node.Name);
    }

    public void Forget(Node node, ulong count)
    {
        node.Lookups -= Math.Min(count, node.Lookups);
        DropIfUnused(node);
    }

    public void Unpin(Node node)
    {
        node.Handles--;
        DropIfUnused(node);
    }

    /// <summary>What <see cref="Node.FileNumber"/> of a name is or would be.</summary>
    public ulong FileNumber(NodeName name) => At(name)?.FileNumber ?? FileSystem.FileNumber.Of(name);

    private void DropIfUnused(Node node)
    {
        if (node.Lookups > 0 || node.Handles > 0 || node == Root || !_byId.Remove(node.Id.Value)) return;
        _fileNumbers.Remove(node.FileNumber);
        if (!node.Detached) _byName.Remove(node.Name);
    }
}
