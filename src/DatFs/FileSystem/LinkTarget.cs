using DatFs.Drives;

namespace DatFs.FileSystem;

/// <summary>Whether a link of somebody else may be followed (reliability.md §4: a stranger's archive cannot escape the mount).</summary>
internal static class LinkTarget
{
    /// <summary>
    /// True unless the target is relative and only climbs in front, at most to the root of the drive. ".." after a name counts
    /// as escaping wherever it would lead on paper: the name may be another link, and then it climbs from somewhere else.
    /// </summary>
    public static bool Escapes(DriveEntry link)
    {
        ReadOnlySpan<byte> target = link.LinkTarget.Span;
        if (target.IsEmpty || target[0] == (byte)'/' || target.Contains((byte)0)) return true;
        int depth = link.Path.Parent.Components().Length;
        bool named = false;
        foreach (Range part in target.Split((byte)'/'))
        {
            ReadOnlySpan<byte> component = target[part];
            if (component.IsEmpty || component.SequenceEqual("."u8)) continue;
            if (!component.SequenceEqual(".."u8)) named = true;
            else if (named || --depth < 0) return true;
        }

        return false;
    }
}
