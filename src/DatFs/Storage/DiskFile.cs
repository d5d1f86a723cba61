using Microsoft.Win32.SafeHandles;

namespace DatFs.Storage;

/// <summary>One open file on the disk.</summary>
internal sealed class DiskFile : IRandomAccessFile
{
    private const UnixFileMode FileMode600 = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode Others = (UnixFileMode)0b000_111_111;

    // What the system answers when the lock is held elsewhere.
    private const int WouldBlockLinux = 11;
    private const int WouldBlockMac = 35;
    private const int SharingViolation = unchecked((int)0x80070020);

    private readonly FileStream _owner;
    private readonly SafeFileHandle _handle;

    private DiskFile(FileStream owner)
    {
        _owner = owner;
        _handle = owner.SafeFileHandle;
    }

    /// <summary>Opens the file; it must exist for <see cref="FileUse.Read"/>.</summary>
    public static DiskFile Open(string path, FileUse use)
    {
        FileStreamOptions options = new()
        {
            Mode = use == FileUse.Read ? FileMode.Open : FileMode.OpenOrCreate,
            Access = use == FileUse.Read ? FileAccess.Read : FileAccess.ReadWrite,
            Share = use == FileUse.Exclusive ? FileShare.None : FileShare.ReadWrite | FileShare.Delete,
            BufferSize = 0,
        };
        if (use != FileUse.Read && !OperatingSystem.IsWindows()) options.UnixCreateMode = FileMode600;
        FileStream stream;
        try
        {
            stream = new FileStream(path, options);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new DatException(DatError.Io, $"{path} cannot be opened: permission denied.", e);
        }
        catch (IOException e) when (e.HResult is WouldBlockLinux or WouldBlockMac or SharingViolation)
        {
            throw new DatException(DatError.Locked, $"The folder {Path.GetDirectoryName(path)} is in use by another process.", e);
        }

        if (use == FileUse.Secret && !OperatingSystem.IsWindows() && (File.GetUnixFileMode(stream.SafeFileHandle) & Others) != 0)
        {
            stream.Dispose();
            throw new DatException(DatError.Io, $"{path} can be read by others; give it the mode 600.");
        }

        return new DiskFile(stream);
    }

    public long Length => RandomAccess.GetLength(_handle);

    public int Read(long offset, Span<byte> into)
    {
        int done = 0;
        while (done < into.Length)
        {
            int count = RandomAccess.Read(_handle, into[done..], offset + done);
            if (count == 0) break;
            done += count;
        }

        return done;
    }

    public void Write(long offset, ReadOnlySpan<byte> data) => RandomAccess.Write(_handle, data, offset);

    public void SetLength(long length) => RandomAccess.SetLength(_handle, length);

    public void PunchHole(long offset, long length)
    {
        if (length > 0) DiskCalls.PunchHole(_handle, offset, length);
    }

    public void Sync() => RandomAccess.FlushToDisk(_handle);

    public void Dispose() => _owner.Dispose();
}
