namespace DatFs.Discovery;

/// <summary>
/// Keeps a source that does not answer from being asked in vain, and remembers how it fares (discovery.md §10 point 2). Closed until
/// <see cref="MaxFailures"/> failures in a row; then one probe at a time, with pauses that double. Safe for use by any thread.
/// </summary>
internal sealed class SourceBreaker(TimeProvider time, Func<double> random)
{
    /// <summary>Failures in a row that open it.</summary>
    public const int MaxFailures = 3;

    /// <summary>Longest first pause.</summary>
    public static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(5);

    /// <summary>Longest pause of all.</summary>
    public static readonly TimeSpan MaxPause = TimeSpan.FromMinutes(5);

    private readonly Lock _gate = new();
    private int _failures;
    private long? _until;
    private bool _probing;
    private DateTimeOffset? _lastAnswer;
    private TimeSpan? _roundTrip;
    private string? _problem;

    /// <summary>True when a request may leave now. After a pause only one may, until its outcome is known.</summary>
    public bool TryEnter()
    {
        lock (_gate)
        {
            if (_until is not { } until) return true;
            if (_probing || time.GetTimestamp() < until) return false;
            _probing = true;
            return true;
        }
    }

    /// <summary>How long until a request may leave; zero = now.</summary>
    public TimeSpan Pause
    {
        get
        {
            lock (_gate) return _until is { } until && time.GetTimestamp() < until ? time.GetElapsedTime(time.GetTimestamp(), until) : TimeSpan.Zero;
        }
    }

    /// <summary>An answer came.</summary>
    public void Answered(TimeSpan roundTrip)
    {
        lock (_gate)
        {
            Close();
            _lastAnswer = time.GetUtcNow();
            _roundTrip = _roundTrip is { } before ? before + (roundTrip - before) / 8 : roundTrip;
        }
    }

    /// <summary>No answer came, or none that could be used.</summary>
    public void Failed(string problem)
    {
        lock (_gate)
        {
            _problem = problem;
            _probing = false;
            if (++_failures < MaxFailures) return;
            double longest = Math.Min(MaxPause.TotalSeconds, FirstPause.TotalSeconds * Math.Pow(2, Math.Min(_failures - MaxFailures, 16)));
            // Full jitter, so that the clients of a server that returns do not come back at once.
            _until = time.GetTimestamp() + (long)(longest * random() * time.TimestampFrequency);
        }
    }

    /// <summary>Forgets failures: what was so before the network changed says nothing now.</summary>
    public void Reset()
    {
        lock (_gate) Close();
    }

    /// <summary>How the source fares.</summary>
    public SourceStatus Status(string? remedy)
    {
        lock (_gate)
        {
            SourceHealth health = _until is not null ? SourceHealth.Down : _failures > 0 ? SourceHealth.Failing : _lastAnswer is null ? SourceHealth.Unknown : SourceHealth.Up;
            return new SourceStatus(health, _failures, _lastAnswer, _roundTrip, _problem, _problem is null ? null : remedy);
        }
    }

    private void Close() => (_failures, _until, _probing, _problem) = (0, null, false, null);
}
