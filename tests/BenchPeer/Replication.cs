using System.Diagnostics;
using System.Net;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using Microsoft.Extensions.Logging.Abstractions;

namespace DatFs.BenchPeer;

/// <summary>DatMount's side of a measured replication, compiled as users get it and in a process of its own as Node's sides are.</summary>
internal static class Replication
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(10);

    /// <summary>Serves a kept drive; prints the port, ends when standard input does.</summary>
    public static async Task<int> ServeAsync(string reference, string storage)
    {
        await using Replicator replicator = new(new ReplicatorOptions());
        await using IDrive drive = await OpenAsync(reference, storage, replicator);
        await drive.ReadyAsync(CancellationToken.None);
        await using PeerListener listener = PeerListener.Start(
            new IPEndPoint(IPAddress.Loopback, 0), (transport, ct) => replicator.RunAsync(transport, ct), TimeProvider.System, NullLogger.Instance);
        Console.WriteLine(listener.LocalEndPoint.Port);
        await Console.In.ReadToEndAsync();
        return 0;
    }

    /// <summary>Clones to the last block; prints the seconds it took from the connection on, and the processor's.</summary>
    public static async Task<int> CloneAsync(string key, string storage, long port, long version, long blocks)
    {
        await using Replicator replicator = new(new ReplicatorOptions());
        await using IDrive drive = await OpenAsync(key, storage, replicator);
        TimeSpan processorBefore = Environment.CpuUsage.TotalTime;
        long started = Stopwatch.GetTimestamp();
        using CancellationTokenSource end = new(s_patience);
        Task running = replicator.RunAsync(await TcpTransport.ConnectAsync("127.0.0.1", (int)port, end.Token), end.Token);
        Feed content = await ((HyperdriveDrive)drive).ContentAsync(end.Token);
        using (content.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background))
        {
            while (drive.Status is { } status && (status.MetadataHeld <= version || status.ContentHeld < blocks))
                await Task.Delay(2, end.Token);
        }

        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Console.WriteLine($"{Amount.Text(seconds)} {Amount.Text((Environment.CpuUsage.TotalTime - processorBefore).TotalSeconds)}");
        await end.CancelAsync();
        await running;
        return 0;
    }

    private static ValueTask<IDrive> OpenAsync(string reference, string storage, Replicator replicator) =>
        DriveOpener.OpenAsync(DriveReference.Parse(reference), new DriveOpenOptions { StorageRoot = storage, Network = replicator }, CancellationToken.None);
}
