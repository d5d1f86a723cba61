using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using DatFs.Storage;

namespace DatFs.Discovery;

/// <summary>
/// The addresses of one drive that worked before (discovery.md §10 point 5), in "peers.json" beside its feeds: with it a restart depends
/// on no server. Bounded in number and age; a file that is damaged or cannot be written costs nothing but the memory.
/// </summary>
public sealed class PeerCache : IPeerSource
{
    /// <summary>Addresses kept; those that worked longest ago go first.</summary>
    public const int MaxEntries = 200;

    /// <summary>Addresses named at once; the next follow when these had time to answer.</summary>
    public const int Batch = 8;

    /// <summary>How long an address is kept without working.</summary>
    public static readonly TimeSpan MaxAge = TimeSpan.FromDays(30);

    /// <summary>Time for each batch.</summary>
    public static readonly TimeSpan BatchEvery = TimeSpan.FromSeconds(10);

    /// <summary>Changes are collected for this long before they are written.</summary>
    public static readonly TimeSpan WriteAfter = TimeSpan.FromSeconds(5);

    internal const string FileName = "peers.json";
    internal const int MaxBytes = 128 * 1024;

    private readonly IStorageFolder _folder;
    private readonly TimeProvider _time;
    private readonly ITimer _write;
    private readonly Lock _gate = new();
    private readonly Lock _disk = new();
    private readonly Dictionary<IPEndPoint, CachedPeer> _entries = [];
    private bool _dirty;
    private bool _disposed;
    private string? _problem;

    private PeerCache(IStorageFolder folder, TimeProvider time)
    {
        _folder = folder;
        _time = time;
        _write = time.CreateTimer(static self => ((PeerCache)self!).WriteSoon(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <inheritdoc/>
    public SourceKind Kind => SourceKind.Cache;

    /// <inheritdoc/>
    public string Name => "cache";

    /// <inheritdoc/>
    public SourceStatus Status
    {
        get
        {
            lock (_gate)
            {
                DateTimeOffset? last = _entries.Count == 0 ? null : _entries.Values.Max(entry => entry.LastSuccess);
                SourceHealth health = _problem is not null ? SourceHealth.Failing : last is null ? SourceHealth.Unknown : SourceHealth.Up;
                return new SourceStatus(health, _problem is null ? 0 : 1, last, null, _problem, _problem is null ? null : $"check that {_folder.DisplayName} can be written");
            }
        }
    }

    /// <summary>Reads what is remembered in a folder. Never fails: what cannot be read is not remembered.</summary>
    public static PeerCache Open(IStorageFolder folder, TimeProvider time)
    {
        PeerCache cache = new(folder, time);
        cache.Read();
        return cache;
    }

    /// <summary>Notes that the peer at an address has shown that it has the key.</summary>
    public void Worked(IPEndPoint address, bool toldPrivately)
    {
        lock (_gate)
        {
            bool before = _entries.TryGetValue(address, out CachedPeer? known) && known.ToldPrivately;
            _entries[address] = new CachedPeer(address.ToString(), _time.GetUtcNow(), 0, before || toldPrivately);
            if (_entries.Count > MaxEntries) _entries.Remove(_entries.MinBy(entry => entry.Value.LastSuccess).Key);
            Changed();
        }
    }

    /// <summary>Notes that an address did not answer, if it is one that once did.</summary>
    public void Failed(IPEndPoint address)
    {
        lock (_gate)
        {
            if (!_entries.TryGetValue(address, out CachedPeer? known)) return;
            _entries[address] = known with { Failures = Math.Min(known.Failures, int.MaxValue - 1) + 1 };
            Changed();
        }
    }

    /// <inheritdoc/>
    public IPeerSearch Join(SwarmTopic topic, int port, Action<PeerSighting> found)
    {
        CachedPeer[] best;
        lock (_gate) best = [.. _entries.Values.OrderBy(entry => entry.Failures).ThenByDescending(entry => entry.LastSuccess)];
        return new Search(best, found, _time);
    }

    /// <inheritdoc/>
    public void Wake()
    {
        // What worked before was named already, and the swarm dials it again by itself.
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        await _write.DisposeAsync();
        await _time.Run(WriteAsync);
    }

    private void Changed()
    {
        if (_dirty || _disposed) return;
        _dirty = true;
        _write.Change(WriteAfter, Timeout.InfiniteTimeSpan);
    }

    private void WriteSoon() => _ = _time.Run(WriteAsync);

    private void Read()
    {
        try
        {
            using IRandomAccessFile? file = _folder.Open(FileName, FileUse.Read);
            if (file is null) return;
            if (file.Length > MaxBytes) throw new IOException("the file is too long");
            byte[] bytes = new byte[(int)file.Length];
            CachedPeers? read = JsonSerializer.Deserialize(bytes.AsSpan(0, file.Read(0, bytes)), PeerCacheJson.Default.CachedPeers);
            DateTimeOffset now = _time.GetUtcNow();
            foreach (CachedPeer entry in (read?.Peers ?? []).Take(MaxEntries))
            {
                // A clock that was ahead must not keep an entry for ever.
                DateTimeOffset at = entry.LastSuccess > now ? now : entry.LastSuccess;
                if (now - at > MaxAge || !IPEndPoint.TryParse(entry.Address ?? "", out IPEndPoint? address) || !AddressRules.IsHost(address)) continue;
                _entries[address] = entry with { Address = address.ToString(), LastSuccess = at, Failures = Math.Max(0, entry.Failures) };
            }
        }
        catch (Exception damaged) when (damaged is JsonException or IOException or UnauthorizedAccessException or DatException)
        {
            _problem = "the remembered addresses could not be read: " + damaged.Message;
        }
    }

    private Task WriteAsync()
    {
        byte[] bytes;
        lock (_gate)
        {
            if (!_dirty) return Task.CompletedTask;
            _dirty = false;
            bytes = JsonSerializer.SerializeToUtf8Bytes(new CachedPeers([.. _entries.Values]), PeerCacheJson.Default.CachedPeers);
        }

        string? problem = null;
        try
        {
            lock (_disk) Replace(bytes);
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException or DatException)
        {
            problem = "the remembered addresses could not be written: " + failed.Message;
        }

        lock (_gate) _problem = problem;
        return Task.CompletedTask;
    }

    private void Replace(byte[] bytes)
    {
        const string fresh = FileName + ".new";
        using (IRandomAccessFile file = _folder.Open(fresh, FileUse.ReadWrite)!)
        {
            file.SetLength(0);
            file.Write(0, bytes);
            file.Sync();
        }

        _folder.Rename(fresh, FileName);
        _folder.Sync();
    }

    /// <summary>Names the best first, a few at a time.</summary>
    private sealed class Search : IPeerSearch
    {
        private readonly CachedPeer[] _peers;
        private readonly Action<PeerSighting> _found;
        private readonly ITimer _next;
        private int _named;

        public Search(CachedPeer[] peers, Action<PeerSighting> found, TimeProvider time)
        {
            (_peers, _found) = (peers, found);
            _next = time.CreateTimer(static self => ((Search)self!).NameSome(), this, BatchEvery, BatchEvery);
            NameSome();
        }

        public bool Announced => false;

        public int Named => Volatile.Read(ref _named);

        public ValueTask DisposeAsync() => _next.DisposeAsync();

        private void NameSome()
        {
            int first = _named;
            int end = Math.Min(first + Batch, _peers.Length);
            Volatile.Write(ref _named, end);
            foreach (CachedPeer peer in _peers.AsSpan(first, end - first)) _found(new PeerSighting(IPEndPoint.Parse(peer.Address!), peer.ToldPrivately));
            if (end == _peers.Length) _next.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }
}

/// <summary>An address in the file.</summary>
/// <param name="Address">"192.0.2.7:3282" or "[2001:db8::1]:3282".</param>
/// <param name="LastSuccess">When the peer there last showed that it has the key.</param>
/// <param name="Failures">Dials in vain since then.</param>
/// <param name="ToldPrivately">See <see cref="PeerSighting"/>.</param>
internal sealed record CachedPeer(string? Address, DateTimeOffset LastSuccess, int Failures, bool ToldPrivately);

/// <summary>The file.</summary>
internal sealed record CachedPeers(IReadOnlyList<CachedPeer>? Peers);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(CachedPeers))]
internal sealed partial class PeerCacheJson : JsonSerializerContext;
