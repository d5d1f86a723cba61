namespace DatMount.Platform.Fuse;

/// <summary>Why a mount could not be made or ended.</summary>
public enum MountFailure
{
    /// <summary>The folder does not exist.</summary>
    Missing,
    /// <summary>The mount point is a file.</summary>
    NotDirectory,
    /// <summary>The folder holds something.</summary>
    NotEmpty,
    /// <summary>Something is mounted there already.</summary>
    AlreadyMounted,
    /// <summary>Somebody uses the mount.</summary>
    Busy,
    /// <summary>The caller may not use the folder.</summary>
    AccessDenied,
    /// <summary>/dev/fuse does not exist.</summary>
    NoDevice,
    /// <summary>/dev/fuse can't be opened.</summary>
    DeviceRefused,
    /// <summary>fusermount3 is not installed.</summary>
    NoFusermount,
    /// <summary>allow_other is not permitted to ordinary users.</summary>
    AllowOtherRefused,
    /// <summary>The caller refused this mount point.</summary>
    Refused,
    /// <summary>The kernel's FUSE is too old.</summary>
    KernelTooOld,
    /// <summary>An option can't be used.</summary>
    BadOption,
    /// <summary>The mount ended while it was being made.</summary>
    Ended,
    /// <summary>Another reason; the message has it.</summary>
    Other,
}

/// <summary>A mount that could not be made or ended. The message is one sentence with its remedy.</summary>
public sealed class MountException : Exception
{
    /// <summary>Creates the exception.</summary>
    public MountException(MountFailure kind, string message, Exception? inner = null)
        : base(message, inner) => Kind = kind;

    /// <summary>The machine-readable reason.</summary>
    public MountFailure Kind { get; }
}
