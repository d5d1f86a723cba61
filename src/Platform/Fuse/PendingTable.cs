namespace DatMount.Platform.Fuse;

/// <summary>Requests that wait, by their unique number: what INTERRUPT and the end of the session cancel.</summary>
internal sealed class PendingTable(RequestPool pool)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, FuseRequest> _requests = [];
    private TaskCompletionSource? _drained;
    private bool _closed;

    public int Count
    {
        get
        {
            lock (_gate) return _requests.Count;
        }
    }

    public void Add(FuseRequest request)
    {
        bool late;
        lock (_gate)
        {
            _requests[request.Header.Unique] = request;
            late = _closed;
            if (late) request.Hold();
        }

        if (late) Cancel(request);
    }

    public void Remove(ulong unique)
    {
        lock (_gate)
        {
            _requests.Remove(unique);
            if (_requests.Count == 0) _drained?.TrySetResult();
        }
    }

    /// <summary>False when no such request waits (yet).</summary>
    public bool TryCancel(ulong unique)
    {
        FuseRequest? request;
        lock (_gate)
        {
            if (!_requests.TryGetValue(unique, out request)) return false;
            request.Hold();
        }

        Cancel(request);
        return true;
    }

    /// <summary>Cancels all, now and from now on; ends when the last one is done.</summary>
    public Task CloseAsync()
    {
        FuseRequest[] all;
        lock (_gate)
        {
            _closed = true;
            if (_requests.Count == 0) return Task.CompletedTask;
            _drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            all = [.. _requests.Values];
            foreach (FuseRequest request in all) request.Hold();
        }

        foreach (FuseRequest request in all) Cancel(request);
        return _drained.Task;
    }

    private void Cancel(FuseRequest request)
    {
        try
        {
            request.Cancel();
        }
        finally
        {
            if (request.LetGo()) pool.Return(request);
        }
    }
}
