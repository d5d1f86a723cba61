using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;

namespace DatFs.Wire;

/// <summary>
/// A TCP connection. Reads go straight into pooled memory when the reader asks, writes straight from the writer's memory: the
/// kernel's buffers are the only ones between the two ends, so a reader that stops reading stops the peer.
/// </summary>
public sealed class TcpTransport : ITransport
{
    /// <summary>How long a connection attempt may take.</summary>
    public static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(10);

    private const int ReadSize = 64 * 1024;

    private readonly Socket _socket;
    private readonly IDisposable? _admission;

    internal TcpTransport(Socket socket, bool initiator, IDisposable? admission)
    {
        socket.NoDelay = true;
        _socket = socket;
        _admission = admission;
        Initiator = initiator;
        RemoteName = NameOf(socket.RemoteEndPoint);
        StreamPipeReaderOptions reading = new(bufferSize: ReadSize, leaveOpen: true);
        Input = PipeReader.Create(new NetworkStream(socket, ownsSocket: false), reading);
        Output = PipeWriter.Create(new SendingHalf(socket));
    }

    /// <inheritdoc/>
    public PipeReader Input { get; }

    /// <inheritdoc/>
    public PipeWriter Output { get; }

    /// <inheritdoc/>
    public string RemoteName { get; }

    /// <inheritdoc/>
    public bool Initiator { get; }

    /// <summary>
    /// Connects to a name or address. Throws <see cref="DatException"/>: Offline when nobody answers, TimedOut after
    /// <see cref="ConnectTimeout"/>.
    /// </summary>
    public static Task<TcpTransport> ConnectAsync(string host, int port, CancellationToken ct) =>
        ConnectAsync(host, port, TimeProvider.System, ct);

    /// <summary>The same under another clock.</summary>
    public static async Task<TcpTransport> ConnectAsync(string host, int port, TimeProvider time, CancellationToken ct)
    {
        using CancellationTokenSource timeout = new(ConnectTimeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(ct, timeout.Token);
        Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(host, port, either.Token);
            return new TcpTransport(socket, initiator: true, admission: null);
        }
        catch (Exception e)
        {
            socket.Dispose();
            if (e is SocketException) throw new DatException(DatError.Offline, $"{host}:{port} cannot be reached", e);
            if (e is OperationCanceledException && !ct.IsCancellationRequested)
                throw new DatException(DatError.TimedOut, $"{host}:{port} did not answer within {ConnectTimeout.TotalSeconds:0} s", e);
            throw;
        }
    }

    /// <inheritdoc/>
    public void MarkAuthenticated() => _admission?.Dispose();

    /// <inheritdoc/>
    public void Abort()
    {
        _admission?.Dispose();
        _socket.Close(0);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Output.CompleteAsync();
        await Input.CompleteAsync();
        _admission?.Dispose();
        _socket.Dispose();
    }

    private static string NameOf(EndPoint? remote) => remote switch
    {
        IPEndPoint { Address.IsIPv4MappedToIPv6: true } mapped => new IPEndPoint(mapped.Address.MapToIPv4(), mapped.Port).ToString(),
        not null => remote.ToString()!,
        null => "unknown",
    };

    /// <summary>Disposed when the writer completes: ends this half of the stream and leaves the other to the reader.</summary>
    private sealed class SendingHalf(Socket socket) : NetworkStream(socket, ownsSocket: false)
    {
        private readonly Socket _socket = socket;

        protected override void Dispose(bool disposing)
        {
            base.Dispose(disposing);
            try
            {
                if (_socket.Connected) _socket.Shutdown(SocketShutdown.Send);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The remote or Abort was faster: there is no half left to end.
                _socket.Dispose();
            }
        }
    }
}
