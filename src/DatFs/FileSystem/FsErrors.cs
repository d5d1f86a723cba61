namespace DatFs.FileSystem;

/// <summary>Where errors of the layers below become outcomes of a call: nowhere else.</summary>
internal static class FsErrors
{
    public static FsError From(DatError error) => error switch
    {
        DatError.Offline => FsError.Offline,
        DatError.TimedOut => FsError.TimedOut,
        DatError.Corrupt or DatError.Forked or DatError.KeyMismatch => FsError.Corrupt,
        DatError.Io => FsError.Io,
        DatError.NotFound => FsError.NotFound,
        DatError.Locked => FsError.Busy,
        DatError.NotWritable => FsError.ReadOnly,
        DatError.Invalid => FsError.Invalid,
        DatError.Unsupported => FsError.NotSupported,
        _ => FsError.Io,
    };
}
