using System.CommandLine;
using System.Text.Json;
using DatMount.Hosting;
using Spectre.Console;

namespace DatMount.Commands;

/// <summary>"datmount status": what this user's processes are doing.</summary>
internal static class StatusCommand
{
    public static Command Create()
    {
        Argument<string?> drive = new("drive") { Description = "Show only this mountpoint, discovery key or its beginning.", Arity = ArgumentArity.ZeroOrOne };
        Option<bool> json = new("--json") { Description = "Print machine-readable output." };
        Command command = new("status", "Show mounted and shared drives, their peers and transfer.\n\nExample:\n  datmount status --json") { drive, json };
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(drive), parsed.GetValue(json), ct));
        return command;
    }

    private static async Task<int> RunAsync(string? drive, bool json, CancellationToken ct)
    {
        List<DriveReport> reports = [.. (await ControlClient.ReportsAsync(ct)).Select(found => found.Report).Where(report => drive is null || Matches(report, drive))];
        if (json)
        {
            await Console.Out.WriteLineAsync(JsonSerializer.Serialize(reports, ControlJson.Default.ListDriveReport));
            return (int)(drive is not null && reports.Count == 0 ? ExitCode.NotFound : ExitCode.Done);
        }

        if (reports.Count == 0)
        {
            if (drive is not null) throw new CommandException(ExitCode.NotFound, $"no running process serves '{drive}'; 'datmount status' lists all");
            await Console.Out.WriteLineAsync("Nothing is mounted or shared by this user.");
            return (int)ExitCode.Done;
        }

        foreach (DriveReport report in reports) Print(report);
        return (int)ExitCode.Done;
    }

    internal static bool Matches(DriveReport report, string drive) =>
        report.DiscoveryKey.StartsWith(drive, StringComparison.OrdinalIgnoreCase)
        || (report.Mountpoint is not null && report.Mountpoint == Path.GetFullPath(drive));

    private static void Print(DriveReport report)
    {
        Table table = new Table().Border(TableBorder.None).HideHeaders().AddColumn("").AddColumn("");
        void Row(string name, string value) => table.AddRow(new Markup("[grey]" + name + "[/]"), new Text(TerminalText.Escape(value)));
        Row(report.Activity, report.Mountpoint ?? report.Listening ?? "");
        Row("drive", $"{report.DiscoveryKey[..8]} ({report.Format}, {(report.Writable ? "writable" : "read-only")}), process {report.ProcessId}");
        if (report.Name is { } name) Row("name", report.NameProblem is { } problem ? $"{name}: {problem}" : name);
        if (report.ReadOnlyBecause is { } why) Row("read-only", why);
        Row("version", report.Ready ? report.Version.ToString(System.Globalization.CultureInfo.InvariantCulture) : "not known yet");
        Row("held", $"metadata {report.MetadataHeld}/{report.MetadataLength} blocks, content {report.ContentHeld}/{report.ContentLength} blocks of {TerminalText.Bytes(report.ContentBytes)}");
        Row("traffic", $"{TerminalText.Bytes(report.BytesReceived)} in, {TerminalText.Bytes(report.BytesSent)} out");
        foreach (PeerReport peer in report.Peers)
            Row("peer", $"{peer.Address} {peer.State}, {TerminalText.Bytes(peer.ReceiveRate)}/s in, {TerminalText.Bytes(peer.SendRate)}/s out");
        foreach (AddressReport address in report.Unreachable) Row("unreachable", $"{address.Address}: {address.LastError}");
        AnsiConsole.Write(table);
        AnsiConsole.WriteLine();
    }
}
