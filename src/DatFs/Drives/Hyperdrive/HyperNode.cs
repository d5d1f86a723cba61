namespace DatFs.Drives.Hyperdrive;

/// <summary>The attributes a put carries (hyperdrive.md §3). Times are milliseconds since 1970, offsets blocks and bytes of the content feed.</summary>
internal sealed record HyperStat(uint Mode, uint Uid, uint Gid, long Size, long Blocks, long Offset, long ByteOffset, long Mtime, long Ctime, byte[]? LinkName);

/// <summary>
/// One change of the metadata feed (hyperdrive.md §2): a put (with attributes) or a deletion, and the index of the directories along its name.
/// Immutable, so it may be cached for ever.
/// </summary>
/// <param name="Seq">Block index in the metadata feed, from 1.</param>
/// <param name="Parts">Components of the name; none for the root.</param>
/// <param name="Stat">Null = the node deletes its path.</param>
/// <param name="Levels">One ascending list of representatives for each directory along the name (§2.2).</param>
internal sealed record HyperNode(long Seq, string[] Parts, HyperStat? Stat, long[][] Levels)
{
    public bool IsPut => Stat is not null;

    /// <summary>The representatives in the directory of the first <paramref name="depth"/> components; none when there is no such level.</summary>
    public ReadOnlySpan<long> Level(int depth) => depth < Levels.Length ? Levels[depth] : [];

    /// <summary>Leading components shared with a path.</summary>
    public int Common(ReadOnlySpan<string> path)
    {
        int count = Math.Min(path.Length, Parts.Length);
        for (int i = 0; i < count; i++)
            if (!string.Equals(Parts[i], path[i], StringComparison.Ordinal)) return i;
        return count;
    }

    public string PathTo(int depth) => "/" + string.Join('/', Parts, 0, depth);
}
