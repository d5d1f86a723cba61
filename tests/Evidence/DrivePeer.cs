using System.Text.Json;

namespace DatFs.Evidence;

/// <summary>One name in an archive as Node sees it. Sha256 is null for directories and where it was not asked for.</summary>
public sealed record PeerEntry(string Path, bool IsDirectory, int Mode, long Size, long MtimeMs, string? Sha256, long Offset, long Blocks);

/// <summary>What a Node peer says of its archive.</summary>
public sealed record PeerDriveInfo(string Key, long Version, bool Writable, PeerFeedInfo Metadata, PeerFeedInfo? Content, string Release, string Crypto)
{
    internal static PeerDriveInfo From(JsonElement e) => new(
        e.GetProperty("key").GetString()!,
        e.GetProperty("version").GetInt64(),
        e.GetProperty("writable").GetBoolean(),
        PeerFeedInfo.From(e.GetProperty("metadata")),
        e.GetProperty("content").ValueKind == JsonValueKind.Null ? null : PeerFeedInfo.From(e.GetProperty("content")),
        e.GetProperty("release").GetString()!,
        e.GetProperty("crypto").GetString()!);
}

/// <summary>How a Node peer opens an archive.</summary>
public sealed record PeerDriveOptions
{
    /// <summary>Storage; in memory when null.</summary>
    public string? Folder { get; init; }
    /// <summary>Key of an archive to clone; a new archive when null.</summary>
    public string? Key { get; init; }
    /// <summary>Fetch file contents only when they are read.</summary>
    public bool Sparse { get; init; }
    /// <summary>Fetch metadata only when it is read.</summary>
    public bool SparseMetadata { get; init; }
    /// <summary>Keep only the newest version (default for "dat", where false means the flat archival layout).</summary>
    public bool? Latest { get; init; }
    /// <summary>Where the dat tool keeps secret keys.</summary>
    public string? SecretFolder { get; init; }
}

/// <summary>One hyperdrive archive in a Node process (tests/peers/drive-peer.js).</summary>
public sealed class DrivePeer : ReplicatingPeer
{
    /// <summary>The hyperdrive releases there are, oldest first; "dat" is the third choice.</summary>
    public static readonly string[] Versions = ["9.9", "9.16"];

    private DrivePeer(NodePeer node, PeerDriveInfo info)
        : base(node) => Info = info;

    /// <summary>The archive as it was when opened.</summary>
    public PeerDriveInfo Info { get; }

    /// <summary>The archive's key, 64 hex digits.</summary>
    public string Key => Info.Key;

    /// <summary>Starts a peer and opens, creates or clones its archive.</summary>
    public static async Task<DrivePeer> StartAsync(string version, PeerDriveOptions? options = null)
    {
        options ??= new PeerDriveOptions();
        NodePeer node = await NodePeer.StartAsync("drive-peer.js", "--version", version);
        try
        {
            JsonElement ok = await node.DoAsync("open", new
            {
                dir = options.Folder,
                key = options.Key,
                options.Sparse,
                options.SparseMetadata,
                options.Latest,
                secretDir = options.SecretFolder,
            });
            return new DrivePeer(node, PeerDriveInfo.From(ok));
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <summary>The archive as it is now.</summary>
    public async Task<PeerDriveInfo> InfoAsync() => PeerDriveInfo.From(await Node.DoAsync("info"));

    /// <summary>Copies a real folder into the archive; with entries for directories or with implicit ones only.</summary>
    public async Task<PeerDriveInfo> ImportAsync(string folder, bool directories = true) =>
        PeerDriveInfo.From(await Node.DoAsync("import", new { from = folder, directories }, TimeSpan.FromMinutes(3)));

    /// <summary>The dat tool's own import of its folder.</summary>
    public async Task<PeerDriveInfo> ImportFilesAsync() => PeerDriveInfo.From(await Node.DoAsync("importFiles"));

    /// <summary>Writes a file; answers the new version.</summary>
    public Task<long> WriteAsync(string path, byte[] content, int? mode = null, long? mtime = null) =>
        VersionAsync("writeFile", new { path, base64 = Convert.ToBase64String(content), mode, mtime });

    /// <summary>Writes a file of <see cref="SeededBytes"/>, of any size.</summary>
    public Task<long> WriteSeededAsync(string path, long seed, long size) =>
        VersionAsync("writeFile", new { path, seed, size }, TimeSpan.FromMinutes(3));

    /// <summary>Writes count files named prefix + number, file i being the seed's bytes from i * size on.</summary>
    public Task<long> WriteManyAsync(string prefix, long seed, int count, int size) =>
        VersionAsync("writeMany", new { prefix, seed, count, size }, TimeSpan.FromMinutes(3));

    /// <summary>Deletes a file; answers the new version.</summary>
    public Task<long> UnlinkAsync(string path) => VersionAsync("unlink", new { path });

    /// <summary>Adds an entry for a directory; answers the new version.</summary>
    public Task<long> MakeDirectoryAsync(string path, int? mode = null) => VersionAsync("mkdir", new { path, mode });

    /// <summary>Deletes a directory's entry; answers the new version.</summary>
    public Task<long> RemoveDirectoryAsync(string path) => VersionAsync("rmdir", new { path });

    /// <summary>Every file and directory at a version, or now, in ordinal order of paths.</summary>
    public async Task<IReadOnlyList<PeerEntry>> ListAsync(long? version = null, bool hash = true) =>
        Entries((await Node.DoAsync("list", new { version, hash })).GetProperty("entries"));

    /// <summary>Looks one path up; answers its size.</summary>
    public async Task<long> StatAsync(string path) => (await Node.DoAsync("stat", new { path })).GetProperty("size").GetInt64();

    /// <summary>Lists one directory; answers how many names it has.</summary>
    public async Task<int> ReadDirectoryAsync(string path) => (await Node.DoAsync("readdir", new { path })).GetProperty("names").GetInt32();

    /// <summary>The list of each version from 1 on; element 0 is version 1.</summary>
    public async Task<IReadOnlyList<IReadOnlyList<PeerEntry>>> HistoryAsync() =>
        [.. (await Node.DoAsync("history", null, TimeSpan.FromMinutes(3))).GetProperty("versions").EnumerateArray().Select(Entries)];

    /// <summary>Reads a range of a file, answers its hash; all of it without a range.</summary>
    public async Task<string> HashAsync(string path, long? version = null, long? start = null, long? length = null) =>
        (await Node.DoAsync("read", new { path, version, start, length })).GetProperty("sha256").GetString()!;

    /// <summary>Reads the beginning of a file through the release's own read stream.</summary>
    public async Task<long> StreamAsync(string path, long length) => (await Node.DoAsync("stream", new { path, length })).GetProperty("length").GetInt64();

    /// <summary>Completes when a version is known of; nothing more than its head needs to be held.</summary>
    public async Task<PeerDriveInfo> WaitForVersionAsync(long version) => PeerDriveInfo.From(await Node.DoAsync("update", new { version }));

    /// <summary>
    /// Completes when all metadata up to a version, and with <paramref name="content"/> all blocks, are held. Where the
    /// content's length is known it need not be worked out from the metadata.
    /// </summary>
    public async Task<PeerDriveInfo> WaitSyncAsync(long version = 0, bool content = true, TimeSpan? patience = null, long? contentLength = null) =>
        PeerDriveInfo.From(await Node.DoAsync("waitSync", new { version, content, contentLength }, patience ?? TimeSpan.FromMinutes(2)));

    /// <summary>What was sent and received so far on both feeds.</summary>
    public async Task<(PeerCounters Metadata, PeerCounters Content)> CountersAsync(bool reset = false)
    {
        JsonElement ok = await Node.DoAsync("counters", new { reset });
        return (PeerCounters.From(ok.GetProperty("metadata")), PeerCounters.From(ok.GetProperty("content")));
    }

    private async Task<long> VersionAsync(string command, object arguments, TimeSpan? patience = null) =>
        (await Node.DoAsync(command, arguments, patience)).GetProperty("version").GetInt64();

    private static PeerEntry[] Entries(JsonElement list) =>
        [.. list.EnumerateArray().Select(Entry).OrderBy(e => e.Path, StringComparer.Ordinal)];

    private static PeerEntry Entry(JsonElement e) => new(
        e.GetProperty("path").GetString()!,
        e.GetProperty("type").GetString() == "directory",
        e.GetProperty("mode").GetInt32(),
        e.GetProperty("size").GetInt64(),
        e.GetProperty("mtime").GetInt64(),
        e.TryGetProperty("sha256", out JsonElement hash) ? hash.GetString() : null,
        e.TryGetProperty("offset", out JsonElement offset) ? offset.GetInt64() : 0,
        e.TryGetProperty("blocks", out JsonElement blocks) ? blocks.GetInt64() : 0);
}
