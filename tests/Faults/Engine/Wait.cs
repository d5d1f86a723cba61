using System.Diagnostics;

namespace DatMount.Faults;

/// <summary>Waiting for what other processes bring about.</summary>
internal static class Wait
{
    /// <summary>Generous: a machine that does other things too.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static void Until(Func<bool> condition, string what)
    {
        if (!SpinWait.SpinUntil(condition, Patience)) throw new TimeoutException("never came: " + what);
    }

    /// <summary>Runs a program to its end.</summary>
    public static async Task<(int Exit, string Out, string Error)> RunAsync(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("timeout", ["-k", "5", "120", program, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }

    public static void SkipWithoutFuse()
    {
        if (!File.Exists("/dev/fuse")) Xunit.Assert.Skip("skipped: no /dev/fuse");
    }
}
