using System.Buffers;
using System.IO.Pipelines;
using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Wire;

namespace DatFs.Replication;

/// <summary>
/// Several drives behind one listening port: looks at the discovery key in an incoming connection's first frame, which is in clear,
/// and hands the connection, untouched, to the drive it names (wire-protocol.md §3.2). Unknown names are closed without a word.
/// </summary>
public sealed class ReplicatorHost
{
    /// <summary>Time for the first frame (wire-protocol.md §9.1).</summary>
    public static readonly TimeSpan FirstFrameTimeout = TimeSpan.FromSeconds(10);

    private const int MaxFirstFrame = 128;
    private const int LengthBytes = 4;

    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly List<Replicator> _drives = [];

    /// <summary>Creates a host without drives.</summary>
    public ReplicatorHost(TimeProvider? time = null) => _time = time ?? TimeProvider.System;

    /// <summary>Serves a drive until the returned object is disposed.</summary>
    public IDisposable Add(Replicator drive)
    {
        lock (_gate) _drives.Add(drive);
        return new Entry(this, drive);
    }

    /// <summary>Runs one incoming connection to its end. Takes the transport over.</summary>
    public async Task<PeerEnd> RunAsync(ITransport transport, CancellationToken ct)
    {
        DiscoveryKey? named;
        try
        {
            using CancellationTokenSource patience = new(FirstFrameTimeout, _time);
            using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, patience.Token);
            named = await PeekAsync(transport.Input, either.Token);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            named = null;
        }

        if (named is { } key && Find(key) is { } drive) return await drive.RunAsync(transport, ct);
        transport.Abort();
        await transport.DisposeAsync();
        return PeerEnd.Violation;
    }

    private Replicator? Find(DiscoveryKey key)
    {
        lock (_gate) return _drives.Find(d => d.DiscoveryKey == key);
    }

    private static async ValueTask<DiscoveryKey?> PeekAsync(PipeReader input, CancellationToken ct)
    {
        while (true)
        {
            ReadResult read = await input.ReadAsync(ct);
            byte[] bytes = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, LengthBytes + MaxFirstFrame)).ToArray();
            OperationStatus status = Varint.Read(bytes, out ulong length, out int at, LengthBytes);
            bool enough = status == OperationStatus.Done && length <= MaxFirstFrame && bytes.Length >= at + (int)length;
            bool never = status == OperationStatus.InvalidData || (status == OperationStatus.Done && length is < 2 or > MaxFirstFrame) || read.IsCompleted;
            // What was looked at counts as unread, so that the connection begins with it; more is waited for only while more is needed.
            input.AdvanceTo(read.Buffer.Start, enough || never ? read.Buffer.Start : read.Buffer.End);
            if (enough && bytes[at] == 0 && MessageCodec.TryDecodeFeed(bytes.AsSpan(at + 1, (int)length - 1), out DiscoveryKey key, out _)) return key;
            if (enough || never) return null;
        }
    }

    private sealed class Entry(ReplicatorHost host, Replicator drive) : IDisposable
    {
        public void Dispose()
        {
            lock (host._gate) host._drives.Remove(drive);
        }
    }
}
