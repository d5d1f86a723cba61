using DatFs.FileSystem;

namespace DatMount.Platform.Fuse;

/// <summary>Linux error numbers and the one place where file system outcomes become them (platform.md §6).</summary>
internal static class Errno
{
    public const int EPERM = 1;
    public const int ENOENT = 2;
    public const int EINTR = 4;
    public const int EIO = 5;
    public const int EBADF = 9;
    public const int EAGAIN = 11;
    public const int ENOMEM = 12;
    public const int EACCES = 13;
    public const int EBUSY = 16;
    public const int EEXIST = 17;
    public const int EXDEV = 18;
    public const int ENODEV = 19;
    public const int ENOTDIR = 20;
    public const int EISDIR = 21;
    public const int EINVAL = 22;
    public const int ENOTTY = 25;
    public const int EFBIG = 27;
    public const int ENOSPC = 28;
    public const int EROFS = 30;
    public const int ERANGE = 34;
    public const int ENAMETOOLONG = 36;
    public const int ENOSYS = 38;
    public const int ENOTEMPTY = 39;
    public const int ENODATA = 61;
    public const int EPROTO = 71;
    public const int EILSEQ = 84;
    public const int EOPNOTSUPP = 95;
    public const int ENOTCONN = 107;
    public const int ETIMEDOUT = 110;
    public const int EHOSTUNREACH = 113;
    public const int ESTALE = 116;

    /// <summary>
    /// The error number of an outcome. <paramref name="reading"/>: programs that read know EIO but not the network's errors.
    /// </summary>
    public static int From(FsError error, bool reading = false) => error switch
    {
        FsError.None => 0,
        FsError.NotFound => ENOENT,
        FsError.Exists => EEXIST,
        FsError.NotDirectory => ENOTDIR,
        FsError.IsDirectory => EISDIR,
        FsError.NotEmpty => ENOTEMPTY,
        FsError.AccessDenied => EACCES,
        FsError.ReadOnly => EROFS,
        FsError.NoSpace => ENOSPC,
        FsError.NameTooLong => ENAMETOOLONG,
        FsError.InvalidName => EILSEQ,
        FsError.Invalid => EINVAL,
        FsError.TooBig => EFBIG,
        FsError.CrossDevice => EXDEV,
        FsError.Busy => EBUSY,
        FsError.Interrupted => EINTR,
        FsError.TimedOut => reading ? EIO : ETIMEDOUT,
        FsError.Offline => reading ? EIO : EHOSTUNREACH,
        FsError.Corrupt or FsError.Io => EIO,
        FsError.NotSupported => EOPNOTSUPP,
        FsError.NoAttribute => ENODATA,
        FsError.Range => ERANGE,
        FsError.Stale => ESTALE,
        _ => EIO,
    };
}
