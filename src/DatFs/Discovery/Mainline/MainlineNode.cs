using System.Buffers.Binary;
using DatFs.Discovery.Kademlia;
using DatFs.Discovery.Server;

namespace DatFs.Discovery.Mainline;

/// <summary>
/// A node of the BitTorrent mainline network (BEP 5, discovery.md §6.1): finds and announces peers, and answers others as a node must. Owns neither
/// its socket nor the decision when to ask; nothing leaves it before something is asked or answered. Nodes and records are bounded in all,
/// per name and per host, and an address that did not prove to be real is sent at most <see cref="MaxGain"/> times what it sent.
/// </summary>
internal sealed partial class MainlineNode : IAsyncDisposable
{
    /// <summary>How many times longer than the question an answer to an address may be that might be forged.</summary>
    public const int MaxGain = 3;

    /// <summary>Peers of an answer.</summary>
    public const int MaxValues = 100;

    private readonly IDatagramSocket _socket;
    private readonly MainlineNodeOptions _options;
    private readonly Overlay _overlay;
    private readonly NamedTable _records;
    private readonly AddressBuckets _buckets;
    private readonly TokenSecrets _tokens;

    /// <summary>Starts answering at a socket that nobody else receives from.</summary>
    public MainlineNode(IDatagramSocket socket, MainlineNodeOptions options)
    {
        (_socket, _options) = (socket, options);
        _overlay = new Overlay(socket, new Protocol(this), NodeId.ShortSize, options.World);
        _records = new NamedTable(options.Records);
        _buckets = new AddressBuckets(options.World.Time);
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
    /// Looks for the peers of a name. <paramref name="found"/> is told of each, again and again for the same, with the address of the node that told it;
    /// <paramref name="done"/> once at the end.
    /// </summary>
    public Walk FindPeers(NodeId infoHash, Action<Ipv4Peer, Ipv4Peer> found, Action<WalkResult> done)
    {
        byte[] Write(ushort request, Contact to) => (Query(request, KrpcMethod.GetPeers) with { InfoHash = infoHash }).ToBytes();
        return _overlay.Seek(infoHash, Write, reply =>
        {
            foreach (Ipv4Peer peer in reply.Peers.Take(MaxValues))
                if (Contact.IsWorthAsking(peer, reply.From.Address)) found(peer, reply.From.Address);
        }, done);
    }

    /// <summary>Announces a port to one node of a walk that gave a token. Told at the end whether the node took it.</summary>
    public void Announce(NodeId infoHash, int port, WalkNode node, Action<bool> done)
    {
        KrpcMessage announce = Query(0, KrpcMethod.AnnouncePeer) with { InfoHash = infoHash, Port = port, ImpliedPort = false, Token = node.Token };
        _overlay.Ask(request => (announce with { Transaction = NameOf(request) }).ToBytes(), node.Contact, once: false, reply => done(reply is { Error: null }));
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _overlay.Dispose();
        return ValueTask.CompletedTask;
    }

    private void Take(ReadOnlySpan<byte> datagram, System.Net.IPEndPoint end)
    {
        if (!Ipv4Peer.TryFrom(end, out Ipv4Peer from) || !KrpcMessage.TryDecode(datagram, out KrpcMessage message)) return;
        if (message.Kind == KrpcKind.Query)
        {
            if (Answer(message, from, datagram.Length)) _overlay.HeardFrom(message.ReadOnly ? null : message.Id, from);
            return;
        }

        if (message.Transaction.Length != sizeof(ushort)) return;
        _overlay.Took(BinaryPrimitives.ReadUInt16BigEndian(message.Transaction), from, new NodeReply
        {
            // An error does not say who sends it; that it comes from where we asked must do.
            From = new Contact(message.Id, from),
            Closer = message.Nodes ?? [],
            Token = message.Token,
            Peers = message.Values ?? [],
            Error = message.Error is { } error ? $"{error.Code} {error.Text}" : null,
        });
    }

    private KrpcMessage Query(ushort request, KrpcMethod method) => new() { Transaction = NameOf(request), Kind = KrpcKind.Query, Method = method, Id = Id };

    private static byte[] NameOf(ushort request) => [(byte)(request >> 8), (byte)request];

    private sealed class Protocol(MainlineNode node) : IOverlayProtocol
    {
        public byte[] Ping(ushort request, Contact to) => node.Query(request, KrpcMethod.Ping).ToBytes();

        public byte[] FindNode(ushort request, NodeId target, Contact to) => (node.Query(request, KrpcMethod.FindNode) with { Target = target }).ToBytes();
    }
}

/// <summary>How a <see cref="MainlineNode"/> behaves.</summary>
internal sealed record MainlineNodeOptions
{
    /// <summary>Time and chance.</summary>
    public OverlayOptions World { get; init; } = new();

    /// <summary>Announced peers. They are announced anew every 10 to 15 minutes.</summary>
    public TableLimits Records { get; init; } = new(Entries: 20_000, PerName: 500, LifetimeSeconds: 30 * 60);

    /// <summary>What one address may announce.</summary>
    public AddressLimits PerAddress { get; init; } = new(Ports: 5, Names: 1000);

    /// <summary>What one private or loopback address may announce: behind it may be a whole network.</summary>
    public AddressLimits PerPrivateAddress { get; init; } = new(Ports: 500, Names: 20_000);

    /// <summary>Questions of one address that are answered.</summary>
    public MessageRate Rate { get; init; } = new(Burst: 100, PerSecond: 20);

    /// <summary>Questions of one private or loopback address that are answered.</summary>
    public MessageRate PrivateRate { get; init; } = new(Burst: 10_000, PerSecond: 2000);
}
