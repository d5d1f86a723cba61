using Xunit.Runner.InProc.SystemConsole;

namespace DatMount.Fuzz;

/// <summary>Runs the tests.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args) => await ConsoleRunner.Run(args);
}
