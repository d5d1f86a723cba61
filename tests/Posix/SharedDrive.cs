using System.Net;
using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DatMount.Posix;

/// <summary>The other peer: the owner of a drive, who keeps it in memory and serves it on a port of loopback. It can go and come back.</summary>
internal sealed class SharedDrive : IAsyncDisposable
{
    private Replicator? _peer;
    private PeerListener? _listener;

    private SharedDrive(HyperdriveWriter writer) => Writer = writer;

    public HyperdriveWriter Writer { get; }

    public FeedKey Key => Writer.Key;

    public Feed Metadata => Writer.Feeds[0];

    public Feed Content => Writer.Feeds[1];

    /// <summary>The same one after it came back.</summary>
    public int Port { get; private set; }

    /// <summary>Content blocks given to peers since it came (back).</summary>
    public long ContentBlocksSent => Sent(Content);

    /// <summary>Metadata blocks given to peers since it came (back).</summary>
    public long MetadataBlocksSent => Sent(Metadata);

    public static async Task<SharedDrive> CreateAsync(Func<HyperdriveWriter, Task>? fill = null)
    {
        HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(new MemoryFolder("owner"), TimeProvider.System, null, TestContext.Current.CancellationToken);
        SharedDrive shared = new(writer);
        if (fill is not null) await fill(writer);
        shared.Come();
        return shared;
    }

    /// <summary>Shares what a folder on disk holds.</summary>
    public static Task<SharedDrive> CreateAsync(SeededTree tree) => CreateAsync(async writer =>
    {
        foreach (SeededFile file in tree.Files)
        {
            await using FileStream bytes = File.OpenRead(tree.Root + file.Path);
            await writer.PutFileAsync(file.Path, bytes, CancellationToken.None, (uint)file.Mode);
        }

        foreach (string folder in tree.EmptyFolders) await writer.PutDirectoryAsync(folder, CancellationToken.None);
    });

    public Task<long> PutAsync(string path, byte[] bytes) => Writer.PutFileAsync(path, bytes, CancellationToken.None).AsTask();

    public Task<long> PutAsync(string path, string text) => PutAsync(path, System.Text.Encoding.UTF8.GetBytes(text));

    public async Task DeleteAsync(string path)
    {
        if (!await Writer.DeleteAsync(path, CancellationToken.None)) throw new InvalidOperationException("nothing to delete at " + path);
    }

    /// <summary>Serves; on the port it had before, if any.</summary>
    public void Come()
    {
        Replicator peer = new(new ReplicatorOptions());
        foreach (Feed feed in Writer.Feeds) peer.Join(feed);
        _listener = PeerListener.Start(new IPEndPoint(IPAddress.Loopback, Port), (transport, serving) => peer.RunAsync(transport, serving), TimeProvider.System, NullLogger.Instance);
        _peer = peer;
        Port = _listener.LocalEndPoint.Port;
    }

    /// <summary>Ends its connections and does not answer any more.</summary>
    public async Task GoAsync()
    {
        if (_listener is not null) await _listener.DisposeAsync();
        if (_peer is not null) await _peer.DisposeAsync();
        (_listener, _peer) = (null, null);
    }

    public async ValueTask DisposeAsync()
    {
        await GoAsync();
        await Writer.DisposeAsync();
    }

    private long Sent(Feed feed) => _peer?.Traffic.First(traffic => traffic.Feed == feed.DiscoveryKey).UploadedBlocks ?? 0;
}
