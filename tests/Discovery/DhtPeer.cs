using System.Text.Json;
using DatFs.Evidence;

namespace DatMount.Discovery;

/// <summary>bittorrent-dht in a process of its own (tests/peers/dht-peer.js).</summary>
internal sealed class DhtPeer : IAsyncDisposable
{
    private readonly NodePeer _node;

    private DhtPeer(NodePeer node) => _node = node;

    /// <summary>"127.0.0.1:port".</summary>
    public string Address { get; private init; } = "";

    /// <summary>Starts a node that enters by others, or begins a network.</summary>
    public static async Task<DhtPeer> StartAsync(params string[] bootstrap)
    {
        NodePeer node = await NodePeer.StartAsync("dht-peer.js");
        JsonElement ok = await node.DoAsync("open", new { bootstrap });
        return new DhtPeer(node) { Address = "127.0.0.1:" + ok.GetProperty("port").GetInt32().ToString(System.Globalization.CultureInfo.InvariantCulture) };
    }

    public Task LookupAsync(string infoHash) => _node.DoAsync("lookup", new { infoHash });

    public Task AnnounceAsync(string infoHash, int port) => _node.DoAsync("announce", new { infoHash, port });

    /// <summary>It has heard of a peer on loopback.</summary>
    public Task HeardOfAsync(string infoHash, int port) =>
        _node.EventAsync("peer", e => e.GetProperty("infoHash").GetString() == infoHash && e.GetProperty("host").GetString() == "127.0.0.1" && e.GetProperty("port").GetInt32() == port);

    public ValueTask DisposeAsync() => _node.DisposeAsync();
}
