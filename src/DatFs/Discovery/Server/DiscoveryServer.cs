using System.Net;
using System.Net.Sockets;
using DatFs.Discovery.Dns;

namespace DatFs.Discovery.Server;

/// <summary>
/// A DNS discovery server that every client of the Dat network can use (discovery.md §5). Owns its tables, not its sockets. Everything it
/// holds is bounded: in all, per name, per address. Nobody who forges his address gets a victim sent more than a few times what he
/// sends: peers are told, stored and pushed only to holders of a token. All state is under one lock; datagrams are handled as they come,
/// and nothing waits. Network failures never end it; a full disk shows in the counters.
/// </summary>
public sealed partial class DiscoveryServer : IAsyncDisposable
{
    /// <summary>Subscribers told of a new peer.</summary>
    public const int MaxPushed = 16;

    /// <summary>Time between two passes over what is due.</summary>
    public static readonly TimeSpan TickTime = TimeSpan.FromMilliseconds(100);

    private readonly IReadOnlyList<IDatagramSocket> _sockets;
    private readonly DiscoveryServerOptions _options;
    private readonly Lock _gate = new();
    private readonly NamedTable _records;
    private readonly NamedTable _subscriptions;
    private readonly AddressBuckets _buckets;
    private readonly ServerPushes _pushes;
    private readonly ServerSecrets _secrets;
    private readonly Gossip? _gossip;
    private readonly ITimer _timer;
    private ServerCounters _counters = new();
    private IReadOnlyList<IDatagramSocket> _owned = [];
    private bool _disposed;

    /// <summary>Binds sockets of its own, which end with it, and starts serving.</summary>
    /// <exception cref="SocketException">An address is taken or not ours.</exception>
    /// <exception cref="IOException">The state folder cannot be made or read.</exception>
    public static DiscoveryServer Open(DiscoveryServerSettings settings)
    {
        List<UdpDatagramSocket> sockets = [];
        try
        {
            ServerFolder? state = settings.StateFolder is null ? null : new ServerFolder(settings.StateFolder);
            foreach (IPEndPoint listen in settings.Listen) sockets.Add(UdpDatagramSocket.Bind(listen));
            foreach (IPEndPoint listen in settings.ListenIfPermitted)
                if (TryBind(listen) is { } socket) sockets.Add(socket);
            return new DiscoveryServer(sockets, new DiscoveryServerOptions
            {
                Domain = settings.Domain,
                State = state,
                Gossip = settings.Secret is null ? null : new GossipOptions(settings.Secret, settings.Peers),
            })
            { _owned = sockets };
        }
        catch
        {
            // A socket that never received has nothing to wait for.
            foreach (UdpDatagramSocket socket in sockets) socket.DisposeAsync().AsTask().GetAwaiter().GetResult();
            throw;
        }
    }

    /// <summary>Starts serving at sockets that nobody else receives from; restores what an earlier process saved.</summary>
    internal DiscoveryServer(IReadOnlyList<IDatagramSocket> sockets, DiscoveryServerOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfZero(sockets.Count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(sockets.Count, byte.MaxValue);
        (_sockets, _options) = (sockets, options);
        _records = new NamedTable(options.Records);
        _subscriptions = new NamedTable(options.Subscriptions);
        _buckets = new AddressBuckets(options.Time);
        _pushes = new ServerPushes(sockets, options);
        _secrets = new ServerSecrets(options.State?.Load(SecretsName) ?? [], options.Time.GetUtcNow(), options.RandomBytes);
        Restore();
        if (options.Gossip is not null) _gossip = new Gossip(this, sockets, options);
        _timer = options.Time.CreateTimer(_ => Tick(), null, TickTime, TickTime);
        for (int i = 0; i < sockets.Count; i++)
        {
            byte index = (byte)i;
            sockets[i].Receive((datagram, from) => Take(datagram, from, index));
        }
    }

    /// <summary>Where it listens.</summary>
    public IReadOnlyList<IPEndPoint> Listening => [.. _sockets.Select(socket => socket.Local)];

    /// <summary>What it did and holds.</summary>
    public ServerCounters Counters
    {
        get
        {
            lock (_gate)
            {
                return _counters with
                {
                    Pushed = _pushes.Sent,
                    PushesResent = _pushes.Resent,
                    PushesAcknowledged = _pushes.Acknowledged,
                    BytesOut = _counters.BytesOut + _pushes.Bytes,
                    Evicted = _records.Evicted,
                    Expired = _records.Expired,
                    Records = _records.Count,
                    Names = _records.Names,
                    Subscriptions = _subscriptions.Count,
                    Neighbours = _gossip?.Neighbours ?? [],
                    GossipRefused = _gossip?.Refused ?? 0,
                };
            }
        }
    }

    /// <summary>Seconds since 1970: what entries are stamped with.</summary>
    private int Now => (int)_options.Time.GetUtcNow().ToUnixTimeSeconds();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        await _timer.DisposeAsync();
        foreach (IDatagramSocket socket in _owned) await socket.DisposeAsync();
        Save(SecretsName, _secrets.ToBytes());
        Save(RecordsName, Snapshot());
    }

    private static UdpDatagramSocket? TryBind(IPEndPoint listen)
    {
        try
        {
            return UdpDatagramSocket.Bind(listen);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private void Take(ReadOnlySpan<byte> datagram, IPEndPoint from, byte socket)
    {
        lock (_gate)
        {
            if (_disposed) return;
            if (Gossip.IsGossip(datagram))
            {
                _gossip?.Take(datagram, from);
                return;
            }

            _counters = _counters with { Received = _counters.Received + 1, BytesIn = _counters.BytesIn + datagram.Length };
            if (!Ipv4Peer.TryFrom(from, out Ipv4Peer sender) || !DnsMessage.TryDecode(datagram, out DnsMessage message))
            {
                _counters = _counters with { Malformed = _counters.Malformed + 1 };
                return;
            }

            bool local = AddressRange.IsPrivate(sender.Address);
            if (!_buckets.TryTake(sender.Address, local ? _options.PrivateRate : _options.Rate))
            {
                _counters = _counters with { RateLimited = _counters.RateLimited + 1 };
                return;
            }

            if (message.IsResponse) _pushes.Heard(message.Id, from);
            else Answer(message, sender, from, socket, local ? _options.PerPrivateAddress : _options.PerAddress);
        }
    }
}
