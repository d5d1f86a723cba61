using System.Globalization;
using DatMount.Commands;
using Spectre.Console;

namespace DatMount.Hosting;

/// <summary>The line that a terminal shows while a drive is mounted: what is being waited for, then version, peers and rates.</summary>
internal sealed class LiveStatus : IAsyncDisposable
{
    private static readonly TimeSpan s_refresh = TimeSpan.FromMilliseconds(500);

    private readonly Func<DriveReport> _report;
    private readonly CancellationTokenSource _end = new();
    private readonly Task _loop;

    private LiveStatus(Func<DriveReport> report)
    {
        _report = report;
        _loop = Task.Run(ShowAsync);
    }

    public static bool IsPossible => !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Interactive;

    public static LiveStatus Start(Func<DriveReport> report) => new(report);

    /// <summary>Prints a line above the live one.</summary>
    public static void Say(string line) => AnsiConsole.WriteLine(TerminalText.Escape(line));

    internal static string Line(DriveReport report, double receiveRate, double sendRate)
    {
        if (!report.Ready)
        {
            if (report.Peers.Count == 0 && report.Unreachable.Count > 0)
                return $"no peer yet: {report.Unreachable[0].Address}: {report.Unreachable[0].LastError}";
            return report.Peers.Count == 0 ? "connecting to peers" : string.Create(CultureInfo.InvariantCulture, $"{Peers(report)}, metadata {report.MetadataHeld}/{report.MetadataLength}");
        }

        string metadata = report.MetadataHeld < report.MetadataLength ? string.Create(CultureInfo.InvariantCulture, $" · metadata {report.MetadataHeld}/{report.MetadataLength}") : "";
        return string.Create(CultureInfo.InvariantCulture,
            $"version {report.Version} · {Peers(report)} · ↓ {TerminalText.Bytes(receiveRate)}/s ↑ {TerminalText.Bytes(sendRate)}/s{metadata}");
    }

    private static string Peers(DriveReport report) => report.Peers.Count == 1 ? "1 peer" : string.Create(CultureInfo.InvariantCulture, $"{report.Peers.Count} peers");

    private async Task ShowAsync()
    {
        await AnsiConsole.Status().Spinner(Spinner.Known.Dots).StartAsync("starting", async context =>
        {
            using PeriodicTimer tick = new(s_refresh);
            DriveReport before = _report();
            while (!_end.IsCancellationRequested)
            {
                DriveReport now = _report();
                double seconds = s_refresh.TotalSeconds;
                context.Status = Markup.Escape(TerminalText.Escape(Line(now, (now.BytesReceived - before.BytesReceived) / seconds, (now.BytesSent - before.BytesSent) / seconds)));
                before = now;
                try
                {
                    if (!await tick.WaitForNextTickAsync(_end.Token)) return;
                }
                catch (OperationCanceledException)
                {
                    return;
                }
            }
        });
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _loop;
        _end.Dispose();
    }
}
