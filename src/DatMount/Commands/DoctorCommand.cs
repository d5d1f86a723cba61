using System.CommandLine;
using System.Text.Json;
using DatMount.Hosting;

namespace DatMount.Commands;

/// <summary>"datmount doctor": what works on this machine, and what to do about the rest.</summary>
internal static class DoctorCommand
{
    private const string Help =
        """
        Check what mounting needs: FUSE, storage, the port for peers and every source that finds them.

        Examples:
          datmount doctor
          datmount doctor --discovery lan --json
        """;

    public static Command Create()
    {
        DriveOptions options = new();
        Option<bool> json = new("--json") { Description = "Print machine-readable output." };
        Command command = new("doctor", Help) { json };
        options.AddTo(command);
        command.SetAction(async (parsed, ct) =>
        {
            DoctorReport report = await Doctor.ExamineAsync(options.Read(parsed), TimeProvider.System, ct);
            if (parsed.GetValue(json)) await Console.Out.WriteLineAsync(JsonSerializer.Serialize(report, ControlJson.Default.DoctorReport));
            else Print(report);
            return (int)(report.Bad ? ExitCode.Failed : ExitCode.Done);
        });
        return command;
    }

    private static void Print(DoctorReport report)
    {
        foreach (DoctorCheck check in report.Checks)
            Console.Out.WriteLine($"{check.What,-12} {check.State,-8} {TerminalText.Escape(check.Remedy is null ? check.Found : $"{check.Found}; {check.Remedy}")}");
        if (report.Sources.Count > 0) SourceTable.Print(report.Sources);
    }
}
