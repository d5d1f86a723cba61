using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using DatFs.Replication;

namespace DatFs.Discovery;

/// <summary>
/// Peers of one drive tell each other of the rest (discovery.md §10 point 7): entries of six bytes, IPv4 address and port; 0.0.0.0 stands
/// for the sender, as in the DNS form (§3). Real peers do not list the extension and hear nothing. Private addresses are told to
/// private peers only: to others they mean something else.
/// </summary>
public sealed class PeerExchange : IPeerSource, IConnectionExtension
{
    /// <summary>Name in the handshake.</summary>
    public const string ExtensionName = "datmount-pex";

    /// <summary>Entries in a message.</summary>
    public const int MaxEntries = 50;

    /// <summary>Different addresses counted as named.</summary>
    public const int MaxNamed = 1000;

    /// <summary>How often changes are told.</summary>
    public static readonly TimeSpan TellEvery = TimeSpan.FromSeconds(60);

    /// <summary>Messages of a peer that come sooner after its last are ignored.</summary>
    public static readonly TimeSpan HearEvery = TimeSpan.FromSeconds(30);

    /// <summary>A peer is not told again before this, so that however late a message was, the next is not ignored.</summary>
    public static readonly TimeSpan TellAgainAfter = TimeSpan.FromSeconds(45);

    private const int EntrySize = 6;

    private readonly TimeProvider _time;
    private readonly ITimer _tell;
    private readonly Lock _gate = new();
    private readonly Dictionary<PeerConnection, Partner> _partners = [];
    private readonly HashSet<IPEndPoint> _named = [];
    private Action<PeerSighting>? _found;
    private int _port;
    private DateTimeOffset? _heardAt;
    private bool _announced;

    internal PeerExchange(TimeProvider time)
    {
        _time = time;
        _tell = time.CreateTimer(static self => ((PeerExchange)self!).TellAll(), this, TellEvery, TellEvery);
    }

    /// <inheritdoc/>
    public SourceKind Kind => SourceKind.Exchange;

    /// <inheritdoc cref="IPeerSource.Name"/>
    public string Name => "exchange";

    string IConnectionExtension.Name => ExtensionName;

    /// <inheritdoc/>
    public SourceStatus Status
    {
        get
        {
            lock (_gate) return new SourceStatus(_heardAt is null ? SourceHealth.Unknown : SourceHealth.Up, 0, _heardAt, null, null, null);
        }
    }

    /// <inheritdoc/>
    public IPeerSearch Join(SwarmTopic topic, int port, Action<PeerSighting> found)
    {
        lock (_gate) (_port, _found) = (port, found);
        TellAll();
        return new Search(this);
    }

    /// <inheritdoc/>
    public void Wake() => TellAll();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _tell.DisposeAsync();

    void IConnectionExtension.Opened(PeerConnection peer)
    {
        lock (_gate)
        {
            if (IPEndPoint.TryParse(peer.Address, out IPEndPoint? remote)) _partners[peer] = new Partner(remote, peer.Initiator ? remote : null);
        }

        Tell(peer);
    }

    void IConnectionExtension.Closed(PeerConnection peer)
    {
        lock (_gate) _partners.Remove(peer);
    }

    void IConnectionExtension.Received(PeerConnection peer, ReadOnlySpan<byte> payload)
    {
        List<PeerSighting> sightings = [];
        Action<PeerSighting>? found;
        lock (_gate)
        {
            if (!_partners.TryGetValue(peer, out Partner? partner)) return;
            long now = _time.GetTimestamp();
            if (partner.HeardAt is { } at && _time.GetElapsedTime(at, now) < HearEvery) return;
            partner.HeardAt = now;
            _heardAt = _time.GetUtcNow();
            found = _found;
            bool isPrivate = AddressRules.IsPrivate(partner.Remote.Address);
            for (int i = 0; i < MaxEntries && payload.Length >= EntrySize; i++, payload = payload[EntrySize..])
            {
                IPEndPoint entry = new(new IPAddress(payload[..4]), BinaryPrimitives.ReadUInt16BigEndian(payload[4..]));
                if (entry.Address.Equals(IPAddress.Any))
                {
                    // Not to be dialled, it is connected; but others may want to know where it listens.
                    if (entry.Port != 0) partner.Listens ??= new IPEndPoint(partner.Remote.Address, entry.Port);
                    continue;
                }

                if (_named.Count < MaxNamed) _named.Add(entry);
                sightings.Add(new PeerSighting(entry, isPrivate));
            }
        }

        foreach (PeerSighting sighting in sightings) found?.Invoke(sighting);
    }

    private void TellAll()
    {
        PeerConnection[] peers;
        lock (_gate) peers = [.. _partners.Keys];
        foreach (PeerConnection peer in peers) Tell(peer);
    }

    private void Tell(PeerConnection peer)
    {
        byte[] message = new byte[MaxEntries * EntrySize];
        int count = 0;
        lock (_gate)
        {
            if (_found is null || !_partners.TryGetValue(peer, out Partner? partner)) return;
            if (partner.ToldAt is { } told && _time.GetElapsedTime(told) < TellAgainAfter) return;
            if (_port != 0 && !partner.KnowsOurs)
            {
                partner.KnowsOurs = true;
                Write(message, count++, new IPEndPoint(IPAddress.Any, _port));
            }

            bool isPrivate = AddressRules.IsPrivate(partner.Remote.Address);
            foreach ((PeerConnection other, Partner known) in _partners)
            {
                if (count == MaxEntries) break;
                if (other == peer || known.Listens is not { Address.AddressFamily: AddressFamily.InterNetwork } at || at.Equals(partner.Listens)) continue;
                if (AddressRules.IsPrivate(at.Address) && !isPrivate) continue;
                if (partner.Knows.Add(at)) Write(message, count++, at);
            }

            partner.Knows.RemoveWhere(at => !_partners.Values.Any(known => at.Equals(known.Listens)));
            if (count > 0) partner.ToldAt = _time.GetTimestamp();
        }

        if (count > 0 && peer.SendExtension(ExtensionName, message.AsSpan(0, count * EntrySize))) Volatile.Write(ref _announced, true);
    }

    private static void Write(Span<byte> message, int index, IPEndPoint entry)
    {
        Span<byte> at = message.Slice(index * EntrySize, EntrySize);
        entry.Address.TryWriteBytes(at, out _);
        BinaryPrimitives.WriteUInt16BigEndian(at[4..], (ushort)entry.Port);
    }

    private sealed class Partner(IPEndPoint remote, IPEndPoint? listens)
    {
        public IPEndPoint Remote { get; } = remote;

        /// <summary>Where others can reach it; null = not known.</summary>
        public IPEndPoint? Listens { get; set; } = listens;

        /// <summary>Addresses it was told and that are still connected here; as many as there are connections.</summary>
        public HashSet<IPEndPoint> Knows { get; } = [];

        public bool KnowsOurs { get; set; }
        public long? HeardAt { get; set; }
        public long? ToldAt { get; set; }
    }

    private sealed class Search(PeerExchange owner) : IPeerSearch
    {
        public bool Announced => Volatile.Read(ref owner._announced) && owner._port != 0;

        public int Named
        {
            get
            {
                lock (owner._gate) return owner._named.Count;
            }
        }

        public ValueTask DisposeAsync()
        {
            lock (owner._gate) owner._found = null;
            return ValueTask.CompletedTask;
        }
    }
}
