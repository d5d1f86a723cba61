using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using DatFs.Replication;
using DatMount.Hosting;
using Spectre.Console;

namespace DatMount.Commands;

/// <summary>"datmount peers": who is connected, where others are looked for, and why they cannot be reached.</summary>
internal static class PeersCommand
{
    private const string Help =
        """
        Show the peers of a mounted or shared drive, every source of peers and every address that was tried.

        Examples:
          datmount peers /mnt/dat
          datmount peers add /mnt/dat 192.0.2.7:3282
        """;

    public static Command Create()
    {
        Argument<string?> drive = new("drive") { Description = "A mountpoint, or the beginning of a discovery key; all without it.", Arity = ArgumentArity.ZeroOrOne };
        Option<bool> json = new("--json") { Description = "Print machine-readable output." };
        Command command = new("peers", Help) { drive, json };
        command.SetAction((parsed, ct) => ShowAsync(parsed.GetValue(drive), parsed.GetValue(json), ct));
        command.Add(CreateAdd());
        return command;
    }

    private static Command CreateAdd()
    {
        Argument<string> drive = new("drive") { Description = "A mountpoint, or the beginning of a discovery key." };
        Argument<string> peer = new("address") { Description = "host:port" };
        peer.Validators.Add(result =>
        {
            if (!Address.TryParse(result.GetValueOrDefault<string>() ?? "", out _)) result.AddError("Write the address as host:port, such as 192.0.2.7:3282.");
        });
        Command add = new("add", "Connect a running drive to one more address, and stay connected.\n\nExample:\n  datmount peers add /mnt/dat 192.0.2.7:3282") { drive, peer };
        add.SetAction(async (parsed, ct) =>
        {
            List<(string Socket, DriveReport Report)> found = await FindAsync(parsed.GetValue(drive)!, ct);
            _ = Address.TryParse(parsed.GetValue(peer)!, out PeerAddress address);
            foreach ((string socket, _) in found) await ControlClient.AddPeerAsync(socket, address, ct);
            await Console.Out.WriteLineAsync($"connecting to {address}; 'datmount peers' shows what comes of it");
            return (int)ExitCode.Done;
        });
        return add;
    }

    private static async Task<int> ShowAsync(string? drive, bool json, CancellationToken ct)
    {
        List<DriveReport> reports = [.. (drive is null ? await ControlClient.ReportsAsync(ct) : await FindAsync(drive, ct)).Select(found => found.Report)];
        if (json)
        {
            await Console.Out.WriteLineAsync(JsonSerializer.Serialize(reports, ControlJson.Default.ListDriveReport));
            return (int)ExitCode.Done;
        }

        if (reports.Count == 0) await Console.Out.WriteLineAsync("Nothing is mounted or shared by this user.");
        foreach (DriveReport report in reports) Print(report);
        return (int)ExitCode.Done;
    }

    private static async Task<List<(string Socket, DriveReport Report)>> FindAsync(string drive, CancellationToken ct)
    {
        List<(string, DriveReport Report)> found = [.. (await ControlClient.ReportsAsync(ct)).Where(one => StatusCommand.Matches(one.Report, drive))];
        return found.Count > 0 ? found : throw new CommandException(ExitCode.NotFound, $"no running process serves '{drive}'; 'datmount status' lists all");
    }

    private static void Print(DriveReport report)
    {
        Console.Out.WriteLine($"{report.DiscoveryKey[..Math.Min(8, report.DiscoveryKey.Length)]} {report.Activity} {TerminalText.Escape(report.Mountpoint ?? report.Listening ?? "")}, accepting peers on {report.Listening ?? "no port"}");
        Table peers = Lines("connected peer", "received", "sent", "requests");
        foreach (PeerReport peer in report.Peers) Row(peers, peer.Address, TerminalText.Bytes(peer.BytesReceived), TerminalText.Bytes(peer.BytesSent), Number(peer.RequestsInFlight));
        if (report.Peers.Count > 0) AnsiConsole.Write(peers);
        else Console.Out.WriteLine("nobody is connected");
        if (report.Sources.Count > 0) SourceTable.Print(report.Sources);
        else Console.Out.WriteLine("no source is asked for peers (--no-discovery)");
        DialReport[] others = [.. report.Addresses.Where(address => address.State != "connected")];
        if (others.Length == 0) return;
        Table tried = Lines("other address", "named by", "state", "tries", "why");
        foreach (DialReport dial in others) Row(tried, dial.Address, string.Join(' ', dial.NamedBy), dial.State, Number(dial.Attempts), dial.LastError ?? "");
        AnsiConsole.Write(tried);
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static Table Lines(params string[] columns)
    {
        Table table = new Table().Border(TableBorder.None);
        foreach (string column in columns) table.AddColumn(new TableColumn(new Markup("[grey]" + column + "[/]")).NoWrap());
        return table;
    }

    private static void Row(Table table, params string[] cells) => table.AddRow(cells.Select(cell => new Text(TerminalText.Escape(cell))));
}
