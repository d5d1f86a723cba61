using DatFs.Crypto;

namespace DatMount.Simulation;

/// <summary>
/// What a database must answer, by the meaning of the words and brute force over all entries (hyperdb-multiwriter.md §7, §8, §11): no trie is
/// looked at. Of the entries that the heads cover, those of a key that no other of the same key covers.
/// </summary>
internal sealed class DatabaseOracle
{
    private readonly List<TrueEntry> _seen;
    private readonly Dictionary<string, List<TrueEntry>> _keys;

    /// <summary>Of what those see who have seen the heads.</summary>
    public DatabaseOracle(DatabaseTruth truth, IReadOnlyCollection<TrueEntry> heads)
    {
        Heads = heads;
        _seen = [.. truth.Writers.SelectMany(writer => writer.Entries).Where(entry => heads.Any(head => head == entry || head.Covers(entry)))];
        _keys = _seen.GroupBy(entry => entry.Key, StringComparer.Ordinal).ToDictionary(key => key.Key, key => Uncovered([.. key]), StringComparer.Ordinal);
    }

    public IReadOnlyCollection<TrueEntry> Heads { get; }

    /// <summary>Everything seen.</summary>
    public IReadOnlyList<TrueEntry> Seen => _seen;

    /// <summary>Keys seen, those with deletions only among them.</summary>
    public IEnumerable<string> Keys => _keys.Keys.Order(StringComparer.Ordinal);

    /// <summary>The heads of everything that was ever signed, for everybody who knows of all, and for the writer in addition who sees its own.</summary>
    public static TrueEntry[] NewestHeads(DatabaseTruth truth, TrueWriter? own)
    {
        // Whoever the source's list leads to (§7).
        List<TrueWriter> shown = [truth.Writers[0]];
        for (int at = 0; at < shown.Count; at++)
        {
            if (shown[at].Entries.Count == 0) continue;
            foreach (FeedKey key in shown[at].Entries[^1].List)
                if (truth.Find(key) is { } listed && !shown.Contains(listed)) shown.Add(listed);
        }

        if (own is not null && !shown.Contains(own)) shown.Add(own);
        return [.. Uncovered([.. shown.Where(writer => writer.Entries.Count > 0).Select(writer => writer.Entries[^1])])];
    }

    /// <summary>The entries of a key.</summary>
    public IReadOnlyList<TrueEntry> Get(string key, bool deletes = false) =>
        _keys.TryGetValue(key, out List<TrueEntry>? entries) && (deletes || IsLive(entries)) ? entries : [];

    /// <summary>Keys at and below a prefix of whole components.</summary>
    public IEnumerable<string> Under(string prefix, bool deletes)
    {
        string[] above = Components(prefix);
        return Keys.Where(key => key.Length > 0 && (deletes || IsLive(_keys[key])) && key.StartsWith(prefix, StringComparison.Ordinal) && Components(key).AsSpan().StartsWith(above));
    }

    /// <summary>Names one level below a key, each with what is of exactly that name, and whether anything is below it.</summary>
    public SortedDictionary<string, (IReadOnlyList<TrueEntry> Own, bool Below)> Names(string directory)
    {
        SortedDictionary<string, (IReadOnlyList<TrueEntry> Own, bool Below)> names = new(StringComparer.Ordinal);
        int depth = Components(directory).Length;
        foreach (string key in Under(directory, deletes: false))
        {
            string[] components = Components(key);
            if (components.Length == depth) continue;
            (IReadOnlyList<TrueEntry> own, bool below) = names.GetValueOrDefault(components[depth], ([], false));
            names[components[depth]] = components.Length == depth + 1 ? (_keys[key], below) : (own, true);
        }

        return names;
    }

    /// <summary>As a text that is the same for the same entries.</summary>
    public static string Text(IEnumerable<TrueEntry> entries) => string.Join(' ', entries.OrderBy(entry => entry.Writer.Number).ThenBy(entry => entry.Seq));

    private static bool IsLive(List<TrueEntry> entries) => entries.Exists(entry => !entry.Deleted);

    private static List<TrueEntry> Uncovered(List<TrueEntry> entries) => entries.FindAll(entry => !entries.Exists(other => other.Covers(entry)));

    private static string[] Components(string key) => key.Length == 0 ? [] : key.Split('/');
}
