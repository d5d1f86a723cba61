using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;

namespace DatFs.Bench;

/// <summary>
/// How long somebody waits who has nothing but a link: from joining one source alone to the first block, verified. Node's figure ends
/// sooner, with the connection. All over loopback, where nothing but the programs takes time.
/// </summary>
internal static class JoinBench
{
    private const int Joins = 50;
    private const string Node = "Node, to the connection";
    private const string Ours = "ours, to the first block";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    public static async Task MeasureAsync(BenchTable table)
    {
        using TempFolder home = TempFolder.Create("bench");
        string folder = home.File("drive");
        CopyFolder(Vectors.PathOf("hyperdrive/basic/archive"), folder);
        _ = FeedKey.TryParseHex(Vectors.Json("hyperdrive/basic/manifest.json").GetProperty("key").GetString()!, out FeedKey key);

        await using Datmount server = Datmount.Start(home, "discovery-server", "--listen", "127.0.0.1:0");
        string address = (await server.LineAsync("discovery server on udp")).Split(' ')[^1];
        await using NodePeer entrance = await NodePeer.StartAsync("dht-peer.js");
        int port = (await entrance.DoAsync("open", new { bootstrap = Array.Empty<string>() })).GetProperty("port").GetInt32();
        string node = "127.0.0.1:" + port.ToString(CultureInfo.InvariantCulture);
        File.WriteAllText(home.File("own.json"), $$"""{ "discovery": { "sources": ["dns", "dht"], "servers": ["{{address}}"], "bootstrap": ["{{node}}"] } }""");
        await using Datmount share = Datmount.Start(home, "share", folder, "--config", home.File("own.json"), "--listen", "127.0.0.1:0");
        string listening = (await share.LineAsync("sharing")).Split(' ')[^1];
        await AnnouncedAsync(home);

        await NodeAsync(table, "a discovery server", key, [address], []);
        await NodeAsync(table, "the mainline DHT", key, [], [node]);
        await OursAsync(table, "a given address", key, new PeerSourcesOptions(), listening);
        _ = DnsServerAddress.TryParse(address, out DnsServerAddress dns);
        await OursAsync(table, "a discovery server", key, new PeerSourcesOptions { Servers = [dns] }, null);
        await OursAsync(table, "the mainline DHT", key, new PeerSourcesOptions { Dht = true, Bootstrap = [node] }, null);
    }

    private static async Task OursAsync(BenchTable table, string source, FeedKey key, PeerSourcesOptions options, string? given)
    {
        List<double> times = [];
        for (int i = 0; i < Joins; i++)
        {
            long started = Stopwatch.GetTimestamp();
            await using Replicator replicator = new(new ReplicatorOptions());
            await using Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = key });
            using IDisposable member = replicator.Join(feed);
            await using PeerSources sources = PeerSources.Open(options with { Local = new IPEndPoint(IPAddress.Loopback, 0) });
            await using Swarm swarm = new(replicator, new SwarmOptions { Sources = sources });
            if (given is not null && PeerAddress.TryParse(given, out PeerAddress address)) swarm.Add(address);
            swarm.Join(new SwarmTopic(feed.DiscoveryKey), 0);
            using BlockLease block = await feed.ReadAsync(0, FetchPriority.Interactive, default).AsTask().WaitAsync(s_patience);
            times.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
        }

        Add(table, source, Ours, times, [new Beside(Node)]);
    }

    private static async Task NodeAsync(BenchTable table, string source, FeedKey key, string[] servers, string[] bootstrap)
    {
        string topic = key.ToDiscoveryKey().ToHex();
        List<double> times = [];
        await using NodePeer owner = await NodePeer.StartAsync("swarm-peer.js");
        await owner.DoAsync("open", new { servers, bootstrap });
        await owner.DoAsync("listen");
        await owner.DoAsync("join", new { key = topic });
        for (int i = 0; i < Joins; i++)
        {
            await using NodePeer reader = await NodePeer.StartAsync("swarm-peer.js");
            await reader.DoAsync("open", new { servers, bootstrap });
            long started = Stopwatch.GetTimestamp();
            await reader.DoAsync("join", new { key = topic, announce = false });
            await reader.EventAsync("connection", _ => true, s_patience);
            times.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
        }

        Add(table, source, Node, times, []);
    }

    private static void Add(BenchTable table, string source, string subject, List<double> times, IReadOnlyList<Beside> beside)
    {
        times.Sort();
        table.Add($"join by {source} alone, {Joins} times", subject, times, "ms", string.Create(CultureInfo.InvariantCulture, $"p99 {times[(int)Math.Ceiling(times.Count * 0.99) - 1]:0.0} ms"), beside);
    }

    private static async Task AnnouncedAsync(TempFolder home)
    {
        long started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < s_patience)
        {
            (_, string output, _) = await Datmount.RunAsync(home, "status", "--json");
            JsonElement[] sources = [.. JsonDocument.Parse(output).RootElement.EnumerateArray().SelectMany(report => report.GetProperty("sources").EnumerateArray())];
            if (sources.Count(source => source.GetProperty("announced").GetBoolean()) >= 2) return;
        }

        throw new TimeoutException("the drive is not announced");
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string folder in Directory.GetDirectories(from)) CopyFolder(folder, Path.Combine(to, Path.GetFileName(folder)));
        foreach (string file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }
}
