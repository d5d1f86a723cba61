using DatFs.Discovery.Dns;
using DatFs.Replication;
using DatMount.Commands;

namespace DatMount.Hosting;

/// <summary>How a drive is reached and where it is kept.</summary>
internal sealed record DriveSettings
{
    public IReadOnlyList<PeerAddress> Peers { get; init; } = [];

    public PeerAddress? Listen { get; init; }

    /// <summary>Accept peers also when no address for that was named and no source would tell of it.</summary>
    public bool AlwaysListen { get; init; }

    /// <summary>The user's choice of sources; null = what the configuration says, empty = none.</summary>
    public IReadOnlyList<string>? Discovery { get; init; }

    /// <summary>DNS discovery servers beside those of the configuration.</summary>
    public IReadOnlyList<DnsServerAddress> Servers { get; init; } = [];

    /// <summary>The configuration file; null = where it usually is.</summary>
    public string? ConfigurationFile { get; init; }

    /// <summary>Null = the user's data folder.</summary>
    public string? StorageRoot { get; init; }

    public bool Offline { get; init; }

    /// <summary>Make no writer's key of this machine's.</summary>
    public bool ReadOnly { get; init; }

    /// <summary>Leave versions that lost a conflict out of listings; null = what the configuration says.</summary>
    public bool? HideConflicts { get; init; }

    /// <summary>Zero = wait for ever.</summary>
    public TimeSpan IoTimeout { get; init; } = TimeSpan.FromSeconds(30);

    public bool Verbose { get; init; }

    /// <summary>The command line and the configuration file put together; silent when everything stays on this machine.</summary>
    /// <exception cref="CommandException">The configuration file cannot be used, or a source is not known.</exception>
    public DiscoverySettings FindPeers()
    {
        if (Offline || Discovery is { Count: 0 }) return DiscoverySettings.None;
        DiscoverySettings configured = Configuration.Discovery(ConfigurationFile);
        configured = configured with { Servers = [.. configured.Servers, .. Servers] };
        if (Discovery is null) return configured;
        return configured.With(Discovery) ?? throw new CommandException(ExitCode.Usage, $"--discovery takes some of {string.Join(", ", DiscoverySettings.Names)}, separated by commas");
    }

    /// <summary>The same settings as arguments, for the copy that goes to the background.</summary>
    public IEnumerable<string> ToArguments()
    {
        foreach (PeerAddress peer in Peers) foreach (string part in (string[])["--peer", peer.ToString()]) yield return part;
        if (Listen is { } listen) foreach (string part in (string[])["--listen", listen.ToString()]) yield return part;
        if (Discovery is { } chosen)
        {
            yield return chosen.Count == 0 ? "--no-discovery" : "--discovery=" + string.Join(',', chosen);
        }

        foreach (DnsServerAddress server in Servers) foreach (string part in (string[])["--server", server.ToString()]) yield return part;
        if (ConfigurationFile is { } file) foreach (string part in (string[])["--config", file]) yield return part;
        if (StorageRoot is { } root) foreach (string part in (string[])["--storage", root]) yield return part;
        if (Offline) yield return "--offline";
        if (HideConflicts is { } hide) yield return hide ? "--conflicts=hidden" : "--conflicts=beside";
        yield return "--io-timeout";
        yield return IoTimeout.TotalMilliseconds.ToString("0", System.Globalization.CultureInfo.InvariantCulture) + "ms";
        if (Verbose) yield return "--verbose";
    }
}
