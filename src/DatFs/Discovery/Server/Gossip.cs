using System.Buffers.Binary;
using System.Net;

namespace DatFs.Discovery.Server;

/// <summary>
/// Shares the records of one server with others that know the same secret, over the server's first socket (discovery.md §7, first stage). New
/// records go to every neighbour at once, refreshed ones every ten minutes; who starts, or was out of reach, takes a full copy. Links
/// work in both directions and records pass through, so that a chain of servers holds one table. Called under the server's lock.
/// </summary>
internal sealed class Gossip
{
    /// <summary>Bytes of a secret, at least.</summary>
    public const int MinSecret = 16;

    /// <summary>Servers talked to, configured or not.</summary>
    public const int MaxNeighbours = 32;

    /// <summary>A refreshed record is told again this often.</summary>
    public const int RefreshSeconds = 600;

    /// <summary>Time between two signs of life, and before the first answer.</summary>
    public static readonly TimeSpan HelloTime = TimeSpan.FromSeconds(5), FirstHelloTime = TimeSpan.FromSeconds(1);

    /// <summary>After this time without a sign of life a neighbour is out of reach; one that was not configured is forgotten after four times as long.</summary>
    public static readonly TimeSpan Silence = TimeSpan.FromSeconds(15);

    private readonly DiscoveryServer _server;
    private readonly IDatagramSocket _socket;
    private readonly DiscoveryServerOptions _options;
    private readonly byte[] _secret;
    private readonly ulong _boot;
    private readonly List<Neighbour> _neighbours = [];

    public Gossip(DiscoveryServer server, IReadOnlyList<IDatagramSocket> sockets, DiscoveryServerOptions options)
    {
        GossipOptions gossip = options.Gossip!;
        ArgumentOutOfRangeException.ThrowIfLessThan(gossip.Secret.Length, MinSecret);
        (_server, _socket, _options, _secret) = (server, sockets[0], options, gossip.Secret);
        _boot = BinaryPrimitives.ReadUInt64BigEndian(options.RandomBytes(8));
        foreach (IPEndPoint peer in gossip.Peers.Take(MaxNeighbours)) _neighbours.Add(new Neighbour(this, peer, configured: true));
    }

    /// <summary>Datagrams that were refused.</summary>
    public long Refused { get; private set; }

    /// <summary>How each neighbour fares.</summary>
    public IReadOnlyList<NeighbourStatus> Neighbours => [.. _neighbours.Select(one => one.Status)];

    public static bool IsGossip(ReadOnlySpan<byte> datagram) => GossipCodec.IsGossip(datagram);

    /// <summary>
    /// True for a refreshed record that is due to be told again: each record has its own moment every ten minutes, the same at every server, and
    /// the refresh stepped over it.
    /// </summary>
    public static bool IsWorthTelling(NamedEntry entry, int before)
    {
        int offset = (int)((entry.Name.Third ^ entry.Peer.Address ^ entry.Peer.Port) % RefreshSeconds);
        return (entry.Seen + (long)offset) / RefreshSeconds != (before + (long)offset) / RefreshSeconds;
    }

    /// <summary>A client announced a record; <paramref name="before"/> tells when it did so last, null that it is new.</summary>
    public void Announced(NamedEntry entry, int? before)
    {
        if (before is null || IsWorthTelling(entry, before.Value)) Tell(entry, removed: false, except: null);
    }

    /// <summary>A client took a record back.</summary>
    public void Unannounced(NamedEntry entry) => Tell(entry, removed: true, except: null);

    public void Take(ReadOnlySpan<byte> datagram, IPEndPoint from)
    {
        if (!GossipCodec.TryRead(datagram, _options.Time.GetUtcNow(), _secret, out GossipMessage message))
        {
            Refused++;
            return;
        }

        if (message.Boot == _boot || NeighbourAt(from) is not { } neighbour) return;
        neighbour.Heard(message.Boot);
        switch (message.Kind)
        {
            case GossipKind.Hello:
                if (message.Number == 1) neighbour.BeginCopy();
                break;
            case GossipKind.Records:
                Send(new GossipMessage(GossipKind.Acknowledge, _boot, message.Number, 0, []), from);
                TakeOver(message.Entries, neighbour, tell: true);
                break;
            case GossipKind.Acknowledge:
                neighbour.Acknowledged(message.Number);
                break;
            case GossipKind.Pull:
                Answer(message.Number, neighbour);
                break;
            case GossipKind.Page:
                if (!neighbour.TakePage(message.Number, message.Second)) return;
                neighbour.CountNews(TakeOver(message.Entries, neighbour, tell: false));
                if (neighbour.EndCopy()) Recommend(except: neighbour);
                break;
            default:
                Refused++;
                break;
        }
    }

    /// <summary>Sends what is due.</summary>
    public void Tick()
    {
        foreach (Neighbour neighbour in _neighbours) neighbour.Tick();
        _neighbours.RemoveAll(one => one.IsForgotten);
    }

    internal void Send(GossipMessage message, IPEndPoint to) => _socket.Send(GossipCodec.Write(message, _options.Time.GetUtcNow(), _secret), to);

    internal TimeProvider Time => _options.Time;

    internal ulong Boot => _boot;

    private void Tell(NamedEntry entry, bool removed, Neighbour? except)
    {
        foreach (Neighbour neighbour in _neighbours)
            if (neighbour != except) neighbour.Tell(entry, removed);
    }

    private int TakeOver(IReadOnlyList<(NamedEntry Entry, bool Removed)> entries, Neighbour from, bool tell)
    {
        int news = 0;
        foreach ((NamedEntry entry, bool removed) in entries)
        {
            if (!_server.TakeOver(entry, removed)) continue;
            news++;
            if (tell) Tell(entry, removed, except: from);
        }

        from.CountReceived(entries.Count);
        return news;
    }

    private void Answer(uint start, Neighbour to)
    {
        if (start == 0) to.CopyBegun();
        List<NamedEntry> entries = new(GossipCodec.MaxEntries);
        int slots = start > int.MaxValue ? 0 : _server.CopyRecords((int)start, GossipCodec.MaxEntries, entries);
        Send(new GossipMessage(GossipKind.Page, _boot, start, (uint)slots, [.. entries.Select(entry => (entry, false))]), to.Address);
    }

    /// <summary>A copy brought news: whoever is linked through us should take one from us.</summary>
    private void Recommend(Neighbour except)
    {
        foreach (Neighbour neighbour in _neighbours)
            if (neighbour != except) neighbour.Recommend();
    }

    private Neighbour? NeighbourAt(IPEndPoint from)
    {
        Neighbour? known = _neighbours.Find(one => one.Address.Equals(from));
        if (known is not null || _neighbours.Count >= MaxNeighbours) return known;
        known = new Neighbour(this, from, configured: false);
        _neighbours.Add(known);
        return known;
    }
}
