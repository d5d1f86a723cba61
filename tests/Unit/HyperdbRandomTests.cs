using System.Text.Json;
using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Random runs of one to four writers that the reference made: its answers read, its blocks written again (tests/vectors/hyperdb).</summary>
public sealed class HyperdbRandomTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Every_answer_at_every_checkpoint_is_the_one_that_all_must_give()
    {
        int answers = 0, lessThanLeft = 0;
        foreach (RecordedHyperdb run in RecordedHyperdb.Runs)
        {
            await using Database database = await OpenAsync(run);
            foreach (JsonElement checkpoint in run.Json.GetProperty("checkpoints").EnumerateArray())
            {
                DatabaseView view = await ViewAsync(database, checkpoint);
                view.Heads.Select(Id).Should().BeEquivalentTo(checkpoint.GetProperty("heads").EnumerateArray().Select(Id), run.Name);
                foreach (JsonProperty get in checkpoint.GetProperty("gets").EnumerateObject())
                {
                    answers++;
                    string[] found = [.. (await view.GetAsync(get.Name, Token)).Select(Id)];
                    string[] expected = await UncoveredAsync(database, get.Value);
                    if (found.ToHashSet().SetEquals(expected)) continue;

                    // Only for names of equal hash, where the reference's tries have lost some.
                    IsColliding(get.Name).Should().BeTrue($"{get.Name} of {run.Name} after {checkpoint.GetProperty("afterOps")}: {string.Join(", ", found)} instead of {string.Join(", ", expected)}");
                    lessThanLeft++;
                }
            }
        }

        output.WriteLine($"{answers} answers, {lessThanLeft} of names that collide differ");
        answers.Should().Be(3373);
        lessThanLeft.Should().BeLessThan(10);
    }

    [Fact]
    public async Task The_index_of_every_block_is_built_again_from_what_its_writer_saw()
    {
        int blocks = 0, identical = 0;
        foreach (RecordedHyperdb run in RecordedHyperdb.Runs)
        {
            await using Database database = await OpenAsync(run);
            foreach ((string writer, byte[][] feed) in run.Feeds)
            {
                if (feed.Length < 2) continue;
                int number = Number(database, writer);
                WriterList list = database.AllWriters[number].List!;
                int[] stored = new int[database.AllWriters.Count];
                for (int at = 0; at < list.Numbers.Length; at++) stored[list.Numbers[at]] = at;
                for (int seq = 1; seq < feed.Length; seq++)
                {
                    DatabaseEntry entry = await database.EntryAsync(new EntryId(number, seq), Token);
                    long[] lengths = [.. Enumerable.Range(0, entry.ClockLength).Select(other => other == number ? seq : entry.Known(other))];
                    DatabaseView seen = await database.AtAsync(lengths, Token);

                    // Each writer takes the heads in the order of its own list.
                    DatabaseEntry[] heads = [.. seen.Heads.OrderBy(head => Array.IndexOf(list.Numbers, head.Id.Writer))];
                    Trie trie = await new TrieBuilder(database, entry.Key, entry.Path).BuildAsync(heads, Token);
                    blocks++;
                    EntryMessage written = EntryCodec.Decode(seq, feed[seq]).Message;
                    if (written.Trie.AsSpan().SequenceEqual(trie.Encode(stored))) identical++;
                    else Sets(trie).Should().BeEquivalentTo(Sets(entry.Trie), $"{run.Name} {writer} {seq}");
                }
            }
        }

        output.WriteLine($"{identical} of {blocks} byte for byte");
        blocks.Should().Be(963);
        identical.Should().BeGreaterThanOrEqualTo(960);
    }

    [Fact]
    public async Task Whole_runs_are_written_again_block_for_block()
    {
        int blocks = 0, identical = 0, answers = 0, wrong = 0;
        foreach (RecordedHyperdb run in RecordedHyperdb.Runs)
        {
            Database[] replicas = await ReplicasAsync(run);
            try
            {
                Dictionary<int, JsonElement[]> checkpoints = run.Json.GetProperty("checkpoints").EnumerateArray().GroupBy(c => c.GetProperty("afterOps").GetInt32()).ToDictionary(c => c.Key, c => c.ToArray());
                int done = 0;
                foreach (JsonElement op in run.Json.GetProperty("ops").EnumerateArray())
                {
                    await PlayAsync(op, replicas);
                    done++;
                    foreach (JsonElement checkpoint in checkpoints.GetValueOrDefault(done, []))
                    {
                        Database replica = replicas[checkpoint.GetProperty("replica").GetInt32()];
                        DatabaseView view = replica.Held();
                        view.Heads.Select(Id).Should().BeEquivalentTo(checkpoint.GetProperty("heads").EnumerateArray().Select(Id), $"{run.Name} after {done}");
                        foreach (JsonProperty get in checkpoint.GetProperty("gets").EnumerateObject().Where(get => !IsColliding(get.Name)))
                        {
                            answers++;
                            string[] expected = await UncoveredAsync(replica, get.Value);
                            if (!(await view.GetAsync(get.Name, Token)).Select(Id).ToHashSet().SetEquals(expected)) wrong++;
                        }
                    }
                }

                foreach (Database replica in replicas)
                {
                    byte[][] expected = run.Feeds[replica.LocalKey!.Value.ToHex()];
                    Feed own = replica.AllWriters.Single(writer => writer.Key == replica.LocalKey).Feed;
                    own.Length.Should().Be(expected.Length, run.Name);
                    for (int seq = 0; seq < expected.Length; seq++)
                    {
                        own.TryRead(seq, out BlockLease block).Should().BeTrue();
                        using (block)
                        {
                            blocks++;
                            if (block.Memory.Span.SequenceEqual(expected[seq])) identical++;
                            else if (seq > 0) AssertSameButForOrder(EntryCodec.Decode(seq, block.Memory.Span), EntryCodec.Decode(seq, expected[seq]), $"{run.Name} {seq}");
                        }
                    }
                }
            }
            finally
            {
                foreach (Database replica in replicas) await replica.DisposeAsync();
            }
        }

        output.WriteLine($"{identical} of {blocks} blocks byte for byte; {answers} answers, {wrong} wrong");

        // Where the reference's readers finished in another order, later lists have it too; as sets they are the same.
        (blocks - identical).Should().BeLessThanOrEqualTo(14);
        answers.Should().BeGreaterThan(2000);
        wrong.Should().Be(0);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task PlayAsync(JsonElement op, Database[] replicas)
    {
        Database Writer(string member = "writer") => replicas[op.GetProperty(member).GetInt32()];
        switch (op.GetProperty("op").GetString())
        {
            case "put":
                await Writer().PutAsync(op.GetProperty("key").GetString()!, Bytes(op), Token);
                break;
            case "del":
                await Writer().DeleteAsync(op.GetProperty("key").GetString()!, Token);
                break;
            case "batch":
                await Writer().WriteAsync([.. op.GetProperty("list").EnumerateArray().Select(one => one.GetProperty("type").GetString() == "del"
                    ? new DatabaseWrite(one.GetProperty("key").GetString()!, null, true)
                    : new DatabaseWrite(one.GetProperty("key").GetString()!, Bytes(one)))], Token);
                break;
            case "authorize":
                (await Writer().AuthorizeAsync(Writer("who").LocalKey!.Value, Token)).Should().BeTrue();
                break;
            case "sync":
                await SyncAsync(Writer("a"), Writer("b"));
                break;
            case var other:
                throw new InvalidOperationException(other);
        }
    }

    private static ReadOnlyMemory<byte> Bytes(JsonElement of) => System.Text.Encoding.UTF8.GetBytes(of.GetProperty("value").GetString()!);

    /// <summary>Both get whatever the other holds of writers that both know.</summary>
    internal static async Task SyncAsync(Database a, Database b)
    {
        for (bool moved = true; moved;)
        {
            moved = false;
            foreach ((Database from, Database to) in ((Database, Database)[])[(a, b), (b, a)])
            {
                foreach (Writer writer in from.AllWriters.Where(writer => writer.Authorized))
                {
                    if (to.AllWriters.FirstOrDefault(one => one.Key == writer.Key && one.Authorized) is not { } other || other.Feed.Length >= writer.Feed.Length) continue;
                    GivingSource source = new(writer.Feed, other.Feed);
                    for (long block = other.Feed.Length; block < writer.Feed.Length; block++) await source.GiveAsync(block);
                    moved = true;
                }

                to.Held();
            }
        }
    }

    private static async Task<Database[]> ReplicasAsync(RecordedHyperdb run)
    {
        FeedKey.TryParseHex(run.Source, out FeedKey source).Should().BeTrue();
        List<Database> replicas = [];
        foreach (JsonElement writer in run.Json.GetProperty("writers").EnumerateArray())
        {
            MemoryFolder folder = new();
            using SecretKey secret = SecretKey.FromSeed(writer.Hex("seed"));
            if (secret.PublicKey == source)
            {
                replicas.Add(await Database.CreateAsync(folder, new DatabaseOptions(), secret, Token));
                continue;
            }

            FeedStore.WriteSecret(new FeedFiles(folder.Folder("local")), secret);
            replicas.Add(await Database.OpenAsync(folder, source, new DatabaseOptions(), Token));
            replicas[^1].LocalKey.Should().Be(secret.PublicKey);
        }

        return [.. replicas];
    }

    /// <summary>A database that holds all feeds of a run whole.</summary>
    internal static async Task<Database> OpenAsync(RecordedHyperdb run)
    {
        MemoryFolder folder = new();
        foreach (JsonElement writer in run.Json.GetProperty("writers").EnumerateArray())
        {
            using SecretKey secret = SecretKey.FromSeed(writer.Hex("seed"));
            byte[] bytes = new byte[SecretKey.Size];
            secret.CopyTo(bytes);
            string key = secret.PublicKey.ToHex();
            if (!run.Feeds.TryGetValue(key, out byte[][]? blocks)) continue;
            IStorageFolder place = key == run.Source ? folder.Folder("source") : folder.Folder("peers").Folder(secret.PublicKey.ToDiscoveryKey().ToHex());
            await using Feed feed = Feed.Open(new FeedFiles(place), new FeedOptions { Key = secret.PublicKey, SecretKey = bytes });
            await feed.AppendAsync([.. blocks.Select(block => (ReadOnlyMemory<byte>)block)], Token);
        }

        Database database = await Database.OpenAsync(folder, null, new DatabaseOptions { ReadOnly = true }, Token);
        await database.LatestAsync(Token);
        return database;
    }

    private static async Task<DatabaseView> ViewAsync(Database database, JsonElement checkpoint)
    {
        long[] lengths = new long[database.AllWriters.Count];
        JsonElement feeds = checkpoint.GetProperty("feeds"), stored = checkpoint.GetProperty("lengths");
        for (int at = 0; at < feeds.GetArrayLength(); at++)
        {
            // A feed that nobody authorized before the run ended has no entries.
            if (stored[at].GetInt64() >= 2) lengths[Number(database, feeds[at].GetString()!)] = stored[at].GetInt64();
        }

        return await database.AtAsync(lengths, Token);
    }

    private static async Task<string[]> UncoveredAsync(Database database, JsonElement nodes)
    {
        List<DatabaseEntry> entries = [];
        foreach (JsonElement node in nodes.EnumerateArray())
        {
            DatabaseEntry entry = await database.EntryAsync(new EntryId(Number(database, node[0].GetString()!), node[1].GetInt64()), Token);
            entry.Deleted.Should().Be(node[3].GetBoolean());
            (entry.Value is { } value ? System.Text.Encoding.UTF8.GetString(value.Span) : null).Should().Be(node[2].GetString());
            entries.Add(entry);
        }

        DatabaseEntry[] left = DatabaseEntry.Uncovered(entries);
        return [.. left.All(entry => entry.Deleted) ? [] : left.Select(Id)];
    }

    private static void AssertSameButForOrder(EntryBlock written, EntryBlock expected, string where)
    {
        written.Message.Key.Should().Be(expected.Message.Key, where);
        written.Message.Value.Should().Equal(expected.Message.Value, where);
        written.Message.Clock.Should().Equal(expected.Message.Clock, where);
        written.Message.Inflate.Should().Be(expected.Message.Inflate, where);
        written.Message.Feeds.Should().Equal(expected.Message.Feeds, where);
        Sets(written.Trie).Should().BeEquivalentTo(Sets(expected.Trie), where);
    }

    private static HashSet<(int, int, EntryId)> Sets(Trie trie)
    {
        HashSet<(int, int, EntryId)> all = [];
        foreach (TrieBucket bucket in trie.Buckets)
            for (int digit = 0; digit < KeyPath.DigitValues; digit++)
                foreach (EntryId id in bucket[digit]) all.Add((bucket.Index, digit, id));
        return all;
    }

    private static int Number(Database database, string writer) => database.AllWriters.Single(one => one.Key.ToHex() == writer).Number;

    internal static bool IsColliding(string key) => key.Contains("mpomeiehc", StringComparison.Ordinal) || key.Contains("idgcmnmna", StringComparison.Ordinal);

    private static string Id(DatabaseEntry entry) => $"{entry.Writer.ToHex()} {entry.Seq}";

    private static string Id(JsonElement node) => $"{node[0].GetString()} {node[1].GetInt64()}";
}
