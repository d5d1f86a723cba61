using System.Globalization;
using DatMount.Fuzz.Engine;
using Xunit.Runner.InProc.SystemConsole;

namespace DatMount.Fuzz;

/// <summary>Runs the tests, or one target for as long as it is told to.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args) => args switch
    {
        ["--list"] => List(),
        ["--replay", var target, var file] => Replay(target, file),
        ["--run", var target, var seconds] => Run(target, double.Parse(seconds, CultureInfo.InvariantCulture), (ulong)Random.Shared.NextInt64()),
        ["--run", var target, var seconds, var seed] => Run(target, double.Parse(seconds, CultureInfo.InvariantCulture), ulong.Parse(seed, CultureInfo.InvariantCulture)),
        _ => await ConsoleRunner.Run(args),
    };

    private static int List()
    {
        foreach (string name in FuzzTargets.Names) Console.WriteLine(name);
        return 0;
    }

    private static int Replay(string target, string file)
    {
        FuzzRun.Check(FuzzTargets.Create(target), File.ReadAllBytes(file));
        Console.WriteLine("handled");
        return 0;
    }

    /// <summary>Only with mutation, on one thread.</summary>
    private static int Run(string target, double seconds, ulong seed)
    {
        FuzzRun run = new(FuzzTargets.Create(target), seed, 0);
        long started = Environment.TickCount64;
        run.Run(() => Environment.TickCount64 - started < 1000 * seconds);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"fuzz {target}: {run.Cases} cases, {run.Cases * 1000.0 / Math.Max(1, Environment.TickCount64 - started):0} a second, seed {seed}"));
        if (run.Failure is not { } failure) return 0;
        Console.WriteLine($"{FuzzFiles.Save(target, failure.Input)} failed: {failure.Reason}");
        return 1;
    }
}
