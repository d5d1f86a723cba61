using DatFs.Crypto;
using DatFs.Drives;

namespace DatFs.Merging;

/// <summary>Orders that do not depend on who looks, or in which order entries arrived (hyperdb-multiwriter.md §16).</summary>
internal static class MergeOrder
{
    /// <summary>The default: who wins comes first. Live beats deleted, then the larger time, then the larger key.</summary>
    public static Comparer<MergeSide> WinnerFirst { get; } = Comparer<MergeSide>.Create(static (a, b) =>
    {
        if (a.Deleted != b.Deleted) return a.Deleted ? 1 : -1;
        int order = b.MtimeMs.CompareTo(a.MtimeMs);
        return order != 0 ? order : ByWriter!.Compare(b, a);
    });

    /// <summary>By the writers' keys as bytes, the smallest first.</summary>
    public static Comparer<MergeSide> ByWriter { get; } = Comparer<MergeSide>.Create(static (a, b) =>
    {
        int order = Compare(a.Writer, b.Writer);
        return order != 0 ? order : a.Seq.CompareTo(b.Seq);
    });

    public static int Compare(FeedKey a, FeedKey b)
    {
        Span<byte> left = stackalloc byte[FeedKey.Size], right = stackalloc byte[FeedKey.Size];
        a.CopyTo(left);
        b.CopyTo(right);
        return left.SequenceCompareTo(right);
    }

    /// <summary>Versions with something to show, by writer. A directory has its name by itself, so it is none.</summary>
    public static MergeSide[] Files(IEnumerable<MergeSide> sides) => [.. sides.Where(side => !side.Deleted && side.Kind != EntryKind.Directory).Order(ByWriter)];
}
