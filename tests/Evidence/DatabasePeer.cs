using System.Text.Json;

namespace DatFs.Evidence;

/// <summary>One entry of a key as a Node peer answers it.</summary>
public sealed record PeerDatabaseNode(string Writer, long Seq, string? Value, bool Deleted);

/// <summary>One hyperdb in a Node process (tests/peers/database-peer.js).</summary>
public sealed class DatabasePeer : ReplicatingPeer
{
    private DatabasePeer(NodePeer node, string key, string local)
        : base(node) => (Key, LocalKey) = (key, local);

    /// <summary>The database's key, 64 hex digits.</summary>
    public string Key { get; }

    /// <summary>The key of the peer's own feed.</summary>
    public string LocalKey { get; }

    /// <summary>Starts a peer with a new database, or with a copy of one.</summary>
    public static async Task<DatabasePeer> StartAsync(string? key = null, string? folder = null)
    {
        NodePeer node = await NodePeer.StartAsync("database-peer.js");
        try
        {
            JsonElement ok = await node.DoAsync("open", new { key, dir = folder });
            return new DatabasePeer(node, ok.GetProperty("key").GetString()!, ok.GetProperty("local").GetString()!);
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    /// <summary>Puts a value.</summary>
    public Task PutAsync(string key, string value) => Node.DoAsync("put", new { key, value });

    /// <summary>Deletes a key.</summary>
    public Task DeleteAsync(string key) => Node.DoAsync("del", new { key });

    /// <summary>Lets a writer write.</summary>
    public Task AuthorizeAsync(string key) => Node.DoAsync("authorize", new { key });

    /// <summary>The entries of a key.</summary>
    public async Task<IReadOnlyList<PeerDatabaseNode>> GetAsync(string key) => Nodes(await Node.DoAsync("get", new { key }));

    /// <summary>Completes when a key has exactly these values, in any order.</summary>
    public async Task<IReadOnlyList<PeerDatabaseNode>> WaitAsync(string key, params string[] values) => Nodes(await Node.DoAsync("wait", new { key, values }));

    /// <summary>Every live key, in ordinal order.</summary>
    public async Task<IReadOnlyList<string>> KeysAsync() =>
        [.. (await Node.DoAsync("keys")).GetProperty("keys").EnumerateArray().Select(key => key.GetString()!).Order(StringComparer.Ordinal)];

    /// <summary>The version, in hex.</summary>
    public async Task<string> VersionAsync() => (await Node.DoAsync("version")).GetProperty("version").GetString()!;

    private static PeerDatabaseNode[] Nodes(JsonElement ok) => [.. ok.GetProperty("nodes").EnumerateArray().Select(node => new PeerDatabaseNode(
        node.GetProperty("writer").GetString()!, node.GetProperty("seq").GetInt64(), node.GetProperty("value").GetString(), node.GetProperty("deleted").GetBoolean()))];
}
