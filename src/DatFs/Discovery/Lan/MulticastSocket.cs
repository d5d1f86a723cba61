using System.Net;
using System.Net.Sockets;

namespace DatFs.Discovery.Lan;

/// <summary>
/// The machine's membership in the mDNS group (discovery.md §4): port 5353 shared with whoever else uses it, joined on every IPv4
/// interface that takes multicast and on loopback. Where 5353 cannot be had, any port serves: newer peers answer at the port that asked.
/// </summary>
internal sealed class MulticastSocket : IMulticastSocket
{
    /// <summary>The group.</summary>
    public static readonly IPAddress Group = IPAddress.Parse("224.0.0.251");

    /// <summary>Interfaces joined; the system has a limit of its own, often 20.</summary>
    public const int MaxLinks = 20;

    private const int TimeToLive = 255;

    private readonly ILocalNetwork _network;
    private readonly int _port;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly HashSet<int> _links = [];
    private LinkDatagramHandler? _handler;
    private Socket? _socket;
    private Task _receiving = Task.CompletedTask;
    private string? _openProblem;
    private string? _sendProblem;

    /// <summary>Opens nothing yet: <see cref="Refresh"/> does.</summary>
    public MulticastSocket(ILocalNetwork network, int port = LanSource.Port) => (_network, _port) = (network, port);

    /// <inheritdoc/>
    public int Links
    {
        get
        {
            lock (_gate) return _links.Count;
        }
    }

    /// <inheritdoc/>
    public string? Problem
    {
        get
        {
            lock (_gate) return _openProblem ?? (_links.Count == 0 ? "no interface takes multicast" : _sendProblem);
        }
    }

    /// <inheritdoc/>
    public void Receive(LinkDatagramHandler handler) => _handler = handler;

    /// <inheritdoc/>
    public void Refresh()
    {
        lock (_gate)
        {
            if (_closing.IsCancellationRequested) return;
            if (_socket is null && !TryOpen()) return;
            HashSet<int> there = [.. _network.Addresses.Where(Takes).Select(address => address.Interface).Take(MaxLinks)];
            // A link that went took the membership along.
            _links.IntersectWith(there);
            foreach (int link in there) Join(link);
        }
    }

    /// <inheritdoc/>
    public void Send(ReadOnlySpan<byte> datagram, int port, int link)
    {
        IPEndPoint to = new(Group, port);
        lock (_gate)
        {
            if (_socket is null) return;
            string? problem = null;
            foreach (int one in _links)
            {
                if (link != IMulticastSocket.AllLinks && link != one) continue;
                try
                {
                    // The system keeps one interface for a socket's multicast: it is named before each datagram.
                    _socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastInterface, IPAddress.HostToNetworkOrder(one));
                    _socket.SendTo(datagram, SocketFlags.None, to);
                }
                catch (Exception failure) when (failure is SocketException or ObjectDisposedException)
                {
                    problem = failure.Message;
                }
            }

            _sendProblem = problem;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        lock (_gate) _socket?.Dispose();
        await _receiving;
        _closing.Dispose();
    }

    private static bool Takes(LocalAddress own) =>
        own.Address.AddressFamily == AddressFamily.InterNetwork && own.Interface > 0 && (own.Multicast || IPAddress.IsLoopback(own.Address));

    private bool TryOpen()
    {
        try
        {
            _socket = Open(_port);
        }
        catch (SocketException)
        {
            try
            {
                _socket = Open(0);
            }
            catch (SocketException failure)
            {
                _openProblem = failure.Message;
                return false;
            }
        }

        _openProblem = null;
        Socket socket = _socket;
        _receiving = Task.Run(() => ReceiveAsync(socket));
        return true;
    }

    private static Socket Open(int port)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.PacketInformation, true);
            socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastTimeToLive, TimeToLive);
            socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastLoopback, true);
            socket.Bind(new IPEndPoint(IPAddress.Any, port));
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private void Join(int link)
    {
        if (!_links.Add(link)) return;
        try
        {
            _socket!.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.AddMembership, new MulticastOption(Group, link));
        }
        catch (SocketException failure) when (failure.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            // The link went and came back between two looks: still joined.
            _sendProblem = null;
        }
        catch (SocketException failure)
        {
            _links.Remove(link);
            _sendProblem = failure.Message;
        }
    }

    private async Task ReceiveAsync(Socket socket)
    {
        byte[] buffer = new byte[UdpDatagramSocket.MaxDatagram];
        IPEndPoint anybody = new(IPAddress.Any, 0);
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                SocketReceiveMessageFromResult came = await socket.ReceiveMessageFromAsync(buffer, SocketFlags.None, anybody, _closing.Token);
                _handler?.Invoke(buffer.AsSpan(0, came.ReceivedBytes), (IPEndPoint)came.RemoteEndPoint, came.PacketInformation.Interface);
            }
            catch (SocketException failure) when (failure.SocketErrorCode is not (SocketError.OperationAborted or SocketError.Interrupted or SocketError.NotSocket))
            {
                lock (_gate) _sendProblem = failure.Message;
            }
            catch (Exception over) when (over is OperationCanceledException or ObjectDisposedException or SocketException)
            {
                return;
            }
        }
    }
}
