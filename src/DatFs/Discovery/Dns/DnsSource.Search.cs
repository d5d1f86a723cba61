using System.Net;

namespace DatFs.Discovery.Dns;

internal sealed partial class DnsSource
{
    /// <summary>One address of the server, and what was learnt about it.</summary>
    private sealed class Endpoint(IPAddress address, DnsServerAddress server)
    {
        private readonly IPEndPoint _primary = new(address, server.Port);
        private readonly IPEndPoint? _secondary = server.Secondary == 0 ? null : new IPEndPoint(address, server.Secondary);
        private IPEndPoint? _preferred;

        public IPAddress Address => address;

        /// <summary>What proves to the server that we get what is sent to our address; null = not told yet.</summary>
        public string? Token { get; set; }

        /// <summary>The port to ask first: the one that answered last.</summary>
        public IPEndPoint First => _preferred ?? _primary;

        /// <summary>The port to ask beside it, unless one is known to answer.</summary>
        public IPEndPoint? Second => _preferred is null ? _secondary : null;

        public void Prefer(IPEndPoint port) => _preferred = port;

        /// <summary>Neither port is better than the other any more.</summary>
        public void Forget() => _preferred = null;
    }

    /// <summary>One topic. Its state is under the source's lock.</summary>
    private sealed class Search : IPeerSearch
    {
        /// <summary>Different peers that are counted.</summary>
        private const int MaxNamed = 1000;

        /// <summary>How long a peer counts as named lately, at least.</summary>
        private static readonly TimeSpan s_lately = TimeSpan.FromMinutes(5);

        private readonly DnsSource _source;
        private readonly Action<PeerSighting> _found;
        private readonly ITimer _timer;
        private HashSet<Ipv4Peer> _named = [];
        private HashSet<Ipv4Peer> _namedBefore = [];
        private long _namedSince;
        private long _dueAt;
        private bool _answered;
        private bool _accepted;
        private bool _announced;
        private string? _problem;

        public Search(DnsSource source, string dnsName, int port, Action<PeerSighting> found)
        {
            (_source, _found, DnsName, Port) = (source, found, dnsName, port);
            _namedSince = source._options.Time.GetTimestamp();
            _timer = source._options.Time.CreateTimer(_ => source.BeginRound(this, refresh: true), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        public string DnsName { get; }

        public int Port { get; }

        public bool Closed { get; private set; }

        /// <summary>Addresses of the server whose answers this round still waits for.</summary>
        public int Open { get; private set; }

        /// <inheritdoc/>
        public bool Announced
        {
            get
            {
                lock (_source._gate) return _announced;
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

        /// <summary>True when the breaker keeps it from being asked for.</summary>
        public bool Overdue
        {
            get
            {
                lock (_source._gate) return !Closed && Open == 0 && !_answered && _source._options.Time.GetTimestamp() < _dueAt;
            }
        }

        /// <summary>Called under the lock.</summary>
        public void Begin(int endpoints)
        {
            (Open, _answered, _accepted, _problem) = (endpoints, false, false, null);
            if (_source._options.Time.GetElapsedTime(_namedSince) < s_lately) return;
            (_namedBefore, _named, _namedSince) = (_named, [], _source._options.Time.GetTimestamp());
        }

        public void Wait(TimeSpan time)
        {
            lock (_source._gate)
            {
                if (Closed) return;
                _dueAt = _source._options.Time.GetTimestamp() + (long)(time.TotalSeconds * _source._options.Time.TimestampFrequency);
                _timer.Change(time, Timeout.InfiniteTimeSpan);
            }
        }

        /// <summary>A server has taken what was sent with a token it accepts.</summary>
        public void Accepted(Verb verb)
        {
            lock (_source._gate)
            {
                if (verb == Verb.Announce) _accepted = _announced = true;
            }
        }

        /// <summary>One address is done. True for the last of the round; then tells why all failed, or null when one did not.</summary>
        public bool EndOne(string? problem, out string? failed)
        {
            lock (_source._gate)
            {
                _answered |= problem is null;
                _problem = problem ?? _problem;
                failed = _answered ? null : _problem;
                if (--Open > 0) return false;
                _announced = _accepted;
                return true;
            }
        }

        /// <summary>A server at <paramref name="from"/> named a peer.</summary>
        public void Tell(Ipv4Peer peer, IPEndPoint from)
        {
            if (peer.Address == 0) peer = peer with { Address = Ipv4Peer.ToNumber(from.Address) };
            if (peer.Port == 0 || peer.Address == 0) return;
            lock (_source._gate)
            {
                if (Closed) return;
                if (_named.Count < MaxNamed) _named.Add(peer);
            }

            _found(new PeerSighting(peer.ToEndPoint(), AddressRange.IsPrivate(from.Address)));
        }

        /// <inheritdoc/>
        public ValueTask DisposeAsync()
        {
            Endpoint[] told;
            lock (_source._gate)
            {
                if (Closed) return ValueTask.CompletedTask;
                Closed = true;
                told = _announced ? [.. _source._endpoints.Where(one => one.Token is not null)] : [];
                _announced = false;
                _source._farewells += told.Length;
                List<Search> same = _source._searches[DnsName];
                same.Remove(this);
                if (same.Count == 0) _source._searches.Remove(DnsName);
            }

            _timer.Dispose();
            foreach (Endpoint endpoint in told) _source.Send(this, endpoint, Verb.Unannounce, resent: 0);
            return ValueTask.CompletedTask;
        }
    }
}
