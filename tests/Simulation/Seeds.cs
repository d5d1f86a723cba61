using System.Diagnostics;
using System.Globalization;
using DatFs.Evidence;

namespace DatMount.Simulation;

/// <summary>Runs many seeds, each on one thread, as many at a time as there are processors; keeps what failed as files.</summary>
internal static class Seeds
{
    private const string OneSeed = "DATMOUNT_SIM_SEED";
    private const string ManySeeds = "DATMOUNT_SIM_SEEDS";
    private const string FirstSeed = "DATMOUNT_SIM_FIRST";
    private const int MaxFailures = 5;

    private static readonly Lock s_gate = new();

    /// <summary>Answers what failed.</summary>
    public static IReadOnlyList<string> Run(string name, int count, Func<World, Scenario> create)
    {
        ulong first = Number(FirstSeed) ?? 1;
        if (Number(OneSeed) is { } one) (first, count) = (one, 1);
        else if (Number(ManySeeds) is { } many) count = (int)many;
        Stopwatch wall = Stopwatch.StartNew();
        List<string> failures = [];
        SortedDictionary<string, int> seen = new(StringComparer.Ordinal);
        long next = 0, events = 0, steps = 0, ticks = 0;
        Thread[] threads = [.. Enumerable.Range(0, Math.Min(count, Environment.ProcessorCount)).Select(_ => new Thread(Work))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        TimeSpan time = TimeSpan.FromTicks(ticks);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"simulation of {name}: first seed {first}, {Math.Min(next, count)} seeds, {events} events, {steps} steps, {time.TotalHours:0.0} virtual hours in {wall.Elapsed.TotalSeconds:0.0} s, {failures.Count} failed"));
        Console.WriteLine("  happened in seeds: " + string.Join(", ", seen.Select(s => $"{s.Key} {s.Value}")));
        foreach (string failure in failures) Console.WriteLine(failure);
        return failures;

        void Work()
        {
            while (Interlocked.Increment(ref next) is var number && number <= count)
            {
                SeedResult result = SeedRun.Run(first + (ulong)number - 1, create);
                Interlocked.Add(ref events, result.Events);
                Interlocked.Add(ref steps, result.Steps);
                Interlocked.Add(ref ticks, result.Time.Ticks);
                lock (s_gate)
                {
                    foreach (string happened in result.Counts.Keys) seen[happened] = seen.GetValueOrDefault(happened) + 1;
                }

                if (result.Failure is null && Number(OneSeed) is null) continue;
                string file = Keep(name, result);
                if (result.Failure is null) continue;
                lock (s_gate) failures.Add($"seed {result.Seed} after {result.Time}: {result.Failure}\n  trace: {file}\n  again: {OneSeed}={result.Seed} packaging/test Simulation");
                if (failures.Count >= MaxFailures) Interlocked.Exchange(ref next, count);
            }
        }
    }

    /// <summary>Some of the seeds.</summary>
    public static IEnumerable<ulong> Sample(int count)
    {
        ulong first = Number(OneSeed) ?? Number(FirstSeed) ?? 1;
        return Enumerable.Range(0, Number(OneSeed) is null ? count : 1).Select(i => first + (ulong)i);
    }

    /// <summary>A trace to look at, kept for whoever repairs.</summary>
    public static string Keep(string name, SeedResult result)
    {
        string folder = Path.Combine(Path.GetDirectoryName(Vectors.TestsRoot)!, "artifacts", "simulation");
        string file = Path.Combine(folder, $"{name}-{result.Seed}.trace");
        result.Trace.Save(file);
        return file;
    }

    private static ulong? Number(string variable) =>
        ulong.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) ? number : null;
}
