using System.CommandLine;
using DatMount.Hosting;
using DatMount.Platform.Fuse;

namespace DatMount.Commands;

/// <summary>"datmount unmount": asks the process that has the mount to end it; clears what a killed process left behind.</summary>
internal static class UnmountCommand
{
    public static Command Create()
    {
        Argument<string?> mountpoint = new("mountpoint") { Description = "Where the drive is mounted.", Arity = ArgumentArity.ZeroOrOne };
        Option<bool> all = new("--all") { Description = "Unmount everything this user has mounted." };
        Option<bool> lazy = new("--lazy", "-z") { Description = "Detach now, even while files are open." };
        Command command = new("unmount", "Unmount a drive, saying what is still open when it cannot be.\n\nExamples:\n  datmount unmount /mnt/dat\n  datmount unmount --all") { mountpoint, all, lazy };
        command.Validators.Add(result =>
        {
            if (result.GetValue(mountpoint) is null == !result.GetValue(all)) result.AddError("Name one mountpoint, or use --all.");
        });
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(mountpoint), parsed.GetValue(lazy), ct));
        return command;
    }

    private static async Task<int> RunAsync(string? mountpoint, bool lazy, CancellationToken ct)
    {
        string? path = mountpoint is null ? null : Path.GetFullPath(mountpoint);
        List<(string Socket, DriveReport Report)> found = [.. (await ControlClient.ReportsAsync(ct)).Where(entry => entry.Report.Mountpoint is { } at && (path is null || at == path))];
        if (found.Count == 0 && path is not null) return await LeftoverAsync(path, ct);

        bool done = true;
        foreach ((string socket, DriveReport report) in found)
        {
            UnmountReply reply = await ControlClient.UnmountAsync(socket, lazy, ct);
            done &= reply.Done;
            await (reply.Done ? Console.Out : Console.Error).WriteLineAsync($"{report.Mountpoint}: {TerminalText.Escape(reply.Message)}");
        }

        return (int)(done ? ExitCode.Done : ExitCode.Refused);
    }

    private static async Task<int> LeftoverAsync(string path, CancellationToken ct)
    {
        if (!await FuseMount.DetachLeftoverAsync(path, ct))
            throw new CommandException(ExitCode.NotFound, $"{path} is not a mountpoint of datmount; 'datmount status' lists those there are");
        await Console.Out.WriteLineAsync($"{path}: unmounted what an ended process had left");
        return (int)ExitCode.Done;
    }
}
