using System.Net;

namespace DatFs.Discovery;

/// <summary>
/// One UDP port for DNS and the mainline DHT, the same number as the TCP port (discovery.md §8.1). The first byte tells them apart:
/// a bencoded dictionary begins with "d"; uTP, which real peers try beside TCP, is dropped; the rest is DNS, whose ids we choose
/// so that none looks like uTP.
/// </summary>
internal sealed class SharedPort : IAsyncDisposable
{
    private const int UtpHeader = 20;

    private readonly IDatagramSocket _socket;
    private readonly Branch _dns;
    private readonly Branch _dht;

    public SharedPort(IDatagramSocket socket)
    {
        _socket = socket;
        _dns = new Branch(socket);
        _dht = new Branch(socket);
        socket.Receive(Sort);
    }

    /// <summary>What is for the DNS client; its owner is this port.</summary>
    public IDatagramSocket Dns => _dns;

    /// <summary>What is for the mainline DHT; its owner is this port.</summary>
    public IDatagramSocket Dht => _dht;

    public ValueTask DisposeAsync() => _socket.DisposeAsync();

    /// <summary>True when a uTP socket would take the datagram: type and version in the first byte, extension in the second.</summary>
    internal static bool LooksLikeUtp(ReadOnlySpan<byte> datagram) =>
        datagram.Length >= UtpHeader && (datagram[0] & 0x0f) == 1 && datagram[0] >> 4 <= 4 && datagram[1] <= 2;

    private void Sort(ReadOnlySpan<byte> datagram, IPEndPoint from)
    {
        if (datagram.IsEmpty || LooksLikeUtp(datagram)) return;
        (datagram[0] == 'd' ? _dht : _dns).Handler?.Invoke(datagram, from);
    }

    private sealed class Branch(IDatagramSocket socket) : IDatagramSocket
    {
        private volatile DatagramHandler? _handler;

        public DatagramHandler? Handler => _handler;
        public IPEndPoint Local => socket.Local;
        public (long Count, string? Last) Unsent => socket.Unsent;
        public void Send(ReadOnlySpan<byte> datagram, IPEndPoint to) => socket.Send(datagram, to);
        public void Receive(DatagramHandler handler) => _handler = handler;
        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
