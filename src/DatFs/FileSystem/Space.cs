using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>Which tree a node belongs to; nodes of different trees live side by side in one table.</summary>
internal enum SpaceKind : byte
{
    /// <summary>The newest version, whatever it is.</summary>
    Live,
    /// <summary>One version for ever.</summary>
    Version,
    /// <summary>The virtual <c>.dat</c> folder.</summary>
    Virtual,
}

/// <summary>
/// A tree. Equal for the same tree: kind, version, and the name under which a version was asked for
/// (null = its number), as one directory cannot have two names.
/// </summary>
internal sealed class Space(SpaceKind kind, long version = 0, string? alias = null) : IEquatable<Space>
{
    /// <summary>The alias of a fixed version that is the root of the mount.</summary>
    public const string MountAlias = "";

    private volatile IDriveView? _view;

    public SpaceKind Kind => kind;

    public long Version => version;

    public string? Alias => alias;

    /// <summary>The view of a fixed version, once it was checked out; null for the other kinds.</summary>
    public IDriveView? View
    {
        get => _view;
        set => _view = value;
    }

    public bool Equals(Space? other) =>
        other is not null && (ReferenceEquals(this, other) || (kind == other.Kind && version == other.Version && alias == other.Alias));

    public override bool Equals(object? obj) => Equals(obj as Space);

    public override int GetHashCode() => HashCode.Combine(kind, version, alias);
}

/// <summary>Where a node is found: its tree and the path within.</summary>
internal readonly record struct NodeName(Space Space, DrivePath Path)
{
    public bool IsRoot => Path.IsRoot;

    public NodeName Parent => this with { Path = Path.Parent };
}
