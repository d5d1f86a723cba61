using System.Diagnostics;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>One big file over a relay that holds everything back for 50 ms each way, beside the same relay without a delay.</summary>
internal static class FarBench
{
    private const string NodeToNode = "Node to Node";
    private const string NodeToOurs = "Node to ours";
    private const string OursToOurs = "ours to ours";
    private const string Release = "9.16";
    private static readonly TimeSpan s_oneWay = TimeSpan.FromMilliseconds(50);

    public static async Task MeasureAsync(BenchTable table, BenchSettings settings)
    {
        using TempFolder folder = TempFolder.Create("bench");
        await using DrivePeer sender = await DrivePeer.StartAsync(Release, new PeerDriveOptions { Folder = folder.File("sender") });
        await sender.WriteSeededAsync("/big.bin", 1, settings.CloneBytes);
        PeerDriveInfo info = await sender.InfoAsync();
        CloneGoal goal = new(info.Key, info.Version, info.Content!.Length);
        await using Relay fromNode = Relay.To(await sender.ListenAsync());
        string first = folder.File("ours"), second = folder.File("copy");
        await OurPeer.MeasureCloneAsync(sender.Node.ProcessId, fromNode.Port, goal, first);
        await using OurPeer ours = await OurPeer.StartServingAsync(goal.Key, first);
        await using Relay fromOurs = Relay.To(ours.Port);

        foreach (TimeSpan delay in (TimeSpan[])[TimeSpan.Zero, s_oneWay])
        {
            fromNode.SetDelay(delay);
            fromOurs.SetDelay(delay);
            Dictionary<string, List<double>> rates = [];
            for (int run = 0; run < settings.Runs; run++)
            {
                foreach (string subject in (string[])[NodeToNode, NodeToOurs, OursToOurs])
                {
                    double seconds = subject == NodeToNode
                        ? await ToNodeAsync(fromNode.Port, goal, second)
                        : (await OurPeer.MeasureCloneAsync(sender.Node.ProcessId, subject == NodeToOurs ? fromNode.Port : fromOurs.Port, goal, second)).Seconds;
                    Directory.Delete(second, recursive: true);
                    if (!rates.TryGetValue(subject, out List<double>? list)) rates[subject] = list = [];
                    list.Add(settings.CloneBytes / 1e6 / seconds);
                }
            }

            foreach ((string subject, List<double> values) in rates)
                table.Add(Work(settings, delay), subject, values, "MB/s", "", delay > TimeSpan.Zero ? [new(NodeToNode), new(subject, Work(settings, TimeSpan.Zero))] : subject == NodeToNode ? [] : [new(NodeToNode)]);
        }
    }

    private static string Work(BenchSettings settings, TimeSpan delay) => $"clone one file of {settings.CloneBytes >> 20} MiB through a relay, {delay.TotalMilliseconds:0} ms each way";

    private static async Task<double> ToNodeAsync(int port, CloneGoal goal, string folder)
    {
        await using DrivePeer receiver = await DrivePeer.StartAsync(Release, new PeerDriveOptions { Folder = folder, Key = goal.Key });
        long started = Stopwatch.GetTimestamp();
        await receiver.ConnectAsync(port);
        await receiver.WaitSyncAsync(goal.Version, patience: TimeSpan.FromMinutes(10), contentLength: goal.ContentLength);
        return Stopwatch.GetElapsedTime(started).TotalSeconds;
    }
}
