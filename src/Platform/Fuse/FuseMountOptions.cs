namespace DatMount.Platform.Fuse;

/// <summary>Which way to the kernel.</summary>
public enum MountWay
{
    /// <summary>mount(2) for root, else fusermount3; fusermount3 for <see cref="FuseMountOptions.AutoUnmount"/>.</summary>
    Auto,
    /// <summary>mount(2).</summary>
    Direct,
    /// <summary>fusermount3.</summary>
    Fusermount,
}

/// <summary>How to mount (platform.md §2). nosuid, nodev and default_permissions are always on.</summary>
public sealed record FuseMountOptions
{
    /// <summary>What the system shows as source; null = <see cref="DatFs.FileSystem.MountCapabilities.FsName"/>. Never the key.</summary>
    public string? FsName { get; init; }

    /// <summary>Read-only in the kernel; also when the file system itself can never be written.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Other users may look in.</summary>
    public bool AllowOther { get; init; }

    /// <summary>Root may look in, others not; where root mounts, it may anyway.</summary>
    public bool AllowRoot { get; init; }

    /// <summary>The mount point may hold something, which is then hidden.</summary>
    public bool NonEmpty { get; init; }

    /// <summary>The mount goes when this process dies; through fusermount3, which stays to watch.</summary>
    public bool AutoUnmount { get; init; }

    /// <summary>Nothing can be executed.</summary>
    public bool NoExec { get; init; }

    /// <summary>Access times are not kept.</summary>
    public bool NoAtime { get; init; }

    /// <summary>Writes are synchronous.</summary>
    public bool Sync { get; init; }

    /// <summary>Directory changes are synchronous.</summary>
    public bool DirSync { get; init; }

    /// <summary>Largest read in bytes; 0 = what the file system allows.</summary>
    public int MaxRead { get; init; }

    /// <summary>Owner of nodes that have none; null = the user who mounts.</summary>
    public uint? Uid { get; init; }

    /// <summary>Group of nodes that have none; null = that of the user who mounts.</summary>
    public uint? Gid { get; init; }

    /// <summary>Threads that take requests.</summary>
    public int Threads { get; init; } = 2;

    /// <summary>
    /// Reads through the page cache the kernel may have under way; further ones of all files wait behind them, so that this many that wait
    /// for an absent peer stop the others. Waiting costs 8 KiB each.
    /// </summary>
    public int MaxBackground { get; init; } = DefaultMaxBackground;

    internal const int DefaultMaxBackground = 4096;

    /// <summary>Read ahead in KiB, set when root mounts; 0 = as the kernel has it (128).</summary>
    public int ReadAheadKiB { get; init; } = 1024;

    /// <summary>
    /// Changes made elsewhere also give inotify events, by calls through the mount itself; where root mounts, and not read-only.
    /// </summary>
    public bool AnnounceChanges { get; init; }

    /// <summary>How long a busy mount is asked to unmount before it is detached or refused.</summary>
    public TimeSpan UnmountGrace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The way to the kernel.</summary>
    public MountWay Way { get; init; }

    /// <summary>Called with the absolute mount point before anything is done: a sentence refuses it, null lets it pass.</summary>
    public Func<string, string?>? RefuseMountPoint { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
