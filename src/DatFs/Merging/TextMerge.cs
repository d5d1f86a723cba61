using System.Text;

namespace DatFs.Merging;

/// <summary>
/// Merges two texts that began as one. Lines end with their "\n", so nothing of a file is lost. A change of one side is taken as it is; changes
/// of both that overlap or touch are one stretch, and contradict unless both made the same of it.
/// </summary>
internal static class TextMerge
{
    /// <summary>The merged text; null when changes contradict and <paramref name="union"/> is not asked for.</summary>
    /// <param name="before">What both began with.</param>
    /// <param name="first">One side; its lines come first in a union.</param>
    /// <param name="second">The other.</param>
    /// <param name="union">Where they contradict keep what both have of the stretch once, and each side's own lines.</param>
    public static string? Merge(string before, string first, string second, bool union)
    {
        if (first == second || second == before) return first;
        if (first == before) return second;
        Lines o = Lines.Of(before), a = Lines.Of(first), b = Lines.Of(second);
        List<LineChange> toFirst = LineDiff.Of(o, a), toSecond = LineDiff.Of(o, b);
        Output merged = new(first.Length + second.Length);
        for (int at = 0, i = 0, j = 0; ;)
        {
            int start = Math.Min(i < toFirst.Count ? toFirst[i].Start : o.Count, j < toSecond.Count ? toSecond[j].Start : o.Count);
            if (i == toFirst.Count && j == toSecond.Count)
            {
                merged.Append(o[at..]);
                return merged.ToString();
            }

            (int firstOf, int secondOf, int end) = (i, j, start);
            for (bool more = true; more;)
            {
                more = false;
                for (; i < toFirst.Count && toFirst[i].Start <= end; i++, more = true) end = Math.Max(end, toFirst[i].End);
                for (; j < toSecond.Count && toSecond[j].Start <= end; j++, more = true) end = Math.Max(end, toSecond[j].End);
            }

            merged.Append(o[at..start]);
            at = end;
            ReadOnlySpan<string> ours = a[Stretch(toFirst, firstOf, i, start, end)], theirs = b[Stretch(toSecond, secondOf, j, start, end)];
            if (i == firstOf) merged.Append(theirs);
            else if (j == secondOf || ours.SequenceEqual(theirs)) merged.Append(ours);
            else if (union) Unite(ours, theirs, merged);
            else return null;
        }
    }

    // Where a stretch [start, end) of the lines before lies in a side, of whose changes those from i to before j lie in it.
    private static Range Stretch(List<LineChange> changes, int i, int j, int start, int end)
    {
        int shift = i == 0 ? 0 : changes[i - 1].NewEnd - changes[i - 1].End;
        int shiftAfter = j == 0 ? 0 : changes[j - 1].NewEnd - changes[j - 1].End;
        return (start + shift)..(end + shiftAfter);
    }

    private static void Unite(ReadOnlySpan<string> ours, ReadOnlySpan<string> theirs, Output merged)
    {
        Lines a = new([.. ours]), b = new([.. theirs]);
        int at = 0;
        foreach (LineChange change in LineDiff.Of(a, b))
        {
            merged.Append(a[at..change.End]);
            merged.Append(b[change.NewStart..change.NewEnd]);
            at = change.End;
        }

        merged.Append(a[at..]);
    }

    // The last line of a file may have no end; it gets one where others follow.
    private sealed class Output(int capacity)
    {
        private readonly StringBuilder _text = new(capacity);

        public void Append(ReadOnlySpan<string> lines)
        {
            foreach (string line in lines)
            {
                if (_text.Length > 0 && _text[^1] != '\n') _text.Append('\n');
                _text.Append(line);
            }
        }

        public override string ToString() => _text.ToString();
    }
}
