using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using DatMount.Hosting;

namespace DatMount.Commands;

/// <summary>"datmount writer", "authorize", "writers" and "ignore": who writes a drive.</summary>
internal static class WriterCommands
{
    private const int KeyDigits = 16;

    public static IEnumerable<Command> Create()
    {
        yield return Writer();
        yield return Authorize();
        yield return Writers();
        yield return Ignore();
    }

    private static Command Writer()
    {
        Option<bool> json = DriveCommand.Json();
        return DriveCommand.Create(
            "writer", "Print this machine's writer key for a drive: send it to somebody who may write, who lets you write with 'datmount authorize'.\n\nExample:\n  datmount writer dat://<key>",
            "asked for its writer", [json], async (parsed, drive, ct) =>
            {
                OwnWriterReport own = await drive.WriterAsync(ct);
                if (parsed.GetValue(json)) await Console.Out.WriteLineAsync(JsonSerializer.Serialize(own, ControlJson.Default.OwnWriterReport));
                else
                {
                    await Console.Out.WriteLineAsync(own.Key);
                    if (!own.Authorized) await Console.Error.WriteLineAsync("datmount: nobody has let this machine write yet; somebody who may runs: datmount authorize <drive> <this key>");
                }

                return ExitCode.Done;
            });
    }

    private static Command Authorize()
    {
        Argument<string> key = DriveCommand.WriterKey();
        Option<string?> label = new("--label") { Description = "What to call the writer on this machine.", HelpName = "name" };
        return DriveCommand.Create(
            "authorize", "Let another machine write the drive. There is no way to take this back; 'datmount ignore' leaves a writer out of your own view.\n\nExample:\n  datmount authorize /mnt/dat <writer-key> --label ada",
            "given another writer", [key, label], async (parsed, drive, ct) =>
            {
                bool changed = await drive.AuthorizeAsync(DriveCommand.Key(parsed.GetValue(key)!), parsed.GetValue(label), ct);
                await Console.Out.WriteLineAsync(changed ? "may write from now on" : "may write already");
                return ExitCode.Done;
            });
    }

    private static Command Writers()
    {
        Option<bool> json = DriveCommand.Json();
        return DriveCommand.Create("writers", "List who may write a drive, and who let them.\n\nExample:\n  datmount writers /mnt/dat", "asked for its writers", [json], async (parsed, drive, ct) =>
        {
            List<WriterReport> writers = await drive.WritersAsync(ct);
            if (parsed.GetValue(json)) await Console.Out.WriteLineAsync(JsonSerializer.Serialize(writers, ControlJson.Default.ListWriterReport));
            else Print(writers);
            return ExitCode.Done;
        });
    }

    private static Command Ignore()
    {
        Argument<string> key = DriveCommand.WriterKey();
        Option<long> from = new("--from") { Description = "Leave out entries from this number on; 1 = all.", HelpName = "SEQ", DefaultValueFactory = _ => 1 };
        Option<bool> undo = new("--undo") { Description = "Show the writer's entries again." };
        from.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<long>() < 1) result.AddError("--from takes a number from 1 on; 'datmount log' shows them.");
        });
        const string About =
            """
            Leave a writer's entries out of this machine's view and show what they replaced. Others see them still, and nothing is revoked: what you
            write over such a path replaces the writer's version for everybody.

            Example:
              datmount ignore /mnt/dat <writer-key> --from 12
            """;
        return DriveCommand.Create("ignore", About, "told whom to leave out", [key, from, undo], async (parsed, drive, ct) =>
        {
            bool again = parsed.GetValue(undo);
            await drive.IgnoreAsync(DriveCommand.Key(parsed.GetValue(key)!), again ? null : parsed.GetValue(from), ct);
            await Console.Out.WriteLineAsync(again ? "shown again" : "left out of this machine's view; others see it as before");
            return ExitCode.Done;
        });
    }

    private static void Print(List<WriterReport> writers)
    {
        foreach (WriterReport writer in writers)
        {
            List<string> facts = [string.Create(CultureInfo.InvariantCulture, $"{writer.Entries} changes{(writer.LastChange is null ? "" : ", the last " + ChangeCommands.Time(writer.LastChange))}")];
            if (writer.Own) facts.Add("this machine");
            if (writer.AuthorizedBy is { } who) facts.Add(string.Create(CultureInfo.InvariantCulture, $"let write by {who[..8]} #{writer.AuthorizedAt}"));
            else facts.Add(writer.Authorized ? "made the drive" : "may not write yet");
            if (writer.IgnoredFrom is { } from) facts.Add(string.Create(CultureInfo.InvariantCulture, $"left out from #{from}"));
            Console.Out.WriteLine(TerminalText.Escape($"{writer.Key[..KeyDigits]}  {writer.Label ?? "",-10}  {string.Join("; ", facts)}"));
        }

        Console.Out.WriteLine("whole keys: --json");
    }
}
