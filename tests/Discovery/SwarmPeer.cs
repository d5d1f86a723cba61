using System.Text.Json;
using DatFs.Evidence;

namespace DatMount.Discovery;

/// <summary>discovery-swarm in a process of its own, which finds others by DNS servers, or by multicast, only (tests/peers/swarm-peer.js).</summary>
internal sealed class SwarmPeer : IAsyncDisposable
{
    private readonly NodePeer _node;

    private SwarmPeer(NodePeer node) => _node = node;

    /// <summary>What it calls itself, 64 hex digits.</summary>
    public string Id { get; private init; } = "";

    /// <summary>Its TCP port.</summary>
    public int Port { get; private init; }

    /// <summary>Starts a swarm that listens. The interval is between two rounds, which in life are a minute apart.</summary>
    public static async Task<SwarmPeer> StartAsync(TimeSpan? interval, params string[] servers)
    {
        NodePeer node = await NodePeer.StartAsync("swarm-peer.js");
        JsonElement ok = await node.DoAsync("open", new { servers, interval = (int?)interval?.TotalMilliseconds });
        JsonElement listening = await node.DoAsync("listen");
        return new SwarmPeer(node) { Id = ok.GetProperty("id").GetString()!, Port = listening.GetProperty("port").GetInt32() };
    }

    /// <summary>Starts a swarm in a network of the test's that knows multicast only.</summary>
    public static async Task<SwarmPeer> StartInAsync(NetworkNamespace network)
    {
        NodePeer node = await NodePeer.StartInAsync(network, "swarm-peer.js");
        JsonElement ok = await node.DoAsync("open", new { servers = Array.Empty<string>(), multicast = true });
        JsonElement listening = await node.DoAsync("listen");
        return new SwarmPeer(node) { Id = ok.GetProperty("id").GetString()!, Port = listening.GetProperty("port").GetInt32() };
    }

    /// <summary>It has heard of an address where a drive is to be had.</summary>
    public Task HeardOfAsync(string key, string host, int port) =>
        _node.EventAsync("peer", e => e.GetProperty("key").GetString() == key && e.GetProperty("host").GetString() == host && e.GetProperty("port").GetInt32() == port);

    public Task JoinAsync(string key) => _node.DoAsync("join", new { key });

    public Task LeaveAsync(string key) => _node.DoAsync("leave", new { key });

    public Task ConnectedToAsync(SwarmPeer other, TimeSpan? patience = null) => _node.EventAsync("connection", e => e.GetProperty("id").GetString() == other.Id, patience);

    public ValueTask DisposeAsync() => _node.DisposeAsync();
}
