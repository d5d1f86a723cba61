using System.Diagnostics;
using System.Globalization;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>DatMount's side of a replication (tests/BenchPeer), a program of its own, compiled as users get it.</summary>
internal sealed class OurPeer : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(10);

    private readonly Process _process;

    private OurPeer(Process process, int port) => (_process, Port) = (process, port);

    /// <summary>Where packaging/bench puts the program.</summary>
    public static string Program { get; } = Path.Combine(Path.GetDirectoryName(Vectors.TestsRoot)!, "artifacts", "bench", "bench-peer");

    public int ProcessId => _process.Id;

    public int Port { get; }

    /// <summary>Serves a drive that is kept in a storage folder.</summary>
    public static async Task<OurPeer> StartServingAsync(string key, string storage)
    {
        Process process = Start("serve", key, storage);
        return new OurPeer(process, int.Parse(await AnswerAsync(process), CultureInfo.InvariantCulture));
    }

    /// <summary>Clones from a port into a storage folder, to the last block.</summary>
    public static async Task<CloneFigures> MeasureCloneAsync(int senderProcess, int port, CloneGoal goal, string storage)
    {
        double senderBefore = ProcessorTime.Of(senderProcess);
        using Process process = Start("clone", goal.Key, storage, Text(port), Text(goal.Version), Text(goal.ContentLength));
        string[] words = (await AnswerAsync(process)).Split(' ');
        await process.WaitForExitAsync();
        return new CloneFigures(
            double.Parse(words[0], CultureInfo.InvariantCulture), ProcessorTime.Of(senderProcess) - senderBefore, double.Parse(words[1], CultureInfo.InvariantCulture));
    }

    /// <summary>Makes a hyperdrive in a folder out of a plain one. Answers its key.</summary>
    public static async Task<string> CreateAsync(string folder, string from)
    {
        using Process process = Start("create", folder, from);
        string key = await AnswerAsync(process);
        await process.WaitForExitAsync();
        return key;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private static Process Start(params string[] arguments) =>
        Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;

    private static async Task<string> AnswerAsync(Process process)
    {
        using CancellationTokenSource patience = new(s_patience);
        return await process.StandardOutput.ReadLineAsync(patience.Token) ?? throw new InvalidOperationException($"process {process.Id} ended without an answer");
    }

    private static string Text(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
}
