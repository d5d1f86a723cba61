using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>What lies at one path: its own entry, if it has one, and whether something lies below it.</summary>
/// <param name="Own">The put of exactly this path; null = there is none.</param>
/// <param name="Newest">Newest node at or below the path: with the depth it stands for everything there, in whatever version.</param>
/// <param name="HasChildren">Something lies below.</param>
/// <param name="Time">When something at or below the path changed last, as far as its nodes tell; milliseconds since 1970, 0 = they don't.</param>
internal sealed record TreePlace(HyperNode? Own, HyperNode Newest, bool HasChildren, long Time)
{
    public bool Exists => Own is not null || HasChildren;
}

/// <summary>A directory read whole: what represents each of its names, and its own entry.</summary>
/// <param name="Own">The directory's own entry; a deletion or null = there is none.</param>
/// <param name="Names">Newest node at or below each name. Where a hostile index has two for one name, the newer.</param>
internal sealed record TreeDirectory(HyperNode? Own, Dictionary<string, long> Names);

/// <summary>
/// Look-ups in the tree of one version, as the index of its head tells (hyperdrive.md §2.3). A directory whose representatives are all held is
/// read once and answers from then on, in every version that shares it; of others only what is needed is asked for, all missing nodes
/// of a level together, and a look-up stops at its match (§7). Every step goes to a smaller sequence number, so a hostile index cannot
/// make it run in circles. Completes synchronously when nothing has to be fetched.
/// </summary>
internal sealed class AppendTree(NodeSource nodes, long head)
{
    /// <summary>Nodes asked for at a time.</summary>
    public const int MaxInFlight = 256;

    /// <summary>Directories of one listing looked at together.</summary>
    public const int MaxPlacesInFlight = 16;

    /// <summary>How deep a time is looked for below deletions.</summary>
    public const int MaxTimelessDepth = 64;

    private enum Order
    {
        NewestFirst,
        OldestFirst,
    }

    /// <summary>The place at a path; null when nothing of it is there.</summary>
    public async ValueTask<TreePlace?> FindAsync(string[] path, FetchPriority priority, CancellationToken ct) =>
        await NewestAsync(path, priority, ct) is { } node ? await PlaceAsync(node, path.Length, priority, ct) : null;

    /// <summary>The newest node at or below a path; null when there is none.</summary>
    public async ValueTask<HyperNode?> NewestAsync(string[] path, FetchPriority priority, CancellationToken ct)
    {
        if (head == 0) return null;
        HyperNode? node = await nodes.GetAsync(head, priority, ct);
        while (node is not null)
        {
            int common = node.Common(path);
            if (common == path.Length) return node;
            node = await StepAsync(node, common, path[common], priority, ct);
        }

        return null;
    }

    /// <summary>True when the place of the root can be told without waiting for a peer.</summary>
    public bool HoldsRoot()
    {
        if (head == 0 || nodes.Places.TryGet((head, 0), out _)) return true;
        if (!nodes.TryGet(head, out HyperNode node)) return false;
        ValueTask<long[]> level = nodes.LevelAsync(node, 0, FetchPriority.Interactive, CancellationToken.None);
        return level.IsCompletedSuccessfully && Array.TrueForAll(level.Result, nodes.IsHeld);
    }

    /// <summary>The nodes of a directory's level, that of its own entry included, ascending (§2.3 "level").</summary>
    public async ValueTask<IReadOnlyList<HyperNode>> LevelAsync(string[] path, CancellationToken ct) =>
        await NewestAsync(path, FetchPriority.Interactive, ct) is { } node
            ? await LoadAsync(await nodes.LevelAsync(node, path.Length, FetchPriority.Interactive, ct), FetchPriority.Interactive, ct)
            : [];

    /// <summary>The places of all names in a directory, in no order.</summary>
    public async ValueTask<List<(string Name, TreePlace Place)>> ListAsync(HyperNode newest, int depth, FetchPriority priority, CancellationToken ct)
    {
        TreeDirectory directory = await DirectoryAsync(newest, depth, priority, ct);
        List<(string Name, TreePlace Place)> entries = new(directory.Names.Count);
        List<(string Name, Task<TreePlace> Place)>? waiting = null;
        foreach ((string name, long seq) in directory.Names)
        {
            ValueTask<TreePlace> place = PlaceAsync(seq, depth + 1, priority, ct);
            if (place.IsCompletedSuccessfully)
            {
                entries.Add((name, place.Result));
                continue;
            }

            (waiting ??= []).Add((name, place.AsTask()));
            if (waiting.Count == MaxPlacesInFlight) await DrainAsync(waiting, entries);
        }

        if (waiting is not null) await DrainAsync(waiting, entries);
        return entries;
    }

    private static async ValueTask DrainAsync(List<(string Name, Task<TreePlace> Place)> waiting, List<(string Name, TreePlace Place)> entries)
    {
        await Task.WhenAll(waiting.Select(one => one.Place));
        foreach ((string name, Task<TreePlace> place) in waiting) entries.Add((name, await place));
        waiting.Clear();
    }

    private async ValueTask<TreePlace> PlaceAsync(long seq, int depth, FetchPriority priority, CancellationToken ct) =>
        nodes.Places.TryGet((seq, depth), out TreePlace? known) ? known : await PlaceAsync(await nodes.GetAsync(seq, priority, ct), depth, priority, ct);

    // The node is the newest at or below the first `depth` components of its name.
    private async ValueTask<TreePlace> PlaceAsync(HyperNode node, int depth, FetchPriority priority, CancellationToken ct)
    {
        if (nodes.Places.TryGet((node.Seq, depth), out TreePlace? known)) return known;
        long[] level = await nodes.LevelAsync(node, depth, priority, ct);
        HyperNode? own = node.Parts.Length == depth ? node : null;
        bool hasChildren = own is not null ? level.AsSpan().ContainsAnyExcept(node.Seq) : level.Length > 0;
        long time = node.Stat?.Time ?? 0;
        try
        {
            if (own is null)
            {
                own = await OwnAsync(node, depth, level, priority, ct);
                if (own is not null) hasChildren = level.Length > 1;
            }

            if (own is { IsPut: false }) own = null;
            if (node.Stat is null && own is null && hasChildren) time = await TimeBelowAsync(level, depth, priority, ct);
        }
        catch (DatException broken) when (broken.Error == DatError.Corrupt && hasChildren)
        {
            // What is broken in a directory is told by its listing; the directory itself is there.
        }

        TreePlace place = new(own, node, hasChildren, time);
        nodes.Places.AddOrUpdate((node.Seq, depth), place);
        return place;
    }

    // The entry of a directory itself. Most often it is the first one, made before anything was put into the directory.
    private ValueTask<HyperNode?> OwnAsync(HyperNode newest, int depth, long[] level, FetchPriority priority, CancellationToken ct)
    {
        if (level is [long only] && only == newest.Seq) return ValueTask.FromResult<HyperNode?>(null);
        if (nodes.Directories.TryGet((newest.Seq, depth), out TreeDirectory? directory)) return ValueTask.FromResult(directory.Own);
        return FirstAsync(newest, level, Order.OldestFirst, depth, null, priority, ct);
    }

    // A deletion tells no time; what it left does.
    private async ValueTask<long> TimeBelowAsync(long[] level, int depth, FetchPriority priority, CancellationToken ct)
    {
        long time = 0;
        foreach (HyperNode kid in await LoadAsync(level, priority, ct))
        {
            bool deeper = !kid.IsPut && kid.Parts.Length > depth && depth < MaxTimelessDepth;
            time = Math.Max(time, deeper ? (await PlaceAsync(kid, depth + 1, priority, ct)).Time : kid.Stat?.Time ?? 0);
        }

        return time;
    }

    // From a node to the newest one at or below another name of a directory that both names share.
    private async ValueTask<HyperNode?> StepAsync(HyperNode from, int depth, string name, FetchPriority priority, CancellationToken ct)
    {
        if (!nodes.Directories.TryGet((from.Seq, depth), out TreeDirectory? directory))
        {
            long[] level = await nodes.LevelAsync(from, depth, priority, ct);
            if (!Array.TrueForAll(level, nodes.IsHeld)) return await FirstAsync(from, level, Order.NewestFirst, depth, name, priority, ct);
            directory = await DirectoryAsync(from, depth, priority, ct);
        }

        return directory.Names.TryGetValue(name, out long seq) ? await nodes.GetAsync(seq, priority, ct) : null;
    }

    /// <summary>A directory, given the newest node at or below it.</summary>
    public async ValueTask<TreeDirectory> DirectoryAsync(HyperNode newest, int depth, FetchPriority priority, CancellationToken ct)
    {
        if (nodes.Directories.TryGet((newest.Seq, depth), out TreeDirectory? known)) return known;
        HyperNode[] level = await LoadAsync(await nodes.LevelAsync(newest, depth, priority, ct), priority, ct);
        HyperNode? own = null;
        Dictionary<string, long> names = new(level.Length, StringComparer.Ordinal);
        for (int i = level.Length - 1; i >= 0; i--)
        {
            if (!IsBelow(newest, depth, level[i])) continue;
            if (level[i].Parts.Length > depth) names.TryAdd(level[i].Parts[depth], level[i].Seq);
            else own ??= level[i];
        }

        TreeDirectory directory = new(own, names);
        nodes.Directories.Add((newest.Seq, depth), directory, names.Count);
        return directory;
    }

    /// <summary>The first node found that goes through a name, or with no name the directory's own; of those held the first in order.</summary>
    private async ValueTask<HyperNode?> FirstAsync(HyperNode from, long[] level, Order order, int depth, string? name, FetchPriority priority, CancellationToken ct)
    {
        List<long>? missing = null;
        for (int i = 0; i < level.Length; i++)
        {
            long seq = order == Order.OldestFirst ? level[i] : level[^(i + 1)];
            if (seq == from.Seq) continue;
            if (!nodes.TryGet(seq, out HyperNode node)) (missing ??= []).Add(seq);
            else if (Matches(node)) return node;
        }

        return missing is null ? null : await FetchFirstAsync(missing, Matches, priority, ct);

        bool Matches(HyperNode node) => (name is null ? node.Parts.Length == depth : node.IsAt(depth, name)) && IsBelow(from, depth, node);
    }

    // A representative lies in the directory it is found in, unless the index is hostile.
    private static bool IsBelow(HyperNode directory, int depth, HyperNode node) => node.Common(directory.Parts.AsSpan(0, depth)) == depth;

    private async ValueTask<HyperNode?> FetchFirstAsync(List<long> missing, Func<HyperNode, bool> matches, FetchPriority priority, CancellationToken ct)
    {
        using CancellationTokenSource found = CancellationTokenSource.CreateLinkedTokenSource(ct);
        HashSet<Task<HyperNode>> asked = [];
        int next = 0;
        try
        {
            while (next < missing.Count || asked.Count > 0)
            {
                while (next < missing.Count && asked.Count < MaxInFlight) asked.Add(nodes.GetAsync(missing[next++], priority, found.Token).AsTask());
                Task<HyperNode> first = await Task.WhenAny(asked);
                asked.Remove(first);
                HyperNode node = await first;
                if (matches(node)) return node;
            }

            return null;
        }
        finally
        {
            found.Cancel();
            // Their outcome is of no interest any more.
            foreach (Task<HyperNode> rest in asked) _ = rest.ContinueWith(static task => task.Exception, TaskScheduler.Default);
        }
    }

    private async ValueTask<HyperNode[]> LoadAsync(long[] seqs, FetchPriority priority, CancellationToken ct)
    {
        HyperNode[] loaded = new HyperNode[seqs.Length];
        List<(int Place, Task<HyperNode> Task)>? asked = null;
        for (int i = seqs.Length - 1; i >= 0; i--)
        {
            if (nodes.TryGet(seqs[i], out HyperNode node))
            {
                loaded[i] = node;
                continue;
            }

            (asked ??= []).Add((i, nodes.GetAsync(seqs[i], priority, ct).AsTask()));
            if (asked.Count == MaxInFlight) await CollectAsync(asked, loaded);
        }

        if (asked is not null) await CollectAsync(asked, loaded);
        return loaded;
    }

    private static async ValueTask CollectAsync(List<(int Place, Task<HyperNode> Task)> asked, HyperNode[] into)
    {
        await Task.WhenAll(asked.Select(one => one.Task));
        foreach ((int place, Task<HyperNode> task) in asked) into[place] = await task;
        asked.Clear();
    }
}
