using System.Diagnostics;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>
/// Replicates a whole archive over loopback until every block is on the receiver's disk. Node to Node is hyperdrive 9.16
/// with native crypto. All sides are processes of their own; time runs from the connection to the last block.
/// </summary>
internal static class CloneBench
{
    private const string NodeToNode = "Node to Node";
    private const string NodeToOurs = "Node to ours";
    private const string OursToOurs = "ours to ours";
    private const string Release = "9.16";

    public static async Task BigFileAsync(BenchTable table, BenchSettings settings)
    {
        string work = $"clone one file of {settings.CloneBytes >> 20} MiB";
        await MeasureAsync(table, settings, work, "MB/s", settings.CloneBytes / 1e6, async sender =>
        {
            await sender.WriteSeededAsync("/big.bin", 1, settings.CloneBytes);
        });
    }

    public static async Task SmallFilesAsync(BenchTable table, BenchSettings settings)
    {
        string work = $"clone {settings.Files} files of 1 KiB";
        await MeasureAsync(table, settings, work, "files/s", settings.Files, async sender =>
        {
            for (int at = 0; at < settings.Files; at += 500)
                await sender.WriteManyAsync($"/folder {at / 500}/file ", at, Math.Min(500, settings.Files - at), 1024);
        });
    }

    private static async Task MeasureAsync(BenchTable table, BenchSettings settings, string work, string unit, double amount, Func<DrivePeer, Task> fill)
    {
        using TempFolder folder = TempFolder.Create("bench");
        await using DrivePeer sender = await DrivePeer.StartAsync(Release, new PeerDriveOptions { Folder = folder.File("sender") });
        await fill(sender);
        PeerDriveInfo info = await sender.InfoAsync();
        CloneGoal goal = new(info.Key, info.Version, info.Content!.Length);
        int port = await sender.ListenAsync();

        Figures nodeToNode = new(), nodeToOurs = new(), oursToOurs = new();
        for (int run = 0; run < settings.Runs; run++)
        {
            // The three ways take turns, so that a machine that slows down slows all of them.
            string copy = folder.File($"copy {run}");
            nodeToNode.Add(amount, await ToNodeAsync(sender, port, goal, copy + " node"));
            nodeToOurs.Add(amount, await OurPeer.MeasureCloneAsync(sender.Node.ProcessId, port, goal, copy + " ours"));
            await using OurPeer ours = await OurPeer.StartServingAsync(goal, copy + " ours");
            oursToOurs.Add(amount, await OurPeer.MeasureCloneAsync(ours.ProcessId, ours.Port, goal, copy + " ours too"));
            foreach (string done in Directory.EnumerateDirectories(folder.Path, "copy *"))
                if (!done.EndsWith($"{run} ours", StringComparison.Ordinal)) Directory.Delete(done, recursive: true);
        }

        table.Add(work, NodeToNode, nodeToNode.Rates, unit, nodeToNode.Processors);
        table.Add(work, NodeToOurs, nodeToOurs.Rates, unit, nodeToOurs.Processors, NodeToNode);
        table.Add(work, OursToOurs, oursToOurs.Rates, unit, oursToOurs.Processors, NodeToNode);
    }

    private static async Task<CloneFigures> ToNodeAsync(DrivePeer sender, int port, CloneGoal goal, string folder)
    {
        await using DrivePeer receiver = await DrivePeer.StartAsync(Release, new PeerDriveOptions { Folder = folder, Key = sender.Key });
        double senderBefore = ProcessorTime.Of(sender.Node.ProcessId), receiverBefore = ProcessorTime.Of(receiver.Node.ProcessId);
        long started = Stopwatch.GetTimestamp();
        await receiver.ConnectAsync(port);
        await receiver.WaitSyncAsync(goal.Version, patience: TimeSpan.FromMinutes(5), contentLength: goal.ContentLength);
        return new CloneFigures(
            Stopwatch.GetElapsedTime(started).TotalSeconds,
            ProcessorTime.Of(sender.Node.ProcessId) - senderBefore,
            ProcessorTime.Of(receiver.Node.ProcessId) - receiverBefore);
    }

    /// <summary>The runs of one way.</summary>
    private sealed class Figures
    {
        private readonly List<CloneFigures> _runs = [];

        public List<double> Rates { get; } = [];

        public string Processors => $"processor s: sender {_runs.Average(r => r.SenderSeconds):0.0}, receiver {_runs.Average(r => r.ReceiverSeconds):0.0}";

        public void Add(double amount, CloneFigures run)
        {
            _runs.Add(run);
            Rates.Add(amount / run.Seconds);
        }
    }
}

/// <summary>Wall-clock seconds of one replication, and the processor seconds of both sides.</summary>
internal readonly record struct CloneFigures(double Seconds, double SenderSeconds, double ReceiverSeconds);

/// <summary>What a receiver must hold to be done.</summary>
internal sealed record CloneGoal(string Key, long Version, long ContentLength);
