using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;

namespace DatFs.Interop;

/// <summary>One plain feed of DatMount's with its own connections, the counterpart of <see cref="FeedPeer"/>.</summary>
internal sealed class OurFeed : IAsyncDisposable
{
    private readonly Replicator _replicator;
    private readonly OurLinks _links;
    private readonly IDisposable _joined;

    private OurFeed(Feed feed)
    {
        Feed = feed;
        _replicator = new Replicator(new ReplicatorOptions());
        _joined = _replicator.Join(feed);
        _links = new OurLinks(_replicator);
    }

    public Feed Feed { get; }

    public string Key => Feed.Key.ToHex();

    /// <summary>A feed to write to: a new one, or the one that lies in the folder. Programs before hypercore 6.22.1 know only the smaller bitfield page.</summary>
    public static OurFeed Create(string? folder = null, bool forOldPrograms = false)
    {
        FeedOptions options = new() { CreateKeyPair = true };
        return Open(folder, forOldPrograms ? options with { BitfieldEntrySize = 3328 } : options);
    }

    /// <summary>A copy of another's feed.</summary>
    public static OurFeed Clone(string key, string? folder = null)
    {
        if (!FeedKey.TryParseHex(key, out FeedKey parsed)) throw new ArgumentException(key, nameof(key));
        return Open(folder, new FeedOptions { Key = parsed });
    }

    public Task ConnectAsync(int port) => _links.ConnectAsync(port);

    public int Listen() => _links.Listen();

    public async Task AppendAsync(params byte[][] blocks) => await Feed.AppendAsync([.. blocks.Select(b => (ReadOnlyMemory<byte>)b)], CancellationToken.None);

    /// <summary>Appends count blocks of size bytes, block i being the seed's bytes from i * size on.</summary>
    public async Task AppendSeededAsync(int seed, int count, int size)
    {
        const int Batch = 64;
        for (int at = 0; at < count; at += Batch)
            await AppendAsync([.. Enumerable.Range(at, Math.Min(Batch, count - at)).Select(i => SeededBytes.Take(seed, (long)i * size, size))]);
    }

    public async Task<byte[]> ReadAsync(long index)
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        using BlockLease block = await Feed.ReadAsync(index, FetchPriority.Interactive, patience.Token);
        return block.Memory.ToArray();
    }

    public async Task WaitForLengthAsync(long length)
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        await Feed.WaitForLengthAsync(length, FetchPriority.Interactive, patience.Token);
    }

    /// <summary>Completes when the feed is as wanted; looked at after each change.</summary>
    public Task UntilAsync(Func<Feed, bool> wanted) => FeedWatch.UntilAsync(Feed, wanted);

    public async ValueTask DisposeAsync()
    {
        await _links.DisposeAsync();
        _joined.Dispose();
        await _replicator.DisposeAsync();
        await Feed.DisposeAsync();
    }

    private static OurFeed Open(string? folder, FeedOptions options)
    {
        IStorageFolder storage = folder is null ? new MemoryFolder() : new DiskFolder(folder);
        return new OurFeed(Feed.Open(new FeedFiles(storage), options));
    }
}
