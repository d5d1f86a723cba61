using System.CommandLine;

namespace DatMount.Commands;

/// <summary>
/// Everything a user can type: the public door of this folder. "datmount DRIVE MOUNTPOINT" is short for "datmount mount …", so the
/// root command takes the same arguments and options as mount.
/// </summary>
internal static class CommandLine
{
    private const string About =
        """
        Mounts a Dat archive as a folder: live, fetched as it is read, every byte verified, every old version a directory.

        Examples:
          datmount dat://<key> /mnt/dat
          datmount ~/my-dat-folder /mnt/dat --offline
          datmount demo
        """;

    public static RootCommand Create()
    {
        RootCommand root = new(About);
        foreach (Option own in root.Options.OfType<VersionOption>().ToArray()) root.Options.Remove(own);
        MountCommand.AddTo(root, required: false);
        root.Add(MountCommand.Create());
        root.Add(UnmountCommand.Create());
        root.Add(ShareCommand.Create());
        root.Add(ExportCommand.Create());
        root.Add(CreateCommand.Create());
        foreach (Command command in ChangeCommands.Create()) root.Add(command);
        foreach (Command command in WriterCommands.Create()) root.Add(command);
        root.Add(StatusCommand.Create());
        root.Add(PeersCommand.Create());
        root.Add(DoctorCommand.Create());
        root.Add(DiscoveryServerCommand.Create());
        root.Add(DemoCommand.Create());
        return root;
    }

    public static async Task<int> RunAsync(string[] arguments, CancellationToken ct)
    {
        ParseResult parsed = Create().Parse(arguments);
        InvocationConfiguration run = new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
        try
        {
            int code = await parsed.InvokeAsync(run, ct);
            return parsed.Errors.Count > 0 ? (int)ExitCode.Usage : code;
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            return (int)Failure.Report(failure, Console.Error);
        }
    }
}
