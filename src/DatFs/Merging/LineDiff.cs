using DiffPlex;
using DiffPlex.Model;

namespace DatFs.Merging;

/// <summary>Lines [<paramref name="Start"/>, <see cref="End"/>) of the old text became [<paramref name="NewStart"/>, <see cref="NewEnd"/>) of the new one.</summary>
internal readonly record struct LineChange(int Start, int Count, int NewStart, int NewCount)
{
    public int End => Start + Count;

    public int NewEnd => NewStart + NewCount;
}

/// <summary>The lines of a text, each with the "\n" that ends it.</summary>
internal readonly struct Lines(string[] lines)
{
    public int Count => lines.Length;

    public string this[int index] => lines[index];

    public ReadOnlySpan<string> this[Range range] => lines.AsSpan(range);

    public static Lines Of(string text)
    {
        List<string> lines = [];
        for (int start = 0; start < text.Length;)
        {
            int end = text.IndexOf('\n', start);
            end = end < 0 ? text.Length : end + 1;
            lines.Add(text[start..end]);
            start = end;
        }

        return new Lines([.. lines]);
    }
}

/// <summary>
/// What differs between two texts, by lines: the shortest description where that is found in time. Where much differs, lines that both have
/// exactly once are held fast and only what lies between them is searched; what would still take too long is one change.
/// </summary>
internal static class LineDiff
{
    /// <summary>Pairs of lines searched for one result: a fraction of a second.</summary>
    public const long MaxPairs = 16_000_000;

    /// <summary>The changes in order. Between any two lies at least one line that did not change.</summary>
    public static List<LineChange> Of(Lines before, Lines after)
    {
        int prefix = before[..].CommonPrefixLength(after[..]), shorter = Math.Min(before.Count, after.Count) - prefix, suffix = 0;
        while (suffix < shorter && before[before.Count - 1 - suffix] == after[after.Count - 1 - suffix]) suffix++;
        List<LineChange> changes = [];
        Search(before, prefix, before.Count - suffix, after, prefix, after.Count - suffix, changes);
        return Settle(before, after, changes);
    }

    private static void Search(Lines before, int start, int end, Lines after, int newStart, int newEnd, List<LineChange> changes)
    {
        long left = MaxPairs;
        if ((long)(end - start) * (newEnd - newStart) <= MaxPairs)
        {
            Between(before, start, end, after, newStart, newEnd, ref left, changes);
            return;
        }

        foreach ((int old, int now) in Fixed(before, start, end, after, newStart, newEnd))
        {
            Between(before, start, old, after, newStart, now, ref left, changes);
            (start, newStart) = (old + 1, now + 1);
        }

        Between(before, start, end, after, newStart, newEnd, ref left, changes);
    }

    private static void Between(Lines before, int start, int end, Lines after, int newStart, int newEnd, ref long left, List<LineChange> changes)
    {
        if (start == end && newStart == newEnd) return;
        long pairs = (long)(end - start) * (newEnd - newStart);
        if (pairs == 0 || pairs > left)
        {
            changes.Add(new LineChange(start, end - start, newStart, newEnd - newStart));
            return;
        }

        left -= pairs;
        DiffResult found = Differ.Instance.CreateDiffs(string.Concat(before[start..end]), string.Concat(after[newStart..newEnd]), ignoreWhiteSpace: false, ignoreCase: false, Chunker.Instance);
        foreach (DiffBlock block in found.DiffBlocks) changes.Add(new LineChange(start + block.DeleteStartA, block.DeleteCountA, newStart + block.InsertStartB, block.InsertCountB));
    }

    // The longest run of lines that stand once in each text, in the same order in both.
    private static List<(int Old, int New)> Fixed(Lines before, int start, int end, Lines after, int newStart, int newEnd)
    {
        Dictionary<string, int> olds = Once(before, start, end), news = Once(after, newStart, newEnd);
        List<(int Old, int New, int Previous)> met = [];
        List<int> tails = [];
        for (int old = start; old < end; old++)
        {
            if (olds[before[old]] < 0 || !news.TryGetValue(before[old], out int now) || now < 0) continue;
            int low = 0, high = tails.Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (met[tails[middle]].New < now) low = middle + 1;
                else high = middle;
            }

            met.Add((old, now, low == 0 ? -1 : tails[low - 1]));
            if (low == tails.Count) tails.Add(met.Count - 1);
            else tails[low] = met.Count - 1;
        }

        List<(int, int)> chain = [];
        for (int at = tails.Count == 0 ? -1 : tails[^1]; at >= 0; at = met[at].Previous) chain.Add((met[at].Old, met[at].New));
        chain.Reverse();
        return chain;
    }

    // Where each line stands; -1 = in several places.
    private static Dictionary<string, int> Once(Lines lines, int start, int end)
    {
        Dictionary<string, int> places = new(StringComparer.Ordinal);
        for (int i = start; i < end; i++)
            if (!places.TryAdd(lines[i], i)) places[lines[i]] = -1;
        return places;
    }

    // A line more or less in a run of equal ones may stand anywhere in it; the end is where both sides of a merge, and git, put it.
    private static List<LineChange> Settle(Lines before, Lines after, List<LineChange> changes)
    {
        List<LineChange> settled = [];
        for (int i = changes.Count - 1; i >= 0; i--)
        {
            LineChange change = changes[i];
            while (true)
            {
                if (settled.Count > 0 && settled[^1].Start <= change.End)
                {
                    LineChange next = settled[^1];
                    settled.RemoveAt(settled.Count - 1);
                    change = new LineChange(change.Start, next.End - change.Start, change.NewStart, next.NewEnd - change.NewStart);
                }

                bool slides = change.End < before.Count && change.NewEnd < after.Count
                    && ((change.Count == 0 && after[change.NewStart] == after[change.NewEnd]) || (change.NewCount == 0 && before[change.Start] == before[change.End]));
                if (!slides) break;
                change = change with { Start = change.Start + 1, NewStart = change.NewStart + 1 };
            }

            settled.Add(change);
        }

        settled.Reverse();
        return settled;
    }

    private sealed class Chunker : IChunker
    {
        public static Chunker Instance { get; } = new();

        public IReadOnlyList<string> Chunk(string text) => Lines.Of(text)[..].ToArray();
    }
}
