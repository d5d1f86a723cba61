using DatFs.Crypto;

namespace DatFs.Drives;

/// <summary>What a change was.</summary>
public enum DriveChangeKind : byte
{
    /// <summary>A file or directory was written.</summary>
    Put,
    /// <summary>A path was removed.</summary>
    Delete,
    /// <summary>Somebody was let write.</summary>
    Authorize,
}

/// <summary>One change of a drive.</summary>
/// <param name="Writer">Who made it; null on a drive of one writer.</param>
/// <param name="Seq">The entry in that writer's feed.</param>
/// <param name="Kind">What it was.</param>
/// <param name="Path">Which path; the root for <see cref="DriveChangeKind.Authorize"/>.</param>
/// <param name="Size">Bytes of the file; null where there is none.</param>
/// <param name="TimeMs">Milliseconds since 1970; null where the entry tells none.</param>
public sealed record DriveLogEntry(FeedKey? Writer, long Seq, DriveChangeKind Kind, DrivePath Path, long? Size, long? TimeMs);
