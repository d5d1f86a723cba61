using System.Text.Json;

namespace DatFs.Evidence;

/// <summary>One drive of several writers in a Node process (tests/peers/multi-drive-peer.js).</summary>
public sealed class MultiDrivePeer : ReplicatingPeer
{
    private MultiDrivePeer(NodePeer node, string key, string local)
        : base(node) => (Key, LocalKey) = (key, local);

    /// <summary>The drive's key, 64 hex digits.</summary>
    public string Key { get; }

    /// <summary>The key of the peer's own feed.</summary>
    public string LocalKey { get; }

    /// <summary>Starts a peer with a new drive in a folder, or with a copy of one.</summary>
    public static async Task<MultiDrivePeer> StartAsync(string folder, string? key = null)
    {
        NodePeer node = await NodePeer.StartAsync("multi-drive-peer.js");
        try
        {
            JsonElement ok = await node.DoAsync("open", new { key, dir = folder });
            return new MultiDrivePeer(node, ok.GetProperty("key").GetString()!, ok.GetProperty("local").GetString()!);
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <summary>Writes a file.</summary>
    public Task WriteAsync(string path, byte[] content, long? mtime = null) => Node.DoAsync("write", new { path, base64 = Convert.ToBase64String(content), mtime });

    /// <summary>Adds an entry for a directory.</summary>
    public Task MakeDirectoryAsync(string path) => Node.DoAsync("mkdir", new { path });

    /// <summary>Deletes a file.</summary>
    public Task UnlinkAsync(string path) => Node.DoAsync("unlink", new { path });

    /// <summary>The bytes of a file.</summary>
    public async Task<byte[]> ReadAsync(string path) => (await Node.DoAsync("read", new { path })).GetProperty("base64").GetBytesFromBase64();

    /// <summary>Completes when a file reads so.</summary>
    public Task WaitForAsync(string path, string text) => Node.DoAsync("waitFor", new { path, text });

    /// <summary>Lets a writer write.</summary>
    public Task AuthorizeAsync(string key) => Node.DoAsync("authorize", new { key });

    /// <summary>Completes when a writer may write, as far as this peer knows.</summary>
    public Task WaitAuthorizedAsync(string key) => Node.DoAsync("waitAuthorized", new { key });
}
