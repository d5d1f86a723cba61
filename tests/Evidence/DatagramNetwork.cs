using System.Net;
using DatFs.Discovery;

namespace DatFs.Evidence;

/// <summary>
/// A network of datagrams in memory. What is sent arrives after <see cref="Latency"/> of its clock, unless lost by a seeded choice, or sent to
/// where nobody listens. Deterministic when the clock is a fake one.
/// </summary>
public sealed class DatagramNetwork(TimeProvider time, int seed = 1)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<IPEndPoint, DatagramSocket> _bound = [];
    private readonly Random _random = new(seed);
    private readonly List<(DateTimeOffset At, IPEndPoint From, IPEndPoint To, byte[] Bytes)> _sent = [];

    /// <summary>Time from sender to receiver.</summary>
    public TimeSpan Latency { get; set; } = TimeSpan.FromMilliseconds(5);

    /// <summary>Time to some receivers, where it is another.</summary>
    public Func<IPEndPoint, TimeSpan?> LatencyTo { get; set; } = _ => null;

    /// <summary>Share of the datagrams that get lost, 0 to 1.</summary>
    public double Loss { get; set; }

    /// <summary>What was sent so far, lost ones included.</summary>
    public IReadOnlyList<(DateTimeOffset At, IPEndPoint From, IPEndPoint To, byte[] Bytes)> Sent
    {
        get
        {
            lock (_gate) return [.. _sent];
        }
    }

    /// <summary>Binds a socket, "10.0.0.1:5300".</summary>
    public IDatagramSocket Bind(string endPoint)
    {
        DatagramSocket socket = new(this, IPEndPoint.Parse(endPoint));
        lock (_gate) _bound.Add(socket.Local, socket);
        return socket;
    }

    private void Send(ReadOnlySpan<byte> datagram, IPEndPoint from, IPEndPoint to)
    {
        byte[] bytes = datagram.ToArray();
        lock (_gate)
        {
            _sent.Add((time.GetUtcNow(), from, to, bytes));
            if (_random.NextDouble() < Loss) return;
        }

        ITimer? timer = null;
        timer = time.CreateTimer(_ =>
        {
            DatagramSocket? socket;
            lock (_gate) _bound.TryGetValue(to, out socket);
            socket?.Handler?.Invoke(bytes, from);
            timer?.Dispose();
        }, null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        timer.Change(LatencyTo(to) ?? Latency, Timeout.InfiniteTimeSpan);
    }

    private sealed class DatagramSocket(DatagramNetwork network, IPEndPoint local) : IDatagramSocket
    {
        public IPEndPoint Local => local;
        public (long Count, string? Last) Unsent => (0, null);
        public DatagramHandler? Handler { get; private set; }

        public void Send(ReadOnlySpan<byte> datagram, IPEndPoint to) => network.Send(datagram, local, to);

        public void Receive(DatagramHandler handler) => Handler = handler;

        public ValueTask DisposeAsync()
        {
            lock (network._gate) network._bound.Remove(local);
            return ValueTask.CompletedTask;
        }
    }
}
