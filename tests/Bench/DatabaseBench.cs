using System.Diagnostics;
using System.Globalization;
using DatFs.Evidence;

namespace DatFs.Bench;

/// <summary>
/// A key-value database of several writers, in memory: ours (tests/BenchPeer) beside hyperdb 3.5.0 (tests/peers/database-bench.js). Writers take
/// turns, each putting its share one by one and in batches of 1,000 after it has what the others put; a reader in a process of its own then
/// replicates all of it over loopback, gets 10,000 keys, lists 100 folders and goes through everything.
/// </summary>
internal static class DatabaseBench
{
    private const string Node = "hyperdb 3.5.0";
    private const string Ours = "ours";
    private const int Newcomers = 1000;

    private static readonly string[] s_makes = ["put", "batch"];
    private static readonly string[] s_reads = ["replicate", "get", "list", "iterate"];

    public static async Task MeasureAsync(BenchTable table, BenchSettings settings)
    {
        foreach (int keys in settings.Keys)
        {
            foreach (int writers in (int[])[1, 2, 10])
            {
                Dictionary<string, List<double>> node = [], ours = [];
                for (int run = 0; run < settings.Runs; run++)
                {
                    await WorkAsync(NodeProgram, writers, keys, node);
                    await WorkAsync(OurProgram, writers, keys, ours);
                }

                foreach (string what in (string[])[.. s_makes, .. s_reads]) Add(table, string.Create(CultureInfo.InvariantCulture, $"{what}: {keys} keys, {writers} writers"), what, "/s", node, ours);
                Add(table, string.Create(CultureInfo.InvariantCulture, $"memory, making: {keys} keys, {writers} writers"), "making", "MB", node, ours);
                Add(table, string.Create(CultureInfo.InvariantCulture, $"memory, reading: {keys} keys, {writers} writers"), "reading", "MB", node, ours);
            }
        }

        Dictionary<string, List<double>> nodeLetting = [], oursLetting = [];
        for (int run = 0; run < settings.Runs; run++)
        {
            Take(await LinesAsync(NodeProgram("authorize", Text(Newcomers))), nodeLetting);
            Take(await LinesAsync(OurProgram("authorize", Text(Newcomers))), oursLetting);
        }

        Add(table, $"authorize {Newcomers} writers", "authorize", "/s", nodeLetting, oursLetting);
        Add(table, $"bytes of the feed after {Newcomers} writers", "bytes", "B", nodeLetting, oursLetting);
        Add(table, $"bytes of a put after {Newcomers} writers", "entry", "B", nodeLetting, oursLetting);
        Add(table, $"memory, {Newcomers} writers", "peak", "MB", nodeLetting, oursLetting);
    }

    private static ProcessStartInfo NodeProgram(params string[] arguments) => new("node", [Path.Combine(Vectors.TestsRoot, "peers", "database-bench.js"), .. arguments]);

    private static ProcessStartInfo OurProgram(params string[] arguments) => new(OurPeer.Program, ["database", .. arguments]);

    private static async Task WorkAsync(Func<string[], ProcessStartInfo> program, int writers, int keys, Dictionary<string, List<double>> figures)
    {
        using Process maker = Start(program(["make", Text(writers), Text(keys)]));
        Dictionary<string, string> made = [];
        while (!made.ContainsKey("port")) Split(await LineAsync(maker), made);
        Take(made, figures, "making");
        Dictionary<string, string> read = await LinesAsync(program(["clone", made["key"], made["port"], made["blocks"], Text(keys / 2 / writers * writers * 2)]));
        Take(read, figures, "reading");
        maker.StandardInput.Close();
        await maker.WaitForExitAsync();
    }

    private static async Task<Dictionary<string, string>> LinesAsync(ProcessStartInfo start)
    {
        using Process process = Start(start);
        Dictionary<string, string> words = [];
        while (await process.StandardOutput.ReadLineAsync() is { } line) Split(line, words);
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? words : throw new InvalidOperationException($"{start.FileName} {string.Join(' ', start.ArgumentList)} ended with {process.ExitCode}");
    }

    private static async Task<string> LineAsync(Process process) => await process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("the process ended early");

    private static Process Start(ProcessStartInfo start)
    {
        (start.RedirectStandardInput, start.RedirectStandardOutput) = (true, true);
        return Process.Start(start)!;
    }

    private static void Split(string line, Dictionary<string, string> words)
    {
        string[] parts = line.Split(' ', 2);
        words[parts[0]] = parts[1];
    }

    private static void Take(Dictionary<string, string> words, Dictionary<string, List<double>> figures, string peak = "peak")
    {
        foreach ((string what, string figure) in words)
        {
            if (!double.TryParse(figure, NumberStyles.Float, CultureInfo.InvariantCulture, out double value)) continue;
            string name = what == "peak" ? peak : what;
            if (!figures.TryGetValue(name, out List<double>? values)) figures.Add(name, values = []);
            values.Add(what == "peak" ? value / 1e6 : value);
        }
    }

    private static void Add(BenchTable table, string work, string what, string unit, Dictionary<string, List<double>> node, Dictionary<string, List<double>> ours)
    {
        table.Add(work, Node, node[what], unit);
        table.Add(work, Ours, ours[what], unit, "", new Beside(Node));
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
