namespace DatMount.Platform.Fuse;

/// <summary>What a mount has done so far; for status and metrics.</summary>
/// <param name="Requests">Requests received from the kernel.</param>
/// <param name="InFlight">Requests that wait for an answer now.</param>
/// <param name="Errors">Replies with an error number, "does not exist" included.</param>
/// <param name="BytesRead">Content bytes handed to the kernel.</param>
/// <param name="BytesWritten">Content bytes taken from the kernel.</param>
/// <param name="Notifications">Cache notifications sent.</param>
/// <param name="OpenFiles">File handles the kernel holds.</param>
public readonly record struct FuseCounters(
    long Requests, int InFlight, long Errors, long BytesRead, long BytesWritten, long Notifications, int OpenFiles);

/// <summary>The counters while they run.</summary>
internal sealed class FuseCounts
{
    private long _requests;
    private long _errors;
    private long _bytesRead;
    private long _bytesWritten;
    private long _notifications;

    public void Received() => Interlocked.Increment(ref _requests);

    public void Replied(bool error)
    {
        if (error) Interlocked.Increment(ref _errors);
    }

    public void Read(long bytes) => Interlocked.Add(ref _bytesRead, bytes);

    public void Written(long bytes) => Interlocked.Add(ref _bytesWritten, bytes);

    public void Notified() => Interlocked.Increment(ref _notifications);

    public FuseCounters Snapshot(int inFlight, int openFiles) => new(
        Interlocked.Read(ref _requests), inFlight, Interlocked.Read(ref _errors), Interlocked.Read(ref _bytesRead),
        Interlocked.Read(ref _bytesWritten), Interlocked.Read(ref _notifications), openFiles);
}
