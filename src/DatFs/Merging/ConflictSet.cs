using DatFs.Crypto;
using DatFs.Drives;
using DatFs.Drives.Hyperdb;

namespace DatFs.Merging;

/// <summary>A version that is not shown under its own name.</summary>
/// <param name="Side">The version.</param>
/// <param name="Name">The name beside the path, legal everywhere; null for a deletion, and where no name is free.</param>
public readonly record struct ConflictCopy(MergeSide Side, string? Name);

/// <summary>What a directory shows of a path that has several versions (hyperdb-multiwriter.md §16). The same on every machine, but for labels.</summary>
public sealed record ConflictSet
{
    /// <summary>A winner so much later than now is worth a warning: a wrong clock can win for long.</summary>
    public static readonly TimeSpan WrongClock = TimeSpan.FromDays(1);

    /// <summary>What the path itself shows; null when nothing is left, and for a directory that only exists because something lies below it.</summary>
    public MergeSide? Winner { get; private init; }

    /// <summary>The path is a directory.</summary>
    public bool IsDirectory { get; private init; }

    /// <summary>What lost, in the order of winning, the deletions last. None when there is no conflict.</summary>
    public IReadOnlyList<ConflictCopy> Losers { get; private init; } = [];

    /// <summary>Looks at a path.</summary>
    /// <param name="name">The last component of the path.</param>
    /// <param name="sides">What is visible of it, in any order.</param>
    /// <param name="chosen">The version that a strategy shows; null = the default. Not for directories, which have their name by themselves.</param>
    /// <param name="options">What else lies there.</param>
    public static ConflictSet Of(string name, IReadOnlyList<MergeSide> sides, MergeSide? chosen, ConflictSetOptions options)
    {
        MergeSide[] order = [.. sides.Order(MergeOrder.WinnerFirst)], files = [.. order.Where(side => !side.Deleted && side.Kind != EntryKind.Directory)];
        MergeSide? directory = Array.Find(order, side => !side.Deleted && side.Kind == EntryKind.Directory);
        bool isDirectory = options.HasChildren || directory is not null;
        MergeSide? winner = isDirectory ? directory : chosen is not null && files.Contains(chosen) ? chosen : files.FirstOrDefault();
        if (!isDirectory && winner is null) return new ConflictSet();
        HashSet<string> taken = ConflictNames.Taken(options.Names);
        List<MergeSide> shown = isDirectory ? [] : [winner!];
        List<ConflictCopy> losers = [];
        foreach (MergeSide side in files)
        {
            // Once is enough for the same bytes, whether they won or lost.
            if (shown.Exists(one => one == side || options.IsSameContent(one, side))) continue;
            shown.Add(side);
            losers.Add(new ConflictCopy(side, ConflictNames.Take(name, side.Writer, side.Seq, side.MtimeMs, options.LabelOf(side.Writer), taken)));
        }

        // What lies below keeps a directory whose own entry is gone: nobody lost anything.
        if (winner is not null || losers.Count > 0) losers.AddRange(order.Where(side => side.Deleted).Select(side => new ConflictCopy(side, null)));
        return new ConflictSet { Winner = winner, IsDirectory = isDirectory, Losers = losers };
    }

    /// <summary>True when the winner's time lies so far ahead that a clock must have been wrong.</summary>
    public bool HasWrongClock(DateTimeOffset now) => Winner is { } winner && winner.MtimeMs > (now + WrongClock).ToUnixTimeMilliseconds();
}

/// <summary>What a <see cref="ConflictSet"/> depends on besides the versions.</summary>
public sealed record ConflictSetOptions
{
    /// <summary>Something lies below the path, so it is a directory.</summary>
    public bool HasChildren { get; init; }

    /// <summary>Names that the directory shows already; a copy never takes one.</summary>
    public IEnumerable<string> Names { get; init; } = [];

    /// <summary>Two versions have the same bytes for certain.</summary>
    public Func<MergeSide, MergeSide, bool> IsSameContent { get; init; } = static (_, _) => false;

    /// <summary>What this machine's user calls a writer; null = nothing.</summary>
    public Func<FeedKey, string?> LabelOf { get; init; } = static _ => null;
}
