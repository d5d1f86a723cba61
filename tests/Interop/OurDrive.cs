using System.Buffers;
using System.Security.Cryptography;
using DatFs.Drives;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;

namespace DatFs.Interop;

/// <summary>One name in a view of ours; Sha256 is null for directories.</summary>
internal sealed record OurEntry(string Path, bool IsDirectory, int Mode, long Size, long MtimeMs, string? Sha256);

/// <summary>One drive of DatMount's with its own connections, the counterpart of <see cref="DrivePeer"/>.</summary>
internal sealed class OurDrive : IAsyncDisposable
{
    private readonly Replicator _replicator;
    private readonly OurLinks _links;
    private readonly TempFolder? _temporary;
    private readonly string _storage;

    private OurDrive(IDrive drive, Replicator replicator, string storage, TempFolder? temporary)
    {
        Drive = drive;
        _replicator = replicator;
        _links = new OurLinks(replicator);
        _storage = storage;
        _temporary = temporary;
    }

    public IDrive Drive { get; }

    /// <summary>Where the feeds lie, in the layout of hyperdrive.</summary>
    public string HyperdriveFolder => Path.Combine(_storage, Drive.Key.ToDiscoveryKey().ToHex(), "drive");

    /// <summary>Blocks of both feeds given to peers.</summary>
    public long UploadedBlocks => _replicator.Traffic.Sum(feed => feed.UploadedBlocks);

    /// <summary>Opens an archive by its key and connects to a peer that has it.</summary>
    public static async Task<OurDrive> OpenAsync(string key, int port, string? storage = null)
    {
        TempFolder? temporary = storage is null ? TempFolder.Create() : null;
        OurDrive ours = await OpenAsync(DriveReference.Parse(key), storage ?? temporary!.Path, temporary);
        await ours.ConnectAsync(port);
        return ours;
    }

    /// <summary>Makes a drive that several may write; nobody is connected.</summary>
    public static async Task<OurDrive> CreateAsync(string storage)
    {
        DatFs.Crypto.FeedKey key = await DriveOpener.CreateAsync(null, null, new DriveOpenOptions { StorageRoot = storage }, CancellationToken.None);
        return await OpenAsync(DriveReference.Parse(key.ToHex()), storage, null);
    }

    /// <summary>Opens a kept drive, or a new copy; nobody is connected.</summary>
    public static Task<OurDrive> OpenKeptAsync(string key, string storage) => OpenAsync(DriveReference.Parse(key), storage, null);

    /// <summary>Opens an archive where it lies on disk; nobody is connected.</summary>
    public static Task<OurDrive> OpenFolderAsync(string folder, string? storage = null)
    {
        TempFolder? temporary = storage is null ? TempFolder.Create() : null;
        return OpenAsync(DriveReference.Parse(folder), storage ?? temporary!.Path, temporary);
    }

    public Task ConnectAsync(int port) => _links.ConnectAsync(port);

    public int Listen() => _links.Listen();

    public Task AloneAsync() => _links.AloneAsync();

    public async Task<IDriveView> ReadyAsync()
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        return await Drive.ReadyAsync(patience.Token);
    }

    /// <summary>The live view once it is at least at a version.</summary>
    public async Task<IDriveView> VersionAsync(long version)
    {
        TaskCompletionSource<IDriveView> reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable observing = Drive.Observe(change =>
        {
            if (change.After.Version >= version) reached.TrySetResult(change.After);
        });
        if (Drive.Live.Version >= version) return Drive.Live;
        return await reached.Task.WaitAsync(NodePeer.DefaultPatience);
    }

    /// <summary>Writes a file.</summary>
    public async Task PutAsync(string path, byte[] content, long? mtime = null) =>
        await Drive.Writer!.PutFileAsync(DrivePath.From(path), new MemoryStream(content), new DriveAttributes(0x1A4, mtime), CancellationToken.None);

    /// <summary>Completes when somebody has let us write.</summary>
    public async Task WaitWritableAsync()
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        while (!Drive.Writable)
        {
            TaskCompletionSource newer = new(TaskCreationOptions.RunContinuationsAsynchronously);
            using IDisposable observing = Drive.Observe(change => newer.TrySetResult());
            await Drive.ReadyAsync(patience.Token);
            if (!Drive.Writable) await newer.Task.WaitAsync(patience.Token);
        }
    }

    /// <summary>The live view once a path reads so.</summary>
    public async Task<IDriveView> WaitForAsync(string path, byte[] content)
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        while (true)
        {
            IDriveView view = await Drive.ReadyAsync(patience.Token);
            TaskCompletionSource newer = new(TaskCreationOptions.RunContinuationsAsynchronously);
            using IDisposable observing = Drive.Observe(change => newer.TrySetResult());
            if (Drive.Live != view) continue;
            if (await view.FindAsync(DrivePath.From(path), patience.Token) is { } entry && entry.Size == content.Length
                && (content.Length == 0 || (await ReadAsync(view, path, 0, content.Length)).AsSpan().SequenceEqual(content))) return view;
            await newer.Task.WaitAsync(patience.Token);
        }
    }

    /// <summary>Every file and directory of a view, in ordinal order of paths, all contents read.</summary>
    public async Task<IReadOnlyList<OurEntry>> WalkAsync(IDriveView view)
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        List<OurEntry> found = [];
        Stack<DrivePath> waiting = new([default(DrivePath)]);
        while (waiting.TryPop(out DrivePath folder))
        {
            IReadOnlyList<DriveEntry> entries = await view.ListAsync(folder, patience.Token)
                ?? throw new InvalidDataException($"{folder} was listed but does not exist");
            foreach (DriveEntry entry in entries)
            {
                bool directory = entry.Kind == EntryKind.Directory;
                if (directory) waiting.Push(entry.Path);
                string? hash = directory ? null : await HashAsync(view, entry, patience.Token);
                found.Add(new OurEntry(entry.Path.Text, directory, (int)entry.Mode, entry.Size, entry.MtimeMs, hash));
            }
        }

        return [.. found.OrderBy(e => e.Path, StringComparer.Ordinal)];
    }

    public async Task<byte[]> ReadAsync(IDriveView view, string path, long offset, int length)
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        DriveEntry entry = await FindAsync(view, path, patience.Token);
        using ContentLease lease = await view.OpenContent(entry).ReadAsync(offset, length, FetchPriority.Interactive, patience.Token);
        return lease.Data.ToArray();
    }

    /// <summary>Fetches everything up to a version, as a mirror does.</summary>
    public async Task HoldEverythingAsync(long version)
    {
        await ReadyAsync();
        await WalkAsync(await VersionAsync(version));
    }

    public async ValueTask DisposeAsync()
    {
        await _links.DisposeAsync();
        await _replicator.DisposeAsync();
        await Drive.DisposeAsync();
        _temporary?.Dispose();
    }

    private static async Task<OurDrive> OpenAsync(DriveReference reference, string storage, TempFolder? temporary)
    {
        Replicator replicator = new(new ReplicatorOptions());
        DriveOpenOptions options = new() { StorageRoot = storage, Network = replicator };
        return new OurDrive(await DriveOpener.OpenAsync(reference, options, CancellationToken.None), replicator, storage, temporary);
    }

    private static async ValueTask<DriveEntry> FindAsync(IDriveView view, string path, CancellationToken ct) =>
        await view.FindAsync(DrivePath.From(path), ct) ?? throw new FileNotFoundException(path);

    private static async Task<string> HashAsync(IDriveView view, DriveEntry entry, CancellationToken ct)
    {
        const int Piece = 1 << 20;
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        IFileContent content = view.OpenContent(entry);
        for (long at = 0; at < content.Size; at += Piece)
        {
            using ContentLease lease = await content.ReadAsync(at, Piece, FetchPriority.Interactive, ct);
            foreach (ReadOnlyMemory<byte> part in lease.Data) hash.AppendData(part.Span);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
