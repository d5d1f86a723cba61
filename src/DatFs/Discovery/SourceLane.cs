namespace DatFs.Discovery;

/// <summary>
/// What one source has named for one drive and waits to be dialled. Bounded, so that a source that lies costs others nothing
/// (discovery.md §10 point 8). Guarded by the swarm's lock.
/// </summary>
internal sealed class SourceLane(string name, IPeerSource? source)
{
    /// <summary>New addresses that a source may bring for one drive in a minute.</summary>
    public const int MaxNewAMinute = 200;

    /// <summary>Addresses kept that one source brought, without those given up.</summary>
    public const int MaxKept = 256;

    private readonly Queue<Candidate> _waiting = new();
    private readonly HashSet<Candidate> _queued = [];
    private long _minute = long.MinValue;
    private int _new;

    public string Name { get; } = name;

    /// <summary>Null for addresses that the user named.</summary>
    public IPeerSource? Source { get; } = source;

    public IPeerSearch? Search { get; set; }

    /// <summary>A hint of a peer: dialled only when no other source has anything to dial.</summary>
    public bool Last => Source?.Kind == SourceKind.Exchange;

    /// <summary>Dials that are under way for it.</summary>
    public int Dials { get; set; }

    /// <summary>Addresses that it brought first and that are not given up.</summary>
    public int Kept { get; set; }

    /// <summary>Addresses that were dropped because it brought too many.</summary>
    public long Dropped { get; private set; }

    /// <summary>True when the source may bring one more address in the given minute.</summary>
    public bool TryCountNew(long minute)
    {
        if (_minute != minute) (_minute, _new) = (minute, 0);
        if (_new < MaxNewAMinute && Kept < MaxKept)
        {
            _new++;
            return true;
        }

        Dropped++;
        return false;
    }

    public void Enqueue(Candidate candidate)
    {
        if (_queued.Add(candidate)) _waiting.Enqueue(candidate);
    }

    /// <summary>The next address whose turn it still is.</summary>
    public bool TryTake(out Candidate candidate)
    {
        while (_waiting.TryDequeue(out candidate!))
        {
            _queued.Remove(candidate);
            if (candidate.State == DialState.Waiting) return true;
        }

        return false;
    }
}
