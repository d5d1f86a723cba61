using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>What a database does when its disk fails in the middle of something.</summary>
public sealed class HyperdbFaultTests
{
    [Fact]
    public async Task A_database_that_cannot_open_the_feed_of_a_writer_leaves_nothing_open()
    {
        MemoryFolder folder = new();
        await using (Database made = await Database.CreateAsync(folder, new DatabaseOptions(), null, Token)) await made.AuthorizeAsync(Key(1), Token);

        CountedNetwork network = new();
        Func<Task> open = async () => await Database.OpenAsync(new FailingFolder(folder) { Fails = place => place.Contains("peers", StringComparison.Ordinal) }, null, new DatabaseOptions { Network = network }, Token);
        (await open.Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Io);

        network.Joined.Should().Be(0);
        await using Database again = await Database.OpenAsync(folder, null, new DatabaseOptions(), Token);
        again.Writers.Should().HaveCount(2);
    }

    [Fact]
    public async Task A_put_that_cannot_read_our_secret_key_says_that_the_disk_failed()
    {
        FailingFolder folder = new(new MemoryFolder());
        await using Database database = await Database.CreateAsync(folder, new DatabaseOptions { ContentFeeds = true }, null, Token);
        folder.Fails = place => place.EndsWith("secret_key", StringComparison.Ordinal);
        Func<Task> put = async () => await database.PutAsync("a", null, Token);
        (await put.Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Io);

        folder.Fails = null;
        (await database.PutAsync("a", null, Token)).Seq.Should().Be(1);
    }

    [Fact]
    public async Task Writers_whom_the_disk_kept_out_are_let_in_when_it_works_again()
    {
        FakeTimeProvider time = new();
        FailingFolder folder = new(new MemoryFolder());
        await using Database source = await Database.CreateAsync(new MemoryFolder(), new DatabaseOptions { ContentFeeds = true }, null, Token);
        await source.AuthorizeAsync(Key(1), Token);
        await using Database copy = await Database.OpenAsync(folder, source.Key, new DatabaseOptions { ContentFeeds = true, ReadOnly = true, Time = time }, Token);

        folder.Fails = place => place.Contains("/content/", StringComparison.Ordinal);
        GivingSource given = new(source.AllWriters[0].Feed, copy.AllWriters[0].Feed);
        for (long block = 0; block < 2; block++) await given.GiveAsync(block);
        copy.Invoking(stuck => stuck.Held()).Should().Throw<DatException>().Which.Error.Should().Be(DatError.Io);

        folder.Fails = null;
        while (copy.Writers.Count < 2)
        {
            Token.ThrowIfCancellationRequested();
            time.Advance(Database.DiskRest);
            await Task.Yield();
        }

        copy.Writers.Should().Equal(source.Writers);
    }

    [Fact]
    public async Task A_database_is_made_after_the_power_failed_while_its_secret_key_was_written()
    {
        MemoryFolder folder = new();
        using (IRandomAccessFile torn = folder.Folder("source").Open("secret_key", FileUse.Secret)!) torn.Write(0, new byte[10]);
        using SecretKey secret = Secret(2);
        await using Database database = await Database.CreateAsync(folder, new DatabaseOptions(), secret, Token);
        (database.Key, database.LocalKey, (await database.PutAsync("a", null, Token)).Seq).Should().Be((secret.PublicKey, secret.PublicKey, 1));
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static FeedKey Key(byte seed)
    {
        using SecretKey secret = Secret(seed);
        return secret.PublicKey;
    }

    private static SecretKey Secret(byte seed)
    {
        byte[] bytes = new byte[SecretKey.SeedSize];
        Array.Fill(bytes, seed);
        return SecretKey.FromSeed(bytes);
    }

    /// <summary>A folder of which some files cannot be opened.</summary>
    private sealed class FailingFolder(IStorageFolder folder, FailingFolder? parent = null, string place = "") : IStorageFolder
    {
        private Func<string, bool>? _fails;

        public Func<string, bool>? Fails
        {
            get => parent is null ? _fails : parent.Fails;
            set => _fails = value;
        }

        public string DisplayName => folder.DisplayName;

        public IRandomAccessFile? Open(string name, FileUse use) => Fails?.Invoke($"{place}/{name}") == true ? throw new IOException("the disk failed") : folder.Open(name, use);

        public bool Exists(string name) => folder.Exists(name);

        public void Delete(string name) => folder.Delete(name);

        public void Rename(string from, string to) => folder.Rename(from, to);

        public IStorageFolder Folder(string name) => new FailingFolder(folder.Folder(name), this, $"{place}/{name}");

        public IReadOnlyList<string> List() => folder.List();

        public void Sync() => folder.Sync();
    }

    private sealed class CountedNetwork : IFeedNetwork
    {
        public int Joined { get; private set; }

        public IDisposable Join(Feed feed)
        {
            Joined++;
            return new Leaving(this);
        }

        private sealed class Leaving(CountedNetwork network) : IDisposable
        {
            public void Dispose() => network.Joined--;
        }
    }
}
