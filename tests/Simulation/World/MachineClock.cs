using DatFs;

namespace DatMount.Simulation;

/// <summary>The clock of one machine. Its timestamps are those of the world; what the calendar says may jump.</summary>
internal sealed class MachineClock(Machine machine) : TimeProvider, IClockwork
{
    private static readonly DateTimeOffset s_epoch = new(2018, 1, 15, 12, 0, 0, TimeSpan.Zero);

    /// <summary>How far the calendar is off.</summary>
    public TimeSpan Skew { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long GetTimestamp() => machine.World.Now;

    public override DateTimeOffset GetUtcNow() => s_epoch + machine.World.Time + Skew;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        MachineTimer timer = new(machine, callback, state);
        machine.Add(timer);
        timer.Change(dueTime, period);
        return timer;
    }

    public async Task Run(Func<Task> work)
    {
        if (SynchronizationContext.Current != machine) machine.World.Fail($"background work was begun outside {machine.Name}:\n{Environment.StackTrace}");
        machine.Working++;
        try
        {
            await Task.Yield();
            await work();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            machine.World.Fail($"background work of {machine.Name} failed: {e}");
            throw;
        }
        finally
        {
            machine.Working--;
        }
    }
}

/// <summary>A timer in virtual time. As with real ones, a call that is queued already comes even when the timer was changed meanwhile, not when it was disposed.</summary>
internal sealed class MachineTimer(Machine machine, TimerCallback callback, object? state) : ITimer
{
    private long _generation;
    private long _due;
    private TimeSpan _period;
    private bool _disposed;

    public bool Change(TimeSpan dueTime, TimeSpan period)
    {
        if (_disposed) return false;
        _generation++;
        _period = period;
        if (dueTime == Timeout.InfiniteTimeSpan) return true;
        _due = machine.World.Now + dueTime.Ticks;
        machine.World.At(_due, this, _generation);
        return true;
    }

    public void Due(long generation)
    {
        if (_disposed || generation != _generation || !machine.Alive) return;
        if (_period > TimeSpan.Zero)
        {
            _due = Math.Max(_due + _period.Ticks, machine.World.Now);
            machine.World.At(_due, this, _generation);
        }

        machine.Post(static self => ((MachineTimer)self!).Call(), this);
    }

    public void Dispose()
    {
        _disposed = true;
        machine.Remove(this);
    }

    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    private void Call()
    {
        if (!_disposed) callback(state);
    }
}
