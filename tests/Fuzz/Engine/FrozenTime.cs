namespace DatMount.Fuzz.Engine;

/// <summary>A clock that stands still and timers that never fire: nothing depends on how fast a case runs.</summary>
internal sealed class FrozenTime : TimeProvider
{
    private static readonly DateTimeOffset s_now = new(2018, 1, 24, 17, 30, 0, TimeSpan.Zero);

    public override DateTimeOffset GetUtcNow() => s_now;

    public override long GetTimestamp() => 1_000_000;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => new Never();

    private sealed class Never : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
