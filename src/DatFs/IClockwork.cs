namespace DatFs;

/// <summary>
/// A clock that also decides where work in the background runs. Those of production are none, and the thread pool does the work; that of a
/// simulation is one, so that nothing happens but in its order.
/// </summary>
public interface IClockwork
{
    /// <summary>Runs the work soon, never inside this call. The task is that of the work.</summary>
    Task Run(Func<Task> work);
}

/// <summary>Beginning, ending and awaiting work where the clock wants it to run.</summary>
internal static class Clockwork
{
    /// <summary>Runs work in the background.</summary>
    public static Task Run(this TimeProvider time, Func<Task> work) => time is IClockwork clock ? clock.Run(work) : Task.Run(work);

    /// <summary>Queues a call that ends soon and throws nothing.</summary>
    public static void Queue<T>(this TimeProvider time, Action<T> call, T argument)
    {
        if (time is IClockwork clock) _ = clock.Run(() => Done(call, argument));
        else ThreadPool.UnsafeQueueUserWorkItem(call, argument, preferLocal: false);
    }

    /// <summary>Cancels without running what waits for it inside this call.</summary>
    public static Task CancelAsync(this TimeProvider time, CancellationTokenSource source) =>
        time is IClockwork clock ? clock.Run(() => Done(static ended => ended.Cancel(), source)) : source.CancelAsync();

    /// <summary>As <see cref="Task.WaitAsync(CancellationToken)"/>, which goes through the thread pool whatever the clock.</summary>
    public static Task WaitAsync(this TimeProvider time, Task task, CancellationToken ct) =>
        time is IClockwork && ct.CanBeCanceled ? PassOnAsync(task, ct) : task.WaitAsync(ct);

    /// <inheritdoc cref="WaitAsync(TimeProvider, Task, CancellationToken)"/>
    public static async Task<T> WaitAsync<T>(this TimeProvider time, Task<T> task, CancellationToken ct)
    {
        await time.WaitAsync((Task)task, ct);
        return await task;
    }

    private static Task Done<T>(Action<T> call, T argument)
    {
        call(argument);
        return Task.CompletedTask;
    }

    private static async Task PassOnAsync(Task task, CancellationToken ct)
    {
        TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using CancellationTokenRegistration cancel = ct.UnsafeRegister(static (state, token) => ((TaskCompletionSource)state!).TrySetCanceled(token), done);
        _ = WatchAsync();
        await done.Task;

        async Task WatchAsync()
        {
            await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
            done.TrySetFromTask(task);
        }
    }
}
