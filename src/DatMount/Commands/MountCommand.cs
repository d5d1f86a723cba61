using System.CommandLine;
using DatMount.Hosting;

namespace DatMount.Commands;

/// <summary>"datmount mount DRIVE MOUNTPOINT", its short form without the word, and the form mount(8) uses: DRIVE MOUNTPOINT -o options.</summary>
internal static class MountCommand
{
    private const string Help =
        """
        Mount a drive as a folder; Ctrl-C unmounts.

        Examples:
          datmount mount dat://<key> /mnt/dat --peer 192.0.2.7:3282
          datmount dat://<key>+12 /mnt/dat --peer 192.0.2.7:3282 --detach
          mount -t fuse.datmount dat://<key> /mnt/dat -o ro,peer=192.0.2.7:3282
        """;

    public static Command Create()
    {
        Command command = new("mount", Help);
        AddTo(command, required: true);
        return command;
    }

    public static void AddTo(Command command, bool required)
    {
        ArgumentArity arity = required ? ArgumentArity.ExactlyOne : ArgumentArity.ZeroOrOne;
        Argument<string?> drive = new("drive") { Description = "Key, dat:// link, folder that holds a drive, or the name of a kept one; - reads it from standard input.", Arity = arity };
        Argument<string?> mountpoint = new("mountpoint") { Description = "An empty folder.", Arity = arity };
        DriveOptions options = new();
        Option<string?> version = new("--version") { Description = "Mount this version, a number or a time, instead of the newest as it changes.", HelpName = "N|time", Arity = required ? ArgumentArity.ExactlyOne : ArgumentArity.ZeroOrOne };
        Option<bool> readOnly = new("--read-only") { Description = "Refuse every write, also once the drive becomes writable." };
        Option<bool> allowOther = new("--allow-other") { Description = "Let other users of this machine read the mount." };
        Option<bool> followLinks = new("--follow-foreign-links") { Description = "Follow symbolic links that leave the mount, though a stranger made them." };
        Option<bool> detach = new("--detach", "-d") { Description = "Go to the background once the mount answers." };
        Option<string[]> mountOptions = new("-o") { Description = "Options as mount(8) passes them: a,b=c. Implies --detach.", HelpName = "options", DefaultValueFactory = _ => [] };
        command.Add(drive);
        command.Add(mountpoint);
        options.AddTo(command);
        foreach (Option option in (Option[])[version, readOnly, allowOther, followLinks, detach, mountOptions]) command.Add(option);
        command.Validators.Add(result =>
        {
            if (result.GetValue(drive) is not null && result.GetValue(mountpoint) is null) result.AddError("Name the folder to mount it at: datmount <drive> <mountpoint>.");
        });
        command.SetAction((parsed, ct) =>
        {
            if (parsed.GetValue(drive) is not { } named) return Task.FromResult(WithoutDrive(parsed, parsed.GetResult(version) is { Implicit: false }));
            string[] helper = parsed.GetValue(mountOptions) ?? [];
            MountRequest request = new()
            {
                Drive = DriveSession.ReadReference(named),
                Mountpoint = Path.GetFullPath(parsed.GetValue(mountpoint)!),
                Settings = options.Read(parsed),
                Version = parsed.GetValue(version),
                ReadOnly = parsed.GetValue(readOnly),
                AllowOther = parsed.GetValue(allowOther),
                FollowForeignLinks = parsed.GetValue(followLinks),
                Detach = parsed.GetValue(detach) || helper.Length > 0,
            };
            return RunAsync(request.With(helper), ct);
        });
    }

    /// <summary>"--version" without a drive is the program's own version, with one the drive's.</summary>
    private static int WithoutDrive(ParseResult parsed, bool versionAsked)
    {
        if (!versionAsked) return new System.CommandLine.Help.HelpAction().Invoke(parsed);
        Console.Out.WriteLine("datmount " + typeof(MountCommand).Assembly.GetName().Version?.ToString(3));
        Console.Out.WriteLine("WinFsp - Windows File System Proxy, Copyright (C) Bill Zissimopoulos, https://github.com/winfsp/winfsp");
        return (int)ExitCode.Done;
    }

    internal static async Task<int> RunAsync(MountRequest request, CancellationToken ct)
    {
        Detach.ReadyPipe? background = Detach.Reporter();
        if (request.Detach && background is null)
            return await Detach.StartAsync(request.ToArguments(), request.Drive, Console.Error, ct);
        try
        {
            await ActivityHost.RunAsync(loggers => new MountActivity(request, TimeProvider.System, loggers), request.Settings.Verbose, background, ct);
            return (int)ExitCode.Done;
        }
        catch (Exception failure) when (background is not null)
        {
            (ExitCode code, string message) = Failure.Describe(failure);
            background.Failed((int)code, message);
            return (int)code;
        }
    }
}
