using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Storage;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// Appends changes to a hyperdrive of one's own (hyperdrive.md §2.4, §2.5, §5.1): file bytes in blocks of 64 KiB first, then one node.
/// Calls one at a time; the feeds are durable when a call returns.
/// </summary>
public sealed class HyperdriveWriter : IAsyncDisposable
{
    /// <summary>Files are cut into blocks of this size, each file from its own start.</summary>
    public const int BlockSize = HyperdriveContent.UsualBlockSize;

    /// <summary>Blocks signed together while a big file is appended.</summary>
    public const int BatchBlocks = 64;

    private readonly Feed _metadata;
    private readonly Feed _content;
    private readonly NodeSource _nodes;
    private readonly TimeProvider _time;

    private HyperdriveWriter(Feed metadata, Feed content, TimeProvider time)
    {
        _metadata = metadata;
        _content = content;
        _nodes = new NodeSource(metadata);
        _time = time;
    }

    /// <summary>The drive's key.</summary>
    public FeedKey Key => _metadata.Key;

    /// <summary>The newest version.</summary>
    public long Version => Math.Max(0, _metadata.Length - 1);

    /// <summary>The two feeds, metadata first, for replication.</summary>
    public IReadOnlyList<Feed> Feeds => [_metadata, _content];

    /// <summary>
    /// Makes a new drive in a folder, as the reference lays one out, or goes on with the one that was made there with this key.
    /// <paramref name="key"/> null = a new key pair.
    /// </summary>
    public static async ValueTask<HyperdriveWriter> CreateAsync(IStorageFolder folder, TimeProvider time, SecretKey? key, CancellationToken ct)
    {
        using SecretKey secret = key ?? SecretKey.Generate();
        using SecretKey contentSecret = secret.DeriveContent();
        Feed metadata = Feed.Open(new FeedFiles(folder.Folder("metadata")), new FeedOptions { Key = secret.PublicKey, CreateKeyPair = true, SecretKey = Bytes(secret), Time = time });
        Feed? content = null;
        try
        {
            content = Feed.Open(new FeedFiles(folder.Folder("content")), new FeedOptions { Key = contentSecret.PublicKey, SecretKey = Bytes(contentSecret), Time = time });
            if (metadata.Length == 0) await metadata.AppendAsync([HyperCodec.EncodeHeader(contentSecret.PublicKey.ToArray())], ct);
            return new HyperdriveWriter(metadata, content, time);
        }
        catch
        {
            await HyperdriveDrive.CloseFeedsAsync(metadata, content);
            throw;
        }
    }

    /// <summary>Writes a file, over whatever lies at the path. Answers the version it made.</summary>
    public ValueTask<long> PutFileAsync(string path, ReadOnlyMemory<byte> bytes, CancellationToken ct, uint mode = 0x1A4) =>
        PutFileAsync(path, new MemoryStream(bytes.ToArray(), writable: false), ct, mode);

    /// <summary>Writes a file from a stream, read to its end.</summary>
    public async ValueTask<long> PutFileAsync(string path, Stream bytes, CancellationToken ct, uint mode = 0x1A4)
    {
        long offset = _content.Length, byteOffset = _content.ByteLength;
        List<ReadOnlyMemory<byte>> batch = [];
        while (true)
        {
            byte[] block = new byte[BlockSize];
            int read = await bytes.ReadAtLeastAsync(block, BlockSize, throwOnEndOfStream: false, ct);
            if (read > 0) batch.Add(block.AsMemory(0, read));
            if (batch.Count == BatchBlocks || (read < BlockSize && batch.Count > 0))
            {
                await _content.AppendAsync(batch, ct);
                batch.Clear();
            }

            if (read < BlockSize) break;
        }

        long now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        HyperStat stat = new(HyperStat.RegularFile | mode, 0, 0, _content.ByteLength - byteOffset, _content.Length - offset, offset, byteOffset, now, now, null);
        return await PutAsync(path, HyperCodec.EncodeFileStat(stat), ct);
    }

    /// <summary>Writes a directory entry.</summary>
    public ValueTask<long> PutDirectoryAsync(string path, CancellationToken ct)
    {
        long now = _time.GetUtcNow().ToUnixTimeMilliseconds();
        return PutAsync(path, HyperCodec.EncodeDirectoryStat(HyperStat.Directory | 0x1ED, _content.Length, _content.ByteLength, now, now), ct);
    }

    internal async ValueTask<long> PutAsync(string path, byte[] value, CancellationToken ct)
    {
        string[] parts = HyperCodec.Split(path);
        long seq = _metadata.Length;
        long[][] levels = new long[parts.Length + 1][];
        for (int depth = 0; depth <= parts.Length; depth++)
        {
            List<long> level = [];
            foreach (HyperNode node in await LevelAsync(parts, depth, ct))
                if (!SameComponent(node, parts, depth)) level.Add(node.Seq);
            level.Add(seq);
            levels[depth] = [.. level];
        }

        return await AppendAsync(seq, parts, levels, value, ct);
    }

    /// <summary>Removes the entry at a path; false, and nothing appended, when there is none.</summary>
    public async ValueTask<bool> DeleteAsync(string path, CancellationToken ct)
    {
        string[] parts = HyperCodec.Split(path);
        if (await new AppendTree(_nodes, Version).FindAsync(parts, FetchPriority.Interactive, ct) is not { Own: not null }) return false;
        await DeleteNodeAsync(parts, ct);
        return true;
    }

    /// <summary>The corrected rule of §2.5: what survives around the path is represented by a deletion too.</summary>
    internal async ValueTask<long> DeleteNodeAsync(string[] parts, CancellationToken ct)
    {
        int depth = 1;
        for (int j = parts.Length; j >= 0; j--)
        {
            bool survives = false;
            foreach (HyperNode node in await LevelAsync(parts, j, ct)) survives |= !IsNamed(node, parts) && !SameComponent(node, parts, j);
            if (!survives) continue;
            depth = j + 1;
            break;
        }

        long seq = _metadata.Length;
        long[][] levels = new long[depth][];
        for (int i = 0; i < depth; i++)
        {
            List<long> level = [];
            foreach (HyperNode node in await LevelAsync(parts, i, ct))
                if (!IsNamed(node, parts) && !SameComponent(node, parts, i)) level.Add(node.Seq);
            if (i < depth - 1) level.Add(seq);
            levels[i] = [.. level];
        }

        return await AppendAsync(seq, parts, levels, null, ct);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => HyperdriveDrive.CloseFeedsAsync(_metadata, _content);

    private async ValueTask<long> AppendAsync(long seq, string[] parts, long[][] levels, byte[]? value, CancellationToken ct)
    {
        await _metadata.AppendAsync([HyperCodec.EncodeNode(seq, "/" + string.Join('/', parts), value, levels)], ct);
        return seq;
    }

    private async ValueTask<IReadOnlyList<HyperNode>> LevelAsync(string[] path, int depth, CancellationToken ct) =>
        await new AppendTree(_nodes, Version).LevelAsync(path[..depth], ct);

    private static bool SameComponent(HyperNode node, string[] parts, int depth) =>
        depth < parts.Length
            ? node.IsAt(depth, parts[depth])
            : node.Parts.Length <= depth;

    private static bool IsNamed(HyperNode node, string[] parts) => node.Parts.Length == parts.Length && node.Common(parts) == parts.Length;

    private static byte[] Bytes(SecretKey key)
    {
        byte[] bytes = new byte[SecretKey.Size];
        key.CopyTo(bytes);
        return bytes;
    }
}
