using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Drives;

/// <summary>
/// A shared folder in one of the formats, as the file system sees it (architecture rule 2): the public door of this folder.
/// The file system never asks which format it is. Views are immutable; "live" is the newest view, replaced atomically.
/// </summary>
public interface IDrive : IAsyncDisposable
{
    /// <summary>The drive's key.</summary>
    FeedKey Key { get; }

    /// <summary>Name of the format for status output: "hyperdrive", "hyperdb".</summary>
    string Format { get; }

    /// <summary>This machine may write.</summary>
    bool Writable { get; }

    /// <summary>The newest view that is usable without waiting for its head; version 0 (empty) until metadata arrives.</summary>
    IDriveView Live { get; }

    /// <summary>
    /// Completes with the live view once the drive's kind and newest metadata head are known, or once it is certain that
    /// the drive is empty; throws <see cref="DatException"/> Offline or TimedOut. Immediate when metadata is held.
    /// </summary>
    ValueTask<IDriveView> ReadyAsync(CancellationToken ct);

    /// <summary>The drive as it was at a version; <see cref="DatError.NotFound"/> when there is none (yet).</summary>
    ValueTask<IDriveView> CheckoutAsync(long version, CancellationToken ct);

    /// <summary>The newest version whose time is not after <paramref name="time"/>.</summary>
    ValueTask<long> VersionAtAsync(DateTimeOffset time, CancellationToken ct);

    /// <summary>
    /// The version that a text names which means the same on every machine, or a short alias of one that was shown here (hyperdb-multiwriter.md §11);
    /// null when it is no such text.
    /// </summary>
    /// <exception cref="DatException">Invalid, NotFound (an unknown writer), Offline, TimedOut, Corrupt, Io.</exception>
    ValueTask<long?> VersionOfAsync(string text, CancellationToken ct) => ValueTask.FromResult<long?>(null);

    /// <summary>Changes, newest first: each before all that its writer had seen. With a path only those of it.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    IAsyncEnumerable<DriveLogEntry> LogAsync(DrivePath? path, CancellationToken ct);

    /// <summary>Hears of every new live view, in order, on a thread of the drive's: return at once.</summary>
    IDisposable Observe(Action<DriveChange> observer);

    /// <summary>Facts for status output.</summary>
    DriveStatus Status { get; }

    /// <summary>Changes the drive; null where this version can only read its format, and while the format is not known. Whether this machine may is <see cref="Writable"/>.</summary>
    IDriveWriter? Writer => null;

    /// <summary>The writers of a drive that may have several; null on one that has but one, and while that is not known.</summary>
    IDriveWriters? Writers => null;
}

/// <summary>A step from one live view to the next. Paths are those whose entry appeared, changed or went; everything else is the same in both.</summary>
/// <param name="Before">The view replaced.</param>
/// <param name="After">The view that is live now.</param>
/// <param name="Paths">Changed paths; null = unknown, treat everything as changed.</param>
public sealed record DriveChange(IDriveView Before, IDriveView After, IReadOnlyList<DrivePath>? Paths)
{
    /// <summary>Of what changed, the paths that had several versions before or have them after; null = unknown. Known also where <see cref="Paths"/> is not, for copies stand beside them.</summary>
    public IReadOnlyList<DrivePath>? Disputed { get; init; } = Paths is null ? null : [];
}

/// <summary>Facts for status output. Sizes in bytes.</summary>
public sealed record DriveStatus(long Version, long MetadataLength, long MetadataHeld, long ContentLength, long ContentHeld, long ContentBytes)
{
    /// <summary>What names the newest version on every machine, in hex; null where its number does.</summary>
    public string? VersionText { get; init; }

    /// <summary>A short form of that, known on this machine only.</summary>
    public string? VersionAlias { get; init; }

    /// <summary>Entries met so far that are hidden because no file system can show them (reliability.md §4).</summary>
    public int HiddenNames { get; init; }

    /// <summary>Why the drive cannot be written here although its owner's folder is, as a sentence for the user; null = no such reason.</summary>
    public string? ReadOnlyBecause { get; init; }
}

/// <summary>A drive at one version: same questions, same answers for ever.</summary>
public interface IDriveView
{
    /// <summary>The drive's version number.</summary>
    long Version { get; }

    /// <summary>When the version was made, as far as its entries tell; the Unix epoch when they tell nothing.</summary>
    DateTimeOffset Time { get; }

    /// <summary>The entry at a path, null when there is none. Completes synchronously when the metadata for it is held. The root always exists.</summary>
    ValueTask<DriveEntry?> FindAsync(DrivePath path, CancellationToken ct);

    /// <summary>
    /// The entries of a directory in ordinal order of their UTF-8 names, unusable names left out (the gate of reliability.md §4), null when it does not exist.
    /// Synchronous when the metadata for it is held.
    /// </summary>
    ValueTask<IReadOnlyList<DriveEntry>?> ListAsync(DrivePath path, CancellationToken ct);

    /// <summary>The bytes of a file entry of this drive.</summary>
    IFileContent OpenContent(DriveEntry entry);

    /// <summary>Number of live files, where known without reading metadata that is not held; for statfs.</summary>
    long? KnownEntries { get; }
}

/// <summary>What an entry is, after masking (reliability.md §4): everything that is not a directory or a link with a target is a file.</summary>
public enum EntryKind : byte
{
    /// <summary>Regular file.</summary>
    File,
    /// <summary>Directory, explicit or implicit.</summary>
    Directory,
    /// <summary>Symbolic link with a target.</summary>
    Symlink,
}

/// <summary>One name in a directory of one view. Immutable; equal <see cref="Identity"/> means equal content and attributes, across views too.</summary>
public sealed record DriveEntry
{
    /// <summary>Where it lies.</summary>
    public required DrivePath Path { get; init; }
    /// <summary>What it is.</summary>
    public required EntryKind Kind { get; init; }
    /// <summary>Permission bits, at most 0777.</summary>
    public required uint Mode { get; init; }
    /// <summary>Stored owner, or null when the format or the entry has none.</summary>
    public uint? Uid { get; init; }
    /// <summary>Stored group, or null.</summary>
    public uint? Gid { get; init; }
    /// <summary>Claimed size in bytes; for links the length of the target.</summary>
    public long Size { get; init; }
    /// <summary>Modification time, milliseconds since 1970.</summary>
    public long MtimeMs { get; init; }
    /// <summary>Change time, milliseconds since 1970.</summary>
    public long CtimeMs { get; init; }
    /// <summary>Target of a link, UTF-8, as stored.</summary>
    public ReadOnlyMemory<byte> LinkTarget { get; init; }
    /// <summary>Number of the entry in the writer's feed (user.dat.seq); -1 for implicit directories.</summary>
    public long Seq { get; init; } = -1;
    /// <summary>The writer (user.dat.writer); null on single-writer drives.</summary>
    public string? Writer { get; init; }
    /// <summary>Versions of other writers that nobody has merged with this one, deletions too (user.dat.conflict).</summary>
    public int Losers { get; init; }
    /// <summary>Compares equal exactly when content and attributes are the same.</summary>
    public required object Identity { get; init; }
    /// <summary>The format's own record (content range and the like); opaque outside the format's folder.</summary>
    public object? FormatState { get; init; }
}

/// <summary>The bytes of one file at one version. Not disposed: it holds nothing but references into the drive.</summary>
public interface IFileContent
{
    /// <summary>Claimed size in bytes; reads never give more.</summary>
    long Size { get; }

    /// <summary>
    /// Reads [offset, offset+length) clipped to <see cref="Size"/>; empty at or past the end. Fewer bytes than that never come:
    /// missing data is <see cref="DatError.Corrupt"/>, or Offline/TimedOut. Synchronous when the blocks are held.
    /// </summary>
    ValueTask<ContentLease> ReadAsync(long offset, int length, FetchPriority priority, CancellationToken ct);

    /// <summary>Fetches ahead of a reader without waiting, at most the given range.</summary>
    void Prefetch(long offset, long length, FetchPriority priority);

    /// <summary>How many bytes of the file are held here, as far as known without reading from the network.</summary>
    long LocalBytes();

    /// <summary>Number of blocks (user.dat.blocks).</summary>
    long Blocks { get; }
}
