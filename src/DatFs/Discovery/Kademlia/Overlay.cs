using System.Security.Cryptography;

namespace DatFs.Discovery.Kademlia;

/// <summary>What a network writes for what both do alike.</summary>
internal interface IOverlayProtocol
{
    /// <summary>Asks a node whether it lives.</summary>
    byte[] Ping(ushort request, Contact to);

    /// <summary>Asks a node for those it knows near a place.</summary>
    byte[] FindNode(ushort request, NodeId target, Contact to);
}

/// <summary>What an <see cref="Overlay"/> needs from the world.</summary>
internal sealed record OverlayOptions
{
    /// <summary>Where time comes from.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>0 up to 1; for request ids and choices.</summary>
    public Func<double> Random { get; init; } = System.Random.Shared.NextDouble;

    /// <summary>So many bytes that nobody can guess; for our id and for tokens.</summary>
    public Func<int, byte[]> RandomBytes { get; init; } = RandomNumberGenerator.GetBytes;
}

/// <summary>
/// Our part of a distributed hash table, whichever its language: the routing table, the requests under way, the walks towards a place, and the
/// upkeep (discovery.md §6). An answer counts only with the id and from the address of a request; every request ends, by a timer of
/// its own if nothing comes. All state is under one lock; nothing foreign is called while it is held. Safe for use by any thread.
/// </summary>
internal sealed partial class Overlay : IDisposable
{
    /// <summary>Requests without an answer yet; more fail.</summary>
    public const int MaxInFlight = 2048;

    /// <summary>Walks at once; more wait their turn.</summary>
    public const int MaxWalks = 32;

    /// <summary>Walks that wait; more end without having begun.</summary>
    public const int MaxWaiting = 4096;

    /// <summary>Pings at once to strangers who asked us something, and so may be forged.</summary>
    public const int MaxVerifying = 16;

    /// <summary>Addresses known to be real.</summary>
    public const int MaxVerified = 4096;

    /// <summary>How long an address that answered counts as real.</summary>
    public static readonly TimeSpan VerifiedTime = TimeSpan.FromMinutes(10);

    /// <summary>When a request is over.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    /// <summary>When a request is sent again, since it was sent first.</summary>
    private static readonly TimeSpan[] s_again = [TimeSpan.FromSeconds(0.5), TimeSpan.FromSeconds(1.2)];

    private readonly IDatagramSocket _socket;
    private readonly IOverlayProtocol _protocol;
    private readonly OverlayOptions _options;
    private readonly Dictionary<ushort, Request> _open = [];
    private readonly Dictionary<Ipv4Peer, long> _verified = [];
    private readonly HashSet<Ipv4Peer> _verifying = [];
    private readonly List<Walk> _walks = [];
    private readonly Queue<Walk> _waiting = [];
    private long _answeredAt = long.MinValue;
    private bool _disposed;

    public Overlay(IDatagramSocket socket, IOverlayProtocol protocol, int idSize, OverlayOptions options)
    {
        (_socket, _protocol, _options) = (socket, protocol, options);
        Self = NodeId.Read(options.RandomBytes(idSize));
        Table = new RoutingTable(Self);
        _upkeep = options.Time.CreateTimer(_ => Upkeep(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Our place.</summary>
    public NodeId Self { get; }

    /// <summary>Guards all state, the table too.</summary>
    public Lock Gate { get; } = new();

    /// <summary>Nodes that answered.</summary>
    public RoutingTable Table { get; }

    /// <summary>Told of every answer, from any thread. Set before anything is asked.</summary>
    public Action<NodeReply>? Heard { get; set; }

    /// <summary>Requests sent so far, repetitions not counted.</summary>
    public long Asked { get; private set; }

    /// <summary>Requests without an answer yet.</summary>
    public int InFlight
    {
        get
        {
            lock (Gate) return _open.Count;
        }
    }

    internal TimeProvider Time => _options.Time;

    internal Func<double> Random => _options.Random;

    /// <summary>
    /// Asks a node. The outcome is told once, from any thread, by no means later than the limit: null when there was no answer, or one from somebody
    /// with another id.
    /// </summary>
    public void Ask(Func<ushort, byte[]> write, Contact to, bool once, Action<NodeReply?>? done)
    {
        Request request = new(this, to, once, done);
        bool room;
        lock (Gate)
        {
            room = !_disposed && _open.Count < MaxInFlight;
            if (room)
            {
                ushort id;
                do id = (ushort)(_options.Random() * (ushort.MaxValue + 1));
                while (!_open.TryAdd(id, request));
                request.Id = id;
                Asked++;
            }
        }

        request.Start(room ? write(request.Id) : null);
    }

    /// <summary>An answer arrived; true when it is to an open request.</summary>
    public bool Took(ushort id, Ipv4Peer from, NodeReply reply)
    {
        Request? request;
        bool right;
        lock (Gate)
        {
            if (!_open.TryGetValue(id, out request) || request.To.Address != from) return false;
            _open.Remove(id);
            // Errors of the mainline network do not say whose they are: from where we asked, with the request's name, must do.
            if (reply is { Error: not null, From.Id: null }) reply = reply with { From = request.To };
            long now = Time.GetTimestamp();
            right = reply.From.Id != Self && (request.To.Id is not { } expected || reply.From.Id == expected);
            if (right)
            {
                _answeredAt = now;
                Verify(from, now);
                if (Table.Answered(reply.From, now) is { } known && reply.Token is not null) (known.Token, known.TokenAt) = (reply.Token, now);
            }
            else
            {
                Table.Remove(request.To);
            }
        }

        reply = reply with { RoundTrip = request.Elapsed };
        if (right) Heard?.Invoke(reply);
        request.End(right ? reply : null);
        return true;
    }

    /// <summary>
    /// Somebody asked us something. Whether he is where he seems to be, a ping tells: nodes find a place in the table only by answering, so that
    /// nobody can fill it with forged addresses.
    /// </summary>
    public void HeardFrom(NodeId? id, Ipv4Peer from)
    {
        Contact stranger = new(id, from);
        lock (Gate)
        {
            if (_disposed || _verifying.Count >= MaxVerifying || !Contact.IsWorthAsking(from, from)) return;
            bool known = id is null || id == Self || Table.Find(stranger) is not null || !Table.HasRoomFor(id.Value);
            if ((known && IsVerifiedNow(from)) || !_verifying.Add(from)) return;
        }

        Ask(request => _protocol.Ping(request, stranger), stranger, once: true, _ =>
        {
            lock (Gate) _verifying.Remove(from);
        });
    }

    /// <summary>True for an address which answered lately, and so is not forged.</summary>
    public bool IsVerified(Ipv4Peer address)
    {
        lock (Gate) return IsVerifiedNow(address);
    }

    /// <summary>An address proved by a token that it is real.</summary>
    public void Verified(Ipv4Peer address)
    {
        lock (Gate) Verify(address, Time.GetTimestamp());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Request[] requests;
        Walk[] walks;
        lock (Gate)
        {
            if (_disposed) return;
            _disposed = true;
            requests = [.. _open.Values];
            walks = [.. _walks, .. _waiting];
            _open.Clear();
            _waiting.Clear();
        }

        _upkeep.Dispose();
        foreach (Walk walk in walks) walk.Stop();
        foreach (Request request in requests) request.End(null);
    }

    private bool IsVerifiedNow(Ipv4Peer address) => _verified.TryGetValue(address, out long at) && Time.GetElapsedTime(at) < VerifiedTime;

    private void Verify(Ipv4Peer address, long now)
    {
        _verified[address] = now;
        if (_verified.Count <= MaxVerified) return;
        foreach ((Ipv4Peer one, long at) in _verified)
            if (Time.GetElapsedTime(at) >= VerifiedTime / 2) _verified.Remove(one);
        if (_verified.Count > MaxVerified) _verified.Clear();
    }

    private sealed class Request(Overlay overlay, Contact to, bool once, Action<NodeReply?>? done)
    {
        private readonly long _started = overlay.Time.GetTimestamp();
        private byte[]? _message;
        private ITimer? _timer;
        private int _resent;

        public ushort Id { get; set; }

        public Contact To => to;

        public TimeSpan Elapsed => overlay.Time.GetElapsedTime(_started);

        /// <summary>Sends for the first time; without a message there is no room, and it is over, but never before the caller returned.</summary>
        public void Start(byte[]? message)
        {
            _message = message;
            _timer = overlay.Time.CreateTimer(_ => Tick(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            if (message is not null) overlay._socket.Send(message, to.Address.ToEndPoint());
            _timer.Change(message is null ? TimeSpan.Zero : Next, Timeout.InfiniteTimeSpan);
        }

        public void End(NodeReply? reply)
        {
            _timer?.Dispose();
            done?.Invoke(reply);
        }

        private bool Last => once || _resent >= s_again.Length;

        private TimeSpan Next
        {
            get
            {
                TimeSpan wait = (Last ? Limit : s_again[_resent]) - Elapsed;
                return wait > TimeSpan.Zero ? wait : TimeSpan.Zero;
            }
        }

        private void Tick()
        {
            if (_message is null)
            {
                End(null);
                return;
            }

            bool over = Last;
            lock (overlay.Gate)
            {
                if (!overlay._open.TryGetValue(Id, out Request? open) || open != this) return;
                if (over)
                {
                    overlay._open.Remove(Id);
                    // When nobody answers, it is our own network that fails, and its nodes are as good as before.
                    if (overlay._answeredAt > _started) overlay.Table.Failed(to);
                }
            }

            if (over)
            {
                End(null);
                return;
            }

            _resent++;
            overlay._socket.Send(_message, to.Address.ToEndPoint());
            _timer!.Change(Next, Timeout.InfiniteTimeSpan);
        }
    }
}
