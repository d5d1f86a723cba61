using DatFs.Discovery.Kademlia;
using DatFs.Discovery.Server;

namespace DatFs.Discovery.DhtRpc;

/// <summary>
/// A node of a dht-rpc 4 network (discovery.md §6.2): finds and announces peers, answers others as a full node must, and runs commands of its owner's.
/// Owns neither its socket nor the decision when to ask. Nodes and records are bounded in all, per name and per host; an address that did
/// not prove to be real is sent at most <see cref="MaxGain"/> times what it sent, and nobody is sent anything on the word of a stranger.
/// </summary>
internal sealed partial class DhtRpcNode : IAsyncDisposable
{
    /// <summary>Port of a bootstrap host without one.</summary>
    public const int DefaultPort = 49737;

    /// <summary>How many times longer than the question an answer to an address may be that might be forged.</summary>
    public const int MaxGain = 3;

    private const string PingCommand = "_ping", FindNodeCommand = "_find_node", HolepunchCommand = "_holepunch", PeersCommand = "peers";

    private readonly IDatagramSocket _socket;
    private readonly DhtRpcNodeOptions _options;
    private readonly IDhtCommand[] _commands;
    private readonly Overlay _overlay;
    private readonly NamedTable _records;
    private readonly NamedTable _localRecords;
    private readonly AddressBuckets _buckets;
    private readonly AddressBuckets _provenBuckets;
    private readonly TokenSecrets _tokens;

    /// <summary>Starts answering at a socket that nobody else receives from.</summary>
    public DhtRpcNode(IDatagramSocket socket, DhtRpcNodeOptions options, params IDhtCommand[] commands)
    {
        (_socket, _options, _commands) = (socket, options, commands);
        _overlay = new Overlay(socket, new Protocol(this), NodeId.Size, options.World);
        (_records, _localRecords) = (new NamedTable(options.Records), new NamedTable(options.LocalRecords));
        (_buckets, _provenBuckets) = (new AddressBuckets(options.World.Time), new AddressBuckets(options.World.Time));
        _tokens = new TokenSecrets(options.World.Time, options.World.RandomBytes, TokenSize);
        socket.Receive(Take);
    }

    /// <summary>Nodes known, walks and requests under way.</summary>
    public Overlay Overlay => _overlay;

    /// <summary>Where it is reached.</summary>
    public System.Net.IPEndPoint Local => _socket.Local;

    /// <summary>Our place.</summary>
    public NodeId Id => _overlay.Self;

    /// <summary>Peers that others announced to us.</summary>
    public int Records
    {
        get
        {
            lock (_overlay.Gate) return _records.Count;
        }
    }

    /// <summary>Makes ourselves known to the network, by way of these addresses at first, and keeps what we know of it fresh.</summary>
    public void Begin(params IEnumerable<Ipv4Peer> bootstrap)
    {
        _overlay.AddBootstrap(bootstrap);
        _overlay.Begin();
    }

    /// <summary>
    /// Looks for the peers of a topic. <paramref name="found"/> is told of each, again and again for the same, with the address of the node that told it;
    /// <paramref name="done"/> once at the end.
    /// </summary>
    public Walk FindPeers(NodeId target, Action<Ipv4Peer, Ipv4Peer> found, Action<WalkResult> done) =>
        Walk(PeersCommand, target, () => [], reply =>
        {
            if (reply.Value is null || !PeersAnswer.TryDecode(reply.Value, null, out PeersAnswer answer)) return;
            foreach (Ipv4Peer peer in answer.Peers)
                if (Contact.IsWorthAsking(peer, reply.From.Address)) found(peer, reply.From.Address);
        }, done);

    /// <summary>Announces a port to one node of a walk that gave a token, or takes it back. Told at the end whether the node took it.</summary>
    public void Announce(NodeId target, int port, bool unannounce, WalkNode node, Action<bool> done) =>
        Update(PeersCommand, target, new PeersRequest(port, null, unannounce).ToBytes(), node.Contact, node.Token ?? [], reply => done(reply is { Error: null }));

    /// <summary>Asks nodes nearer and nearer to a place for a command. Each request's value is made when it is sent.</summary>
    public Walk Walk(string command, NodeId target, Func<byte[]> value, Action<NodeReply> answered, Action<WalkResult> done) =>
        _overlay.Seek(target, (request, to) => Request(DhtRpcKind.Query, request, to.Address, command, target, value(), null), answered, done);

    /// <summary>Asks one node for a command.</summary>
    public void Query(string command, NodeId target, byte[] value, Contact to, Action<NodeReply?> done) =>
        _overlay.Ask(request => Request(DhtRpcKind.Query, request, to.Address, command, target, value, null), to, once: false, done);

    /// <summary>Has one node do what a command says, with the token that it gave.</summary>
    public void Update(string command, NodeId target, byte[] value, Contact to, byte[] token, Action<NodeReply?> done) =>
        _overlay.Ask(request => Request(DhtRpcKind.Update, request, to.Address, command, target, value, token), to, once: false, done);

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _overlay.Dispose();
        return ValueTask.CompletedTask;
    }

    private void Take(ReadOnlySpan<byte> datagram, System.Net.IPEndPoint end)
    {
        if (!Ipv4Peer.TryFrom(end, out Ipv4Peer from) || !DhtRpcMessage.TryDecode(datagram, out DhtRpcMessage message)) return;
        NodeId? id = message.Version >= DhtRpcMessage.CurrentVersion ? message.Id : null;
        if (message.Kind != DhtRpcKind.Response)
        {
            if (Answer(message, from, datagram.Length)) _overlay.HeardFrom(id, from);
            return;
        }

        if (message.Request > ushort.MaxValue) return;
        _overlay.Took((ushort)message.Request, from, new NodeReply
        {
            From = new Contact(id, from),
            Closer = message.Closer ?? [],
            Token = message.Token,
            Value = message.Value,
            Error = string.IsNullOrEmpty(message.Error) ? null : message.Error,
        });
    }

    private byte[] Request(DhtRpcKind kind, ushort request, Ipv4Peer to, string command, NodeId? target, byte[]? value, byte[]? token) =>
        new DhtRpcMessage { Kind = kind, Request = request, To = to, Id = Id, Target = target, Command = command, Value = value, Token = token }.ToBytes();

    private sealed class Protocol(DhtRpcNode node) : IOverlayProtocol
    {
        public byte[] Ping(ushort request, Contact to) => node.Request(DhtRpcKind.Query, request, to.Address, PingCommand, null, null, null);

        public byte[] FindNode(ushort request, NodeId target, Contact to) => node.Request(DhtRpcKind.Query, request, to.Address, FindNodeCommand, target, null, null);
    }
}

/// <summary>How a <see cref="DhtRpcNode"/> behaves.</summary>
internal sealed record DhtRpcNodeOptions
{
    /// <summary>Time and chance.</summary>
    public OverlayOptions World { get; init; } = new();

    /// <summary>Announced peers. They are announced anew within 10 minutes, and live 12 (discovery.md §6.2).</summary>
    public TableLimits Records { get; init; } = new(Entries: 65_536, PerName: 500, LifetimeSeconds: 12 * 60);

    /// <summary>Addresses of announced peers in networks of their own.</summary>
    public TableLimits LocalRecords { get; init; } = new(Entries: 16_384, PerName: 100, LifetimeSeconds: 12 * 60);

    /// <summary>What one address may announce.</summary>
    public AddressLimits PerAddress { get; init; } = new(Ports: 5, Names: 1000);

    /// <summary>What one private or loopback address may announce: behind it may be a whole network.</summary>
    public AddressLimits PerPrivateAddress { get; init; } = new(Ports: 500, Names: 20_000);

    /// <summary>Questions of one address that are answered.</summary>
    public MessageRate Rate { get; init; } = new(Burst: 100, PerSecond: 20);

    /// <summary>Questions of one private or loopback address that are answered.</summary>
    public MessageRate PrivateRate { get; init; } = new(Burst: 10_000, PerSecond: 2000);

    /// <summary>Questions of one address that proved who asks.</summary>
    public MessageRate ProvenRate { get; init; } = new(Burst: 10_000, PerSecond: 2000);
}
