using DatFs.Discovery.Dns;
using DatFs.Replication;
using DatMount.Commands;
using DatMount.Platform.Fuse;

namespace DatMount.Hosting;

/// <summary>Everything a user said about one mount.</summary>
internal sealed record MountRequest
{
    /// <summary>The drive as typed; names the key, so it is handed to a background copy on standard input and never as an argument.</summary>
    public required string Drive { get; init; }

    public required string Mountpoint { get; init; }

    public required DriveSettings Settings { get; init; }

    /// <summary>A number, a time, or null for the newest as it changes.</summary>
    public string? Version { get; init; }

    public bool ReadOnly { get; init; }

    public bool AllowOther { get; init; }

    public bool FollowForeignLinks { get; init; }

    public bool Detach { get; init; }

    /// <summary>What the platform makes of the option lists of mount(8).</summary>
    public MountOptions Platform { get; init; } = new();

    /// <summary>Adds option lists of mount(8) (platform.md §2): ours go by the long names of the command line, with - or _.</summary>
    public MountRequest With(IReadOnlyList<string> lists)
    {
        MountOptions platform = MountOptions.Parse(lists);
        MountRequest request = this with { Platform = platform, ReadOnly = ReadOnly || platform.ReadOnly };
        foreach ((string name, string? value) in platform.Rest) request = request.With(name, value ?? "");
        return request;
    }

    private MountRequest With(string name, string value) => name.Replace('_', '-') switch
    {
        "peer" => this with { Settings = Settings with { Peers = [.. Settings.Peers, Parsed(name, value)] } },
        "listen" => this with { Settings = Settings with { Listen = Parsed(name, value) } },
        "storage" => this with { Settings = Settings with { StorageRoot = Path.GetFullPath(value) } },
        // A comma would end the option: "discovery=lan:dns".
        "discovery" => this with { Settings = Settings with { Discovery = value.Split(':') } },
        "no-discovery" => this with { Settings = Settings with { Discovery = [] } },
        "server" => this with { Settings = Settings with { Servers = [.. Settings.Servers, Server(name, value)] } },
        "config" => this with { Settings = Settings with { ConfigurationFile = Path.GetFullPath(value) } },
        "offline" => this with { Settings = Settings with { Offline = true } },
        "io-timeout" => this with { Settings = Settings with { IoTimeout = Time(name, value) } },
        "conflicts" => this with { Settings = Settings with { HideConflicts = value switch { "beside" => false, "hidden" => true, _ => throw Wrong(name, "takes beside or hidden") } } },
        "version" => this with { Version = value },
        "follow-foreign-links" => this with { FollowForeignLinks = true },
        _ => throw Wrong(name, "is not known; 'datmount mount --help' lists what there is"),
    };

    /// <summary>The same request as arguments for a copy in the background; the drive itself follows on standard input.</summary>
    public IEnumerable<string> ToArguments()
    {
        List<string> arguments = ["mount", "-", Mountpoint, .. Settings.ToArguments()];
        if (Version is { } version) arguments.AddRange(["--version", version]);
        if (ReadOnly) arguments.Add("--read-only");
        if (AllowOther) arguments.Add("--allow-other");
        if (FollowForeignLinks) arguments.Add("--follow-foreign-links");
        // Only what the platform still has to hear: the rest stands in the settings above already.
        foreach (string list in PlatformLists()) arguments.AddRange(["-o", list]);
        return arguments;
    }

    private IEnumerable<string> PlatformLists()
    {
        if (Platform.NoExec) yield return "noexec";
        if (Platform.NoAtime) yield return "noatime";
        if (Platform.Sync) yield return "sync";
        if (Platform.DirSync) yield return "dirsync";
        if (Platform.AllowOther) yield return "allow_other";
        if (Platform.AllowRoot) yield return "allow_root";
        if (Platform.AutoUnmount) yield return "auto_unmount";
        if (Platform.NonEmpty) yield return "nonempty";
        if (Platform.FsName is { } name) yield return "fsname=" + name.Replace("\\", "\\\\", StringComparison.Ordinal).Replace(",", "\\,", StringComparison.Ordinal);
        if (Platform.MaxRead != 0) yield return "max_read=" + Platform.MaxRead.ToString(System.Globalization.CultureInfo.InvariantCulture);
        if (Platform.Uid is { } uid) yield return "uid=" + uid.ToString(System.Globalization.CultureInfo.InvariantCulture);
        if (Platform.Gid is { } gid) yield return "gid=" + gid.ToString(System.Globalization.CultureInfo.InvariantCulture);
    }

    private static TimeSpan Time(string option, string value) =>
        Duration.TryParse(value, out TimeSpan time) ? time : throw Wrong(option, "takes a time such as io-timeout=30s");

    private static PeerAddress Parsed(string option, string value) =>
        Address.TryParse(value, out PeerAddress address) ? address : throw Wrong(option, "takes host:port");

    private static DnsServerAddress Server(string option, string value) =>
        DnsServerAddress.TryParse(value, out DnsServerAddress address) ? address : throw Wrong(option, "takes host or host:port");

    private static CommandException Wrong(string option, string why) => new(ExitCode.Usage, $"mount option '{option}' {why}");
}
