using System.Diagnostics;
using System.Globalization;
using DatFs.Evidence;

namespace DatMount.Simulation;

/// <summary>
/// Runs many seeds, each on one thread, as many at a time as there are processors. First come those that failed once (seeds/NAME.txt, and
/// seeds/local/NAME.txt, to which every failure is added); then as many as were asked for, one after the other.
/// </summary>
internal static class Seeds
{
    private const string OneSeed = "DATMOUNT_SIM_SEED";
    private const string ManySeeds = "DATMOUNT_SIM_SEEDS";
    private const string FirstSeed = "DATMOUNT_SIM_FIRST";
    private const int MaxFailures = 5;

    private static readonly Lock s_gate = new();

    /// <summary>Answers what failed.</summary>
    /// <param name="name">Of the scenario.</param>
    /// <param name="share">Part of the seeds asked for that falls to this scenario.</param>
    /// <param name="count">Seeds when nothing was asked for.</param>
    /// <param name="create">Makes the scenario.</param>
    /// <param name="always">What must happen in at least one seed of a hundred, lest it never be tested.</param>
    public static IReadOnlyList<string> Run(string name, int count, double share, Func<World, Scenario> create, IEnumerable<string> always)
    {
        ulong first = Number(FirstSeed) ?? 1;
        if (Number(ManySeeds) is { } many) count = Math.Max(1, (int)(many * share));
        if (Number(OneSeed) is { } one) (first, count) = (one, 1);
        ulong[] known = Number(OneSeed) is null ? [.. Known(name)] : [];
        ulong[] seeds = [.. known.Union(Enumerable.Range(0, count).Select(i => first + (ulong)i))];
        Stopwatch wall = Stopwatch.StartNew();
        List<string> failures = [];
        SortedDictionary<string, int> seen = new(StringComparer.Ordinal);
        int next = -1, ran = 0;
        long events = 0, steps = 0, ticks = 0;
        Thread[] threads = [.. Enumerable.Range(0, Math.Min(seeds.Length, Environment.ProcessorCount)).Select(_ => new Thread(Work))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        TimeSpan time = TimeSpan.FromTicks(ticks);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"simulation of {name}: first seed {first}, {ran} of {seeds.Length} seeds run ({known.Length} that failed once among them), {events} events, {steps} steps, {time.TotalHours:0.0} virtual hours in {wall.Elapsed.TotalSeconds:0.0} s, {failures.Count} failed"));
        Console.WriteLine("  happened in seeds: " + string.Join(", ", seen.Select(s => $"{s.Key} {s.Value}")));
        if (failures.Count == 0 && ran >= 200) failures.AddRange(always.Where(what => seen.GetValueOrDefault(what) * 100 < ran).Select(what => $"'{what}' happened in {seen.GetValueOrDefault(what)} of {ran} seeds only"));
        foreach (string failure in failures) Console.WriteLine(failure);
        return failures;

        void Work()
        {
            while (Interlocked.Increment(ref next) is var number && number < seeds.Length)
            {
                SeedResult result = SeedRun.Run(seeds[number], create);
                lock (s_gate)
                {
                    ran++;
                    events += result.Events;
                    steps += result.Steps;
                    ticks += result.Time.Ticks;
                    foreach (string happened in result.Counts.Keys) seen[happened] = seen.GetValueOrDefault(happened) + 1;
                    if (result.Failure is null && Number(OneSeed) is null) continue;
                    string file = Keep(name, result);
                    if (result.Failure is null) continue;
                    Remember(name, result.Seed);
                    failures.Add($"seed {result.Seed} after {result.Time}: {result.Failure}\n  trace: {file}\n  again: {OneSeed}={result.Seed} packaging/test Simulation");
                    if (failures.Count >= MaxFailures) next = seeds.Length;
                }
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

    // A line is a seed and, after a blank, what it found.
    private static IEnumerable<ulong> Known(string name) =>
        new[] { FileOf(name, local: false), FileOf(name, local: true) }
            .Where(File.Exists)
            .SelectMany(File.ReadLines)
            .Where(line => line.Length > 0 && line[0] != '#')
            .Select(line => ulong.Parse(line.Split(' ')[0], CultureInfo.InvariantCulture))
            .Distinct();

    private static void Remember(string name, ulong seed)
    {
        if (Known(name).Contains(seed)) return;
        string file = FileOf(name, local: true);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.AppendAllText(file, seed.ToString(CultureInfo.InvariantCulture) + "\n");
    }

    private static string FileOf(string name, bool local) =>
        Path.Combine([Vectors.TestsRoot, "Simulation", "seeds", .. local ? (string[])["local"] : [], name + ".txt"]);

    private static ulong? Number(string variable) =>
        ulong.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) ? number : null;
}
