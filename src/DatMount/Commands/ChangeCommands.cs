using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using DatMount.Hosting;

namespace DatMount.Commands;

/// <summary>"datmount put", "rm", "log" and "conflicts": what was changed, and changes without a mount.</summary>
internal static class ChangeCommands
{
    private const int UsualLimit = 1000;

    public static IEnumerable<Command> Create()
    {
        yield return Put();
        yield return Remove();
        yield return Log();
        yield return Conflicts();
        yield return Resolve();
    }

    internal static string Time(DateTimeOffset? time) => time?.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture) ?? "";

    private static Command Put()
    {
        Argument<string> path = new("path") { Description = "Where it goes in the drive." };
        Argument<string> file = new("file") { Description = "An ordinary file; - takes standard input." };
        return DriveCommand.Create(
            "put", "Write one file into a drive, with its time and permissions. Others get it when the drive is mounted or shared.\n\nExample:\n  datmount put holiday photos/1.jpg ./1.jpg",
            "written into", [path, file], async (parsed, drive, ct) =>
            {
                string named = parsed.GetValue(file)!;
                if (named == "-")
                {
                    await using Stream input = Console.OpenStandardInput();
                    return await DoneAsync(drive.PutAsync(parsed.GetValue(path)!, input, null, null, ct));
                }

                FileInfo ordinary = new(named);
                if (Directory.Exists(named)) throw new CommandException(ExitCode.Usage, $"{named} is a folder; put writes one file");
                if (!ordinary.Exists) throw new CommandException(ExitCode.NotFound, $"there is no file {named}");
                uint? mode = OperatingSystem.IsWindows() ? null : (uint)File.GetUnixFileMode(named) & 0x1FF;
                await using FileStream content = new(named, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0, useAsync: true);
                return await DoneAsync(drive.PutAsync(parsed.GetValue(path)!, content, mode, new DateTimeOffset(ordinary.LastWriteTimeUtc).ToUnixTimeMilliseconds(), ct));
            });
    }

    private static Command Remove()
    {
        Argument<string> path = new("path") { Description = "A file, or an empty folder, in the drive." };
        return DriveCommand.Create(
            "rm", "Remove one path from a drive; earlier versions keep it.\n\nExample:\n  datmount rm holiday photos/1.jpg",
            "written into", [path], async (parsed, drive, ct) => await DoneAsync(drive.RemoveAsync(parsed.GetValue(path)!, ct)));
    }

    private static Command Log()
    {
        Argument<string?> path = new("path") { Description = "Only changes of this path.", Arity = ArgumentArity.ZeroOrOne };
        Option<int> limit = new("--limit") { Description = "The newest so many.", HelpName = "N", DefaultValueFactory = _ => UsualLimit };
        limit.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1) result.AddError("--limit takes a number from 1 on.");
        });
        Option<bool> json = DriveCommand.Json();
        return DriveCommand.Create("log", "List the changes of a drive, newest first.\n\nExamples:\n  datmount log /mnt/dat\n  datmount log /mnt/dat notes.txt", "asked for its history", [path, limit, json], async (parsed, drive, ct) =>
        {
            List<ChangeReport> changes = await drive.LogAsync(parsed.GetValue(path), parsed.GetValue(limit), ct);
            if (parsed.GetValue(json)) await Console.Out.WriteLineAsync(JsonSerializer.Serialize(changes, ControlJson.Default.ListChangeReport));
            foreach (ChangeReport change in parsed.GetValue(json) ? [] : changes)
            {
                string who = change.Writer is { } writer ? $"{change.Label ?? writer[..8]} " : "";
                string size = change.Size is { } bytes ? $"  {TerminalText.Bytes(bytes)}" : "";
                await Console.Out.WriteLineAsync(TerminalText.Escape(string.Create(CultureInfo.InvariantCulture, $"{who}#{change.Seq}  {Time(change.Time),20}  {change.Kind,-9} {change.Path}{size}")));
            }

            return ExitCode.Done;
        });
    }

    private static Command Conflicts()
    {
        Option<bool> json = DriveCommand.Json();
        return DriveCommand.Create(
            "conflicts", "List paths of which several writers made versions without knowing of each other's. The first of each is the one that shows.\n\nExample:\n  datmount conflicts /mnt/dat",
            "asked for its conflicts", [json], async (parsed, drive, ct) =>
            {
                List<ConflictReport> conflicts = await drive.ConflictsAsync(ct);
                if (parsed.GetValue(json)) await Console.Out.WriteLineAsync(JsonSerializer.Serialize(conflicts, ControlJson.Default.ListConflictReport));
                else if (conflicts.Count == 0) await Console.Out.WriteLineAsync("no conflicts");
                foreach (ConflictReport conflict in parsed.GetValue(json) ? [] : conflicts)
                {
                    await Console.Out.WriteLineAsync(TerminalText.Escape(conflict.Path));
                    foreach (SideReport side in conflict.Sides) await Console.Out.WriteLineAsync(TerminalText.Escape(Line(side, conflict.Path)));
                }

                return ExitCode.Done;
            });
    }

    private static Command Resolve()
    {
        Argument<string> path = new("path") { Description = "A path that 'datmount conflicts' lists." };
        Option<string?> take = new("--take") { Description = "Keep this version of it, as 'datmount conflicts' names it.", HelpName = "WRITER@SEQ" };
        Option<bool> merged = new("--merged") { Description = "Merge the versions by the path's strategy; by lines where it has none." };
        Option<string?> file = new("--file") { Description = "Keep what is in this file; - takes standard input.", HelpName = "file" };
        Command command = DriveCommand.Create(
            "resolve",
            "Settle a conflict for everybody, with one new version over all that there are. Earlier versions keep the others.\n\nExamples:\n  datmount resolve /mnt/dat plan.txt --take 1f2e3d4c@17\n  datmount resolve /mnt/dat plan.txt --merged",
            "written into", [path, take, merged, file], async (parsed, drive, ct) =>
            {
                await using Stream content = Input(parsed.GetValue(file));
                return await DoneAsync(drive.ResolveAsync(parsed.GetValue(path)!, parsed.GetValue(take), parsed.GetValue(merged), content, ct));
            });
        command.Validators.Add(result =>
        {
            if ((result.GetValue(take) is null ? 0 : 1) + (result.GetValue(merged) ? 1 : 0) + (result.GetValue(file) is null ? 0 : 1) != 1) result.AddError("One of --take, --merged and --file says how.");
        });
        return command;
    }

    private static Stream Input(string? file) => file switch
    {
        null => Stream.Null,
        "-" => Console.OpenStandardInput(),
        _ when File.Exists(file) => new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0, useAsync: true),
        _ => throw new CommandException(ExitCode.NotFound, $"there is no file {file}"),
    };

    private static string Line(SideReport side, string path)
    {
        string what = side.Deleted ? "deleted" : $"{Time(side.Modified)}  {TerminalText.Bytes(side.Size)}{(side.Path == path ? "  shown" : side.Path is { } at ? "  as " + at : "")}";
        return string.Create(CultureInfo.InvariantCulture, $"  {side.Label ?? side.Writer[..8]}@{side.Seq}  {what}");
    }

    private static async Task<ExitCode> DoneAsync(Task<long> change)
    {
        long version = await change;
        await Console.Out.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"version {version}"));
        return ExitCode.Done;
    }
}
