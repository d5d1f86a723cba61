namespace DatFs.Discovery.Kademlia;

/// <summary>A node near the end of a walk.</summary>
/// <param name="Contact">The node.</param>
/// <param name="Token">What it wants to see again; null = it gave none.</param>
/// <param name="Refused">It does not know the command.</param>
internal readonly record struct WalkNode(Contact Contact, byte[]? Token, bool Refused);

/// <summary>How a walk ended.</summary>
/// <param name="Asked">Nodes asked.</param>
/// <param name="Answered">Nodes that answered.</param>
/// <param name="Closest">Those of them that are nearest to the place, nearest first.</param>
internal sealed record WalkResult(int Asked, int Answered, IReadOnlyList<WalkNode> Closest);

/// <summary>
/// Asks nodes nearer and nearer to a place, several at a time, until the nearest ones have all answered or failed (discovery.md §6.1). What
/// nodes tell is bounded, whatever they say: how many nodes each may name, how many one public host may be, how many are asked in all, and
/// how long it takes. State is under the lock of the <see cref="Overlay"/>.
/// </summary>
internal sealed class Walk
{
    /// <summary>Requests under way.</summary>
    public const int Width = 16;

    /// <summary>Nodes asked in all: liars could name nearer ones for ever.</summary>
    public const int MaxAsked = 200;

    /// <summary>Nodes remembered, the nearest.</summary>
    public const int MaxCandidates = 160;

    /// <summary>Nodes taken from one answer.</summary>
    public const int MaxPerReply = RoutingTable.BucketSize;

    /// <summary>When it is over, whatever is under way.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(15);

    private readonly Overlay _overlay;
    private readonly NodeId _target;
    private readonly Func<ushort, Contact, byte[]> _write;
    private readonly Action<NodeReply>? _answered;
    private readonly Action<WalkResult>? _done;
    private readonly List<Candidate> _ranked = [];
    private readonly Queue<Candidate> _unranked = [];
    private readonly HashSet<Ipv4Peer> _addresses = [];
    private readonly Dictionary<uint, int> _hosts = [];
    private readonly Comparer<Candidate> _order;
    private readonly ITimer _timer;
    private int _asked;
    private int _inFlight;
    private bool _started;
    private bool _over;

    public Walk(Overlay overlay, NodeId target, Func<ushort, Contact, byte[]> write, Action<NodeReply>? answered, Action<WalkResult>? done)
    {
        (_overlay, _target, _write, _answered, _done) = (overlay, target, write, answered, done);
        _order = Comparer<Candidate>.Create(Compare);
        _timer = overlay.Time.CreateTimer(_ => Stop(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Nodes that answered so far.</summary>
    public int Answered { get; private set; }

    /// <summary>Begins; called by the overlay when it is its turn.</summary>
    public void Start()
    {
        lock (_overlay.Gate)
        {
            if (_over) return;
            _started = true;
        }

        _timer.Change(Limit, Timeout.InfiniteTimeSpan);
        Seed();
    }

    /// <summary>Takes what the overlay knows as beginnings, and goes on.</summary>
    public void Seed()
    {
        lock (_overlay.Gate)
        {
            if (!_started || _over) return;
            foreach (Contact seed in _overlay.Seeds(_target)) Add(seed);
        }

        GoOn();
    }

    /// <summary>Ends it with what is known by now.</summary>
    public void Stop()
    {
        WalkResult result;
        lock (_overlay.Gate)
        {
            if (_over) return;
            _over = true;
            result = new WalkResult(_asked, Answered, [.. _ranked.Where(one => one.State == State.Answered).Take(RoutingTable.BucketSize).Select(one => one.Node)]);
        }

        _timer.Dispose();
        _overlay.Ended(this);
        _done?.Invoke(result);
    }

    private void GoOn()
    {
        while (true)
        {
            Candidate? next;
            lock (_overlay.Gate)
            {
                if (_over) return;
                next = _inFlight < Width && _asked < MaxAsked ? Next() : null;
                if (next is null && _inFlight > 0) return;
                if (next is not null)
                {
                    next.State = State.Asked;
                    _asked++;
                    _inFlight++;
                }
            }

            if (next is null)
            {
                Stop();
                return;
            }

            Contact to = next.Node.Contact;
            _overlay.Ask(request => _write(request, to), to, once: false, reply => Took(next, reply));
        }
    }

    /// <summary>Whoever is to be asked next: what we came in by, then the nearest not asked yet, if it may belong to the end of the walk.</summary>
    private Candidate? Next()
    {
        if (_unranked.TryDequeue(out Candidate? entrance)) return entrance;
        int nearer = 0;
        foreach (Candidate candidate in _ranked)
        {
            if (candidate.State == State.Failed) continue;
            if (candidate.State == State.New) return candidate;
            if (++nearer >= RoutingTable.BucketSize) return null;
        }

        return null;
    }

    private void Took(Candidate candidate, NodeReply? reply)
    {
        lock (_overlay.Gate)
        {
            if (_over) return;
            candidate.State = reply is null ? State.Failed : State.Answered;
            if (reply is not null)
            {
                Answered++;
                bool unranked = candidate.Node.Contact.Id is null;
                candidate.Node = new WalkNode(reply.From, reply.Token, reply.Error is not null);
                if (unranked && reply.From.Id is not null) Rank(candidate);
                foreach (Contact told in reply.Closer.Take(MaxPerReply))
                    if (told.Id is not null && Contact.IsWorthAsking(told.Address, reply.From.Address)) Add(told);
            }
        }

        if (reply is not null) _answered?.Invoke(reply);
        // Only now: whoever else goes on meanwhile must not end the walk before this answer was told.
        lock (_overlay.Gate) _inFlight--;
        GoOn();
    }

    private void Add(Contact contact)
    {
        if (contact.Id == _overlay.Self || _addresses.Contains(contact.Address)) return;
        int sameHost = _hosts.GetValueOrDefault(contact.Address.Address);
        if (sameHost >= RoutingTable.MaxPerHost && !AddressRange.IsPrivate(contact.Address.Address)) return;
        Candidate candidate = new(contact);
        if (contact.Id is null) _unranked.Enqueue(candidate);
        else if (!Rank(candidate)) return;
        _addresses.Add(contact.Address);
        _hosts[contact.Address.Address] = sameHost + 1;
    }

    private bool Rank(Candidate candidate)
    {
        int place = _ranked.BinarySearch(candidate, _order);
        if (place >= 0) return false;
        if (_ranked.Count >= MaxCandidates)
        {
            if (~place >= _ranked.Count || _ranked[^1].State == State.Asked) return false;
            _ranked.RemoveAt(_ranked.Count - 1);
        }

        _ranked.Insert(~place, candidate);
        return true;
    }

    /// <summary>Nearest first. One id may be told at several addresses: only who answers shows which is true.</summary>
    private int Compare(Candidate left, Candidate right)
    {
        int order = _target.CompareDistance(left.Id, right.Id);
        if (order == 0) order = left.Node.Contact.Address.Address.CompareTo(right.Node.Contact.Address.Address);
        return order != 0 ? order : left.Node.Contact.Address.Port.CompareTo(right.Node.Contact.Address.Port);
    }

    private enum State
    {
        New,
        Asked,
        Answered,
        Failed,
    }

    private sealed class Candidate(Contact contact)
    {
        public WalkNode Node { get; set; } = new(contact, null, false);

        public NodeId Id => Node.Contact.Id!.Value;

        public State State { get; set; }
    }
}
