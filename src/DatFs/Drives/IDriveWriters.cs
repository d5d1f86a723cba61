using DatFs.Crypto;

namespace DatFs.Drives;

/// <summary>One who writes a drive, or this machine's own key that may not yet (hyperdb-multiwriter.md §10, §16).</summary>
/// <param name="Key">The public key of the writer's feed.</param>
/// <param name="Own">It is this machine's.</param>
/// <param name="Authorized">What it writes is shown to others.</param>
/// <param name="Entries">Changes it has made, as far as is known.</param>
public sealed record DriveWriterFacts(FeedKey Key, bool Own, bool Authorized, long Entries)
{
    /// <summary>What this machine's user calls it.</summary>
    public string? Label { get; init; }

    /// <summary>Who let it write; null for whoever made the drive.</summary>
    public FeedKey? AuthorizedBy { get; init; }

    /// <summary>The entry of that writer which did.</summary>
    public long AuthorizedAt { get; init; }

    /// <summary>Time of its newest change, milliseconds since 1970; null when none tells one.</summary>
    public long? LastMs { get; init; }

    /// <summary>The first of its entries that is left out of this machine's view; null = none is.</summary>
    public long? IgnoredFrom { get; init; }
}

/// <summary>One of several versions of a path that nobody has merged yet.</summary>
/// <param name="Writer">Who wrote it.</param>
/// <param name="Seq">The entry in that writer's feed.</param>
/// <param name="Deleted">It is a deletion.</param>
/// <param name="Size">Bytes.</param>
/// <param name="MtimeMs">Milliseconds since 1970.</param>
public sealed record DriveSide(FeedKey Writer, long Seq, bool Deleted, long Size, long MtimeMs)
{
    /// <summary>Where it can be read: the path itself for the one that won, the name beside it for one that lost; null for a deletion.</summary>
    public DrivePath? Shown { get; init; }
}

/// <summary>A path of which writers have made different versions without knowing of each other.</summary>
/// <param name="Path">The path.</param>
/// <param name="Sides">The one that is shown first, then the others.</param>
public sealed record DriveConflict(DrivePath Path, IReadOnlyList<DriveSide> Sides);

/// <summary>The writers of a drive that has several, and what they disagree about (hyperdb-multiwriter.md §10, §16). Any thread may call.</summary>
public interface IDriveWriters
{
    /// <summary>Characters that a label may have.</summary>
    const int MaxLabel = 64;

    /// <summary>The key that others must authorize before what this machine writes is shown; null when it has none.</summary>
    FeedKey? OwnKey { get; }

    /// <summary>What this machine writes is shown to others.</summary>
    bool IsAuthorized { get; }

    /// <summary>Decides which version of a conflict is shown on this machine; null = the default rule.</summary>
    IConflictChoice? Choice { get; set; }

    /// <summary>Everybody, the maker of the drive first.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    ValueTask<IReadOnlyList<DriveWriterFacts>> ListAsync(CancellationToken ct);

    /// <summary>Lets somebody write, for ever. False when they may already.</summary>
    /// <exception cref="DatException">NotWritable, Unsupported (too many writers), Offline, TimedOut, Corrupt, Io.</exception>
    ValueTask<bool> AuthorizeAsync(FeedKey key, CancellationToken ct);

    /// <summary>Notes what this machine's user calls a writer; null = nothing any more.</summary>
    /// <exception cref="DatException">NotFound: no such writer. Invalid: not a label. Io.</exception>
    void Label(FeedKey key, string? label);

    /// <summary>Leaves a writer's entries from a number on out of this machine's view; null = none any more. Nothing is revoked or hidden from others.</summary>
    /// <exception cref="DatException">NotFound: no such writer. Invalid: one's own, or a number below 1. Io.</exception>
    void Ignore(FeedKey key, long? from);

    /// <summary>Every path with several versions, in no particular order.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    IAsyncEnumerable<DriveConflict> ConflictsAsync(CancellationToken ct);
}
