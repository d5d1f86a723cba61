using System.Buffers.Binary;
using System.Net;

namespace DatFs.Discovery.Dns;

/// <summary>What became of a request.</summary>
/// <param name="From">Who answered; null = nobody did in time.</param>
/// <param name="Message">The answer; null = there was none, or it could not be read.</param>
/// <param name="RoundTrip">Time since the request was sent first.</param>
internal readonly record struct DnsReply(IPEndPoint? From, DnsMessage? Message, TimeSpan RoundTrip);

/// <summary>
/// Asks discovery servers over one socket that several sources share, and takes the pushes of configured servers (discovery.md §5.2, §5.3,
/// §8.1, §10 point 3). Answers count only with the id and from the address that was asked. Every request ends: with an answer, or
/// when its time is over by a timer of its own, whatever the socket does. Safe for use by any thread.
/// </summary>
internal sealed class DnsClient
{
    /// <summary>Requests without an answer yet; more are over at once.</summary>
    public const int MaxInFlight = 4096;

    /// <summary>When a request is over.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(4);

    /// <summary>Ids whose first byte no uTP socket on the same port takes for its own.</summary>
    private const int FirstId = 0x8000;

    /// <summary>When a request is sent again, since it was sent first. The second port is asked from the first of these on.</summary>
    private static readonly TimeSpan[] s_again = [TimeSpan.FromSeconds(0.3), TimeSpan.FromSeconds(0.9), TimeSpan.FromSeconds(2.1)];

    private readonly IDatagramSocket _socket;
    private readonly TimeProvider _time;
    private readonly Func<double> _random;
    private readonly Lock _gate = new();
    private readonly Dictionary<ushort, Request> _open = [];
    private IPushTaker[] _takers = [];

    public DnsClient(IDatagramSocket socket, TimeProvider time, Func<double> random)
    {
        (_socket, _time, _random) = (socket, time, random);
        socket.Receive(Take);
    }

    /// <summary>Why datagrams could not be sent, if that happened.</summary>
    public (long Count, string? Last) Unsent => _socket.Unsent;

    /// <summary>Requests without an answer yet.</summary>
    internal int InFlight
    {
        get
        {
            lock (_gate) return _open.Count;
        }
    }

    /// <summary>
    /// Asks a server, at one port and if it does not answer soon at a second one too. The message is made once its id is known. The outcome is told
    /// once, from any thread, and by no means later than the limit.
    /// </summary>
    public void Ask(Func<ushort, DnsMessage> write, IPEndPoint to, IPEndPoint? second, TimeSpan limit, Action<DnsReply> done)
    {
        Request request = new(this, to, second, limit, done);
        bool room;
        lock (_gate)
        {
            room = _open.Count < MaxInFlight;
            if (room)
            {
                ushort id;
                do id = (ushort)(FirstId | (int)(_random() * FirstId));
                while (!_open.TryAdd(id, request));
                request.Id = id;
            }
        }

        request.Start(room ? write(request.Id).ToBytes() : null);
    }

    /// <summary>From now on hands over the pushes of a source's servers.</summary>
    public void Add(IPushTaker taker)
    {
        lock (_gate) _takers = [.. _takers, taker];
    }

    public void Remove(IPushTaker taker)
    {
        lock (_gate) _takers = [.. _takers.Where(one => one != taker)];
    }

    private void Take(ReadOnlySpan<byte> datagram, IPEndPoint from)
    {
        if (datagram.Length < DnsMessage.HeaderSize) return;
        ushort id = BinaryPrimitives.ReadUInt16BigEndian(datagram);
        if ((datagram[2] & 0x80) == 0) TakePush(datagram, from);
        else if (Find(id, from) is { } request) request.Answered(from, Decode(datagram));
    }

    private static DnsMessage? Decode(ReadOnlySpan<byte> datagram) =>
        DnsMessage.TryDecode(datagram, out DnsMessage message) || DnsMessage.TrySalvage(datagram, out message) ? message : null;

    private Request? Find(ushort id, IPEndPoint from)
    {
        lock (_gate) return _open.TryGetValue(id, out Request? request) && request.Asked(from) ? request : null;
    }

    private void TakePush(ReadOnlySpan<byte> datagram, IPEndPoint from)
    {
        IPushTaker[] takers = [.. _takers.Where(one => one.IsServer(from.Address))];
        if (takers.Length == 0 || !DnsMessage.TryDecode(datagram, out DnsMessage push)) return;
        DnsService[] pushed = [.. push.Additionals.OfType<DnsService>()];
        if (pushed.Length == 0) return;
        // Also for names nobody looks for any more: else the server keeps sending.
        _socket.Send(new DnsMessage { Id = push.Id, Flags = DnsMessage.ResponseFlags }.ToBytes(), from);
        foreach (DnsService service in pushed)
        {
            foreach (IPushTaker taker in takers) taker.Pushed(service, from);
        }
    }

    /// <summary>True when the request was still open: only one of answer and timer ends it.</summary>
    private bool Close(Request request)
    {
        lock (_gate) return _open.Remove(request.Id);
    }

    private sealed class Request(DnsClient client, IPEndPoint to, IPEndPoint? second, TimeSpan limit, Action<DnsReply> done)
    {
        private readonly long _started = client._time.GetTimestamp();
        private byte[]? _message;
        private ITimer? _timer;
        private int _resent;
        private bool _secondAsked;

        public ushort Id { get; set; }

        /// <summary>Sends for the first time; without a message there is no room, and it is over.</summary>
        public void Start(byte[]? message)
        {
            _message = message;
            _timer = client._time.CreateTimer(_ => Tick(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            if (message is not null) client._socket.Send(message, to);
            _timer.Change(message is null ? TimeSpan.Zero : Next, Timeout.InfiniteTimeSpan);
        }

        /// <summary>Called under the client's lock.</summary>
        public bool Asked(IPEndPoint from) => from.Equals(to) || (_secondAsked && from.Equals(second));

        public void Answered(IPEndPoint from, DnsMessage? message)
        {
            if (client.Close(this)) End(new DnsReply(from, message, Elapsed));
        }

        private TimeSpan Elapsed => client._time.GetElapsedTime(_started);

        /// <summary>True when it is not sent again any more.</summary>
        private bool Last => _resent >= s_again.Length || s_again[_resent] >= limit;

        private TimeSpan Next
        {
            get
            {
                TimeSpan wait = (Last ? limit : s_again[_resent]) - Elapsed;
                return wait > TimeSpan.Zero ? wait : TimeSpan.Zero;
            }
        }

        private void Tick()
        {
            if (_message is null)
            {
                End(new DnsReply(null, null, Elapsed));
                return;
            }

            if (Last)
            {
                if (client.Close(this)) End(new DnsReply(null, null, Elapsed));
                return;
            }

            lock (client._gate)
            {
                if (!client._open.ContainsKey(Id)) return;
                _resent++;
                _secondAsked = second is not null;
            }

            client._socket.Send(_message, to);
            if (second is not null) client._socket.Send(_message, second);
            _timer!.Change(Next, Timeout.InfiniteTimeSpan);
        }

        private void End(DnsReply reply)
        {
            _timer!.Dispose();
            done(reply);
        }
    }
}

/// <summary>Takes what a configured server pushes.</summary>
internal interface IPushTaker
{
    /// <summary>True for an address of a server that was configured.</summary>
    bool IsServer(IPAddress address);

    /// <summary>A peer that was announced; its name may be anything. Must return soon and throw nothing.</summary>
    void Pushed(DnsService service, IPEndPoint from);
}
