using System.Diagnostics;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>
/// Replicates a whole archive over loopback until every block is on the receiver's disk, each way round. Node is hyperdrive
/// 9.16 with native crypto. All sides are processes of their own; time runs from the connection to the last block.
/// </summary>
internal static class CloneBench
{
    private const string NodeToNode = "Node to Node";
    private const string NodeToOurs = "Node to ours";
    private const string OursToNode = "ours to Node";
    private const string OursToOurs = "ours to ours";
    private const string Release = "9.16";

    public static async Task BigFileAsync(BenchTable table, BenchSettings settings)
    {
        string work = $"clone one file of {settings.CloneBytes >> 20} MiB";
        await MeasureAsync(table, settings, work, "MB/s", settings.CloneBytes / 1e6, [new(Limits.OneReceiver, Limits.ReceiveWork)], async sender =>
        {
            await sender.WriteSeededAsync("/big.bin", 1, settings.CloneBytes);
        });
    }

    public static async Task SmallFilesAsync(BenchTable table, BenchSettings settings)
    {
        string work = $"clone {settings.Files} files of 1 KiB";
        await MeasureAsync(table, settings, work, "files/s", settings.Files, [], async sender =>
        {
            for (int at = 0; at < settings.Files; at += 500)
                await sender.WriteManyAsync($"/folder {at / 500}/file ", at, Math.Min(500, settings.Files - at), 1024);
        });
    }

    private static async Task MeasureAsync(
        BenchTable table, BenchSettings settings, string work, string unit, double amount, IReadOnlyList<Beside> limits, Func<DrivePeer, Task> fill)
    {
        using TempFolder folder = TempFolder.Create("bench");
        await using DrivePeer sender = await DrivePeer.StartAsync(Release, new PeerDriveOptions { Folder = folder.File("sender") });
        await fill(sender);
        PeerDriveInfo info = await sender.InfoAsync();
        CloneGoal goal = new(info.Key, info.Version, info.Content!.Length);
        int port = await sender.ListenAsync(), process = sender.Node.ProcessId;

        Figures nodeToNode = new(), nodeToOurs = new(), oursToNode = new(), oursToOurs = new();
        string first = folder.File("ours"), second = folder.File("copy");
        for (int run = 0; run < settings.Runs; run++)
        {
            // The ways take turns, so that a machine that slows down slows all of them.
            nodeToNode.Add(amount, await ToNodeAsync(process, port, goal, second));
            Directory.Delete(second, recursive: true);
            nodeToOurs.Add(amount, await OurPeer.MeasureCloneAsync(process, port, goal, first));
            await using (OurPeer ours = await OurPeer.StartServingAsync(goal.Key, first))
            {
                oursToNode.Add(amount, await ToNodeAsync(ours.ProcessId, ours.Port, goal, second));
                Directory.Delete(second, recursive: true);
                oursToOurs.Add(amount, await OurPeer.MeasureCloneAsync(ours.ProcessId, ours.Port, goal, second));
                Directory.Delete(second, recursive: true);
            }

            Directory.Delete(first, recursive: true);
        }

        Beside node = new(NodeToNode);
        table.Add(work, NodeToNode, nodeToNode.Rates, unit, nodeToNode.Processors, limits);
        table.Add(work, NodeToOurs, nodeToOurs.Rates, unit, nodeToOurs.Processors, [node, .. limits]);
        table.Add(work, OursToNode, oursToNode.Rates, unit, oursToNode.Processors, [node, .. limits]);
        table.Add(work, OursToOurs, oursToOurs.Rates, unit, oursToOurs.Processors, [node, .. limits]);
    }

    private static async Task<CloneFigures> ToNodeAsync(int senderProcess, int port, CloneGoal goal, string folder)
    {
        await using DrivePeer receiver = await DrivePeer.StartAsync(Release, new PeerDriveOptions { Folder = folder, Key = goal.Key });
        double senderBefore = ProcessorTime.Of(senderProcess), receiverBefore = ProcessorTime.Of(receiver.Node.ProcessId);
        long started = Stopwatch.GetTimestamp();
        await receiver.ConnectAsync(port);
        await receiver.WaitSyncAsync(goal.Version, patience: TimeSpan.FromMinutes(10), contentLength: goal.ContentLength);
        return new CloneFigures(
            Stopwatch.GetElapsedTime(started).TotalSeconds,
            ProcessorTime.Of(senderProcess) - senderBefore,
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
