namespace DatFs.Discovery;

/// <summary>
/// The sources that the drives of a process share, and what makes them ask again at once (discovery.md §10 point 10): the machine's
/// network changed, the machine woke from sleep, or every source is being left alone because none answered.
/// </summary>
public sealed partial class PeerSources : IAsyncDisposable
{
    /// <summary>How far the wall clock runs ahead of the monotonic one when the machine slept.</summary>
    public static readonly TimeSpan SleepGap = TimeSpan.FromSeconds(10);

    /// <summary>How often the clocks and the sources are looked at.</summary>
    public static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(5);

    /// <summary>Changes of the network come in bursts; this long after the first everything is asked again.</summary>
    public static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(500);

    /// <summary>When nobody answers, everybody is asked again this often and not more: a network that is gone stays gone for a while.</summary>
    public static readonly TimeSpan AllDownEvery = TimeSpan.FromSeconds(30);

    private readonly TimeProvider _time;
    private IReadOnlyList<IAsyncDisposable> _owned = [];
    private readonly ITimer _look;
    private readonly ITimer _settle;
    private readonly long _start;
    private readonly Lock _gate = new();
    private TimeSpan _ahead;
    private long? _allDownAt;
    private bool _disposed;

    /// <summary>Takes the sources over and begins to watch.</summary>
    /// <param name="sources">In the order in which they are shown; disposed with this.</param>
    /// <param name="network">The machine's interfaces.</param>
    /// <param name="time">Clock.</param>
    public PeerSources(IReadOnlyList<IPeerSource> sources, ILocalNetwork network, TimeProvider time)
    {
        (All, Network, _time) = (sources, network, time);
        _start = time.GetTimestamp();
        _ahead = Ahead();
        _look = time.CreateTimer(static self => ((PeerSources)self!).Look(), this, LookEvery, LookEvery);
        _settle = time.CreateTimer(static self => ((PeerSources)self!).Wake(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        network.Changed += OnChanged;
    }

    /// <summary>The sources.</summary>
    public IReadOnlyList<IPeerSource> All { get; }

    /// <summary>The machine's interfaces.</summary>
    public ILocalNetwork Network { get; }

    /// <summary>Raised after all sources were woken because the machine's circumstances changed: what was unreachable may not be so now.</summary>
    public event Action? Woken;

    /// <summary>Asks every source at once.</summary>
    public void Wake()
    {
        foreach (IPeerSource source in All) source.Wake();
        Woken?.Invoke();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        Network.Changed -= OnChanged;
        await _look.DisposeAsync();
        await _settle.DisposeAsync();
        await Task.WhenAll(All.Select(source => source.DisposeAsync().AsTask()));
        foreach (IAsyncDisposable owned in _owned) await owned.DisposeAsync();
    }

    private void OnChanged()
    {
        lock (_gate)
        {
            if (!_disposed) _settle.Change(Settle, Timeout.InfiniteTimeSpan);
        }
    }

    private void Look()
    {
        TimeSpan ahead = Ahead();
        bool slept;
        lock (_gate)
        {
            if (_disposed) return;
            slept = ahead - _ahead > SleepGap;
            _ahead = ahead;
        }

        if (slept) Wake();
        else if (AllDown()) WakeSources();
    }

    // The breakers only: the addresses that are dialled know nothing new.
    private void WakeSources()
    {
        lock (_gate)
        {
            if (_allDownAt is { } at && _time.GetElapsedTime(at) < AllDownEvery) return;
            _allDownAt = _time.GetTimestamp();
        }

        foreach (IPeerSource source in All) source.Wake();
    }

    private bool AllDown()
    {
        bool down = false;
        foreach (IPeerSource source in All)
        {
            SourceHealth health = source.Status.Health;
            if (health is not (SourceHealth.Down or SourceHealth.Unavailable)) return false;
            down |= health == SourceHealth.Down;
        }

        return down;
    }

    private TimeSpan Ahead() => _time.GetUtcNow() - DateTimeOffset.UnixEpoch - _time.GetElapsedTime(_start);
}
