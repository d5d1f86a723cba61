using DatFs.Drives;

namespace DatFs.Merging;

/// <summary>
/// Settles versions of one file that writers made without knowing of each other (hyperdb-multiwriter.md §16): the public door of this folder,
/// and the library's callback. The folder owns the built-in strategies, the rules that give a path its strategy, the ancestor of a three-way
/// merge, and who writes a result when. Invariants: nothing is written but by <see cref="DriveMerging.CommitAsync"/>; with the same sides every
/// machine gets the same result, but for "ours" and commands; an archive names strategies and never commands. Used by the file system and by
/// hosts; any thread may call.
/// </summary>
public interface IMergeStrategy
{
    /// <summary>What rules call it, such as "text".</summary>
    string Name { get; }

    /// <summary>What a path shall hold: bytes, one of the sides, or nothing better than the default.</summary>
    /// <param name="path">The path; names in it are whatever the writers chose.</param>
    /// <param name="ancestor">What all sides began with.</param>
    /// <param name="sides">The versions, deletions too, in any order.</param>
    /// <param name="ct">Cancels.</param>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io: the bytes of a side cannot be had.</exception>
    ValueTask<MergeOutcome> ResolveAsync(DrivePath path, MergeBase ancestor, IReadOnlyList<MergeSide> sides, CancellationToken ct);
}

/// <summary>What a strategy answers: <see cref="Bytes"/>, or a <see cref="Side"/>, or neither.</summary>
public sealed record MergeOutcome
{
    private MergeOutcome()
    {
    }

    /// <summary>New content; null = none.</summary>
    public ReadOnlyMemory<byte>? Bytes { get; private init; }

    /// <summary>The version to be shown; null = none.</summary>
    public MergeSide? Side { get; private init; }

    /// <summary>Bytes that may be written without asking anybody: all sides are in them, and nothing contradicted.</summary>
    public bool IsClean { get; private init; }

    /// <summary>The strategy could not do its work, rather than found nothing.</summary>
    public bool Failed { get; private init; }

    /// <summary>Why there is no result, as a sentence; null = nothing to say.</summary>
    public string? Why { get; private init; }

    /// <summary>New content.</summary>
    /// <param name="bytes">All of it.</param>
    /// <param name="isClean">See <see cref="IsClean"/>.</param>
    public static MergeOutcome Merged(ReadOnlyMemory<byte> bytes, bool isClean) => new() { Bytes = bytes, IsClean = isClean };

    /// <summary>One of the versions as it is.</summary>
    public static MergeOutcome Pick(MergeSide side) => new() { Side = side };

    /// <summary>No result: the default is shown, and the conflict stays.</summary>
    public static MergeOutcome None(string? why = null) => new() { Why = why };

    /// <summary>No result, because something went wrong.</summary>
    public static MergeOutcome Failure(string why) => new() { Why = why, Failed = true };
}
