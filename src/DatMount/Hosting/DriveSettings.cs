using DatFs.Replication;

namespace DatMount.Hosting;

/// <summary>How a drive is reached and where it is kept.</summary>
internal sealed record DriveSettings
{
    public IReadOnlyList<PeerAddress> Peers { get; init; } = [];

    public PeerAddress? Listen { get; init; }

    public bool NoDiscovery { get; init; }

    /// <summary>Null = the user's data folder.</summary>
    public string? StorageRoot { get; init; }

    public bool Offline { get; init; }

    /// <summary>Zero = wait for ever.</summary>
    public TimeSpan IoTimeout { get; init; } = TimeSpan.FromSeconds(30);

    public bool Verbose { get; init; }

    /// <summary>The same settings as arguments, for the copy that goes to the background.</summary>
    public IEnumerable<string> ToArguments()
    {
        foreach (PeerAddress peer in Peers) foreach (string part in (string[])["--peer", peer.ToString()]) yield return part;
        if (Listen is { } listen) foreach (string part in (string[])["--listen", listen.ToString()]) yield return part;
        if (NoDiscovery) yield return "--no-discovery";
        if (StorageRoot is { } root) foreach (string part in (string[])["--storage", root]) yield return part;
        if (Offline) yield return "--offline";
        yield return "--io-timeout";
        yield return IoTimeout.TotalMilliseconds.ToString("0", System.Globalization.CultureInfo.InvariantCulture) + "ms";
        if (Verbose) yield return "--verbose";
    }
}
