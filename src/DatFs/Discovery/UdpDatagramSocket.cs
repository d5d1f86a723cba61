using System.Net;
using System.Net.Sockets;

namespace DatFs.Discovery;

/// <summary>A bound IPv4 UDP socket with one task that receives.</summary>
internal sealed class UdpDatagramSocket : IDatagramSocket
{
    /// <summary>Largest datagram taken; longer ones are cut by the system and then fail to decode.</summary>
    public const int MaxDatagram = 8 * 1024;

    private readonly Socket _socket;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private Task _receiving = Task.CompletedTask;
    private long _unsent;
    private string? _lastUnsent;

    private UdpDatagramSocket(Socket socket) => _socket = socket;

    /// <inheritdoc/>
    public IPEndPoint Local => (IPEndPoint)_socket.LocalEndPoint!;

    /// <inheritdoc/>
    public (long Count, string? Last) Unsent
    {
        get
        {
            lock (_gate) return (_unsent, _lastUnsent);
        }
    }

    /// <summary>Binds a socket.</summary>
    /// <exception cref="SocketException">The address is taken or not ours.</exception>
    public static UdpDatagramSocket Bind(IPEndPoint local)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.Bind(local);
            return new UdpDatagramSocket(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Send(ReadOnlySpan<byte> datagram, IPEndPoint to)
    {
        try
        {
            _socket.SendTo(datagram, SocketFlags.None, to);
        }
        catch (Exception failure) when (failure is SocketException or ObjectDisposedException)
        {
            lock (_gate) (_unsent, _lastUnsent) = (_unsent + 1, failure.Message);
        }
    }

    /// <inheritdoc/>
    public void Receive(DatagramHandler handler) => _receiving = Task.Run(() => ReceiveAsync(handler));

    private async Task ReceiveAsync(DatagramHandler handler)
    {
        byte[] buffer = new byte[MaxDatagram];
        SocketAddress from = new(AddressFamily.InterNetwork);
        IPEndPoint shape = new(IPAddress.Any, 0);
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                int count = await _socket.ReceiveFromAsync(buffer, SocketFlags.None, from, _closing.Token);
                handler(buffer.AsSpan(0, count), (IPEndPoint)shape.Create(from));
            }
            catch (SocketException failure) when (failure.SocketErrorCode is not (SocketError.OperationAborted or SocketError.Interrupted or SocketError.NotSocket))
            {
                // An earlier datagram was refused somewhere: tells nothing about those to come.
                lock (_gate) _lastUnsent = failure.Message;
            }
            catch (Exception over) when (over is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                return;
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        _socket.Dispose();
        await _receiving;
        _closing.Dispose();
    }
}
