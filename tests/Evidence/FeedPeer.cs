using System.Text.Json;

namespace DatFs.Evidence;

/// <summary>What a Node peer says of one feed.</summary>
public sealed record PeerFeedInfo(string Key, string DiscoveryKey, bool Writable, long Length, long ByteLength, long Held, int Peers)
{
    internal static PeerFeedInfo From(JsonElement e) => new(
        e.GetProperty("key").GetString()!,
        e.GetProperty("discoveryKey").GetString()!,
        e.GetProperty("writable").GetBoolean(),
        e.GetProperty("length").GetInt64(),
        e.GetProperty("byteLength").GetInt64(),
        e.GetProperty("held").GetInt64(),
        e.GetProperty("peers").GetInt32());
}

/// <summary>Blocks and bytes of one feed that a Node peer sent and received.</summary>
public sealed record PeerCounters(long Uploaded, long UploadedBytes, long Downloaded, long DownloadedBytes, IReadOnlyList<long> UploadedIndices)
{
    internal static PeerCounters From(JsonElement e) => e.ValueKind == JsonValueKind.Null
        ? new(0, 0, 0, 0, [])
        : new(
            e.GetProperty("uploaded").GetInt64(),
            e.GetProperty("uploadedBytes").GetInt64(),
            e.GetProperty("downloaded").GetInt64(),
            e.GetProperty("downloadedBytes").GetInt64(),
            [.. e.GetProperty("uploadedIndices").EnumerateArray().Select(i => i.GetInt64())]);
}

/// <summary>How a peer replicates on a connection.</summary>
public sealed record PeerLink
{
    /// <summary>Stay connected once everything is exchanged.</summary>
    public bool Live { get; init; } = true;
    /// <summary>Ask for blocks.</summary>
    public bool Download { get; init; } = true;
    /// <summary>Give blocks.</summary>
    public bool Upload { get; init; } = true;
    /// <summary>Acknowledge blocks (hypercore 7).</summary>
    public bool Ack { get; init; }
}

/// <summary>Commands that every peer knows.</summary>
public abstract class ReplicatingPeer : IAsyncDisposable
{
    private protected ReplicatingPeer(NodePeer node) => Node = node;

    /// <summary>The process.</summary>
    public NodePeer Node { get; }

    /// <summary>Listens on loopback, at a port or any that is free; answers the port.</summary>
    public async Task<int> ListenAsync(PeerLink? link = null, int port = 0)
    {
        link ??= new PeerLink();
        JsonElement ok = await Node.DoAsync("listen", new { port, link.Live, link.Download, link.Upload, link.Ack });
        return ok.GetProperty("port").GetInt32();
    }

    /// <summary>Connects to a port on loopback; answers the link's number in the events "handshake", "stream-end", "closed".</summary>
    public async Task<int> ConnectAsync(int port, PeerLink? link = null)
    {
        link ??= new PeerLink();
        JsonElement ok = await Node.DoAsync("connect", new { port, link.Live, link.Download, link.Upload, link.Ack });
        return ok.GetProperty("link").GetInt32();
    }

    /// <summary>Cuts all connections and stops listening.</summary>
    public Task DisconnectAsync() => Node.DoAsync("disconnect");

    /// <summary>Bytes received and sent over all connections so far, and how many are open.</summary>
    public async Task<(long Received, long Sent, int Open)> TrafficAsync()
    {
        JsonElement ok = await Node.DoAsync("traffic");
        return (ok.GetProperty("received").GetInt64(), ok.GetProperty("sent").GetInt64(), ok.GetProperty("open").GetInt32());
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return Node.DisposeAsync();
    }
}

/// <summary>One plain hypercore feed in a Node process (tests/peers/feed-peer.js).</summary>
public sealed class FeedPeer : ReplicatingPeer
{
    /// <summary>The releases there are, oldest first.</summary>
    public static readonly string[] Versions = ["6.9.2", "6.26", "7.7.1"];

    private FeedPeer(NodePeer node, PeerFeedInfo info, string crypto)
        : base(node) => (Info, Crypto) = (info, crypto);

    /// <summary>The feed as it was when opened.</summary>
    public PeerFeedInfo Info { get; }

    /// <summary>"native" when libsodium computes, "javascript" otherwise.</summary>
    public string Crypto { get; }

    /// <summary>Starts a peer and opens or creates its feed; in memory without a folder, a new feed without a key.</summary>
    public static async Task<FeedPeer> StartAsync(string version, string? folder = null, string? key = null, bool sparse = false)
    {
        NodePeer node = await NodePeer.StartAsync("feed-peer.js", "--version", version);
        try
        {
            JsonElement ok = await node.DoAsync("open", new { dir = folder, key, sparse });
            return new FeedPeer(node, PeerFeedInfo.From(ok), ok.GetProperty("crypto").GetString()!);
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <summary>The feed as it is now.</summary>
    public async Task<PeerFeedInfo> InfoAsync() => PeerFeedInfo.From(await Node.DoAsync("info"));

    /// <summary>Appends blocks in one batch.</summary>
    public async Task<PeerFeedInfo> AppendAsync(params byte[][] blocks) =>
        PeerFeedInfo.From(await Node.DoAsync("append", new { blocks = blocks.Select(b => new { base64 = Convert.ToBase64String(b) }).ToArray() }));

    /// <summary>Appends count blocks of size bytes each, block i being the seed's bytes from i * size on.</summary>
    public async Task<PeerFeedInfo> AppendSeededAsync(long seed, int count, int size, int batch = 64) =>
        PeerFeedInfo.From(await Node.DoAsync("append", new { seed, count, size, batch }));

    /// <summary>Reads a block, from others when it is not held.</summary>
    public async Task<byte[]> GetAsync(long index) => (await Node.DoAsync("get", new { index })).GetProperty("base64").GetBytesFromBase64();

    /// <summary>Reads all blocks of a range in order and hashes them.</summary>
    public async Task<(string Sha256, long Length)> HashAsync(long start, long end)
    {
        JsonElement ok = await Node.DoAsync("getAll", new { start, end });
        return (ok.GetProperty("sha256").GetString()!, ok.GetProperty("length").GetInt64());
    }

    /// <summary>Completes when the feed is known to have a length.</summary>
    public async Task<PeerFeedInfo> UpdateAsync(long minLength) => PeerFeedInfo.From(await Node.DoAsync("update", new { minLength }));

    /// <summary>The block that holds a byte, and where in it.</summary>
    public async Task<(long Index, long Offset)> SeekAsync(long bytes)
    {
        JsonElement ok = await Node.DoAsync("seek", new { bytes });
        return (ok.GetProperty("index").GetInt64(), ok.GetProperty("offset").GetInt64());
    }

    /// <summary>Gives up the blocks of a range.</summary>
    public Task ClearAsync(long start, long end) => Node.DoAsync("clear", new { start, end });

    /// <summary>How many blocks of a range are held.</summary>
    public async Task<long> HeldAsync(long start, long end) => (await Node.DoAsync("has", new { start, end })).GetProperty("held").GetInt64();

    /// <summary>Starts to download a range.</summary>
    public Task DownloadAsync(long start, long end) => Node.DoAsync("download", new { start, end });

    /// <summary>Completes when all blocks of a range are held.</summary>
    public async Task<PeerFeedInfo> WaitHeldAsync(long start, long end, TimeSpan? patience = null) =>
        PeerFeedInfo.From(await Node.DoAsync("waitHeld", new { start, end }, patience));

    /// <summary>What was sent and received so far.</summary>
    public async Task<PeerCounters> CountersAsync(bool reset = false) => PeerCounters.From(await Node.DoAsync("counters", new { reset }));
}
