using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>What lies at one path of one version: its own node, if it has one with attributes, and what stands for its children.</summary>
/// <param name="Own">The put of exactly this path; null = there is none.</param>
/// <param name="Newest">Newest node at or below the path.</param>
/// <param name="Children">Representatives of entries below, ascending.</param>
internal readonly record struct TreePlace(HyperNode? Own, HyperNode Newest, long[] Children)
{
    public bool Exists => Own is not null || Children.Length > 0;
}

/// <summary>
/// Look-ups in the tree of one version, as the index of its head tells (hyperdrive.md §2.3). Missing nodes of a level are asked for
/// together, newest first, and a look-up stops at its match (§7). Every step goes to a smaller sequence number, so a hostile index
/// cannot make it run in circles.
/// </summary>
internal sealed class AppendTree(NodeSource nodes, long head)
{
    /// <summary>Nodes asked for at a time.</summary>
    public const int MaxInFlight = 256;

    /// <summary>The place at a path; null when nothing of it is there.</summary>
    public async ValueTask<TreePlace?> FindAsync(string[] path, FetchPriority priority, CancellationToken ct)
    {
        if (head == 0) return null;
        HyperNode node = await nodes.GetAsync(head, priority, ct);
        while (true)
        {
            int common = node.Common(path);
            if (common == path.Length) return await PlaceAsync(node, path.Length, priority, ct);
            HyperNode? next = await MatchAsync(node, common, path[common], priority, ct);
            if (next is null) return null;
            node = next;
        }
    }

    /// <summary>The nodes of a directory's level, that of its own entry included, ascending (§2.3 "level").</summary>
    public async ValueTask<IReadOnlyList<HyperNode>> LevelAsync(string[] path, CancellationToken ct)
    {
        if (head == 0) return [];
        HyperNode node = await nodes.GetAsync(head, FetchPriority.Interactive, ct);
        while (true)
        {
            int common = node.Common(path);
            if (common == path.Length) return common < node.Levels.Length ? await LoadAsync(node.Levels[common], FetchPriority.Interactive, ct) : [];
            if (await MatchAsync(node, common, path[common], FetchPriority.Interactive, ct) is not { } next) return [];
            node = next;
        }
    }

    /// <summary>The places of all entries of a directory, given what stands for them.</summary>
    public async ValueTask<List<(string Name, TreePlace Place)>> ListAsync(TreePlace directory, int depth, FetchPriority priority, CancellationToken ct)
    {
        List<(string, TreePlace)> entries = new(directory.Children.Length);
        foreach (HyperNode node in await LoadAsync(directory.Children, priority, ct))
            entries.Add((node.Parts[depth], await PlaceAsync(node, depth + 1, priority, ct)));
        return entries;
    }

    // The node is the newest at or below the first `depth` components of its name.
    private async ValueTask<TreePlace> PlaceAsync(HyperNode node, int depth, FetchPriority priority, CancellationToken ct)
    {
        long[] level = depth < node.Levels.Length ? node.Levels[depth] : [];
        if (node.Parts.Length == depth)
            return new TreePlace(node.IsPut ? node : null, node, [.. level.Where(seq => seq != node.Seq)]);

        HyperNode? own = null;
        foreach (HyperNode kid in await LoadAsync(level, priority, ct))
        {
            if (kid.Parts.Length != depth) continue;
            own = kid;
            break;
        }

        return new TreePlace(own is { IsPut: true } ? own : null, node, own is null ? level : [.. level.Where(seq => seq != own.Seq)]);
    }

    private async ValueTask<HyperNode?> MatchAsync(HyperNode from, int depth, string name, FetchPriority priority, CancellationToken ct)
    {
        long[] level = depth < from.Levels.Length ? from.Levels[depth] : [];
        List<long>? missing = null;
        for (int i = level.Length - 1; i >= 0; i--)
        {
            if (level[i] == from.Seq) continue;
            if (!nodes.TryGet(level[i], out HyperNode node)) (missing ??= []).Add(level[i]);
            else if (IsAt(node, depth, name)) return node;
        }

        if (missing is null) return null;
        using CancellationTokenSource found = CancellationTokenSource.CreateLinkedTokenSource(ct);
        List<Task<HyperNode>> asked = [];
        int next = 0;
        try
        {
            while (next < missing.Count || asked.Count > 0)
            {
                while (next < missing.Count && asked.Count < MaxInFlight) asked.Add(nodes.GetAsync(missing[next++], priority, found.Token).AsTask());
                Task<HyperNode> first = await Task.WhenAny(asked);
                asked.Remove(first);
                HyperNode node = await first;
                if (IsAt(node, depth, name)) return node;
            }

            return null;
        }
        finally
        {
            await found.CancelAsync();
            foreach (Task<HyperNode> rest in asked) _ = rest.ContinueWith(static task => task.Exception, TaskScheduler.Default);
        }
    }

    private async ValueTask<IReadOnlyList<HyperNode>> LoadAsync(long[] seqs, FetchPriority priority, CancellationToken ct)
    {
        HyperNode[] loaded = new HyperNode[seqs.Length];
        List<(int Place, Task<HyperNode> Task)>? asked = null;
        for (int i = seqs.Length - 1; i >= 0; i--)
        {
            if (nodes.TryGet(seqs[i], out HyperNode node)) loaded[i] = node;
            else (asked ??= []).Add((i, nodes.GetAsync(seqs[i], priority, ct).AsTask()));
            if (asked is { Count: >= MaxInFlight })
            {
                foreach ((int place, Task<HyperNode> task) in asked) loaded[place] = await task;
                asked = null;
            }
        }

        foreach ((int place, Task<HyperNode> task) in asked ?? []) loaded[place] = await task;
        return loaded;
    }

    private static bool IsAt(HyperNode node, int depth, string name) => node.Parts.Length > depth && string.Equals(node.Parts[depth], name, StringComparison.Ordinal);
}
