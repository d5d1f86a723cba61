using DatFs.FileSystem;

namespace DatFs.Evidence;

/// <summary>A file, folder or link of a <see cref="TreeFs"/>.</summary>
public sealed class TreeFsNode(ulong id, ulong fileNumber, NodeKind kind, TreeFsNode? parent)
{
    public NodeId Id { get; } = new(id);
    public ulong FileNumber { get; } = fileNumber;
    public NodeKind Kind { get; } = kind;
    public TreeFsNode? Parent { get; set; } = parent;
    public uint Mode { get; set; } = kind == NodeKind.Directory ? 0x1EDu : kind == NodeKind.Symlink ? 0x1FFu : 0x1A4u;
    public byte[] Data { get; set; } = [];
    public long MtimeNs { get; set; } = 1_500_000_000_123_000_000;
    public Dictionary<string, TreeFsNode> Children { get; } = new(StringComparer.Ordinal);
    public Dictionary<string, byte[]> Xattrs { get; } = new(StringComparer.Ordinal);
    public uint? Uid { get; set; }
    public uint? Gid { get; set; }

    /// <summary>The adapter must read around the page cache.</summary>
    public bool DirectIo { get; init; }

    public TimeSpan? AttrTtl { get; set; }

    public TimeSpan? EntryTtl { get; set; }

    /// <summary>Lookups the adapter has not given back.</summary>
    public long References { get; set; }

    public int OpenHandles { get; set; }

    public NodeInfo Info => new(Id, FileNumber, Kind, (ulong)Data.Length, (ulong)Data.Length, Mode, Kind == NodeKind.Directory ? 2u : 1u,
        Uid, Gid, MtimeNs, MtimeNs, MtimeNs, true)
    { AttrTtl = AttrTtl, EntryTtl = EntryTtl };

    /// <summary>Names are bytes; the tree keeps them one char each.</summary>
    public static string Key(ReadOnlySpan<byte> name) => System.Text.Encoding.Latin1.GetString(name);

    public static string Key(string name) => Key(System.Text.Encoding.UTF8.GetBytes(name));

    public static byte[] Bytes(string key) => System.Text.Encoding.Latin1.GetBytes(key);
}
