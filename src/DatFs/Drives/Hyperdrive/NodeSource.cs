using BitFaster.Caching.Lru;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// Decoded nodes of a metadata feed by sequence number, and what was found out about the directories below them. Nodes never change, so what
/// is cached here is good for every version, and a new version shares all of it but the directories along the new node's name.
/// </summary>
internal sealed class NodeSource(Feed metadata)
{
    /// <summary>Decoded nodes kept in memory.</summary>
    public const int CachedNodes = 16 * 1024;

    /// <summary>Own entries of directories kept in memory.</summary>
    public const int CachedPlaces = 16 * 1024;

    /// <summary>Names kept in memory, over all directories.</summary>
    public const int CachedNames = 1024 * 1024;

    /// <summary>Entries of listings kept in memory, over all directories.</summary>
    public const int CachedEntries = 128 * 1024;

    private readonly ConcurrentLru<long, HyperNode> _cache = new(CachedNodes);
    private long _decoded;

    public Feed Feed => metadata;

    /// <summary>Places already looked at, by newest node and depth.</summary>
    public ConcurrentLru<(long Seq, int Depth), TreePlace> Places { get; } = new(CachedPlaces);

    /// <summary>Directories read whole, by newest node and depth.</summary>
    public WeightedCache<(long Seq, int Depth), TreeDirectory> Directories { get; } = new(CachedNames);

    /// <summary>Directories as they were listed, by newest node and depth.</summary>
    public WeightedCache<(long Seq, int Depth), DriveEntry[]> Listings { get; } = new(CachedEntries);

    /// <summary>Blocks decoded so far: what look-ups cost.</summary>
    public long Decoded => Volatile.Read(ref _decoded);

    /// <summary>True when the node can be had without waiting for a peer.</summary>
    public bool IsHeld(long seq) => metadata.HasBlock(seq) || _cache.TryGet(seq, out _);

    /// <exception cref="DatException">Corrupt, Io.</exception>
    public bool TryGet(long seq, out HyperNode node)
    {
        if (_cache.TryGet(seq, out HyperNode? cached))
        {
            node = cached;
            return true;
        }

        if (metadata.TryRead(seq, out BlockLease block))
        {
            using (block) node = Decode(seq, block);
            return true;
        }

        node = null!;
        return false;
    }

    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public ValueTask<HyperNode> GetAsync(long seq, FetchPriority priority, CancellationToken ct) =>
        TryGet(seq, out HyperNode node) ? ValueTask.FromResult(node) : FetchAsync(seq, priority, ct);

    /// <summary>The representatives in the directory of the first <paramref name="depth"/> components of a node's name, ascending.</summary>
    /// <exception cref="DatException">Offline, TimedOut, Corrupt, Io.</exception>
    public ValueTask<long[]> LevelAsync(HyperNode node, int depth, FetchPriority priority, CancellationToken ct)
    {
        if (node.Index is { } index) return ValueTask.FromResult(HyperIndex.Level(node.Seq, index, depth));
        if (!metadata.TryRead(node.Seq, out BlockLease block)) return FetchLevelAsync(node.Seq, depth, priority, ct);
        using (block) return ValueTask.FromResult(HyperCodec.DecodeLevel(node.Seq, block.Memory.Span, depth));
    }

    private async ValueTask<HyperNode> FetchAsync(long seq, FetchPriority priority, CancellationToken ct)
    {
        using BlockLease block = await metadata.ReadAsync(seq, priority, ct);
        return Decode(seq, block);
    }

    private async ValueTask<long[]> FetchLevelAsync(long seq, int depth, FetchPriority priority, CancellationToken ct)
    {
        using BlockLease block = await metadata.ReadAsync(seq, priority, ct);
        return HyperCodec.DecodeLevel(seq, block.Memory.Span, depth);
    }

    private HyperNode Decode(long seq, BlockLease block)
    {
        HyperNode node = HyperCodec.DecodeNode(seq, block.Memory.Span);
        Interlocked.Increment(ref _decoded);
        _cache.AddOrUpdate(seq, node);
        return node;
    }
}
