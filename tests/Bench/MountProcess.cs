using System.Diagnostics;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>A mount that a program of its own serves; unmounted and ended when disposed.</summary>
internal interface IServedMount : IAsyncDisposable
{
    int ProcessId { get; }
}

/// <summary>A program that serves a FUSE mount in the foreground.</summary>
internal sealed class MountProcess : IServedMount
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly string _mountpoint;

    private MountProcess(Process process, string mountpoint) => (_process, _mountpoint) = (process, mountpoint);

    /// <inheritdoc/>
    public int ProcessId => _process.Id;

    /// <summary>Where packaging/build puts the program.</summary>
    public static string Program { get; } = Path.Combine(Path.GetDirectoryName(Vectors.TestsRoot)!, "artifacts", "bin", "datmount");

    /// <summary>Starts the program and waits until the mount is there.</summary>
    public static async Task<MountProcess> StartAsync(string program, string mountpoint, params string[] arguments)
    {
        ProcessStartInfo start = new(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        Process process = Process.Start(start)!;
        _ = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        MountProcess mount = new(process, mountpoint);
        long started = Stopwatch.GetTimestamp();
        string wanted = $" {mountpoint} ";
        while (!File.ReadAllText("/proc/self/mountinfo").Contains(wanted, StringComparison.Ordinal))
        {
            if (process.HasExited) throw new InvalidOperationException($"{program} ended with {process.ExitCode}: {await errors}");
            if (Stopwatch.GetElapsedTime(started) > s_patience)
            {
                await mount.DisposeAsync();
                throw new TimeoutException($"{program} did not mount within {s_patience.TotalSeconds:0} s: {await errors}");
            }

            await Task.Delay(20);
        }

        return mount;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        using (Process unmount = Process.Start(new ProcessStartInfo("fusermount3", ["-u", "-z", _mountpoint]) { RedirectStandardError = true })!)
            await unmount.WaitForExitAsync();
        using CancellationTokenSource patience = new(s_patience);
        try
        {
            await _process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
    }
}
