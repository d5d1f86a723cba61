using System.Net;
using System.Net.Sockets;

namespace DatFs.Wire;

/// <summary>Listens for peers and refuses those beyond <see cref="StrangerLimits"/>.</summary>
public sealed class TcpAcceptor : IDisposable
{
    private const int Backlog = 128;

    private readonly Socket _socket;
    private readonly StrangerLimits _limits;

    private TcpAcceptor(Socket socket, StrangerLimits limits)
    {
        _socket = socket;
        _limits = limits;
        LocalEndPoint = (IPEndPoint)socket.LocalEndPoint!;
    }

    /// <summary>Where it listens; the port is a real one even when 0 was asked for.</summary>
    public IPEndPoint LocalEndPoint { get; }

    /// <summary>
    /// Starts to listen; <see cref="IPAddress.IPv6Any"/> listens for both families. Throws <see cref="DatException"/> (Io) when the port
    /// cannot be had.
    /// </summary>
    public static TcpAcceptor Listen(IPEndPoint local, StrangerLimits limits)
    {
        Socket socket = new(local.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (local.Address.Equals(IPAddress.IPv6Any)) socket.DualMode = true;
            socket.Bind(local);
            socket.Listen(Backlog);
            return new TcpAcceptor(socket, limits);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new DatException(DatError.Io, $"cannot listen on {local}: {e.Message}", e);
        }
    }

    /// <summary>
    /// The next peer that is not refused. Throws <see cref="OperationCanceledException"/>, <see cref="ObjectDisposedException"/> after
    /// <see cref="Dispose"/>, and <see cref="SocketException"/> when the machine has no room for connections.
    /// </summary>
    public async ValueTask<ITransport> AcceptAsync(CancellationToken ct)
    {
        while (true)
        {
            Socket socket;
            try
            {
                socket = await _socket.AcceptAsync(ct);
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionAborted or SocketError.ConnectionReset)
            {
                // A peer that left before it was served says nothing about the next.
                continue;
            }

            if (TryAdmit(socket) is { } transport) return transport;
        }
    }

    /// <summary>Stops listening; accepted connections live on.</summary>
    public void Dispose() => _socket.Dispose();

    private TcpTransport? TryAdmit(Socket socket)
    {
        IDisposable? admission = null;
        try
        {
            admission = socket.RemoteEndPoint is IPEndPoint remote ? _limits.TryAdmit(remote.Address) : null;
            if (admission is not null) return new TcpTransport(socket, initiator: false, admission);
        }
        catch (SocketException)
        {
            // Gone between its arrival and our first look at it.
            admission?.Dispose();
        }

        socket.Close(0);
        return null;
    }
}
