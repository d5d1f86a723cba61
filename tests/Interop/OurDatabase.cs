using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Evidence;
using DatFs.Replication;
using DatFs.Storage;

namespace DatFs.Interop;

/// <summary>One database of DatMount's with its own connections, the counterpart of <see cref="DatabasePeer"/>.</summary>
internal sealed class OurDatabase : IAsyncDisposable
{
    private readonly Replicator _replicator;
    private readonly OurLinks _links;

    private OurDatabase(Database database, Replicator replicator)
    {
        Database = database;
        _replicator = replicator;
        _links = new OurLinks(replicator);
    }

    public Database Database { get; }

    public string Key => Database.Key.ToHex();

    public string LocalKey => Database.LocalKey!.Value.ToHex();

    public static async Task<OurDatabase> CreateAsync()
    {
        Replicator replicator = new(new ReplicatorOptions());
        return new OurDatabase(await Database.CreateAsync(new MemoryFolder(), new DatabaseOptions { Network = replicator }, null, default), replicator);
    }

    public static async Task<OurDatabase> CloneAsync(string key)
    {
        if (!FeedKey.TryParseHex(key, out FeedKey parsed)) throw new ArgumentException(key, nameof(key));
        Replicator replicator = new(new ReplicatorOptions());
        return new OurDatabase(await Database.OpenAsync(new MemoryFolder(), parsed, new DatabaseOptions { Network = replicator }, default), replicator);
    }

    public Task ConnectAsync(int port) => _links.ConnectAsync(port);

    public int Listen() => _links.Listen();

    public Task AloneAsync() => _links.AloneAsync();

    public async Task PutAsync(string key, string value) => await Database.PutAsync(key, System.Text.Encoding.UTF8.GetBytes(value), default);

    public async Task<bool> AuthorizeAsync(string key) => FeedKey.TryParseHex(key, out FeedKey parsed) && await Database.AuthorizeAsync(parsed, default);

    public async Task<IReadOnlyList<PeerDatabaseNode>> GetAsync(string key)
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        return [.. (await (await Database.LatestAsync(patience.Token)).GetAsync(key, patience.Token)).Select(entry =>
            new PeerDatabaseNode(entry.Writer.ToHex(), entry.Seq, entry.Value is { } value ? System.Text.Encoding.UTF8.GetString(value.Span) : null, entry.Deleted))];
    }

    public async Task<string[]> KeysAsync()
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        List<string> keys = [];
        await foreach (DatabaseKey key in (await Database.LatestAsync(patience.Token)).IterateAsync("", new DatabaseListing(), patience.Token)) keys.Add(key.Key);
        return [.. keys.Order(StringComparer.Ordinal)];
    }

    /// <summary>Completes when a key has exactly these values, in any order.</summary>
    public async Task<IReadOnlyList<PeerDatabaseNode>> WaitAsync(string key, params string[] values)
    {
        IReadOnlyList<PeerDatabaseNode> nodes = [];
        await UntilAsync(async () =>
        {
            nodes = await GetAsync(key);
            return nodes.Count == values.Length && nodes.Select(node => node.Value).ToHashSet().SetEquals(values);
        });
        return nodes;
    }

    /// <summary>Completes when somebody has let us write.</summary>
    public Task WaitAuthorizedAsync() => UntilAsync(() => Task.FromResult(Database.IsAuthorized));

    // Looks at first and then after each change.
    private async Task UntilAsync(Func<Task<bool>> isSo)
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        using SemaphoreSlim changed = new(1);
        void Heard(DatabaseView before, DatabaseView after) => changed.Release();
        Database.Changed += Heard;
        try
        {
            do await changed.WaitAsync(patience.Token);
            while (!await isSo());
        }
        finally
        {
            Database.Changed -= Heard;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _links.DisposeAsync();
        await Database.DisposeAsync();
        await _replicator.DisposeAsync();
    }
}
