using DatFs.Crypto;

namespace DatFs.Feeds;

/// <summary>
/// One append-only, signed feed (hypercore.md): the public door of this folder. CONTRACT SKELETON, bodies follow.
/// </summary>
public sealed partial class Feed : IAsyncDisposable
{
    /// <summary>Opens or creates a feed; recovers it after a crash (§10, §16).</summary>
    /// <exception cref="DatException">Locked, KeyMismatch, Corrupt, Io.</exception>
    public static Feed Open(FeedFiles files, FeedOptions options) => throw new NotImplementedException();

    /// <summary>Public key.</summary>
    public FeedKey Key => throw new NotImplementedException();
    /// <summary>Public name.</summary>
    public DiscoveryKey DiscoveryKey => throw new NotImplementedException();
    /// <summary>The secret key is here and may be used.</summary>
    public bool Writable => throw new NotImplementedException();
    /// <summary>Blocks in the largest verified tree.</summary>
    public long Length => throw new NotImplementedException();
    /// <summary>Bytes in the largest verified tree.</summary>
    public long ByteLength => throw new NotImplementedException();
    /// <summary>The owner signed two histories; frozen.</summary>
    public bool IsForked => throw new NotImplementedException();
    /// <summary>Blocks held here.</summary>
    public long HeldBlocks => throw new NotImplementedException();

    /// <summary>True when the block's bytes are held.</summary>
    public bool HasBlock(long index) => throw new NotImplementedException();
    /// <summary>First block in [start, end) that is not held, or end.</summary>
    public long FirstMissing(long start, long end) => throw new NotImplementedException();
    /// <summary>True when the tree node is stored and trusted.</summary>
    public bool HasNode(long treeIndex) => throw new NotImplementedException();

    /// <summary>Reads a block that is held; false when it is not (also when its bytes turned out damaged: the data bit is dropped).</summary>
    public bool TryRead(long index, out BlockLease block) => throw new NotImplementedException();
    /// <summary>Reads a block, from a peer through <see cref="Source"/> when it is not held. Completes synchronously when held.</summary>
    public ValueTask<BlockLease> ReadAsync(long index, FetchPriority priority, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Byte position of a block within the feed, where the tree nodes for it are held (§8).</summary>
    public bool TryGetOffset(long index, out long byteOffset) => throw new NotImplementedException();
    /// <summary>Size of a block in bytes, where known for certain (§12.6).</summary>
    public bool TryGetSize(long index, out long size) => throw new NotImplementedException();
    /// <summary>Finds the block that holds a byte among blocks [start, end), with the tree nodes held; narrows [start, end) when it cannot (§8).</summary>
    public bool TrySeek(long byteOffset, ref long start, ref long end, out long offsetInBlock) => throw new NotImplementedException();
    /// <summary>As <see cref="TrySeek"/>, asking <see cref="Source"/> for missing nodes.</summary>
    public ValueTask<(long Block, long OffsetInBlock)> SeekAsync(long byteOffset, long start, long end, FetchPriority priority, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Completes when the verified length is at least <paramref name="minLength"/>.</summary>
    public ValueTask WaitForLengthAsync(long minLength, FetchPriority priority, CancellationToken ct) => throw new NotImplementedException();

    /// <summary>Appends a batch under one signature, durable when it returns (§9, §16). Returns the index of the first block.</summary>
    public ValueTask<long> AppendAsync(IReadOnlyList<ReadOnlyMemory<byte>> blocks, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Gives up the bytes of blocks [start, end) (§13).</summary>
    public ValueTask ClearAsync(long start, long end, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>Writes what is only in memory (bitfield pages, after data and tree).</summary>
    public ValueTask FlushAsync(CancellationToken ct) => throw new NotImplementedException();

    // --- replication side -------------------------------------------------------------------------------------------

    /// <summary>Where missing blocks come from; null = nowhere.</summary>
    public IBlockSource? Source { get; set; }
    /// <summary>The digest to send with a request for a block (§11.1).</summary>
    public ulong DigestFor(long index) => throw new NotImplementedException();
    /// <summary>Answers a request (§11.2); false when the block's leaf (or, without <paramref name="hashOnly"/>, its bytes) is not held. The lease, if any, backs Value.</summary>
    internal bool TryProve(long index, ulong digest, bool hashOnly, RemoteTree remote, out Proof proof, out BlockLease lease) => throw new NotImplementedException();
    /// <summary>Verifies an answer by the strict rules of §12 and stores it, all or nothing.</summary>
    public ValueTask<ProofOutcome> AcceptAsync(Proof proof, CancellationToken ct) => throw new NotImplementedException();
    /// <summary>The data bits [start, start+length) as RLE (§15), for a Have.</summary>
    public byte[] EncodeHave(long start, long length) => throw new NotImplementedException();
    /// <summary>Adds an observer until the returned object is disposed.</summary>
    public IDisposable Observe(IFeedObserver observer) => throw new NotImplementedException();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
