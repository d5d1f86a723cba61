using System.Security.Cryptography;
using DatFs.Crypto;

namespace DatFs.Wire;

/// <summary>
/// One encrypted connection to a peer and its channels (wire-protocol.md §2, §3): the public door of this folder.
/// Owns the transport, both cipher streams, the two channel numberings and every deadline of §9.1. One loop reads and calls the
/// handler, one call at a time; one loop writes. Sending, <see cref="Open"/> and <see cref="Close"/> are safe from any thread,
/// the handler included. Bytes enter the output in the order in which the cipher saw them: both happen under one lock.
/// Nothing leaves before <see cref="RunAsync"/>, so what is opened and sent until then travels in the first flight.
/// A remote that breaks a rule costs its own connection and nothing else. Used by replication only.
/// </summary>
public sealed partial class WireConnection : IAsyncDisposable, IFrameRules
{
    /// <summary>After one half of the stream ended in order the other gets this long.</summary>
    internal static readonly TimeSpan Farewell = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly ITransport _transport;
    private readonly IWireHandler _handler;
    private readonly WireOptions _options;
    private readonly TimeProvider _time;
    private readonly HandshakeMessage _handshake;
    private readonly CancellationTokenSource _closing = new();
    private bool _running;
    private bool _closed;
    private Exception? _reason;

    /// <summary>
    /// Takes over the transport. With <paramref name="firstFeed"/> the first flight (Feed, Handshake) is prepared and leaves with
    /// <see cref="RunAsync"/>; without, the remote's Feed is awaited (§3.2).
    /// </summary>
    public WireConnection(ITransport transport, IWireHandler handler, WireOptions options, FeedKey? firstFeed)
    {
        _transport = transport;
        _handler = handler;
        _options = options;
        _time = options.Time;
        _handshake = options.ToHandshake();
        if (firstFeed is { } key) SendFirstFlight(key);
    }

    /// <summary>The transport's name for the remote.</summary>
    public string RemoteName => _transport.RemoteName;
    /// <summary>True when this side opened the connection.</summary>
    public bool Initiator => _transport.Initiator;
    /// <summary>The remote's handshake, once it came.</summary>
    public HandshakeMessage? RemoteHandshake { get; private set; }
    /// <summary>Bytes received and sent.</summary>
    public (long Received, long Sent) Traffic => (Interlocked.Read(ref _received), Interlocked.Read(ref _sent));
    /// <summary>Malformed frames that were dropped (§2.4).</summary>
    public long DroppedFrames => Interlocked.Read(ref _droppedFrames);

    /// <summary>
    /// Reads and dispatches until the connection ends; never throws, the reason goes to <see cref="IWireHandler.OnClosed"/>. Call once.
    /// </summary>
    public async Task RunAsync(CancellationToken ct)
    {
        if (Interlocked.Exchange(ref _running, true)) throw new DatException(DatError.Invalid, "the connection runs already");
        using CancellationTokenRegistration stop = ct.UnsafeRegister(
            static (self, token) => ((WireConnection)self!).Close(new OperationCanceledException(token)), this);
        Exception? reason = null;
        ITimer tick = StartDeadlines();
        try
        {
            Uncork();
            await ReceiveAsync();
            End();
            await WriterAsync().WaitAsync(Farewell, _time, _closing.Token);
        }
        catch (Exception e)
        {
            reason = e;
        }

        Close(reason);
        await tick.DisposeAsync();
        await ReleaseAsync();
        _handler.OnClosed(this, _reason);
    }

    /// <summary>Ends our half of the stream after what is queued (FIN); what is sent later is dropped. The remote's half ends soon after, by itself or by us.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ending = true;
            StartWriter();
        }
    }

    /// <summary>Closes at once; <paramref name="reason"/> reaches <see cref="IWireHandler.OnClosed"/>. The first reason counts.</summary>
    public void Close(Exception? reason)
    {
        TaskCompletionSource? drained;
        lock (_gate)
        {
            if (_closed) return;
            _closed = true;
            _reason = reason;
            drained = _drained;
        }

        // Off this thread: a caller may hold locks that the woken read loop's handler needs.
        _ = _time.CancelAsync(_closing);
        drained?.TrySetResult();
        _transport.Abort();
    }

    /// <summary>Closes at once. Does not wait for <see cref="RunAsync"/>, so the handler may call it.</summary>
    public async ValueTask DisposeAsync()
    {
        Close(null);
        if (!Interlocked.Exchange(ref _running, true)) await ReleaseAsync();
    }

    private async Task ReleaseAsync()
    {
        await WriterAsync();
        await _transport.DisposeAsync();
        lock (_gate)
        {
            _output.Clear();
            _sendCipher?.Dispose();
        }

        _frames?.Dispose();
    }

    private void SendFirstFlight(FeedKey key)
    {
        byte[] nonce = new byte[XSalsa20Stream.NonceSize];
        if (_options.FillNonce is { } fill) fill(nonce);
        else RandomNumberGenerator.Fill(nonce);
        DiscoveryKey discoveryKey = key.ToDiscoveryKey();
        lock (_gate)
        {
            WireChannel channel = new(this, _channels.Count, key, discoveryKey);
            _channels.Add(discoveryKey, channel);
            _nonce = nonce;
            Append(channel.Number, FrameType.Feed, MessageCodec.Encode(discoveryKey, nonce));
            _sendCipher = new XSalsa20Stream(key, nonce);
            Append(channel.Number, FrameType.Handshake, MessageCodec.Encode(_handshake));
            _first = channel;
            StartWriter();
        }
    }
}
