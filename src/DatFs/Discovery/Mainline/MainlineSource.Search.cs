using DatFs.Discovery.Kademlia;

namespace DatFs.Discovery.Mainline;

internal sealed partial class MainlineSource
{
    /// <summary>One topic. Its state is under the source's lock.</summary>
    private sealed class Search : IPeerSearch
    {
        /// <summary>Different peers that are counted.</summary>
        private const int MaxNamed = 1000;

        /// <summary>How long a peer counts as named lately, at least: the longest time between two rounds.</summary>
        private static readonly TimeSpan s_lately = Refresh + RefreshJitter;

        private readonly MainlineSource _source;
        private readonly Action<PeerSighting> _found;
        private readonly ITimer _timer;
        private readonly Dictionary<Contact, long> _told = [];
        private HashSet<Ipv4Peer> _named = [];
        private HashSet<Ipv4Peer> _namedBefore = [];
        private long _namedSince;
        private int _rounds;

        public Search(MainlineSource source, NodeId infoHash, int port, Action<PeerSighting> found)
        {
            (_source, _found, InfoHash, Port) = (source, found, infoHash, port);
            _namedSince = source._world.Time.GetTimestamp();
            _timer = source._world.Time.CreateTimer(_ => source.BeginRound(this, refresh: true), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        public NodeId InfoHash { get; }

        public int Port { get; }

        public bool Closed { get; private set; }

        /// <summary>True while a walk is under way.</summary>
        public bool Walking { get; set; }

        /// <summary>True when the last walk met nobody.</summary>
        public bool Lost { get; set; }

        /// <inheritdoc/>
        public bool Announced
        {
            get
            {
                lock (_source._gate) return !Closed && _told.Values.Any(at => _source._world.Time.GetElapsedTime(at) < s_lately + s_lately);
            }
        }

        /// <inheritdoc/>
        public int Named
        {
            get
            {
                lock (_source._gate) return _named.Count + _namedBefore.Count(one => !_named.Contains(one));
            }
        }

        public void Wait(TimeSpan time)
        {
            lock (_source._gate)
            {
                if (!Closed) _timer.Change(time, Timeout.InfiniteTimeSpan);
            }
        }

        /// <summary>Waits for the next round after one that went well.</summary>
        public void WaitForNext()
        {
            lock (_source._gate)
            {
                double chance = _source._world.Random();
                TimeSpan time = _rounds < s_early.Length ? s_early[_rounds] * (0.8 + 0.4 * chance) : Refresh + RefreshJitter * chance;
                _rounds++;
                Wait(time);
            }
        }

        /// <summary>Behaves as if it had just been joined.</summary>
        public void StartOver()
        {
            lock (_source._gate)
            {
                _rounds = 0;
                _told.Clear();
            }
        }

        /// <summary>The nodes to announce to: those that gave a token and were not told lately. They forget, and new ones come.</summary>
        public IReadOnlyList<WalkNode> ToTell(IReadOnlyList<WalkNode> closest)
        {
            if (Port == 0) return [];
            lock (_source._gate)
            {
                foreach ((Contact contact, long at) in _told)
                    if (_source._world.Time.GetElapsedTime(at) >= s_lately + s_lately) _told.Remove(contact);
                return [.. closest.Where(node => node.Token is not null && !(_told.TryGetValue(node.Contact, out long at) && _source._world.Time.GetElapsedTime(at) < Refresh))];
            }
        }

        public void Told(WalkNode node, bool taken)
        {
            lock (_source._gate)
            {
                if (taken) _told[node.Contact] = _source._world.Time.GetTimestamp();
                else _told.Remove(node.Contact);
            }
        }

        /// <summary>A node at <paramref name="from"/> named a peer.</summary>
        public void Tell(Ipv4Peer peer, Ipv4Peer from)
        {
            lock (_source._gate)
            {
                if (Closed) return;
                if (_source._world.Time.GetElapsedTime(_namedSince) >= s_lately) (_namedBefore, _named, _namedSince) = (_named, [], _source._world.Time.GetTimestamp());
                if (_named.Count < MaxNamed) _named.Add(peer);
            }

            _found(new PeerSighting(peer.ToEndPoint(), AddressRange.IsPrivate(from.Address)));
        }

        /// <inheritdoc/>
        public ValueTask DisposeAsync()
        {
            lock (_source._gate)
            {
                Closed = true;
                _source._searches.Remove(this);
            }

            return _timer.DisposeAsync();
        }
    }
}
