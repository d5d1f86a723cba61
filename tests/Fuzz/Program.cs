using System.Globalization;
using Xunit.Runner.InProc.SystemConsole;

namespace DatMount.Fuzz;

/// <summary>Runs the tests, or what packaging/fuzz asks for.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args) => args switch
    {
        ["--list"] => List(),
        ["--instrument", .. var assemblies] => LongRun.Instrument(assemblies),
        ["--seed", var target, var folder, var dictionary] => LongRun.Seed(target, folder, dictionary),
        ["--serve", var target] => LongRun.Serve(target),
        ["--replay", var target, .. var files] => LongRun.Replay(target, files),
        ["--run", var target, var seconds] => LongRun.Run(target, Number(seconds), (ulong)Random.Shared.NextInt64()),
        ["--run", var target, var seconds, var seed] => LongRun.Run(target, Number(seconds), ulong.Parse(seed, CultureInfo.InvariantCulture)),
        _ => await ConsoleRunner.Run(args),
    };

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    private static int List()
    {
        foreach (string name in FuzzTargets.Names) Console.WriteLine(name);
        return 0;
    }
}
