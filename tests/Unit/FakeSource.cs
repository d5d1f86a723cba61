using System.Collections.Concurrent;
using System.Net;
using DatFs.Discovery;

namespace DatFs.Unit;

/// <summary>A source that names what a test says.</summary>
internal sealed class FakeSource(SourceKind kind, string name) : IPeerSource
{
    private readonly ConcurrentDictionary<Search, Action<PeerSighting>> _searches = new();
    private int _wakes;

    public SourceKind Kind => kind;

    public string Name => name;

    public SourceStatus Status { get; set; } = new(SourceHealth.Up, 0, null, null, null, null);

    public int Wakes => Volatile.Read(ref _wakes);

    public bool Disposed { get; private set; }

    public int Searches => _searches.Count;

    public int Port { get; private set; }

    /// <summary>Named as soon as somebody joins.</summary>
    public IReadOnlyList<PeerSighting> AtOnce { get; init; } = [];

    public static PeerSighting Sighting(string address, bool privately = false) => new(IPEndPoint.Parse(address), privately);

    public void Say(params IEnumerable<PeerSighting> sightings)
    {
        foreach (PeerSighting sighting in sightings)
            foreach (Action<PeerSighting> found in _searches.Values) found(sighting);
    }

    public IPeerSearch Join(SwarmTopic topic, int port, Action<PeerSighting> found)
    {
        Search search = new(this);
        Port = port;
        _searches[search] = found;
        foreach (PeerSighting sighting in AtOnce) found(sighting);
        return search;
    }

    public void Wake() => Interlocked.Increment(ref _wakes);

    public ValueTask DisposeAsync()
    {
        Disposed = true;
        return ValueTask.CompletedTask;
    }

    private sealed class Search(FakeSource owner) : IPeerSearch
    {
        public bool Announced => true;

        public int Named => 1;

        public ValueTask DisposeAsync()
        {
            owner._searches.TryRemove(this, out _);
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>The interfaces of a machine that a test thought up.</summary>
internal sealed class FakeNetwork(params LocalAddress[] addresses) : ILocalNetwork
{
    public event Action? Changed;

    public IReadOnlyList<LocalAddress> Addresses { get; set; } = addresses;

    public static LocalAddress Own(string address, int prefix = 24) => new(IPAddress.Parse(address), prefix, 2, true);

    public void Change() => Changed?.Invoke();
}
