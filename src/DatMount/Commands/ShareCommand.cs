using System.CommandLine;
using DatFs.Replication;
using DatMount.Hosting;

namespace DatMount.Commands;

/// <summary>"datmount share": serves a drive to peers without mounting it.</summary>
internal static class ShareCommand
{
    private const int DefaultPort = 3282;

    public static Command Create()
    {
        DriveOptions options = new();
        Argument<string> drive = new("drive") { Description = "A folder that holds a drive (of the dat tool, hyperdrive), a key, a dat:// link or the name of a kept drive." };
        Command command = new("share", $"Serve a drive to peers without mounting it. Listens on port {DefaultPort} of every interface unless --listen says otherwise.\n\nExample:\n  datmount share ~/my-dat-folder --listen 127.0.0.1:3282") { drive };
        options.AddTo(command);
        command.SetAction(async (parsed, ct) =>
        {
            DriveSettings settings = options.Read(parsed);
            if (settings.Listen is null && !settings.Offline) settings = settings with { Listen = new PeerAddress("0.0.0.0", DefaultPort) };
            string reference = DriveSession.ReadReference(parsed.GetValue(drive)!);
            await ActivityHost.RunAsync(loggers => new ShareActivity(reference, settings, loggers), settings.Verbose, background: null, ct);
            return (int)ExitCode.Done;
        });
        return command;
    }
}
