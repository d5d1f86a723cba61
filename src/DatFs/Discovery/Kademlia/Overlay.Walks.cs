namespace DatFs.Discovery.Kademlia;

internal sealed partial class Overlay
{
    /// <summary>Nodes of the table with which a walk does without addresses from outside.</summary>
    public const int EnoughSeeds = 8;

    /// <summary>Addresses from outside that one walk begins with.</summary>
    public const int MaxOutside = 24;

    /// <summary>Addresses from outside that are kept.</summary>
    public const int MaxBootstrap = 256;

    /// <summary>Time between two looks at what is due.</summary>
    public static readonly TimeSpan UpkeepTime = TimeSpan.FromSeconds(10);

    /// <summary>A node not heard of for so long is asked whether it lives.</summary>
    public static readonly TimeSpan StaleTime = TimeSpan.FromMinutes(10);

    private const int PingsAtOnce = 4;
    private const int FewNodesTicks = 6;
    private const int ManyNodesTicks = 90;
    private const int LongestPause = 32;

    private readonly ITimer _upkeep;
    private readonly List<Ipv4Peer> _bootstrap = [];
    private bool _begun;
    private int _ticks;
    private int _emptyTicks;

    /// <summary>Begins to take part: makes ourselves known to the nodes near us, and keeps the table fresh from now on.</summary>
    public void Begin()
    {
        lock (Gate)
        {
            if (_begun || _disposed) return;
            _begun = true;
        }

        _upkeep.Change(UpkeepTime, UpkeepTime);
        FindNode(Self);
    }

    /// <summary>Adds addresses of nodes by which walks begin while we know hardly any. Walks that got nowhere take them up.</summary>
    public void AddBootstrap(IEnumerable<Ipv4Peer> addresses)
    {
        Walk[] lost;
        lock (Gate)
        {
            foreach (Ipv4Peer address in addresses)
                if (_bootstrap.Count < MaxBootstrap && !_bootstrap.Contains(address)) _bootstrap.Add(address);
            lost = [.. _walks.Where(walk => walk.Answered == 0)];
        }

        foreach (Walk walk in lost) walk.Seed();
    }

    /// <summary>
    /// Asks nodes nearer and nearer to a place until none is nearer. Returns at once. <paramref name="answered"/> is told of each answer,
    /// <paramref name="done"/> once at the end, both from any thread.
    /// </summary>
    public Walk Seek(NodeId target, Func<ushort, Contact, byte[]> write, Action<NodeReply>? answered, Action<WalkResult>? done)
    {
        Walk walk = new(this, target, write, answered, done);
        bool now, never;
        lock (Gate)
        {
            never = _disposed || (_walks.Count >= MaxWalks && _waiting.Count >= MaxWaiting);
            now = !never && _walks.Count < MaxWalks;
            if (now) _walks.Add(walk);
            else if (!never) _waiting.Enqueue(walk);
        }

        if (now) walk.Start();
        else if (never) walk.Stop();
        return walk;
    }

    /// <summary>Looks for the nodes near a place, only to know them.</summary>
    public void FindNode(NodeId target) => Seek(target, (request, to) => _protocol.FindNode(request, target, to), null, null);

    /// <summary>Called by a walk that ended.</summary>
    internal void Ended(Walk walk)
    {
        Walk? next = null;
        lock (Gate)
        {
            if (_walks.Remove(walk) && !_disposed && _waiting.TryDequeue(out next)) _walks.Add(next);
        }

        next?.Start();
    }

    /// <summary>What a walk begins with. Called under the lock.</summary>
    internal IEnumerable<Contact> Seeds(NodeId target)
    {
        KnownNode[] known = Table.Closest(target, RoutingTable.BucketSize, failedToo: true);
        foreach (KnownNode node in known) yield return node.Contact;
        if (known.Count(node => node.Failures == 0) >= EnoughSeeds) yield break;
        int first = _bootstrap.Count <= MaxOutside ? 0 : (int)(_options.Random() * _bootstrap.Count);
        for (int i = 0; i < Math.Min(MaxOutside, _bootstrap.Count); i++) yield return new Contact(null, _bootstrap[(first + i) % _bootstrap.Count]);
    }

    private void Upkeep()
    {
        Contact[] stale;
        bool walk;
        NodeId target = Self;
        lock (Gate)
        {
            if (_disposed) return;
            _ticks++;
            stale = [.. Table.All.Where(node => Time.GetElapsedTime(node.Answered) >= StaleTime).OrderBy(node => node.Answered).Take(PingsAtOnce).Select(node => node.Contact)];
            _emptyTicks = Table.Count == 0 ? _emptyTicks + 1 : 0;
            // While there is nobody: after 10, 20, 40 seconds and so on, at last every five minutes.
            walk = _emptyTicks > 0
                ? (_emptyTicks & (_emptyTicks - 1)) == 0 || _emptyTicks % LongestPause == 0
                : _ticks % (Table.Count < RoutingTable.BucketSize ? FewNodesTicks : ManyNodesTicks) == 0;
            if (walk && _emptyTicks == 0 && (_ticks & 1) == 0 && Table.Count >= RoutingTable.BucketSize) target = NodeId.Read(_options.RandomBytes(NodeId.ShortSize));
        }

        foreach (Contact node in stale) Ask(request => _protocol.Ping(request, node), node, once: false, null);
        if (walk) FindNode(target);
    }
}
