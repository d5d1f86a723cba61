using System.CommandLine;
using System.Globalization;
using DatFs.Drives;
using DatMount.Hosting;
using Microsoft.Extensions.Logging;
using Spectre.Console;

namespace DatMount.Commands;

/// <summary>"datmount export": one version of a drive as ordinary files.</summary>
internal static class ExportCommand
{
    public static Command Create()
    {
        DriveOptions options = new();
        Argument<string> drive = new("drive") { Description = "Key, dat:// link, folder that holds a drive, or the name of a kept one; - reads it from standard input." };
        Argument<string> folder = new("folder") { Description = "Where the files go; made when missing." };
        Option<string?> version = new("--version") { Description = "Export this version instead of the newest.", HelpName = "N" };
        Command command = new("export", "Copy a drive's files into a folder; run again to resume.\n\nExample:\n  datmount export dat://<key> ./copy --peer 192.0.2.7:3282") { drive, folder, version };
        options.AddTo(command);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(drive)!, Path.GetFullPath(parsed.GetValue(folder)!), parsed.GetValue(version), options.Read(parsed) with { ReadOnly = true }, ct));
        return command;
    }

    private static async Task<int> RunAsync(string drive, string folder, string? version, DriveSettings settings, CancellationToken ct)
    {
        using ILoggerFactory loggers = LoggerFactory.Create(logging =>
        {
            ActivityHost.ConfigureLogging(logging, settings.Verbose, quiet: false);
            if (!settings.Verbose) logging.SetMinimumLevel(LogLevel.Warning);
        });
        await using DriveSession session = await DriveSession.OpenAsync(drive, $"exported to {folder}", settings, TimeProvider.System, loggers, ct);
        if (session.ReadsFrom(folder)) throw new CommandException(ExitCode.Refused, $"{folder} is in {session.Folder}, which the drive is read from; export it somewhere else");
        IDriveView view = await session.ViewAsync(version, ct);
        ExportProgress progress = new();
        await ShowAsync(new Exporter(view, folder, progress).RunAsync(ct), progress);
        foreach (string left in progress.LeftOut) await Console.Error.WriteLineAsync("datmount: left out " + TerminalText.Escape(left));
        await Console.Out.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"version {view.Version}: {progress.Files} files written ({TerminalText.Bytes(progress.Bytes)}), {progress.Unchanged} already there"));
        return (int)(progress.LeftOut.Count == 0 ? ExitCode.Done : ExitCode.Failed);
    }

    private static async Task ShowAsync(Task work, ExportProgress progress)
    {
        if (!LiveStatus.IsPossible)
        {
            await work;
            return;
        }

        await AnsiConsole.Status().StartAsync("exporting", async context =>
        {
            using PeriodicTimer tick = new(TimeSpan.FromMilliseconds(250));
            while (!work.IsCompleted)
            {
                context.Status = string.Create(CultureInfo.InvariantCulture, $"{Volatile.Read(ref progress.Files)} files, {TerminalText.Bytes(Volatile.Read(ref progress.Bytes))}");
                await Task.WhenAny(work, tick.WaitForNextTickAsync().AsTask());
            }
        });
        await work;
    }
}
