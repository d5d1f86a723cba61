using System.Buffers.Binary;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;
using DatFs.Wire;
using FluentAssertions;

namespace DatFs.Unit;

/// <summary>One peer of ours: a feed in memory and its replicator.</summary>
internal sealed class ReplicaNode : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly List<Task> _connections = [];
    private readonly List<Feed> _feeds = [];

    private ReplicaNode(Feed feed, ReplicatorOptions? options)
    {
        Feed = feed;
        _feeds.Add(feed);
        Replicator = new Replicator(options ?? new ReplicatorOptions());
        Membership = Replicator.Join(feed);
    }

    public Feed Feed { get; }
    public Replicator Replicator { get; }
    public IDisposable Membership { get; }

    /// <summary>The owner of a new feed with so many blocks, block i being its index in eight bytes and a tail.</summary>
    public static async Task<ReplicaNode> OwnerAsync(int blocks, int tail = 0, ReplicatorOptions? options = null, int batch = int.MaxValue)
    {
        ReplicaNode node = new(NewFeed(), options);
        for (int at = 0; at < blocks; at += batch) await node.AppendAsync(at, Math.Min(batch, blocks - at), tail);
        return node;
    }

    /// <summary>A reader that holds nothing.</summary>
    public static ReplicaNode Reader(FeedKey key, ReplicatorOptions? options = null) => new(OpenFeed(key), options);

    /// <summary>A reader over a feed made by the test.</summary>
    public static ReplicaNode Of(Feed feed, ReplicatorOptions? options = null) => new(feed, options);

    public static Feed NewFeed() => Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });

    public static Feed OpenFeed(FeedKey key, byte[]? secret = null) =>
        Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = key, SecretKey = secret });

    /// <summary>A new key pair in the form in which feeds take it.</summary>
    public static (FeedKey Key, byte[] Secret) KeyPair()
    {
        using SecretKey key = SecretKey.Generate();
        byte[] secret = new byte[SecretKey.Size];
        key.CopyTo(secret);
        return (key.PublicKey, secret);
    }

    /// <summary>A key nobody has the secret of.</summary>
    public static FeedKey KeyOf(string name)
    {
        byte[] key = new byte[FeedKey.Size];
        Blake2b.Hash(key, System.Text.Encoding.UTF8.GetBytes(name), default);
        return FeedKey.From(key);
    }

    /// <summary>Joins a second feed.</summary>
    public Feed Join(Feed feed)
    {
        _feeds.Add(feed);
        Replicator.Join(feed);
        return feed;
    }

    public async Task AppendAsync(int first, int count, int tail = 0) =>
        await Feed.AppendAsync([.. Enumerable.Range(first, count).Select(i => (ReadOnlyMemory<byte>)Block(i, tail))], default);

    public static byte[] Block(long index, int tail = 0)
    {
        byte[] block = new byte[8 + tail];
        BinaryPrimitives.WriteInt64BigEndian(block, index);
        new Random((int)index).NextBytes(block.AsSpan(8));
        return block;
    }

    /// <summary>Connects to another of ours; the returned action cuts the connection.</summary>
    public Action Connect(ReplicaNode other, int? fragmentSeed = null)
    {
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair(fragmentSeed);
        Run(here);
        other.Run(there);
        return here.Abort;
    }

    /// <summary>Connects to another of ours; completes when the connection has ended.</summary>
    public Task<PeerEnd> ConnectToEndAsync(ReplicaNode other)
    {
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair();
        other.Run(there);
        return RunAsync(here).WaitAsync(Patience);
    }

    /// <summary>Connects to a peer that a test plays.</summary>
    public ScriptedPeer Connect(ScriptedPeer other, string host = "memory")
    {
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair(host: host);
        Run(here);
        other.Run(there, Feed.Key);
        return other;
    }

    public void Run(ITransport transport) => _ = RunAsync(transport);

    public Task<PeerEnd> RunAsync(ITransport transport)
    {
        Task<PeerEnd> running = Task.Run(() => Replicator.RunAsync(transport, default));
        _connections.Add(running);
        return running;
    }

    public async Task<byte[]> ReadAsync(long index, FetchPriority priority = FetchPriority.Interactive)
    {
        using BlockLease block = await Feed.ReadAsync(index, priority, default).AsTask().WaitAsync(Patience);
        return block.Memory.ToArray();
    }

    public void ShouldHold(long start, long end, int tail = 0)
    {
        for (long i = start; i < end; i++)
        {
            Feed.TryRead(i, out BlockLease block).Should().BeTrue("block {0} was downloaded", i);
            using (block) block.Memory.ToArray().Should().Equal(Block(i, tail));
        }
    }

    /// <summary>Waits for something that other threads bring about.</summary>
    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        using CancellationTokenSource patience = new(Patience);
        while (!condition())
        {
            if (patience.IsCancellationRequested) throw new TimeoutException("waited in vain until " + what);
            await Task.Yield();
        }
    }

    public Task UntilHeldAsync(long start, long end) =>
        UntilAsync(() => Feed.FirstMissing(start, end) >= end, $"blocks {start} to {end} are held");

    public async ValueTask DisposeAsync()
    {
        await Replicator.DisposeAsync();
        await Task.WhenAll(_connections).WaitAsync(Patience);
        foreach (Feed feed in _feeds) await feed.DisposeAsync();
    }
}
