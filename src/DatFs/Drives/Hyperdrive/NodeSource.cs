using BitFaster.Caching.Lru;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>Decoded nodes of a metadata feed by sequence number. A node never changes, so a cached one is good for every version.</summary>
internal sealed class NodeSource(Feed metadata)
{
    /// <summary>Decoded nodes kept in memory.</summary>
    public const int CacheCapacity = 32 * 1024;

    private readonly ConcurrentLru<long, HyperNode> _cache = new(CacheCapacity);

    public Feed Feed => metadata;

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

    public ValueTask<HyperNode> GetAsync(long seq, FetchPriority priority, CancellationToken ct) =>
        TryGet(seq, out HyperNode node) ? ValueTask.FromResult(node) : FetchAsync(seq, priority, ct);

    private async ValueTask<HyperNode> FetchAsync(long seq, FetchPriority priority, CancellationToken ct)
    {
        using BlockLease block = await metadata.ReadAsync(seq, priority, ct);
        return Decode(seq, block);
    }

    private HyperNode Decode(long seq, BlockLease block)
    {
        HyperNode node = HyperCodec.DecodeNode(seq, block.Memory.Span);
        _cache.AddOrUpdate(seq, node);
        return node;
    }
}
