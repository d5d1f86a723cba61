namespace DatFs.Drives.Hyperdb;

/// <summary>One name below a key that has live keys below or at it.</summary>
/// <param name="Name">The component.</param>
/// <param name="Own">The key of exactly this name, when it is live; else null.</param>
/// <param name="Below">A live key further below, when there is one: the first that was met.</param>
public sealed record DatabaseName(string Name, DatabaseKey? Own, DatabaseKey? Below);

/// <summary>
/// Names one level below a key (hyperdb-multiwriter.md §11). Goes below each name only until something live is met, so a directory costs
/// about as many reads as it has names, and not as many as there are files below it.
/// </summary>
public sealed partial class DatabaseView
{
    /// <summary>The distinct next components of all live keys below a key, in no particular order.</summary>
    /// <remarks>Of two directories whose names have the same hash one may be missing; no two names have by chance.</remarks>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<IReadOnlyList<DatabaseName>> ListAsync(string key, CancellationToken ct)
    {
        string parent = KeyPath.Normalise(key);
        KeyPath path = KeyPath.Of(parent);
        int start = path.Length - 1, boundary = start + KeyPath.ComponentDigits;
        string prefix = path.Components == 0 ? "" : parent.EndsWith('/') ? parent : parent + "/";
        List<DatabaseName> names = [];
        Stack<TrieGroup> open = new();
        if (await _walk.DescendAsync(TrieWalk.Root(_heads), path, start, ct) is { } root) open.Push(root);
        while (open.TryPop(out TrieGroup? group))
        {
            // The key itself is not below itself.
            if (group.Digit == KeyPath.End && group.Index == start + 1) continue;
            DatabaseEntry[] entries = await _walk.EntriesAsync(group, ct);
            int fork = TrieWalk.NextFork(entries, group.Index);
            if (fork >= boundary)
            {
                await NameAsync(group, entries, fork, prefix, boundary, names, ct);
                continue;
            }

            foreach (TrieGroup? child in TrieWalk.Split(entries, fork))
                if (child is not null) open.Push(child);
        }

        return names;
    }

    /// <summary>The first live key that lies below a key, null when there is none.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public async ValueTask<DatabaseKey?> FirstBelowAsync(string key, CancellationToken ct)
    {
        string parent = KeyPath.Normalise(key);
        KeyPath path = KeyPath.Of(parent);
        string prefix = path.Components == 0 ? "" : parent.EndsWith('/') ? parent : parent + "/";
        TrieGroup? group = await _walk.DescendAsync(TrieWalk.Root(_heads), path, path.Length - 1, ct);
        return group is null ? null : await FirstLiveAsync([group], prefix, path.Length, ct);
    }

    private async ValueTask NameAsync(TrieGroup group, DatabaseEntry[] entries, int fork, string prefix, int boundary, List<DatabaseName> names, CancellationToken ct)
    {
        List<DatabaseKey> own = [];
        List<TrieGroup> below = [group];
        if (fork == boundary)
        {
            TrieGroup?[] children = TrieWalk.Split(entries, fork);
            if (children[KeyPath.End] is { } end) own.AddRange(Keys(await _walk.EntriesAsync(end, ct)).Where(key => key.IsLive && IsChild(key.Key, prefix)));
            below = [.. children[..KeyPath.End].OfType<TrieGroup>()];
        }

        DatabaseKey? first = below.Count == 0 ? null : await FirstLiveAsync(below, prefix, boundary + 1, ct);
        string? name = first is null ? null : NameOf(first.Key, prefix);
        foreach (DatabaseKey key in own) names.Add(new DatabaseName(NameOf(key.Key, prefix), key, NameOf(key.Key, prefix) == name ? first : null));
        if (first is not null && !own.Exists(key => NameOf(key.Key, prefix) == name)) names.Add(new DatabaseName(name!, null, first));
    }

    // Paths that end before the given length are not below.
    private async ValueTask<DatabaseKey?> FirstLiveAsync(IEnumerable<TrieGroup> groups, string prefix, int longerThan, CancellationToken ct)
    {
        Stack<TrieGroup> open = new(groups);
        while (open.TryPop(out TrieGroup? group))
        {
            DatabaseEntry[] entries = await _walk.EntriesAsync(group, ct);
            if (group.Digit == KeyPath.End)
            {
                if (group.Index > longerThan && Keys(entries).FirstOrDefault(key => key.IsLive && key.Key.StartsWith(prefix, StringComparison.Ordinal)) is { } found) return found;
                continue;
            }

            foreach (TrieGroup? child in TrieWalk.Split(entries, TrieWalk.NextFork(entries, group.Index)))
                if (child is not null) open.Push(child);
        }

        return null;
    }

    private static bool IsChild(string key, string prefix) => key.StartsWith(prefix, StringComparison.Ordinal);

    internal static string NameOf(string key, string prefix)
    {
        ReadOnlySpan<char> rest = key.AsSpan(prefix.Length);
        if (prefix.Length == 0 && rest.StartsWith("/")) rest = rest[1..];
        int end = rest.IndexOf('/');
        return (end < 0 ? rest : rest[..end]).ToString();
    }
}
