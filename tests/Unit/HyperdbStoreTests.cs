using System.Text.Json;
using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Databases that the reference left on disk: every get, list, history, checkout and difference it answered (tests/vectors/hyperdb).</summary>
public sealed class HyperdbStoreTests
{
    public static TheoryData<string> Stores => ["one-writer", "two-writers-a", "two-writers-b", "three-writers-a"];

    [Theory]
    [MemberData(nameof(Stores))]
    public async Task Every_key_has_the_entries_that_the_reference_found(string store)
    {
        (Database database, JsonElement json) = await OpenAsync(store);
        await using Database closing = database;
        DatabaseView view = await database.LatestAsync(Token);
        JsonElement state = json.GetProperty("state");
        Convert.ToHexStringLower(view.Version).Should().Be(state.GetProperty("version").GetString());
        Ids(view.Heads).Should().Equal(Ids(state.GetProperty("heads")));
        view.IsStale.Should().BeFalse();
        await AssertGetsAsync(view, state.GetProperty("gets"), database, store);
        foreach (JsonProperty tombstones in state.GetProperty("tombstones").EnumerateObject())
            Ids(await view.GetAsync(tombstones.Name, Token, deletes: true)).Should().BeEquivalentTo(await UncoveredAsync(database, tombstones.Value), tombstones.Name);
    }

    [Theory]
    [MemberData(nameof(Stores))]
    public async Task Lists_hold_what_the_reference_listed_in_its_order(string store)
    {
        (Database database, JsonElement json) = await OpenAsync(store);
        await using Database closing = database;
        DatabaseView view = await database.LatestAsync(Token);
        foreach (JsonElement list in json.GetProperty("lists").EnumerateArray())
        {
            string prefix = list.GetProperty("prefix").GetString()!;
            JsonElement opts = list.GetProperty("opts");
            bool Option(string name) => opts.TryGetProperty(name, out JsonElement set) && set.GetBoolean();
            if (opts.TryGetProperty("recursive", out _))
            {
                // The reference misses some and repeats others; all live keys tell what is right (README).
                string below = prefix.Length == 0 ? "" : prefix + "/";
                List<string> keys = [];
                await foreach (DatabaseKey key in view.IterateAsync(prefix, new DatabaseListing(), Token)) keys.Add(key.Key);
                string[] names = [.. keys.Where(key => key.StartsWith(below, StringComparison.Ordinal)).Select(key => key[below.Length..].Split('/')[0]).Distinct()];
                (await view.ListAsync(prefix, Token)).Select(name => name.Name).Should().BeEquivalentTo(names, $"{prefix} of {store}");
                continue;
            }

            List<DatabaseKey> found = [];
            await foreach (DatabaseKey key in view.IterateAsync(prefix, new DatabaseListing { Reverse = Option("reverse"), Deletes = Option("deletes"), After = Option("gt") }, Token)) found.Add(key);
            List<(string, string[])> expected = [];
            foreach (JsonElement row in list.GetProperty("result").EnumerateArray()) expected.Add((row.GetProperty("key").GetString()!, await UncoveredAsync(database, row.GetProperty("nodes"))));
            found.Select(key => key.Key).Should().BeEquivalentTo(expected.Select(row => row.Item1), $"{prefix} {opts} of {store}");
            found.Where(key => !IsColliding(key.Key)).Select(key => key.Key).Should().Equal(expected.Select(row => row.Item1).Where(key => !IsColliding(key)), $"{prefix} {opts} of {store}");
            foreach ((string key, string[] nodes) in expected) Ids(found.Single(one => one.Key == key).Entries).Should().BeEquivalentTo(nodes, key);
        }
    }

    [Theory]
    [MemberData(nameof(Stores))]
    public async Task History_is_every_entry_each_after_what_it_covers(string store)
    {
        (Database database, JsonElement json) = await OpenAsync(store);
        await using Database closing = database;
        DatabaseView view = await database.LatestAsync(Token);
        List<DatabaseEntry> history = [];
        await foreach (DatabaseEntry entry in view.HistoryAsync(Token)) history.Add(entry);
        Ids(history).Should().BeEquivalentTo(Ids(json.GetProperty("history")));
        for (int later = 0; later < history.Count; later++)
            for (int earlier = 0; earlier < later; earlier++) history[earlier].Covers(history[later]).Should().BeFalse();
        foreach (IGrouping<string, DatabaseEntry> key in history.GroupBy(entry => entry.Key))
        {
            IReadOnlyList<DatabaseEntry> entries = await view.KeyHistoryAsync(key.Key, Token);
            Ids(entries).Should().BeEquivalentTo(Ids(key), key.Key);
            for (int i = 1; i < entries.Count; i++) entries.Take(i).Should().NotContain(newer => entries[i].Covers(newer));
        }
    }

    [Theory]
    [MemberData(nameof(Stores))]
    public async Task Earlier_versions_and_what_changed_since_are_as_the_reference_saw_them(string store)
    {
        (Database database, JsonElement json) = await OpenAsync(store);
        await using Database closing = database;
        DatabaseView latest = await database.LatestAsync(Token);
        foreach (JsonElement checkout in json.GetProperty("checkouts").EnumerateArray())
        {
            DatabaseView view = await database.CheckoutAsync(checkout.Hex("version")!, Token);
            view.Version.Should().Equal(checkout.Hex("version"));
            Ids(view.Heads).Should().Equal(Ids(checkout.GetProperty("heads")));
            await AssertGetsAsync(view, checkout.GetProperty("gets"), database, store);
            List<string> keys = [];
            await foreach (DatabaseKey key in view.IterateAsync("", new DatabaseListing(), Token)) keys.Add(key.Key);
            keys.Where(key => !IsColliding(key)).Should().Equal(checkout.GetProperty("list").EnumerateArray().Select(key => key.GetString()!).Where(key => !IsColliding(key)));

            Dictionary<string, (string[] Left, string[] Right)> expected = [];
            foreach (IGrouping<string, JsonElement> rows in checkout.GetProperty("diffLatestAgainstThis").EnumerateArray().GroupBy(row => row.GetProperty("key").GetString()!))
            {
                string[] left = await SideAsync(database, rows, "left"), right = await SideAsync(database, rows, "right");
                if (!left.ToHashSet().SetEquals(right)) expected.Add(rows.Key, (left, right));
            }

            Dictionary<string, (string[] Left, string[] Right)> found = [];
            await foreach (DatabaseDifference one in latest.DiffAsync(view, Token)) found.Add(one.Key, (Ids(one.Left?.Entries ?? []), Ids(one.Right?.Entries ?? [])));
            found.Should().BeEquivalentTo(expected, $"{checkout.GetProperty("label")} of {store}");
        }
    }

    [Fact]
    public async Task A_version_is_refused_that_names_no_entries_of_writers()
    {
        (Database database, JsonElement _) = await OpenAsync("two-writers-a");
        await using Database closing = database;
        byte[] version = (await database.LatestAsync(Token)).Version;
        (await database.CheckoutAsync(ReadOnlyMemory<byte>.Empty, Token)).Heads.Should().BeEmpty();
        foreach ((byte[] wrong, DatError error) in ((byte[], DatError)[])[(version[..^1], DatError.Invalid), ([.. version, .. version], DatError.Invalid), ([.. version[..^1], 0], DatError.Invalid), ([.. new byte[32], 1], DatError.NotFound)])
            (await FluentActions.Awaiting(async () => await database.CheckoutAsync(wrong, Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(error);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<(Database Database, JsonElement Json)> OpenAsync(string store)
    {
        JsonElement json = Vectors.Json($"hyperdb/stores/{store}.json");
        Database database = await Database.OpenAsync(
            new DiskFolder(Vectors.PathOf($"hyperdb/stores/{store}")), null, new DatabaseOptions { ReadOnly = true, Feeds = new FeedOptions { ReadOnly = true } }, Token);
        database.Key.ToHex().Should().Be(json.GetProperty("source").GetString());
        return (database, json);
    }

    private static async Task AssertGetsAsync(DatabaseView view, JsonElement gets, Database database, string store)
    {
        foreach (JsonProperty get in gets.EnumerateObject())
        {
            IReadOnlyList<DatabaseEntry> entries = await view.GetAsync(get.Name, Token);
            Ids(entries).Should().BeEquivalentTo(await UncoveredAsync(database, get.Value), $"{get.Name} of {store}");
            foreach (JsonElement node in get.Value.EnumerateArray())
            {
                if (entries.SingleOrDefault(entry => $"{entry.Writer.ToHex()} {entry.Seq}" == Id(node)) is not { } entry) continue;
                entry.Deleted.Should().Be(node[3].GetBoolean());
                (entry.Value is { } value ? System.Text.Encoding.UTF8.GetString(value.Span) : null).Should().Be(node[2].GetString());
            }
        }
    }

    private static async Task<string[]> SideAsync(Database database, IEnumerable<JsonElement> rows, string side)
    {
        List<string> ids = [];
        foreach (JsonElement row in rows)
            if (row.GetProperty(side) is { ValueKind: JsonValueKind.Array } nodes) ids.AddRange(await UncoveredAsync(database, nodes));
        return [.. ids.Distinct()];
    }

    // The reference also answers with entries that another of the answer has replaced (§8).
    private static async Task<string[]> UncoveredAsync(Database database, JsonElement nodes)
    {
        List<DatabaseEntry> entries = [];
        foreach (JsonElement node in nodes.EnumerateArray())
        {
            FeedKey.TryParseHex(node[0].GetString()!, out FeedKey writer).Should().BeTrue();
            entries.Add(await database.EntryAsync(new EntryId(database.AllWriters.Single(one => one.Key == writer).Number, node[1].GetInt64()), Token));
        }

        return Ids(DatabaseEntry.Uncovered(entries));
    }

    private static bool IsColliding(string key) => key.Split('/')[^1] is "mpomeiehc" or "idgcmnmna";

    private static string[] Ids(IEnumerable<DatabaseEntry> entries) => [.. entries.Select(entry => $"{entry.Writer.ToHex()} {entry.Seq}")];

    private static string[] Ids(JsonElement nodes) => [.. nodes.EnumerateArray().Select(Id)];

    private static string Id(JsonElement node) => $"{node[0].GetString()} {node[1].GetInt64()}";
}
