using System.Text.Json;
using DatFs.Evidence;

namespace DatMount.Discovery;

/// <summary>dns-discovery in a process of its own, as a client of given servers or as a server (tests/peers/dns-peer.js).</summary>
internal sealed class DnsPeer : IAsyncDisposable
{
    private readonly NodePeer _node;

    private DnsPeer(NodePeer node) => _node = node;

    /// <summary>A client of servers "127.0.0.1:5300".</summary>
    public static async Task<DnsPeer> AskAsync(params string[] servers)
    {
        DnsPeer peer = new(await NodePeer.StartAsync("dns-peer.js"));
        await peer._node.DoAsync("open", new { servers });
        return peer;
    }

    /// <summary>A server on a free port of loopback; answers "127.0.0.1:port".</summary>
    public static async Task<(DnsPeer Server, string Address)> ServeAsync()
    {
        DnsPeer peer = new(await NodePeer.StartAsync("dns-peer.js"));
        JsonElement ok = await peer._node.DoAsync("listen");
        return (peer, $"127.0.0.1:{ok.GetProperty("ports")[0].GetInt32()}");
    }

    public Task LookupAsync(string name) => _node.DoAsync("lookup", new { name });

    public Task AnnounceAsync(string name, int port) => _node.DoAsync("announce", new { name, port });

    public Task UnannounceAsync(string name, int port) => _node.DoAsync("unannounce", new { name, port });

    public async Task<(string Host, int Port)> WhoAmIAsync()
    {
        JsonElement ok = await _node.DoAsync("whoami");
        return (ok.GetProperty("host").GetString()!, ok.GetProperty("port").GetInt32());
    }

    /// <summary>Gives the server records of a name, 10.1.0.0:3282 and on.</summary>
    public Task FillAsync(string name, int count) => _node.DoAsync("fill", new { name, count });

    /// <summary>Waits until the client hears of a peer on loopback.</summary>
    public Task HearAsync(string name, int port) => _node.EventAsync("peer", e =>
        e.GetProperty("name").GetString() == name && e.GetProperty("host").GetString() == "127.0.0.1" && e.GetProperty("port").GetInt32() == port, TimeSpan.FromSeconds(20));

    public void Forget() => _node.ForgetEvents();

    public ValueTask DisposeAsync() => _node.DisposeAsync();
}
