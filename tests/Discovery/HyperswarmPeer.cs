using System.Text.Json;
using DatFs.Evidence;

namespace DatMount.Discovery;

/// <summary>@hyperswarm/dht in a process of its own (tests/peers/hyperswarm-dht-peer.js).</summary>
internal sealed class HyperswarmPeer : IAsyncDisposable
{
    private readonly NodePeer _node;

    private HyperswarmPeer(NodePeer node) => _node = node;

    /// <summary>"127.0.0.1:port".</summary>
    public string Address { get; private init; } = "";

    /// <summary>Starts a full node that enters by others, or begins a network.</summary>
    public static async Task<HyperswarmPeer> StartAsync(params string[] bootstrap)
    {
        NodePeer node = await NodePeer.StartAsync("hyperswarm-dht-peer.js");
        JsonElement ok = await node.DoAsync("open", new { bootstrap });
        return new HyperswarmPeer(node) { Address = "127.0.0.1:" + ok.GetProperty("port").GetInt32().ToString(System.Globalization.CultureInfo.InvariantCulture) };
    }

    public async Task<IReadOnlyList<string>> LookupAsync(string target) => Strings((await _node.DoAsync("lookup", new { target })).GetProperty("peers"));

    public Task AnnounceAsync(string target, int port) => _node.DoAsync("announce", new { target, port });

    public Task UnannounceAsync(string target, int port) => _node.DoAsync("unannounce", new { target, port });

    /// <summary>The errors with which a command was answered, and the values otherwise.</summary>
    public async Task<IReadOnlyList<string>> AskAsync(string command, string target, byte[] value) =>
        [.. (await _node.DoAsync("ask", new { command, target, value = Convert.ToHexStringLower(value) })).GetProperty("answers").EnumerateArray()
            .Select(answer => answer.TryGetProperty("error", out JsonElement error) ? error.GetString()! : "")];

    /// <summary>The ports of the nodes it knows.</summary>
    public async Task<IReadOnlyList<int>> NodesAsync() => [.. (await _node.DoAsync("nodes")).GetProperty("ports").EnumerateArray().Select(port => port.GetInt32())];

    public ValueTask DisposeAsync() => _node.DisposeAsync();

    private static string[] Strings(JsonElement array) => [.. array.EnumerateArray().Select(one => one.GetString()!)];
}
