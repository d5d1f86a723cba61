using System.Collections.Concurrent;

namespace DatMount.Platform.Fuse;

/// <summary>Idle requests and read buffers, kept up to a bound each.</summary>
internal sealed class RequestPool
{
    /// <summary>8 KiB each.</summary>
    private const int MaxIdleRequests = 128;

    /// <summary>max_write + 4096 each; only writes and long attributes need one beyond the readers' own.</summary>
    private const int MaxIdleBuffers = 4;

    private readonly ConcurrentQueue<FuseRequest> _requests = new();
    private readonly ConcurrentQueue<byte[]> _buffers = new();

    public FuseRequest Rent() => _requests.TryDequeue(out FuseRequest? request) ? request : new FuseRequest();

    public void Return(FuseRequest request)
    {
        if (request.End() is { } large && _buffers.Count < MaxIdleBuffers) _buffers.Enqueue(large);
        if (_requests.Count < MaxIdleRequests) _requests.Enqueue(request);
        else request.Dispose();
    }

    public byte[] RentBuffer() =>
        _buffers.TryDequeue(out byte[]? buffer) ? buffer : GC.AllocateUninitializedArray<byte>(Negotiation.ReadBuffer, pinned: true);
}
