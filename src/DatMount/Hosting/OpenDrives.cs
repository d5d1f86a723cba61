using DatFs.Crypto;
using DatFs.Drives;
using DatMount.Commands;
using Microsoft.Extensions.Logging;

namespace DatMount.Hosting;

/// <summary>Finds the process that has a drive open, or opens it here: a drive is open in one process (command-line.md).</summary>
internal static class OpenDrives
{
    /// <summary>The drive as typed: a mountpoint, or whatever names a drive.</summary>
    public static async Task<IOpenDrive> FindAsync(string typed, string purpose, DriveSettings settings, ILoggerFactory loggers, CancellationToken ct)
    {
        string named = DriveSession.ReadReference(typed);
        List<(string Socket, DriveReport Report)> running = await ControlClient.ReportsAsync(ct);
        if (running.Find(one => one.Report.DiscoveryKey.Length > 0 && StatusCommand.Matches(one.Report, named)) is { Socket: { } mounted }) return new DriveElsewhere(mounted);
        string root = settings.StorageRoot ?? DriveStore.DefaultRoot();
        DriveReference reference = DriveReference.Parse(named);
        string? drive = DriveOpener.KeyOf(reference, root)?.ToDiscoveryKey().ToHex();
        if (drive is not null && running.Find(one => one.Report.DiscoveryKey == drive) is { Socket: { } serving }) return new DriveElsewhere(serving);

        // What is here needs nobody; others hear of a change when the drive is mounted or shared.
        bool isHere = drive is not null && DiscoveryKey.TryParseHex(drive, out DiscoveryKey kept) && (reference.Folder is not null || DriveStore.KeyOf(root, kept) is not null);
        if (isHere && settings.Peers.Count == 0 && settings.Listen is null) settings = settings with { Offline = true };
        DriveSession session = await DriveSession.OpenAsync(named, purpose, settings, TimeProvider.System, loggers, ct);
        return new DriveHere(session, owned: true);
    }
}
