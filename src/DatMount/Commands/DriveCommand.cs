using System.CommandLine;
using DatMount.Hosting;
using Microsoft.Extensions.Logging;

namespace DatMount.Commands;

/// <summary>What all commands have in common that ask or change a drive and end: the drive, how it is reached, and who has it open.</summary>
internal static class DriveCommand
{
    private const string DriveHelp = "A mountpoint, a key, a dat:// link, a folder that holds a drive, or the name of a kept one; - reads it from standard input.";

    /// <summary>Makes a command whose first argument is the drive; the work answers the exit code.</summary>
    public static Command Create(string name, string description, string purpose, IReadOnlyList<Symbol> others, Func<ParseResult, IOpenDrive, CancellationToken, Task<ExitCode>> work)
    {
        DriveOptions options = new();
        Argument<string> drive = new("drive") { Description = DriveHelp };
        Command command = new(name, description) { drive };
        foreach (Symbol other in others)
        {
            if (other is Argument argument) command.Add(argument);
            else command.Add((Option)other);
        }

        options.AddTo(command);
        command.SetAction(async (parsed, ct) =>
        {
            DriveSettings settings = options.Read(parsed);
            using ILoggerFactory loggers = LoggerFactory.Create(logging =>
            {
                ActivityHost.ConfigureLogging(logging, settings.Verbose, quiet: false);
                if (!settings.Verbose) logging.SetMinimumLevel(LogLevel.Warning);
            });
            await using IOpenDrive open = await OpenDrives.FindAsync(parsed.GetValue(drive)!, purpose, settings, loggers, ct);
            return (int)await work(parsed, open, ct);
        });
        return command;
    }

    /// <summary>The switch for machine-readable output.</summary>
    public static Option<bool> Json() => new("--json") { Description = "Print machine-readable output." };

    /// <summary>An argument that is a writer's key.</summary>
    public static Argument<string> WriterKey()
    {
        Argument<string> key = new("writer-key") { Description = "What 'datmount writer' printed on the other machine: 64 hexadecimal digits." };
        key.Validators.Add(result =>
        {
            if (!DatFs.Crypto.FeedKey.TryParseHex(result.GetValueOrDefault<string>() ?? "", out _)) result.AddError("A writer's key has 64 hexadecimal digits; 'datmount writer <drive>' prints it on the machine that wants to write.");
        });
        return key;
    }

    /// <summary>The key of such an argument.</summary>
    public static DatFs.Crypto.FeedKey Key(string text) => DatFs.Crypto.FeedKey.TryParseHex(text, out DatFs.Crypto.FeedKey key) ? key : default;
}
