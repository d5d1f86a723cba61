using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;
using DatFs.Wire;

namespace DatFs.Interop;

/// <summary>One plain feed of DatMount's with its own connections, the counterpart of <see cref="FeedPeer"/>.</summary>
internal sealed class OurFeed : IAsyncDisposable
{
    private readonly OurLinks _links;
    private readonly IDisposable _joined;

    private OurFeed(Feed feed, ReplicatorOptions? options)
    {
        Feed = feed;
        Replicator = new Replicator(options ?? new ReplicatorOptions());
        _joined = Replicator.Join(feed);
        _links = new OurLinks(Replicator);
    }

    public Feed Feed { get; }

    public Replicator Replicator { get; }

    public string Key => Feed.Key.ToHex();

    /// <summary>A feed to write to: a new one, or the one that lies in the folder. Programs before hypercore 6.22.1 know only the smaller bitfield page.</summary>
    public static OurFeed Create(string? folder = null, bool forOldPrograms = false)
    {
        FeedOptions options = new() { CreateKeyPair = true };
        return Open(folder, forOldPrograms ? options with { BitfieldEntrySize = 3328 } : options);
    }

    /// <summary>A copy of another's feed.</summary>
    public static OurFeed Clone(string key, string? folder = null, ReplicatorOptions? replication = null)
    {
        if (!FeedKey.TryParseHex(key, out FeedKey parsed)) throw new ArgumentException(key, nameof(key));
        return Open(folder, new FeedOptions { Key = parsed }, replication);
    }

    public Task ConnectAsync(int port) => _links.ConnectAsync(port);

    /// <summary>Connects and runs the connection to its end.</summary>
    public async Task<PeerEnd> RunToEndAsync(int port)
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        return await Replicator.RunAsync(await TcpTransport.ConnectAsync("127.0.0.1", port, patience.Token), patience.Token);
    }

    public int Listen() => _links.Listen();

    public Task AloneAsync() => _links.AloneAsync();

    /// <summary>Downloads everything from now on.</summary>
    public IDisposable DownloadAll() => Feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);

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

    /// <summary>Of the first blocks, which must be held.</summary>
    public string Sha256(long blocks)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (long index = 0; index < blocks; index++)
        {
            if (!Feed.TryRead(index, out BlockLease block)) throw new InvalidOperationException($"block {index} is not here");
            using (block) hash.AppendData(block.Memory.Span);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
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
        await Replicator.DisposeAsync();
        await Feed.DisposeAsync();
    }

    private static OurFeed Open(string? folder, FeedOptions options, ReplicatorOptions? replication = null)
    {
        IStorageFolder storage = folder is null ? new MemoryFolder() : new DiskFolder(folder);
        return new OurFeed(Feed.Open(new FeedFiles(storage), options), replication);
    }
}
