namespace DatFs.Wire;

// Keep-alive and the patience of §3.6 and §9.1. One coarse tick judges timestamps that the two loops leave behind. Only time spent
// waiting for the remote counts against it: while the handler works, nothing is read, however much the remote has sent.
public sealed partial class WireConnection
{
    /// <summary>The reference drops a peer after 6.25 s without a byte.</summary>
    internal static readonly TimeSpan KeepAliveAfter = TimeSpan.FromSeconds(3);

    /// <summary>The reference pings every 5 s; this leaves room for pauses of its process.</summary>
    internal static readonly TimeSpan MaxSilence = TimeSpan.FromSeconds(20);

    /// <summary>From the start to the end of the remote's Feed and Handshake.</summary>
    internal static readonly TimeSpan MaxHandshakeTime = TimeSpan.FromSeconds(10);

    /// <summary>An open frame must end within this, or bring <see cref="MinFrameProgress"/> in each such span.</summary>
    internal static readonly TimeSpan FrameWindow = TimeSpan.FromSeconds(30);

    /// <summary>1 KiB/s.</summary>
    internal const int MinFrameProgress = 30 * 1024;

    private const long Never = long.MinValue;

    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(250);

    private long _startedAt;
    private long _waitingSince = Never;
    private long _waitEndedAt = Never;
    private long _frameSince = Never;
    private long _frameBase;
    private bool _frameCompleted;
    private long _endedAt = Never;

    /// <summary>Everything received has been handled and the remote's next byte is awaited.</summary>
    internal bool IsWaiting
    {
        get
        {
            lock (_gate) return _waitingSince != Never;
        }
    }

    /// <summary>The end is decided, whether or not it was told yet.</summary>
    internal bool IsClosed
    {
        get
        {
            lock (_gate) return _closed;
        }
    }

    private ITimer StartDeadlines()
    {
        _startedAt = _time.GetTimestamp();
        return _time.CreateTimer(static self => ((WireConnection)self!).Tick(), this, s_tick, s_tick);
    }

    private void BeginWaiting()
    {
        long now = _time.GetTimestamp();
        lock (_gate)
        {
            _waitingSince = now;
            if (_frames is not { HasPartial: true })
            {
                _frameSince = Never;
            }
            else if (_frameSince == Never || _frameCompleted)
            {
                _frameSince = now;
                _frameBase = Interlocked.Read(ref _received);
            }
            else
            {
                _frameSince += now - _waitEndedAt;
            }

            _frameCompleted = false;
        }
    }

    private void EndWaiting()
    {
        lock (_gate)
        {
            _waitingSince = Never;
            _waitEndedAt = _time.GetTimestamp();
        }
    }

    private void Tick()
    {
        long now = _time.GetTimestamp();
        bool late = !Volatile.Read(ref _handshaken) && _time.GetElapsedTime(_startedAt, now) >= MaxHandshakeTime;
        if (late) Close(ProtocolViolation.LateHandshake());
        else if (Judge(now) is { } violation) Close(violation);
        else if (IsFarewellOver(now)) Close(null);
        else KeepAlive(now);
    }

    // A remote that does not end its half, but goes on pinging, would keep a connection that nobody needs for ever.
    private bool IsFarewellOver(long now)
    {
        lock (_gate) return _endedAt != Never && _time.GetElapsedTime(_endedAt, now) >= Farewell;
    }

    private ProtocolViolationException? Judge(long now)
    {
        lock (_gate)
        {
            if (_waitingSince == Never) return null;
            if (_time.GetElapsedTime(_waitingSince, now) >= MaxSilence) return ProtocolViolation.Silent();
            if (_frameSince == Never || _time.GetElapsedTime(_frameSince, now) < FrameWindow) return null;
            long received = Interlocked.Read(ref _received);
            if (received - _frameBase < MinFrameProgress) return ProtocolViolation.SlowFrame();
            (_frameSince, _frameBase) = (now, received);
            return null;
        }
    }

    /// <summary>Not before our own Feed (§3.6), and not while anything still waits to be written.</summary>
    private void KeepAlive(long now)
    {
        lock (_gate)
        {
            if (_sendCipher is null || _closed || _ending || _output.Queued > 0) return;
            if (_time.GetElapsedTime(_lastSent, now) < KeepAliveAfter) return;
            Span<byte> frame = Reserve(1);
            frame[0] = 0;
            _sendCipher.Apply(frame);
        }
    }
}
