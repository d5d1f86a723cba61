using System.Globalization;
using Microsoft.Extensions.Logging;

namespace DatMount.Hosting;

/// <summary>What <see cref="LiveStatus"/> shows on a terminal, as log lines for everything else: one whenever something changed, at most one a second.</summary>
internal sealed partial class PlainStatus : IAsyncDisposable
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    private readonly Func<DriveReport> _report;
    private readonly ILogger _log;
    private readonly PeriodicTimer _tick;
    private readonly Task _loop;

    private PlainStatus(Func<DriveReport> report, ILogger log, TimeProvider time)
    {
        (_report, _log, _tick) = (report, log, new PeriodicTimer(s_interval, time));
        _loop = Task.Run(TellAsync);
    }

    public static PlainStatus Start(Func<DriveReport> report, ILogger log, TimeProvider time) => new(report, log, time);

    /// <summary>What is waited for, or the version once nothing is: rates and peers that come and go would fill a log.</summary>
    internal static string Line(DriveReport report) => report.Ready ? string.Create(CultureInfo.InvariantCulture, $"version {report.Version}") : LiveStatus.Line(report, 0, 0);

    public async ValueTask DisposeAsync()
    {
        _tick.Dispose();
        await _loop;
    }

    private async Task TellAsync()
    {
        string told = "";
        do
        {
            string line = Line(_report());
            if (line == told) continue;
            Now(_log, line);
            told = line;
        }
        while (await _tick.WaitForNextTickAsync());
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{State}")]
    private static partial void Now(ILogger logger, string state);
}
