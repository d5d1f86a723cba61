using System.CommandLine;
using DatMount.Hosting;

namespace DatMount.Commands;

/// <summary>"datmount share": serves a drive to peers without mounting it.</summary>
internal static class ShareCommand
{
    public static Command Create()
    {
        DriveOptions options = new();
        Argument<string> drive = new("drive") { Description = "A folder that holds a drive (of the dat tool, hyperdrive), a key, a dat:// link or the name of a kept drive." };
        Command command = new("share", $"Serve a drive to peers without mounting it. Listens on port {PeerFinding.DefaultPort} of every interface, or any free one if that is taken, unless --listen says otherwise.\n\nExample:\n  datmount share ~/my-dat-folder") { drive };
        options.AddTo(command);
        command.SetAction(async (parsed, ct) =>
        {
            DriveSettings settings = options.Read(parsed) with { AlwaysListen = true };
            string reference = DriveSession.ReadReference(parsed.GetValue(drive)!);
            await ActivityHost.RunAsync(loggers => new ShareActivity(reference, settings, loggers), settings.Verbose, background: null, ct);
            return (int)ExitCode.Done;
        });
        return command;
    }
}
