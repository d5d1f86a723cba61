using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>Which paths differ between two versions, as the nodes between them tell: only directories along their names can have changed (hyperdrive.md §7).</summary>
internal static class TreeChanges
{
    /// <summary>Nodes looked at; more of them count as "everything".</summary>
    public const int MaxNodes = 4096;

    /// <summary>Paths listed.</summary>
    public const int MaxPaths = 16 * 1024;

    // What is not held is not waited for.
    private static readonly CancellationToken s_held = new(canceled: true);

    /// <summary>The changed paths, each with those above it; null = unknown, treat everything as changed.</summary>
    public static IReadOnlyList<DrivePath>? Between(NodeSource nodes, HyperdriveView before, HyperdriveView after)
    {
        if (after.Version - before.Version > MaxNodes) return null;
        HashSet<DrivePath> changed = [];
        try
        {
            for (long seq = before.Version + 1; seq <= after.Version; seq++)
            {
                if (!nodes.TryGet(seq, out HyperNode node) || (!node.IsPut && LosesMore(nodes, node))) return null;
                DrivePath path = DrivePath.Root;
                foreach (string name in node.Parts)
                {
                    if (!EntryNames.IsUsable(name)) break;
                    path = path.Child(name);
                    changed.Add(path);
                    if (changed.Count > MaxPaths) return null;
                }
            }

            foreach (DrivePath path in changed.ToArray())
            {
                if (before.BesideOf(path) is { } then) changed.Add(then);
                if (after.BesideOf(path) is { } now) changed.Add(now);
            }
        }
        catch (DatException)
        {
            // What is broken is met again by whoever reads there.
            return null;
        }

        return [.. changed];
    }

    // A deletion of the reference may cut off a directory in which other files live (§2.5).
    private static bool LosesMore(NodeSource nodes, HyperNode deletion)
    {
        AppendTree then = new(nodes, deletion.Seq - 1), now = new(nodes, deletion.Seq);
        bool gone = false;
        for (int depth = 1; depth < deletion.Parts.Length; depth++)
        {
            string[] directory = deletion.Parts[..depth];
            if (!gone)
            {
                if (!TryHeld(now.FindAsync(directory, FetchPriority.Metadata, s_held), out TreePlace? left)) return true;
                gone = left is not { Exists: true };
            }

            if (!gone) continue;
            if (!TryHeld(then.NewestAsync(directory, FetchPriority.Metadata, s_held), out HyperNode? newest)) return true;
            if (newest is null) continue;
            if (!TryHeld(then.DirectoryAsync(newest, depth, FetchPriority.Metadata, s_held), out TreeDirectory was)) return true;
            if (was.Names.Count > (was.Names.ContainsKey(deletion.Parts[depth]) ? 1 : 0)) return true;
        }

        return false;
    }

    private static bool TryHeld<T>(ValueTask<T> answer, out T value)
    {
        bool held = answer.IsCompletedSuccessfully;
        value = held ? answer.Result : default!;
        return held;
    }
}
