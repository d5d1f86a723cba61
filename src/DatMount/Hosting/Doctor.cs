using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Drives;
using DatFs.Replication;
using Microsoft.Extensions.Logging.Abstractions;

namespace DatMount.Hosting;

/// <summary>One thing that was looked at. State is ok, warning or bad.</summary>
internal sealed record DoctorCheck(string What, string State, string Found, string? Remedy);

/// <summary>Everything that was looked at; the answer of "datmount doctor --json".</summary>
internal sealed record DoctorReport(IReadOnlyList<DoctorCheck> Checks, IReadOnlyList<SourceHealthReport> Sources)
{
    public bool Bad => Checks.Any(check => check.State == "bad");
}

/// <summary>
/// Tries what a mount needs: the kernel's door, the storage, the port, every source of peers. A source is asked for a name made up on the
/// spot, so that nothing of the user's is told to anybody.
/// </summary>
internal static class Doctor
{
    /// <summary>Time that the sources have to answer.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    public static async Task<DoctorReport> ExamineAsync(DriveSettings settings, TimeProvider time, CancellationToken ct)
    {
        List<DoctorCheck> checks = [Kernel(), Fusermount(), Storage(settings.StorageRoot ?? DriveStore.DefaultRoot())];
        DiscoverySettings discovery = settings.FindPeers();
        checks.Add(Configured(settings, discovery));
        if (!discovery.Any) return new DoctorReport(checks, []);

        await using Replicator nobody = new(new ReplicatorOptions { Time = time, Extensions = [PeerExchange.ExtensionName] });
        if (!DiscoveryKey.TryParseHex(RandomNumberGenerator.GetHexString(64, lowercase: true), out DiscoveryKey madeUp)) return new DoctorReport(checks, []);
        // A temporary folder: what is remembered of a name made up is of no use to anybody.
        DirectoryInfo folder = Directory.CreateTempSubdirectory("datmount-doctor-");
        try
        {
            await using PeerFinding peers = await PeerFinding.StartAsync(nobody, madeUp, settings with { Peers = [] }, discovery, folder.FullName, time, NullLogger.Instance, ct);
            checks.Add(Port(peers, settings));
            await AnswersAsync(peers, time, ct);
            SourceHealthReport[] sources = [.. peers.Sources.Where(source => source.Kind is SourceKind.Lan or SourceKind.Dns or SourceKind.Dht).Select(SourceHealthReport.Of)];
            checks.Add(Reach(sources));
            return new DoctorReport(checks, sources);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    // Nobody needs to answer on the local network: there may be nobody.
    private static async Task AnswersAsync(PeerFinding peers, TimeProvider time, CancellationToken ct)
    {
        long start = time.GetTimestamp();
        while (time.GetElapsedTime(start) < s_patience && peers.Sources.Any(source => source.Kind is SourceKind.Dns or SourceKind.Dht && source.Status.Health == SourceHealth.Unknown))
            await Task.Delay(TimeSpan.FromMilliseconds(100), time, ct);
    }

    private static DoctorCheck Kernel()
    {
        const string device = "/dev/fuse";
        if (!OperatingSystem.IsLinux()) return new DoctorCheck("file system", "warning", "not looked at on this system", null);
        if (!File.Exists(device)) return new DoctorCheck("file system", "bad", $"{device} is not there", "load the module with 'modprobe fuse'; in a container pass the device through with --device /dev/fuse");
        try
        {
            using FileStream opened = new(device, FileMode.Open, FileAccess.ReadWrite);
            return new DoctorCheck("file system", "ok", $"{device} can be opened", null);
        }
        catch (Exception refused) when (refused is UnauthorizedAccessException or IOException)
        {
            return new DoctorCheck("file system", "bad", $"{device} cannot be opened: {refused.Message}", "give this user the right to it, or in a container --device /dev/fuse");
        }
    }

    private static DoctorCheck Fusermount()
    {
        string? found = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .SelectMany(folder => (string[])[Path.Combine(folder, "fusermount3"), Path.Combine(folder, "fusermount")]).FirstOrDefault(File.Exists);
        if (found is not null) return new DoctorCheck("fusermount", "ok", found, null);
        return Environment.IsPrivilegedProcess
            ? new DoctorCheck("fusermount", "warning", "not installed; root mounts without it, other users do not", "install the package fuse3")
            : new DoctorCheck("fusermount", "bad", "not installed", "install the package fuse3");
    }

    private static DoctorCheck Storage(string root)
    {
        const long low = 1L << 30;
        try
        {
            Directory.CreateDirectory(root);
            string probe = Path.Combine(root, ".datmount-probe-" + RandomNumberGenerator.GetHexString(8, lowercase: true));
            using (FileStream file = new(probe, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Options = FileOptions.DeleteOnClose })) file.Flush(flushToDisk: true);
            long free = new DriveInfo(root).AvailableFreeSpace;
            string text = $"{root} can be written, {Commands.TerminalText.Bytes(free)} free";
            return free < low ? new DoctorCheck("storage", "warning", text, "free some space, or keep drives elsewhere with --storage") : new DoctorCheck("storage", "ok", text, null);
        }
        catch (Exception refused) when (refused is UnauthorizedAccessException or IOException)
        {
            return new DoctorCheck("storage", "bad", $"{root} cannot be written: {refused.Message}", "check its permissions, or keep drives elsewhere with --storage");
        }
    }

    private static DoctorCheck Configured(DriveSettings settings, DiscoverySettings discovery)
    {
        string file = settings.ConfigurationFile ?? Configuration.DefaultPath;
        string from = File.Exists(file) ? $"by {file}" : $"by default; {file} would change it";
        if (!discovery.Any) return new DoctorCheck("sources", "warning", "no source is asked for peers", "leave out --no-discovery, or name sources in the configuration; --peer works without any");
        string asked = string.Join(", ", DiscoverySettings.Names.Where(name => name switch { "lan" => discovery.Lan, "dns" => discovery.Dns, _ => discovery.Dht }));
        return new DoctorCheck("sources", "ok", $"{asked}, with {discovery.Servers.Count} discovery servers, {from}", null);
    }

    private static DoctorCheck Port(PeerFinding peers, DriveSettings settings) => peers.Listening is not { } listening
        ? new DoctorCheck("port", "warning", "no port accepts peers", "leave out --offline")
        : settings.Listen is not null || listening.Port == PeerFinding.DefaultPort
            ? new DoctorCheck("port", "ok", $"peers are accepted on TCP {listening}", null)
            : new DoctorCheck("port", "ok", $"peers are accepted on TCP {listening}, as {PeerFinding.DefaultPort} is in use", null);

    private static DoctorCheck Reach(IReadOnlyList<SourceHealthReport> sources)
    {
        string[] answering = [.. sources.Where(source => source.Health == "up").Select(source => source.Name)];
        if (answering.Length > 0) return new DoctorCheck("network", "ok", "answering: " + string.Join(", ", answering), null);
        return sources.Any(source => source is { Kind: "lan", Health: "unknown" })
            ? new DoctorCheck("network", "warning", "nobody has answered; peers on the local network would still be found", "check that UDP gets out, or run a discovery server: datmount discovery-server --help")
            : new DoctorCheck("network", "bad", "nobody has answered", "check that UDP gets out, or run a discovery server: datmount discovery-server --help; --peer host:port works without any");
    }
}
