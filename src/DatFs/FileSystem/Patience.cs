namespace DatFs.FileSystem;

/// <summary>
/// Runs one question to the drive on behalf of a caller: answers that are held complete synchronously; others wait until the caller
/// gives up (<see cref="FsError.Interrupted"/>) or nothing has arrived for the whole timeout (<see cref="FsError.TimedOut"/>, or
/// <see cref="FsError.Offline"/> without a peer). A slow link that makes progress never times out (platform.md §3).
/// The wait ends with the timeout even if the question does not.
/// </summary>
internal sealed class Patience(TimeSpan timeout, TimeProvider time, Func<long>? progress, Func<bool>? connected)
{
    /// <summary>How often progress is looked at within one timeout: the wait is at most this fraction too long.</summary>
    private const int LooksPerTimeout = 8;

    // One spare for each thread: a question answered at once costs no allocation.
    [ThreadStatic]
    private static CancellationTokenSource? t_spare;

    public ValueTask<Result<T>> RunAsync<TState, T>(
        TState state, Func<TState, CancellationToken, ValueTask<T>> start, CancellationToken ct, Action<T>? discard = null)
    {
        if (ct.IsCancellationRequested) return new(FsError.Interrupted);
        CancellationTokenSource stop = t_spare ?? new CancellationTokenSource();
        t_spare = null;
        try
        {
            ValueTask<T> pending = start(state, stop.Token);
            if (!pending.IsCompletedSuccessfully) return WaitAsync(pending.AsTask(), stop, discard, ct);
            Result<T> answer = pending.Result;
            if (stop.TryReset()) t_spare = stop;
            return new(answer);
        }
        catch (DatException failure)
        {
            return new(FsErrors.From(failure.Error));
        }
        catch (OperationCanceledException)
        {
            return new(FsError.Interrupted);
        }
    }

    private async ValueTask<Result<T>> WaitAsync<T>(Task<T> pending, CancellationTokenSource stop, Action<T>? discard, CancellationToken ct)
    {
        using Watch? watch = timeout > TimeSpan.Zero ? new Watch(this, stop) : null;
        using CancellationTokenRegistration caller = ct.UnsafeRegister(static stop => ((CancellationTokenSource)stop!).Cancel(), stop);
        try
        {
            return await pending.WaitAsync(stop.Token);
        }
        catch (DatException failure)
        {
            return FsErrors.From(failure.Error);
        }
        catch (OperationCanceledException)
        {
            _ = AbandonAsync(pending, discard);
            if (watch is not { Expired: true }) return FsError.Interrupted;
            return connected is not null && !connected() ? FsError.Offline : FsError.TimedOut;
        }
    }

    /// <summary>A question that goes on after its caller left: its late answer is given back, its failure concerns nobody.</summary>
    private static async Task AbandonAsync<T>(Task<T> pending, Action<T>? discard)
    {
        await ((Task)pending).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (pending.IsCompletedSuccessfully) discard?.Invoke(pending.Result);
    }

    /// <summary>Cancels the wait once nothing has arrived for the whole timeout.</summary>
    private sealed class Watch : IDisposable
    {
        private readonly Patience _owner;
        private readonly CancellationTokenSource _stop;
        private readonly ITimer _timer;
        private readonly TimeProvider _time;
        private readonly TimeSpan _timeout;
        private long _seen;
        private long _since;

        public Watch(Patience owner, CancellationTokenSource stop)
        {
            (_owner, _stop, _time, _timeout) = (owner, stop, owner.Time, owner.Timeout);
            _seen = owner.Arrived;
            _since = _time.GetTimestamp();
            TimeSpan look = TimeSpan.FromTicks(Math.Max(TimeSpan.TicksPerMillisecond, _timeout.Ticks / LooksPerTimeout));
            _timer = _time.CreateTimer(static watch => ((Watch)watch!).Look(), this, look, look);
        }

        public bool Expired { get; private set; }

        public void Dispose() => _timer.Dispose();

        private void Look()
        {
            long arrived = _owner.Arrived;
            if (arrived != _seen)
            {
                _seen = arrived;
                _since = _time.GetTimestamp();
            }
            else if (_time.GetElapsedTime(_since) >= _timeout)
            {
                Expired = true;
                _stop.Cancel();
            }
        }
    }

    private TimeProvider Time => time;

    private TimeSpan Timeout => timeout;

    private long Arrived => progress?.Invoke() ?? 0;
}
