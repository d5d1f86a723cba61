using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>A drive shown by Node's hyperdrive behind fuse-native (tests/peers/mount-peer.js).</summary>
internal sealed class NodeMount : IServedMount
{
    private readonly NodePeer _node;

    private NodeMount(NodePeer node) => _node = node;

    /// <inheritdoc/>
    public int ProcessId => _node.ProcessId;

    public static async Task<NodeMount> StartAsync(string folder, string key, string mountpoint)
    {
        NodePeer node = await NodePeer.StartAsync("mount-peer.js");
        try
        {
            await node.DoAsync("mount", new { dir = folder, key, mountpoint });
            return new NodeMount(node);
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _node.DoAsync("unmount");
        await _node.DisposeAsync();
    }
}
