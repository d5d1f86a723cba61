using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace DatMount.Hosting;

/// <summary>
/// Runs one activity from start to orderly end: logging, control endpoint, signals (the first asks for a clean end, the second exits at
/// once), readiness for systemd and for the parent of a detached process. The public door of this folder.
/// </summary>
internal static class ActivityHost
{
    /// <summary>How long a signal waits for open files before the mount is detached from under them (platform.md §2).</summary>
    private static readonly TimeSpan s_unmountGrace = TimeSpan.FromSeconds(5);

    public static async Task RunAsync(Func<ILoggerFactory, IActivity> create, bool verbose, Detach.ReadyPipe? background, CancellationToken ct)
    {
        bool live = background is null && LiveStatus.IsPossible;
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        ConfigureLogging(builder.Logging, verbose, quiet: live || background is not null);
        builder.Services.AddSystemd();
        string socket = ControlEndpoint.Configure(builder);
        await using WebApplication host = builder.Build();
        ILoggerFactory loggers = host.Services.GetRequiredService<ILoggerFactory>();
        await using IActivity activity = create(loggers);
        ControlEndpoint.Map(host, activity);

        using PosixSignalRegistration interrupt = ExitOnSecond(PosixSignal.SIGINT);
        using PosixSignalRegistration terminate = ExitOnSecond(PosixSignal.SIGTERM);
        await host.StartAsync(ct);
        try
        {
            ControlEndpoint.Protect(socket);
            CancellationToken stopping = host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
            using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(stopping, ct);
            await using IAsyncDisposable? status = live ? LiveStatus.Start(activity.Report)
                : background is null ? PlainStatus.Start(activity.Report, loggers.CreateLogger("datmount"), TimeProvider.System) : null;
            await StartAsync(activity, ending.Token);
            string announcement = activity.Announcement;
            if (live) LiveStatus.Say(announcement);
            else if (background is null) await Console.Out.WriteLineAsync(announcement.AsMemory(), ct);
            background?.MountIsUp();

            await Task.WhenAny(activity.Completion, Task.Delay(Timeout.Infinite, ending.Token));
            if (!activity.Completion.IsCompleted) await EndAsync(activity);
            await activity.Completion;
        }
        finally
        {
            await host.StopAsync(CancellationToken.None);
            File.Delete(socket);
        }
    }

    private static async Task StartAsync(IActivity activity, CancellationToken ending)
    {
        try
        {
            await activity.StartAsync(ending);
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested)
        {
            await EndAsync(activity);
            throw;
        }
    }

    private static async Task EndAsync(IActivity activity)
    {
        using CancellationTokenSource grace = new(s_unmountGrace);
        UnmountReply reply = await activity.StopAsync(lazy: false, grace.Token);
        if (!reply.Done) await activity.StopAsync(lazy: true, CancellationToken.None);
    }

    internal static void ConfigureLogging(ILoggingBuilder logging, bool verbose, bool quiet)
    {
        logging.ClearProviders();
        logging.SetMinimumLevel(verbose ? LogLevel.Debug : LogLevel.Information);
        logging.AddFilter("Microsoft", LogLevel.Warning);
        if (quiet && !verbose) return;
        // What a command answers goes to standard output, what it tells about itself never does: a link that is shared is no log line.
        logging.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        logging.AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss ";
            console.ColorBehavior = LoggerColorBehavior.Disabled;
        });
    }

    private static PosixSignalRegistration ExitOnSecond(PosixSignal signal)
    {
        int seen = 0;
        return PosixSignalRegistration.Create(signal, _ =>
        {
            if (Interlocked.Increment(ref seen) > 1) Environment.Exit(130);
        });
    }
}
