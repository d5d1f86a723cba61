namespace DatFs;

/// <summary>What went wrong, in terms every layer shares; <see cref="FileSystem.FsError"/> is derived from it in one place.</summary>
public enum DatError
{
    /// <summary>The bytes are not held here and no connected peer has them.</summary>
    Offline,
    /// <summary>A peer was asked and nothing arrived within the allowed time.</summary>
    TimedOut,
    /// <summary>Stored or announced data contradicts itself or a signature.</summary>
    Corrupt,
    /// <summary>The disk answered with an error.</summary>
    Io,
    /// <summary>What was asked for does not exist.</summary>
    NotFound,
    /// <summary>Another process has the storage open.</summary>
    Locked,
    /// <summary>Another feed is stored where this one was expected, or a key and its secret do not match.</summary>
    KeyMismatch,
    /// <summary>The feed's owner signed two histories; it is frozen here.</summary>
    Forked,
    /// <summary>This machine does not hold the secret key, or the storage is read-only.</summary>
    NotWritable,
    /// <summary>The caller's argument cannot be used.</summary>
    Invalid,
    /// <summary>The format is recognised but not one that can be opened.</summary>
    Unsupported,
}

/// <summary>The one exception of the library's edge. Its message is a sentence a user can act on.</summary>
public sealed class DatException : Exception
{
    /// <summary>Creates the exception.</summary>
    public DatException(DatError error, string message, Exception? inner = null)
        : base(message, inner) => Error = error;

    /// <summary>The machine-readable reason.</summary>
    public DatError Error { get; }
}
