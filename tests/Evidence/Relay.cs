using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace DatFs.Evidence;

/// <summary>
/// Stands between two peers on loopback and makes the line as bad as a test wants: a delay each way, pauses, cuts. Counts
/// bytes. Order and content are untouched, unless a test tampers with them. Delay is added to each piece as it arrives, so the line's capacity is not limited.
/// </summary>
public sealed class Relay : IAsyncDisposable
{
    private const int PieceSize = 64 * 1024;
    private const int MaxPiecesUnderway = 1024;

    private readonly Socket _listener;
    private readonly EndPoint _target;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _end = new();
    private readonly Lock _gate = new();
    private readonly List<(Socket Client, Socket Target)> _lines = [];
    private readonly Task _accepting;
    private EndPoint? _from;
    private TaskCompletionSource _flowing = Completed();
    private long _toTarget;
    private long _fromTarget;

    private Relay(EndPoint place, EndPoint target, TimeProvider time)
    {
        _target = target;
        _time = time;
        _listener = NewSocket(place);
        _listener.Bind(place);
        _listener.Listen();
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>The port to connect to instead of the target's.</summary>
    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    /// <summary>How long a byte takes from the connecting side to the target.</summary>
    public TimeSpan DelayToTarget { get; set; }

    /// <summary>How long a byte takes from the target to the connecting side.</summary>
    public TimeSpan DelayFromTarget { get; set; }

    /// <summary>May change the bytes of a piece on its way; the flag tells whether it goes to the target.</summary>
    public Action<byte[], bool>? Tamper { get; set; }

    /// <summary>Bytes delivered towards the target.</summary>
    public long BytesToTarget => Interlocked.Read(ref _toTarget);

    /// <summary>Bytes delivered from the target.</summary>
    public long BytesFromTarget => Interlocked.Read(ref _fromTarget);

    /// <summary>Connections made so far and not cut.</summary>
    public int Lines
    {
        get
        {
            lock (_gate) return _lines.Count;
        }
    }

    /// <summary>Starts a relay in front of a port on loopback.</summary>
    public static Relay To(int targetPort, TimeProvider? time = null) =>
        new(new IPEndPoint(IPAddress.Loopback, 0), new IPEndPoint(IPAddress.Loopback, targetPort), time ?? TimeProvider.System);

    /// <summary>Starts a relay at an address of the test's choice, from which the target too sees it come.</summary>
    public static Relay At(IPAddress place, int targetPort, TimeProvider? time = null) =>
        new(new IPEndPoint(place, 0), new IPEndPoint(IPAddress.Loopback, targetPort), time ?? TimeProvider.System) { _from = new IPEndPoint(place, 0) };

    /// <summary>Starts a relay in front of a Unix socket.</summary>
    public static Relay To(string unixSocket, TimeProvider? time = null) =>
        new(new IPEndPoint(IPAddress.Loopback, 0), new UnixDomainSocketEndPoint(unixSocket), time ?? TimeProvider.System);

    /// <summary>Starts a relay that is itself reached through a Unix socket, in front of a port on loopback.</summary>
    public static Relay At(string unixSocket, int targetPort, TimeProvider? time = null) =>
        new(new UnixDomainSocketEndPoint(unixSocket), new IPEndPoint(IPAddress.Loopback, targetPort), time ?? TimeProvider.System);

    /// <summary>Sets the same delay each way; a round trip then takes twice as long.</summary>
    public void SetDelay(TimeSpan oneWay) => DelayToTarget = DelayFromTarget = oneWay;

    /// <summary>Delivers nothing until <see cref="Resume"/>; connections stay open.</summary>
    public void Pause()
    {
        lock (_gate)
        {
            if (_flowing.Task.IsCompleted) _flowing = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    /// <summary>Delivers again.</summary>
    public void Resume()
    {
        lock (_gate) _flowing.TrySetResult();
    }

    /// <summary>Breaks all present connections with a reset; new ones are accepted.</summary>
    public void Cut()
    {
        lock (_gate)
        {
            foreach ((Socket client, Socket target) in _lines)
            {
                client.Close(0);
                target.Close(0);
            }

            _lines.Clear();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _listener.Dispose();
        await _accepting;
        Cut();
        Resume();
        _end.Dispose();
    }

    private static TaskCompletionSource Completed()
    {
        TaskCompletionSource source = new();
        source.SetResult();
        return source;
    }

    private static Socket NewSocket(EndPoint place) => place is UnixDomainSocketEndPoint
        ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
        : new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };

    private async Task AcceptAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            Socket client;
            try
            {
                client = await _listener.AcceptAsync(_end.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }

            Socket target = NewSocket(_target);
            if (client.AddressFamily == AddressFamily.InterNetwork) client.NoDelay = true;
            if (_from is not null) target.Bind(_from);
            try
            {
                await target.ConnectAsync(_target, _end.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException)
            {
                client.Close(0);
                target.Dispose();
                continue;
            }

            lock (_gate) _lines.Add((client, target));
            _ = Task.Run(() => CarryAsync(client, target, toTarget: true));
            _ = Task.Run(() => CarryAsync(target, client, toTarget: false));
        }
    }

    private async Task CarryAsync(Socket from, Socket to, bool toTarget)
    {
        Channel<(byte[] Piece, long Due)> underway = Channel.CreateBounded<(byte[], long)>(MaxPiecesUnderway);
        Task delivering = DeliverAsync(underway.Reader, from, to, toTarget);
        byte[] buffer = new byte[PieceSize];
        bool broken = false;
        try
        {
            int count;
            while ((count = await from.ReceiveAsync(buffer, SocketFlags.None)) > 0)
            {
                TimeSpan delay = toTarget ? DelayToTarget : DelayFromTarget;
                long due = _time.GetTimestamp() + (long)(delay.TotalSeconds * _time.TimestampFrequency);
                byte[] piece = buffer.AsSpan(0, count).ToArray();
                Tamper?.Invoke(piece, toTarget);
                await underway.Writer.WriteAsync((piece, due));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or ChannelClosedException)
        {
            // What is underway is still delivered, then the other end sees the break too.
            broken = true;
        }

        underway.Writer.TryComplete();
        await delivering;
        if (broken) to.Close(0);
    }

    private async Task DeliverAsync(ChannelReader<(byte[] Piece, long Due)> underway, Socket from, Socket to, bool toTarget)
    {
        try
        {
            await foreach ((byte[] piece, long due) in underway.ReadAllAsync())
            {
                TimeSpan left = _time.GetElapsedTime(_time.GetTimestamp(), due);
                if (left > TimeSpan.Zero) await Task.Delay(left, _time);
                Task flowing;
                lock (_gate) flowing = _flowing.Task;
                await flowing;
                for (ReadOnlyMemory<byte> rest = piece; rest.Length > 0;)
                    rest = rest[await to.SendAsync(rest, SocketFlags.None)..];
                if (toTarget) Interlocked.Add(ref _toTarget, piece.Length);
                else Interlocked.Add(ref _fromTarget, piece.Length);
            }

            to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The receiving end is gone: the sending end must notice.
            from.Close(0);
        }
    }
}
