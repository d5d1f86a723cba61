namespace DatFs.FileSystem;

/// <summary>How a drive is shown by <see cref="DatFileSystem"/>.</summary>
public sealed record MountFsOptions
{
    /// <summary>Show this version for ever; null = follow the newest.</summary>
    public long? Version { get; init; }

    /// <summary>Nothing may ever be written through this mount, even if the drive could be.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>A call fails when for this long nothing arrives for it (platform.md §3); zero = wait for ever.</summary>
    public TimeSpan IoTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A number that grows whenever anything of the drive arrives; null = nothing ever shows progress.</summary>
    public Func<long>? Progress { get; init; }

    /// <summary>Whether any peer is connected, which tells Offline from TimedOut; null = unknown.</summary>
    public Func<bool>? Connected { get; init; }

    /// <summary>Follow links of other writers that are absolute or climb (design: "Inside a mount"); else reading them is refused.</summary>
    public bool FollowForeignLinks { get; init; }

    /// <summary>Owner shown for everything; null = the user who mounts (hyperdrive.md §8).</summary>
    public uint? Uid { get; init; }

    /// <summary>Group shown for everything; null = the group of the user who mounts.</summary>
    public uint? Gid { get; init; }

    /// <summary>Fill <see cref="NodeInfo.Local"/>, which costs a look at the bitfield for each answer; else only empty files count as local.</summary>
    public bool ShowLocal { get; init; }

    /// <summary>Live facts for <c>.dat/status.json</c> and <c>.dat/peers</c>; null = those files hold what the drive itself knows.</summary>
    public IStatusSource? Status { get; init; }

    /// <summary>Label of the volume.</summary>
    public string VolumeName { get; init; } = "dat";

    /// <summary>The clock, for timeouts and for times such as "@2h-ago".</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
