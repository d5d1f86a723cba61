namespace DatFs.Storage;

/// <summary>
/// One open file, read and written by position. Calls are synchronous: what is read here is nearly always in the
/// page cache, and a simulated disk decides at each call whether it fails, tears or crashes.
/// All offsets and lengths are bytes. Errors of the device surface as <see cref="IOException"/>.
/// </summary>
public interface IRandomAccessFile : IDisposable
{
    /// <summary>Current size in bytes.</summary>
    long Length { get; }

    /// <summary>Reads at <paramref name="offset"/>; fewer bytes than asked, down to 0, only at the end of the file.</summary>
    int Read(long offset, Span<byte> into);

    /// <summary>Writes all of <paramref name="data"/>, growing the file; a gap reads as zeros.</summary>
    void Write(long offset, ReadOnlySpan<byte> data);

    /// <summary>Cuts or extends the file.</summary>
    void SetLength(long length);

    /// <summary>Frees the bytes of a range where the platform can; they read as zeros afterwards. Size is unchanged.</summary>
    void PunchHole(long offset, long length);

    /// <summary>Returns once everything written so far survives a loss of power.</summary>
    void Sync();
}

/// <summary>How a file is opened.</summary>
public enum FileUse
{
    /// <summary>Existing files only, never written: also for folders that belong to someone else.</summary>
    Read,
    /// <summary>Created when missing.</summary>
    ReadWrite,
    /// <summary>As <see cref="ReadWrite"/>, created with mode 0600, and refused when an existing file is readable by others.</summary>
    Secret,
    /// <summary>As <see cref="ReadWrite"/>, and held by this process alone; <see cref="DatError.Locked"/> when another has it.</summary>
    Exclusive,
}

/// <summary>A folder of files: the disk in production, a model of one in simulation. Names are single path components.</summary>
public interface IStorageFolder
{
    /// <summary>A name for messages; a path where there is one.</summary>
    string DisplayName { get; }

    /// <summary>Opens a file, or answers null when <paramref name="use"/> is <see cref="FileUse.Read"/> and it does not exist.</summary>
    IRandomAccessFile? Open(string name, FileUse use);

    /// <summary>True when a file or folder of that name exists.</summary>
    bool Exists(string name);

    /// <summary>Removes a file if it exists.</summary>
    void Delete(string name);

    /// <summary>Renames a file over another, atomically.</summary>
    void Rename(string from, string to);

    /// <summary>A folder inside this one; created (mode 0700) when first written to.</summary>
    IStorageFolder Folder(string name);

    /// <summary>Names of the files in this folder, in ordinal order; empty when the folder does not exist.</summary>
    IReadOnlyList<string> List();

    /// <summary>Returns once created, renamed and deleted names survive a loss of power.</summary>
    void Sync();
}
