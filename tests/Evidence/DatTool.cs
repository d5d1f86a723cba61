using System.Text.Json;

namespace DatFs.Evidence;

/// <summary>`dat share` and `dat clone` of the dat tool 13, running apart from every network and reachable through one port on loopback.</summary>
public sealed class DatTool : IAsyncDisposable
{
    private readonly NodePeer _node;

    private readonly Relay? _relay;

    private DatTool(NodePeer node, Relay? relay, string key)
    {
        _node = node;
        _relay = relay;
        Key = key;
    }

    /// <summary>The archive's key, 64 hex digits.</summary>
    public string Key { get; }

    /// <summary>The line to the tool.</summary>
    public Relay Relay => _relay ?? throw new InvalidOperationException("it is reached as everybody is");

    /// <summary>Where it is reached.</summary>
    public int Port => Relay.Port;

    /// <summary>Shares a folder; the tool's own files go into the other one.</summary>
    public static async Task<DatTool> ShareAsync(string folder, string home)
    {
        Directory.CreateDirectory(home);
        NodePeer node = await NodePeer.StartApartAsync("dat-tool.js");
        try
        {
            string socket = Path.Combine(home, "dat.sock");
            JsonElement ok = await node.DoAsync("share", new { dir = folder, home, socket });
            return new DatTool(node, Relay.To(socket), ok.GetProperty("key").GetString()!);
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <summary>Shares a folder in a network of the test's, where the tool has to be found.</summary>
    public static async Task<DatTool> ShareInAsync(NetworkNamespace network, string folder, string home)
    {
        Directory.CreateDirectory(home);
        NodePeer node = await NodePeer.StartInAsync(network, "dat-tool.js");
        try
        {
            JsonElement ok = await node.DoAsync("share", new { dir = folder, home });
            return new DatTool(node, null, ok.GetProperty("key").GetString()!);
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs `dat clone` in a network of the test's, where the tool has to find who shares it.</summary>
    public static async Task CloneInAsync(NetworkNamespace network, string key, string folder, string home)
    {
        Directory.CreateDirectory(home);
        await using NodePeer node = await NodePeer.StartInAsync(network, "dat-tool.js");
        JsonElement ok = await node.DoAsync("clone", new { key, dir = folder, home });
        if (ok.GetProperty("code").GetInt32() != 0) throw new NodePeerException($"dat clone ended with {ok.GetProperty("code")}");
    }

    /// <summary>Runs `dat clone` against a peer at a port on loopback, and completes when the tool has everything and ends.</summary>
    public static async Task CloneAsync(string key, int port, string folder, string home)
    {
        Directory.CreateDirectory(home);
        string socket = Path.Combine(home, "peer.sock");
        await using Relay relay = Relay.At(socket, port);
        await using NodePeer node = await NodePeer.StartApartAsync("dat-tool.js");
        JsonElement ok = await node.DoAsync("clone", new { key, dir = folder, home, socket });
        if (ok.GetProperty("code").GetInt32() != 0) throw new NodePeerException($"dat clone ended with {ok.GetProperty("code")}");
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_relay is not null) await _relay.DisposeAsync();
        await _node.DisposeAsync();
    }
}
