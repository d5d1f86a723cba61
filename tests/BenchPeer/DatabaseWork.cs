using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;
using DatFs.Wire;
using Microsoft.Extensions.Logging.Abstractions;

namespace DatFs.BenchPeer;

/// <summary>A database of several writers at work in memory; prints the same lines as tests/peers/database-bench.js.</summary>
internal static class DatabaseWork
{
    private const int Directories = 100;
    private const int Gets = 10_000;
    private const int Batch = 1000;

    public static async Task<int> MakeAsync(int writers, int keys)
    {
        await using Side source = await Side.OpenAsync(null);
        int half = keys / 2 / writers, at = 0;
        double putting = 0, batching = 0;
        for (int number = 0; number < writers; number++)
        {
            Side writer = number == 0 ? source : await Side.OpenAsync(source.Database.Key);
            if (writer != source)
            {
                await source.Database.AuthorizeAsync(writer.Database.LocalKey!.Value, CancellationToken.None);
                await MeetAsync(source, writer);
            }

            long started = Stopwatch.GetTimestamp();
            for (int end = at + half; at < end; at++) await writer.Database.PutAsync(Name(at), Value(at), CancellationToken.None);
            putting += Stopwatch.GetElapsedTime(started).TotalSeconds;
            started = Stopwatch.GetTimestamp();
            for (int end = at + half; at < end;)
            {
                List<DatabaseWrite> list = [];
                for (; list.Count < Batch && at < end; at++) list.Add(new DatabaseWrite(Name(at), Value(at)));
                await writer.Database.WriteAsync(list, CancellationToken.None);
            }

            batching += Stopwatch.GetElapsedTime(started).TotalSeconds;
            if (writer == source) continue;
            await MeetAsync(source, writer);
            await writer.DisposeAsync();
        }

        Say("put", half * writers / putting);
        Say("batch", half * writers / batching);
        Peak();
        Console.WriteLine($"key {source.Database.Key.ToHex()}");
        Say("blocks", source.Database.AllWriters.Sum(writer => writer.Feed.Length));
        await using PeerListener listener = PeerListener.Start(
            new IPEndPoint(IPAddress.Loopback, 0), (transport, ct) => source.Replicator.RunAsync(transport, ct), TimeProvider.System, NullLogger.Instance);
        Say("port", listener.LocalEndPoint.Port);
        await Console.In.ReadToEndAsync();
        return 0;
    }

    public static async Task<int> CloneAsync(string key, int port, long blocks, int keys)
    {
        if (!FeedKey.TryParseHex(key, out FeedKey parsed)) return 2;
        await using Side side = await Side.OpenAsync(parsed, readOnly: true);
        long started = Stopwatch.GetTimestamp();
        using CancellationTokenSource end = new();
        Task running = side.Replicator.RunAsync(await TcpTransport.ConnectAsync("127.0.0.1", port, end.Token), end.Token);
        await side.HoldAsync(blocks);
        Say("replicate", blocks / Stopwatch.GetElapsedTime(started).TotalSeconds);
        DatabaseView view = await side.Database.LatestAsync(CancellationToken.None);
        started = Stopwatch.GetTimestamp();
        for (int i = 0; i < Gets; i++)
        {
            string name = Name((int)(i * 7919L % keys));
            if ((await view.GetAsync(name, CancellationToken.None)).Count == 0) throw new InvalidOperationException("a key is missing: " + name);
        }

        Say("get", Gets / Stopwatch.GetElapsedTime(started).TotalSeconds);
        started = Stopwatch.GetTimestamp();
        long count = 0;
        for (int i = 0; i < Directories; i++) count += await CountAsync(view, $"dir{i}");
        Say("list", count / Stopwatch.GetElapsedTime(started).TotalSeconds);
        started = Stopwatch.GetTimestamp();
        count = await CountAsync(view, "");
        if (count != keys) throw new InvalidOperationException($"{count} of {keys} keys");
        Say("iterate", count / Stopwatch.GetElapsedTime(started).TotalSeconds);
        Peak();
        await end.CancelAsync();
        await running;
        return 0;
    }

    public static async Task<int> AuthorizeAsync(int count)
    {
        await using Side side = await Side.OpenAsync(null);
        long started = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++) await side.Database.AuthorizeAsync(FeedKey.From(RandomNumberGenerator.GetBytes(FeedKey.Size)), CancellationToken.None);
        Say("authorize", count / Stopwatch.GetElapsedTime(started).TotalSeconds);
        Feed feed = side.Database.AllWriters[0].Feed;
        long bytes = feed.ByteLength;
        await side.Database.PutAsync("key", "value"u8.ToArray(), CancellationToken.None);
        Say("bytes", bytes);
        Say("entry", feed.ByteLength - bytes);
        Peak();
        return 0;
    }

    // Both have the same entries afterwards.
    private static async Task MeetAsync(Side one, Side other)
    {
        using CancellationTokenSource end = new();
        await using PeerListener listener = PeerListener.Start(
            new IPEndPoint(IPAddress.Loopback, 0), (transport, ct) => one.Replicator.RunAsync(transport, ct), TimeProvider.System, NullLogger.Instance);
        Task running = other.Replicator.RunAsync(await TcpTransport.ConnectAsync("127.0.0.1", listener.LocalEndPoint.Port, end.Token), end.Token);
        while (true)
        {
            long blocks = Math.Max(one.Length, other.Length);
            await one.HoldAsync(blocks);
            await other.HoldAsync(blocks);
            if (one.Length == other.Length && one.Database.Live.Version.AsSpan().SequenceEqual(other.Database.Live.Version)) break;
            await Task.Delay(1, end.Token);
        }

        await end.CancelAsync();
        await running;
    }

    private static async Task<long> CountAsync(DatabaseView view, string prefix)
    {
        long count = 0;
        await foreach (DatabaseKey _ in view.IterateAsync(prefix, new DatabaseListing(), CancellationToken.None)) count++;
        return count;
    }

    private static string Name(int i) => string.Create(CultureInfo.InvariantCulture, $"dir{i % Directories}/file{i}");

    private static byte[] Value(int i) => System.Text.Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"value {i}"));

    private static void Say(string what, double figure) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what} {figure}"));

    private static void Peak()
    {
        string line = File.ReadLines("/proc/self/status").First(one => one.StartsWith("VmHWM:", StringComparison.Ordinal));
        Say("peak", 1024 * double.Parse(line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture));
    }

    /// <summary>One writer, or a reader, with connections of its own.</summary>
    private sealed class Side : IAsyncDisposable
    {
        private readonly List<IDisposable> _wanted = [];
        private readonly HashSet<Feed> _fetched = [];

        private Side(Database database, Replicator replicator) => (Database, Replicator) = (database, replicator);

        public Database Database { get; }

        public Replicator Replicator { get; }

        public long Length => Feeds.Sum(feed => feed.Length);

        private IEnumerable<Feed> Feeds => Database.AllWriters.Where(writer => writer.Authorized).Select(writer => writer.Feed);

        public static async Task<Side> OpenAsync(FeedKey? key, bool readOnly = false)
        {
            Replicator replicator = new(new ReplicatorOptions());
            DatabaseOptions options = new() { Network = replicator, ReadOnly = readOnly };
            MemoryFolder folder = new();
            return new Side(key is null ? await Database.CreateAsync(folder, options, null, CancellationToken.None) : await Database.OpenAsync(folder, key, options, CancellationToken.None), replicator);
        }

        /// <summary>Fetches everything, until so many blocks are here.</summary>
        public async Task HoldAsync(long blocks)
        {
            while (Feeds.Sum(feed => feed.HeldBlocks) < blocks)
            {
                foreach (Feed feed in Feeds)
                    if (!feed.Writable && feed.Source is { } source && _fetched.Add(feed)) _wanted.Add(source.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background));
                await Task.Delay(1);
            }
        }

        public async ValueTask DisposeAsync()
        {
            foreach (IDisposable wanted in _wanted) wanted.Dispose();
            await Replicator.DisposeAsync();
            await Database.DisposeAsync();
        }
    }
}
