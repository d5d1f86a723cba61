using System.Diagnostics;
using System.Globalization;
using System.Net;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using Microsoft.Extensions.Logging.Abstractions;

namespace DatFs.Bench;

/// <summary>
/// DatMount's side of a replication, in a process of its own as Node's sides are: this program started again with
/// "peer-serve KEY STORAGE" or "peer-clone KEY STORAGE PORT VERSION BLOCKS". Ends when its standard input closes.
/// </summary>
internal sealed class OurPeer : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    private readonly Process _process;

    private OurPeer(Process process, int port) => (_process, Port) = (process, port);

    public int ProcessId => _process.Id;

    public int Port { get; }

    /// <summary>Serves what lies in a storage folder.</summary>
    public static async Task<OurPeer> StartServingAsync(CloneGoal goal, string storage)
    {
        Process process = Start("peer-serve", goal.Key, storage);
        return new OurPeer(process, int.Parse(await AnswerAsync(process), CultureInfo.InvariantCulture));
    }

    /// <summary>Clones from a port into a storage folder, to the last block.</summary>
    public static async Task<CloneFigures> MeasureCloneAsync(int senderProcess, int port, CloneGoal goal, string storage)
    {
        double senderBefore = ProcessorTime.Of(senderProcess);
        using Process process = Start("peer-clone", goal.Key, storage, Text(port), Text(goal.Version), Text(goal.ContentLength));
        string[] words = (await AnswerAsync(process)).Split(' ');
        await process.WaitForExitAsync();
        return new CloneFigures(double.Parse(words[0], CultureInfo.InvariantCulture), ProcessorTime.Of(senderProcess) - senderBefore, double.Parse(words[1], CultureInfo.InvariantCulture));
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    /// <summary>What the started process does.</summary>
    public static async Task<int> RunAsync(string[] arguments)
    {
        await using Replicator replicator = new(new ReplicatorOptions());
        IDrive drive = await DriveOpener.OpenAsync(
            DriveReference.Parse(arguments[1]), new DriveOpenOptions { StorageRoot = arguments[2], Network = replicator }, CancellationToken.None);
        await using IDrive closing = drive;
        if (arguments[0] == "peer-serve")
        {
            await drive.ReadyAsync(CancellationToken.None);
            await using PeerListener listener = PeerListener.Start(
                new IPEndPoint(IPAddress.Loopback, 0), (transport, ct) => replicator.RunAsync(transport, ct), TimeProvider.System, NullLogger.Instance);
            Console.WriteLine(listener.LocalEndPoint.Port);
            await Console.In.ReadToEndAsync();
            return 0;
        }

        int port = int.Parse(arguments[3], CultureInfo.InvariantCulture);
        long version = long.Parse(arguments[4], CultureInfo.InvariantCulture), blocks = long.Parse(arguments[5], CultureInfo.InvariantCulture);
        double processorBefore = ProcessorTime.Of(Environment.ProcessId);
        long started = Stopwatch.GetTimestamp();
        using CancellationTokenSource end = new(s_patience);
        Task running = replicator.RunAsync(await TcpTransport.ConnectAsync("127.0.0.1", port, end.Token), end.Token);
        Feed content = await ((HyperdriveDrive)drive).ContentAsync(end.Token);
        using (content.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background))
        {
            while (drive.Status is { } status && (status.MetadataHeld <= version || status.ContentHeld < blocks))
                await Task.Delay(2, end.Token);
        }

        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Console.WriteLine($"{Text(seconds)} {Text(ProcessorTime.Of(Environment.ProcessId) - processorBefore)}");
        await end.CancelAsync();
        await running;
        return 0;
    }

    private static Process Start(params string[] arguments)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        // Started through the host, the program is its first argument.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "DatFs.Bench.dll"));
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    private static async Task<string> AnswerAsync(Process process)
    {
        using CancellationTokenSource patience = new(s_patience);
        return await process.StandardOutput.ReadLineAsync(patience.Token) ?? throw new InvalidOperationException($"process {process.Id} ended without an answer");
    }

    private static string Text(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
}
