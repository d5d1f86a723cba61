using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Entries that only an ill-willed writer would sign (hyperdb-multiwriter.md §5, §6, §18): every question ends, with an answer or an error.</summary>
public sealed class HyperdbHostileTests
{
    [Theory]
    [InlineData("022a", 2)] // a trie that is none
    [InlineData("", 5)] // a clock that counts more of its own feed than there is
    [InlineData("", 0)]
    public async Task A_newest_entry_that_cannot_be_read_is_passed_over(string trie, long ownClock)
    {
        await using Made made = await Made.CreateAsync([Entry("good", [], [2, 0], 1, Both), Entry("bad", Convert.FromHexString(trie), [ownClock, 0], 1)], []);
        DatabaseView view = await made.Database.LatestAsync(Token);
        view.IsStale.Should().BeTrue();
        view.Heads.Should().ContainSingle().Which.Key.Should().Be("good");
        (await view.GetAsync("good", Token)).Should().ContainSingle();
    }

    [Fact]
    public async Task A_list_of_writers_that_changes_instead_of_growing_is_refused()
    {
        await using Made made = await Made.CreateAsync([Entry("old", [], [2, 0], 1, Both), Entry("new", [], [0, 3], 2, [Key(2), Key(1)])], []);
        DatabaseView view = await made.Database.LatestAsync(Token);
        view.Heads.Should().ContainSingle().Which.Key.Should().Be("new", "the list read first is the one that counts");
        (await FluentActions.Awaiting(async () => await made.Database.EntryAsync(new EntryId(0, 1), Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Corrupt);
        made.Database.Writers.Should().HaveCount(2);
    }

    [Fact]
    public async Task A_list_that_does_not_name_its_own_writer_is_refused()
    {
        await using Made made = await Made.CreateAsync([Entry("bad", [], [2], 1, [Key(2)])], []);
        (await made.Database.LatestAsync(Token)).Heads.Should().BeEmpty();
        made.Database.Writers.Should().ContainSingle();
    }

    [Fact]
    public async Task An_index_that_leads_elsewhere_is_told()
    {
        // "tree" begins with the digits 0 3 2: what it points at for 0 3 3 is no such entry.
        KeyPath.Of("tree")[2].Should().Be(2);
        await using Made made = await Made.CreateAsync([Entry("a", [], [2, 0], 1, Both), Entry("tree", [2, 8, 0, 1], [3, 0], 1)], []);
        DatabaseView view = await made.Database.LatestAsync(Token);
        (await view.GetAsync("tree", Token)).Should().ContainSingle();
        (await FluentActions.Awaiting(async () => await ToListAsync(view)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Corrupt);
        (await FluentActions.Awaiting(async () => await view.ListAsync("", Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Corrupt);
    }

    [Fact]
    public async Task Indexes_that_point_at_each_other_are_walked_to_an_end()
    {
        // Each writer claims to have seen the other's entry, and names it for the digit at which the two paths part.
        KeyPath x = KeyPath.Of("x"), y = KeyPath.Of("y");
        int fork = x.Diverges(y, 0);
        byte[] toY = [(byte)fork, (byte)(1 << y[fork]), 2, 1], toX = [(byte)fork, (byte)(1 << x[fork]), 0, 1];
        await using Made made = await Made.CreateAsync([Entry("x", toY, [2, 2], 1, Both)], [Entry("y", toX, [2, 2], 1, Both)]);
        DatabaseView latest = await made.Database.LatestAsync(Token);
        latest.Heads.Should().BeEmpty("each claims to replace the other");
        DatabaseView view = await made.Database.CheckoutAsync(new byte[][] { [.. Key(1).ToArray(), 1], [.. Key(2).ToArray(), 1] }.SelectMany(head => head).ToArray(), Token);
        (await ToListAsync(view)).Should().BeEquivalentTo("x", "y");
        (await view.ListAsync("", Token)).Should().HaveCount(2);
        (await view.GetAsync("z", Token)).Should().BeEmpty();
        List<DatabaseEntry> history = [];
        await foreach (DatabaseEntry entry in view.HistoryAsync(Token)) history.Add(entry);
        history.Should().HaveCount(2);
        (await view.KeyHistoryAsync("x", Token)).Should().NotBeEmpty();
    }

    [Fact]
    public async Task More_writers_than_may_be_are_refused_and_what_was_before_stays()
    {
        FeedKey[] many = [Key(1), Key(2), .. Enumerable.Range(0, EntryCodec.MaxWriters - 1).Select(i => FeedKey.From([.. BitConverter.GetBytes(i), 7, .. new byte[27]]))];
        await using Made made = await Made.CreateAsync([Entry("good", [], [2, 0], 1, Both), Entry("bad", [], [3, 0], 2, many)], []);
        (await made.Database.LatestAsync(Token)).Heads.Should().ContainSingle().Which.Key.Should().Be("good");
        made.Database.Writers.Should().HaveCount(2);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static FeedKey[] Both => [Key(1), Key(2)];

    private static FeedKey Key(byte number)
    {
        using SecretKey secret = ProofExchange.Key(number);
        return secret.PublicKey;
    }

    private static byte[] Entry(string key, byte[] trie, long[] clock, long inflate, FeedKey[]? feeds = null) =>
        EntryCodec.Encode(new EntryMessage(key, [1], false, trie, clock, inflate, feeds ?? [], null));

    private static async Task<List<string>> ToListAsync(DatabaseView view)
    {
        List<string> keys = [];
        await foreach (DatabaseKey key in view.IterateAsync("", new DatabaseListing(), Token)) keys.Add(key.Key);
        return keys;
    }

    /// <summary>A database of two writers whose blocks a test writes as it likes.</summary>
    private sealed class Made(Database database) : IAsyncDisposable
    {
        public Database Database => database;

        public static async Task<Made> CreateAsync(byte[][] source, byte[][] peer)
        {
            MemoryFolder folder = new();
            await FillAsync(folder.Folder("source"), 1, source);
            await FillAsync(folder.Folder("peers").Folder(Key(2).ToDiscoveryKey().ToHex()), 2, peer);
            return new Made(await Database.OpenAsync(folder, null, new DatabaseOptions { ReadOnly = true }, Token));
        }

        public ValueTask DisposeAsync() => database.DisposeAsync();

        private static async Task FillAsync(IStorageFolder folder, byte number, byte[][] blocks)
        {
            using SecretKey secret = ProofExchange.Key(number);
            byte[] bytes = new byte[SecretKey.Size];
            secret.CopyTo(bytes);
            await using Feed feed = Feed.Open(new FeedFiles(folder), new FeedOptions { Key = secret.PublicKey, SecretKey = bytes });
            await feed.AppendAsync([EntryCodec.Header, .. blocks], Token);
        }
    }
}
