namespace DatFs.Drives;

/// <summary>What a change gives an entry. Times are milliseconds since 1970; null = now.</summary>
/// <param name="Mode">Permission bits, at most 0777.</param>
/// <param name="MtimeMs">Time of the content.</param>
public readonly record struct DriveAttributes(uint Mode, long? MtimeMs = null)
{
    /// <summary>What an ordinary file has: 0644.</summary>
    public static DriveAttributes File => new(0x1A4);

    /// <summary>What an ordinary directory has: 0755.</summary>
    public static DriveAttributes Directory => new(0x1ED);
}

/// <summary>
/// Changes a drive, as this machine's writer. Each change is signed, durable and in the live view when its call returns, and replaces all that
/// was visible of its path; bytes are appended before the entry that names them. Changes take turns; any thread may call.
/// </summary>
public interface IDriveWriter
{
    /// <summary>Writes a file from a stream, read to its end. Answers the version it made.</summary>
    /// <exception cref="DatException">NotWritable, Invalid (a name that cannot be, a directory in the way), Offline, TimedOut, Corrupt, Io.</exception>
    ValueTask<long> PutFileAsync(DrivePath path, Stream content, DriveAttributes attributes, CancellationToken ct);

    /// <summary>Writes a directory of its own, so that it stays when it is empty. Answers the version it made.</summary>
    /// <exception cref="DatException">As for a file.</exception>
    ValueTask<long> MakeDirectoryAsync(DrivePath path, DriveAttributes attributes, CancellationToken ct);

    /// <summary>Removes a file, or a directory with nothing in it. Answers the version it made.</summary>
    /// <exception cref="DatException">NotFound, and as for a file.</exception>
    ValueTask<long> DeleteAsync(DrivePath path, CancellationToken ct);
}
