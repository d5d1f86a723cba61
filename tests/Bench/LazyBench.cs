using System.Diagnostics;
using DatFs.Drives;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;

namespace DatFs.Bench;

/// <summary>
/// What a first look costs over a line with 50 ms for a round trip, counted in round trips, from an empty store whose peer
/// is connected and whose newest version is known. Node reads sparsely, metadata too, as we do.
/// </summary>
internal static class LazyBench
{
    private static readonly TimeSpan s_roundTrip = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);

    private const string Deep = "/a/b/c/d/deep file";
    private const string Big = "/big.bin";
    private const string Node = "Node";
    private const string Ours = "ours";
    private const int Small = 4096;
    private const int Long = 10 << 20;
    private const int Crowd = 300;

    private static readonly string[] s_works = ["list the root", "stat five levels down", "read 4 KiB in the middle", "read 10 MiB in order"];

    public static async Task MeasureAsync(BenchTable table, BenchSettings settings)
    {
        using TempFolder folder = TempFolder.Create("bench");
        await using DrivePeer sender = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Folder = folder.File("sender") });
        await sender.WriteAsync(Deep, [1, 2, 3]);
        await sender.WriteSeededAsync(Big, 1, settings.CloneBytes);
        await sender.WriteManyAsync("/a/neighbour ", 2, Crowd, 100);
        long version = await sender.WriteManyAsync("/crowd/file ", 2, Crowd, 100);
        await using Relay relay = Relay.To(await sender.ListenAsync());
        relay.SetDelay(s_roundTrip / 2);

        Dictionary<(string Work, string Subject), (List<double> Trips, List<double> Bytes)> figures = [];
        for (int run = 0; run < settings.Runs; run++)
        {
            foreach (string work in s_works)
            {
                foreach (string subject in new[] { Node, Ours })
                {
                    (double trips, double bytes) = subject == Node
                        ? await NodeAsync(relay, sender.Key, version, work, settings.CloneBytes / 2)
                        : await OursAsync(relay, sender.Key, work, settings.CloneBytes / 2);
                    if (!figures.TryGetValue((work, subject), out (List<double> Trips, List<double> Bytes) lists)) figures[(work, subject)] = lists = ([], []);
                    lists.Trips.Add(trips);
                    lists.Bytes.Add(bytes);
                }
            }
        }

        foreach (((string work, string subject), (List<double> trips, List<double> bytes)) in figures)
            table.Add($"lazy, {s_roundTrip.TotalMilliseconds:0} ms: {work}", subject, trips, "round trips", $"{bytes.Average() / 1000:0} kB received", subject == Ours ? [new Beside(Node)] : []);
    }

    private static async Task<(double Trips, double Bytes)> NodeAsync(Relay relay, string key, long version, string work, long middle)
    {
        await using DrivePeer peer = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Key = key, Sparse = true, SparseMetadata = true });
        await peer.ConnectAsync(relay.Port);
        await peer.WaitForVersionAsync(version);
        return await CountAsync(relay, () => work switch
        {
            "list the root" => peer.ReadDirectoryAsync("/"),
            "stat five levels down" => peer.StatAsync(Deep),
            "read 4 KiB in the middle" => peer.HashAsync(Big, start: middle, length: Small),
            _ => peer.StreamAsync(Big, Long),
        });
    }

    private static async Task<(double Trips, double Bytes)> OursAsync(Relay relay, string key, string work, long middle)
    {
        using TempFolder storage = TempFolder.Create("bench");
        await using Replicator replicator = new(new ReplicatorOptions());
        DriveOpenOptions options = new() { StorageRoot = storage.Path, Network = replicator };
        await using IDrive drive = await DriveOpener.OpenAsync(DriveReference.Parse(key), options, CancellationToken.None);
        using CancellationTokenSource end = new(s_patience);
        Task running = replicator.RunAsync(await TcpTransport.ConnectAsync("127.0.0.1", relay.Port, end.Token), end.Token);
        IDriveView view = await drive.ReadyAsync(end.Token);
        (double, double) result = await CountAsync(relay, () => work switch
        {
            "list the root" => view.ListAsync(DrivePath.Root, end.Token).AsTask(),
            "stat five levels down" => view.FindAsync(DrivePath.From(Deep), end.Token).AsTask(),
            "read 4 KiB in the middle" => ReadAsync(view, middle, Small, end.Token),
            _ => ReadAsync(view, 0, Long, end.Token),
        });
        await end.CancelAsync();
        await running;
        return result;
    }

    /// <summary>Reads as the kernel does, 128 KiB at a time.</summary>
    private static async Task ReadAsync(IDriveView view, long offset, int length, CancellationToken ct)
    {
        const int Piece = 128 * 1024;
        DriveEntry entry = await view.FindAsync(DrivePath.From(Big), ct) ?? throw new FileNotFoundException(Big);
        IFileContent content = view.OpenContent(entry);
        for (int at = 0; at < length; at += Piece)
        {
            int count = Math.Min(Piece, length - at);
            if (length > Piece) content.Prefetch(offset + at, Math.Min(4 << 20, length - at), FetchPriority.ReadAhead);
            using ContentLease lease = await content.ReadAsync(offset + at, count, FetchPriority.Interactive, ct);
            if (lease.Data.Length != count) throw new InvalidDataException($"{lease.Data.Length} bytes came instead of {count}");
        }
    }

    private static async Task<(double Trips, double Bytes)> CountAsync(Relay relay, Func<Task> work)
    {
        long before = relay.BytesFromTarget;
        long started = Stopwatch.GetTimestamp();
        await work();
        return (Stopwatch.GetElapsedTime(started) / s_roundTrip, relay.BytesFromTarget - before);
    }
}
