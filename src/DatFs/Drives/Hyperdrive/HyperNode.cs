namespace DatFs.Drives.Hyperdrive;

/// <summary>The attributes a put carries (hyperdrive.md §3). Times are milliseconds since 1970, offsets blocks and bytes of the content feed.</summary>
internal sealed record HyperStat(uint Mode, uint Uid, uint Gid, long Size, long Blocks, long Offset, long ByteOffset, long Mtime, long Ctime, byte[]? LinkName)
{
    /// <summary>Type bits of <see cref="Mode"/>; compared as a whole, never bit by bit (§3).</summary>
    public const uint KindMask = 0xF000;

    /// <summary>Type of a regular file.</summary>
    public const uint RegularFile = 0x8000;

    /// <summary>Type of a directory.</summary>
    public const uint Directory = 0x4000;

    /// <summary>Type of a symbolic link.</summary>
    public const uint Link = 0xA000;

    /// <summary>When the entry was made: the change time, and where there is none the modification time (§4).</summary>
    public long Time => Ctime != 0 ? Ctime : Mtime;
}

/// <summary>
/// One change of the metadata feed (hyperdrive.md §2): a put or a deletion, and the index of the directories along its name.
/// Immutable, so it may be cached for ever. A long index is not kept: <see cref="NodeSource"/> reads it again when it is wanted, for in a
/// directory of n entries each of n nodes names its siblings.
/// </summary>
/// <param name="Seq">Block index in the metadata feed, from 1.</param>
/// <param name="Parts">Components of the name; none for the root.</param>
/// <param name="IsPut">False = the node deletes its path.</param>
/// <param name="Stat">Null for a deletion, and for a put whose attributes cannot be read.</param>
/// <param name="Index">The index as stored (§2.2), checked; null when it is too long to be kept.</param>
internal sealed record HyperNode(long Seq, string[] Parts, bool IsPut, HyperStat? Stat, byte[]? Index)
{
    /// <summary>Leading components shared with a path.</summary>
    public int Common(ReadOnlySpan<string> path)
    {
        int count = Math.Min(path.Length, Parts.Length);
        for (int i = 0; i < count; i++)
            if (!string.Equals(Parts[i], path[i], StringComparison.Ordinal)) return i;
        return count;
    }

    /// <summary>True when the node's name goes through <paramref name="name"/> in the directory of its first <paramref name="depth"/> components.</summary>
    public bool IsAt(int depth, string name) => Parts.Length > depth && string.Equals(Parts[depth], name, StringComparison.Ordinal);

    /// <summary>The path of its first components.</summary>
    public DrivePath PathTo(int depth) => DrivePath.From("/" + string.Join('/', Parts, 0, depth));
}
