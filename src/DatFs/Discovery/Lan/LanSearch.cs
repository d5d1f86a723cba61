using System.Net;

namespace DatFs.Discovery.Lan;

/// <summary>One topic on the local network: asks when it begins, soon again while nobody has answered, and then every minute.</summary>
internal sealed class LanSearch : IPeerSearch
{
    /// <summary>Different peers that are counted.</summary>
    private const int MaxNamed = 1000;

    // Datagrams get lost, on wireless links often.
    private static readonly TimeSpan[] s_again = [TimeSpan.FromSeconds(0.4), TimeSpan.FromSeconds(0.8), TimeSpan.FromSeconds(1.6)];

    private readonly LanSource _source;
    private readonly Action<PeerSighting> _found;
    private readonly ITimer _timer;
    private readonly Lock _gate = new();
    private readonly HashSet<IPEndPoint> _named = [];
    private int _asked;
    private bool _answered;
    private bool _closed;

    public LanSearch(LanSource source, string dnsName, int port, Action<PeerSighting> found)
    {
        (_source, DnsName, Port, _found) = (source, dnsName, port, found);
        _timer = source.Options.Time.CreateTimer(static self => ((LanSearch)self!).AskAgain(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public string DnsName { get; }

    public int Port { get; }

    /// <inheritdoc/>
    public bool Announced => Port > 0 && _source.Heard;

    /// <inheritdoc/>
    public int Named
    {
        get
        {
            lock (_gate) return _named.Count;
        }
    }

    /// <summary>Asks now, and as often as in the beginning.</summary>
    public void Ask()
    {
        lock (_gate) (_asked, _answered) = (0, false);
        AskAgain();
    }

    /// <summary>Somebody on the link named a peer.</summary>
    public void Tell(IPEndPoint told)
    {
        lock (_gate)
        {
            if (_closed) return;
            _answered = true;
            if (_named.Count < MaxNamed) _named.Add(told);
        }

        _found(new PeerSighting(told, ToldPrivately: true));
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_closed) return ValueTask.CompletedTask;
            _closed = true;
        }

        _source.Leave(this);
        return _timer.DisposeAsync();
    }

    private void AskAgain()
    {
        lock (_gate)
        {
            if (_closed) return;
            TimeSpan next = _asked < s_again.Length && !_answered ? s_again[_asked] : LanSource.Refresh + LanSource.Refresh * (_source.Options.Random() / 6);
            _asked++;
            _timer.Change(next, Timeout.InfiniteTimeSpan);
        }

        _source.Ask(DnsName);
    }
}
