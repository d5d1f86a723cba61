using System.Diagnostics;
using DatFs.Evidence;
using DatMount.Platform.Fuse;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DatMount.Posix;

/// <summary>A <see cref="TreeFs"/> mounted on a fresh folder; always unmounted at the end.</summary>
internal sealed class MountedTree : IAsyncDisposable
{
    private MountedTree(TreeFs fs, FuseMount mount, string folder) => (Fs, Mount, Folder) = (fs, mount, folder);

    public TreeFs Fs { get; }

    public FuseMount Mount { get; }

    /// <summary>The mount point.</summary>
    public string Folder { get; }

    public string this[string name] => Path.Combine(Folder, name);

    public static void RequireFuse() => Assert.SkipUnless(File.Exists("/dev/fuse"), "skipped: no /dev/fuse");

    public static void RequireRoot() => Assert.SkipUnless(Environment.IsPrivilegedProcess, "skipped: needs root");

    public static string FreshFolder() => Directory.CreateTempSubdirectory("datmount-posix-").FullName;

    public static async Task<MountedTree> CreateAsync(TreeFs fs, FuseMountOptions? options = null, ILogger? log = null)
    {
        RequireFuse();
        string folder = FreshFolder();
        options ??= new FuseMountOptions { UnmountGrace = TimeSpan.FromSeconds(1) };
        FuseMount mount = await FuseMount.MountAsync(fs, folder, options, log ?? NullLogger.Instance, TestContext.Current.CancellationToken);
        return new MountedTree(fs, mount, folder);
    }

    public async ValueTask DisposeAsync()
    {
        await Mount.UnmountAsync(lazyAfterGrace: true, CancellationToken.None);
        await Mount.Completion.WaitAsync(TimeSpan.FromSeconds(20));
        Directory.Delete(Folder);
    }
}

/// <summary>Programs run from tests, each with a time limit of its own.</summary>
internal static class Shell
{
    /// <summary>This program in one of its other roles (Program.Main).</summary>
    public static Process StartSelf(params string[] arguments) =>
        Process.Start(new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "DatMount.Posix.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
        })!;

    /// <summary>Waits for a condition another process or thread brings about.</summary>
    public static void Until(Func<bool> condition, string what)
    {
        if (!SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(20))) throw new TimeoutException("never came: " + what);
    }

    /// <summary>Ends when the token is cancelled, without throwing.</summary>
    public static Task CancelledAsync(CancellationToken ct) => Task.Delay(Timeout.Infinite, ct).ContinueWith(
        _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);

    public static async Task<(int Exit, string Out, string Error)> RunAsync(string program, params string[] arguments)
    {
        using Process process = Start(program, arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await error);
    }

    public static Process Start(string program, params string[] arguments) =>
        Process.Start(new ProcessStartInfo("timeout", ["-k", "5", "60", program, .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        })!;
}
