using System.Net;

namespace DatFs.Discovery.Server;

/// <summary>Another server, and what it still has to be told and asked. Called under the server's lock.</summary>
internal sealed class Neighbour(Gossip gossip, IPEndPoint address, bool configured)
{
    /// <summary>Records that wait to be told; when there are more, it is asked to take a full copy instead.</summary>
    public const int MaxWaiting = 50_000;

    /// <summary>Datagrams with records under way to it, and pages asked of it.</summary>
    public const int Window = 16;

    /// <summary>Times a datagram is sent before it counts as lost for good.</summary>
    public const int MaxTries = 6;

    /// <summary>Slots that are copied from one neighbour at most: more than any table has.</summary>
    public const uint MaxSlots = 1 << 26;

    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(0.5);

    private readonly Queue<(NamedEntry Entry, bool Removed)> _waiting = new();
    private readonly Dictionary<uint, Open> _told = [];
    private readonly Dictionary<uint, Open> _asked = [];
    private ulong? _boot;
    private long? _heardAt;
    private long? _helloAt;
    private DateTimeOffset? _heard;
    private uint _lastNumber;
    private bool _behind;
    private bool _copying;
    private bool _copied;
    private uint _nextSlot;
    private uint _slots;
    private int _news;
    private long _sent;
    private long _received;

    public IPEndPoint Address => address;

    public NeighbourStatus Status => new(address, _heard, _copied, _sent, _received);

    /// <summary>True for one that was not configured and has been silent for long.</summary>
    public bool IsForgotten => !configured && _heardAt is { } at && gossip.Time.GetElapsedTime(at) > Gossip.Silence * 4;

    private bool InReach => _heardAt is { } at && gossip.Time.GetElapsedTime(at) <= Gossip.Silence;

    public void Heard(ulong boot)
    {
        bool wasInReach = InReach;
        bool restarted = _boot != boot;
        (_boot, _heardAt, _heard) = (boot, gossip.Time.GetTimestamp(), gossip.Time.GetUtcNow());
        if (wasInReach && !restarted) return;
        // Either of us may have missed what the other was told.
        Forget();
        BeginCopy();
        Hello();
    }

    public void Tell(NamedEntry entry, bool removed)
    {
        if (!InReach || _waiting.Count >= MaxWaiting)
        {
            _behind = true;
            return;
        }

        _waiting.Enqueue((entry, removed));
        // One datagram leaves at once; while it is under way, what comes gathers for the next.
        if (_told.Count == 0) SendWaiting();
    }

    public void Acknowledged(uint number)
    {
        if (_told.Remove(number) && _waiting.Count > 0) SendWaiting();
    }

    public void Recommend() => _behind = true;

    /// <summary>It has begun to copy our table, and so gets all it may have missed.</summary>
    public void CopyBegun() => _behind = false;

    /// <summary>Copies its table, from the beginning.</summary>
    public void BeginCopy()
    {
        if (_copying && _nextSlot == 0) return;
        _asked.Clear();
        (_copying, _nextSlot, _slots, _news) = (true, 0, 1, 0);
        AskOn();
    }

    /// <summary>True for a page that was asked for.</summary>
    public bool TakePage(uint start, uint slots)
    {
        if (!_asked.Remove(start)) return false;
        _slots = Math.Min(slots, MaxSlots);
        AskOn();
        return true;
    }

    public void CountNews(int news) => _news += news;

    public void CountReceived(int entries) => _received += entries;

    /// <summary>True when a copy ended that brought news.</summary>
    public bool EndCopy()
    {
        if (!_copying || _asked.Count > 0 || _nextSlot < _slots) return false;
        (_copying, _copied) = (false, true);
        return _news > 0;
    }

    public void Tick()
    {
        long now = gossip.Time.GetTimestamp();
        if (_helloAt is not { } hello || gossip.Time.GetElapsedTime(hello, now) >= (InReach && !_behind ? Gossip.HelloTime : Gossip.FirstHelloTime)) Hello();
        if (!InReach)
        {
            if (_told.Count + _waiting.Count > 0) _behind = true;
            Forget();
            return;
        }

        foreach ((uint number, Open open) in _told) Again(_told, number, open, now);
        foreach ((uint slot, Open open) in _asked) Again(_asked, slot, open, now);
        if (_copying && _asked.Count == 0 && _nextSlot < _slots) AskOn();
        SendWaiting();
    }

    private void Hello()
    {
        _helloAt = gossip.Time.GetTimestamp();
        gossip.Send(new GossipMessage(GossipKind.Hello, gossip.Boot, _behind ? 1u : 0u, 0, []), address);
    }

    private void Forget()
    {
        _waiting.Clear();
        _told.Clear();
        _asked.Clear();
        _copying = false;
    }

    private void SendWaiting()
    {
        while (_waiting.Count > 0 && _told.Count < Window)
        {
            List<(NamedEntry, bool)> entries = new(GossipCodec.MaxEntries);
            while (entries.Count < GossipCodec.MaxEntries && _waiting.TryDequeue(out (NamedEntry, bool) next)) entries.Add(next);
            Send(_told, ++_lastNumber, new GossipMessage(GossipKind.Records, gossip.Boot, _lastNumber, 0, entries));
            _sent += entries.Count;
        }
    }

    private void AskOn()
    {
        // The first page tells how many there are.
        while (_copying && _nextSlot < _slots && _asked.Count < Window)
        {
            Send(_asked, _nextSlot, new GossipMessage(GossipKind.Pull, gossip.Boot, _nextSlot, 0, []));
            _nextSlot += GossipCodec.MaxEntries;
        }
    }

    private void Send(Dictionary<uint, Open> open, uint number, GossipMessage message)
    {
        open[number] = new Open(message, gossip.Time.GetTimestamp());
        gossip.Send(message, address);
    }

    private void Again(Dictionary<uint, Open> all, uint number, Open open, long now)
    {
        if (gossip.Time.GetElapsedTime(open.At, now) < s_again * open.Tries) return;
        if (open.Tries < MaxTries)
        {
            (open.At, open.Tries) = (now, open.Tries + 1);
            gossip.Send(open.Message, address);
            return;
        }

        all.Remove(number);
        if (all == _told) _behind = true;
        else BeginCopyLater();
    }

    /// <summary>A page got lost for good: the copy begins again, at the next sign of life.</summary>
    private void BeginCopyLater() => (_copying, _boot) = (false, null);

    private sealed class Open(GossipMessage message, long at)
    {
        public GossipMessage Message => message;
        public long At { get; set; } = at;
        public int Tries { get; set; } = 1;
    }
}
