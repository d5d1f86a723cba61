using DatFs.Crypto;
using DatFs.Drives;

namespace DatFs.Merging;

/// <summary>One writer's version of a path: its attributes, and its bytes for whoever asks.</summary>
public sealed class MergeSide
{
    private readonly IFileContent? _content;

    /// <summary>A version.</summary>
    /// <param name="facts">Who wrote it, and its size and time.</param>
    /// <param name="kind">What it is; of no meaning for a deletion.</param>
    /// <param name="mode">Permission bits.</param>
    /// <param name="content">The bytes of a file; null = it has none.</param>
    public MergeSide(DriveSide facts, EntryKind kind, uint mode, IFileContent? content)
    {
        (Facts, Kind, Mode, _content) = (facts, kind, mode, content);
    }

    /// <summary>As conflicts list it.</summary>
    public DriveSide Facts { get; }

    /// <summary>Who wrote it.</summary>
    public FeedKey Writer => Facts.Writer;

    /// <summary>The entry in the writer's feed.</summary>
    public long Seq => Facts.Seq;

    /// <summary>It is a deletion.</summary>
    public bool Deleted => Facts.Deleted;

    /// <summary>Claimed size in bytes.</summary>
    public long Size => Facts.Size;

    /// <summary>Milliseconds since 1970.</summary>
    public long MtimeMs => Facts.MtimeMs;

    /// <summary>What it is.</summary>
    public EntryKind Kind { get; }

    /// <summary>Permission bits, at most 0777.</summary>
    public uint Mode { get; }

    /// <summary>This machine wrote it.</summary>
    public bool IsOwn { get; init; }

    /// <summary>The name that tells it from the others: "WRITER8@SEQ".</summary>
    public string Label => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Writer.ToHex()[..8]}@{Seq}");

    /// <summary>All bytes; null when they are more than <paramref name="limit"/>. Nothing is fetched then.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public ValueTask<byte[]?> ReadAsync(int limit, CancellationToken ct) => WholeContent.ReadAsync(_content, limit, ct);

    /// <summary>The bytes, of whatever size, one after the other; fetched as they are read.</summary>
    public Stream OpenRead() => _content is { } content ? new ContentStream(content) : Stream.Null;

    /// <summary>Writes all bytes; false, and nothing written, when they are more than <paramref name="limit"/>.</summary>
    internal ValueTask<bool> CopyToAsync(Stream into, long limit, CancellationToken ct) => WholeContent.CopyToAsync(_content, into, limit, ct);

    /// <inheritdoc/>
    public override string ToString() => Label;
}

/// <summary>What the sides of a conflict have in common.</summary>
public sealed class MergeBase
{
    private readonly IFileContent? _content;

    private MergeBase(bool isKnown, IFileContent? content) => (IsKnown, _content) = (isKnown, content);

    /// <summary>There are several, so none: what differs cannot be told from what was changed, and no result is clean.</summary>
    public static MergeBase Unknown { get; } = new(false, null);

    /// <summary>There was no file: each side made its own.</summary>
    public static MergeBase Empty { get; } = new(true, null);

    /// <summary>False for <see cref="Unknown"/>.</summary>
    public bool IsKnown { get; }

    /// <summary>The file that all sides began with.</summary>
    public static MergeBase Of(IFileContent content) => new(true, content);

    /// <summary>All bytes, none for an empty one; null when they are more than <paramref name="limit"/>.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public ValueTask<byte[]?> ReadAsync(int limit, CancellationToken ct) => WholeContent.ReadAsync(_content, limit, ct);

    internal ValueTask<bool> CopyToAsync(Stream into, long limit, CancellationToken ct) => WholeContent.CopyToAsync(_content, into, limit, ct);
}
