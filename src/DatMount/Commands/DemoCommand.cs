using System.CommandLine;
using DatMount.Hosting;

namespace DatMount.Commands;

/// <summary>"datmount demo": the main job with nothing but this program.</summary>
internal static class DemoCommand
{
    public static Command Create()
    {
        Argument<string?> mountpoint = new("mountpoint") { Description = "Where to mount; a new temporary folder unless given.", Arity = ArgumentArity.ZeroOrOne };
        Option<bool> stay = new("--stay") { Description = "Keep the demo mounted until Ctrl-C after the tour." };
        Command command = new("demo", "Mount a sample drive that a second peer serves over real sockets on loopback, with a short tour.\n\nExample:\n  datmount demo /mnt/demo --stay") { mountpoint, stay };
        command.SetAction(async (parsed, ct) =>
        {
            bool wait = parsed.GetValue(stay) || (parsed.GetValue(mountpoint) is not null && LiveStatus.IsPossible);
            await using Demo demo = await Demo.StartAsync(parsed.GetValue(mountpoint), ct);
            await demo.TourAsync(Console.Out, ct);
            if (wait) await demo.WaitAsync(Console.Out, ct);
            return (int)ExitCode.Done;
        });
        return command;
    }
}
