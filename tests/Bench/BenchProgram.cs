using System.Globalization;

namespace DatFs.Bench;

/// <summary>What a run measures and how much of it.</summary>
internal sealed record BenchSettings
{
    public IReadOnlyList<string> Tables { get; init; } = BenchProgram.TableNames;
    public long CloneBytes { get; init; } = 1L << 30;
    public int Files { get; init; } = 10_000;
    public int WalkFiles { get; init; } = 100_000;
    public int ManyFiles { get; init; } = 200_000;
    public int Names { get; init; } = 100_000;
    public IReadOnlyList<int> Keys { get; init; } = [10_000, 100_000];
    public int Runs { get; init; } = 3;
}

/// <summary>
/// Measures DatMount beside what it is compared with, in one run on one machine, and prints one table of medians and
/// ratios. A figure alone says little: the machine's own limits stand at the head of the table.
/// </summary>
internal static class BenchProgram
{
    public static readonly string[] TableNames = ["limits", "clone", "far", "files", "many", "lazy", "mount", "discovery", "join", "database"];

    private const string Usage = """
        packaging/bench [limits] [clone] [far] [files] [many] [lazy] [mount] [discovery] [join] [database] [options]
          limits   what the machine can do: BLAKE2b, XSalsa20, loopback, disk, and a receiver's work in one thread
          clone    one big file over loopback: Node to Node, Node to ours, ours to Node, ours to ours
          far      the same through a relay, without delay and with 50 ms each way
          files    many files of 1 KiB, the same four ways
          many     200,000 files between two of ours, and mounting them again
          lazy     round trips of single looks and reads over a slow line, from an empty store
          mount    reads and walks through the mount, beside bindfs and Node's fuse-native
          discovery a discovery server with many names under load, beside Node's
          join      from a link to the first block, by each source of peers alone, beside Node's
          database  a database of 1, 2 and 10 writers in memory, beside hyperdb 3.5.0
        Without a name all of them run; that takes about half an hour.
          --size N[K|M|G]   bytes of the big file (1G)
          --files N         number of small files to clone (10000)
          --walk N          number of files in the mount (100000); Node's has at most 60000
          --many N          number of files between two of ours (200000)
          --names N         number of names at the discovery server (100000)
          --keys N          number of keys in the database (10000 and 100000)
          --runs N          runs of each, the median counts (3)
          --quick           64M, 1000 files, a walk of 5000, 5000 files and names, 2000 keys, once: to see that everything works
        """;

    public static async Task<int> RunAsync(string[] arguments)
    {
        if (Parse(arguments) is not { } settings)
        {
            Console.Error.WriteLine(Usage);
            return 2;
        }

        BenchTable table = new();
        foreach (string name in settings.Tables)
        {
            await Console.Error.WriteLineAsync($"measuring: {name}");
            await (name switch
            {
                "limits" => Limits.MeasureAsync(table, settings),
                "clone" => CloneBench.BigFileAsync(table, settings),
                "far" => FarBench.MeasureAsync(table, settings),
                "many" => ManyBench.MeasureAsync(table, settings),
                "files" => CloneBench.SmallFilesAsync(table, settings),
                "lazy" => LazyBench.MeasureAsync(table, settings),
                "join" => JoinBench.MeasureAsync(table),
                "database" => DatabaseBench.MeasureAsync(table, settings),
                "discovery" => DiscoveryBench.MeasureAsync(table, settings),
                _ => MountBench.MeasureAsync(table, settings),
            });
        }

        table.Print(Console.Out);
        return 0;
    }

    private static BenchSettings? Parse(string[] arguments)
    {
        BenchSettings settings = new();
        List<string> tables = [];
        for (int i = 0; i < arguments.Length; i++)
        {
            string word = arguments[i];
            if (TableNames.Contains(word)) tables.Add(word);
            else if (word == "--quick") settings = settings with { CloneBytes = 64 << 20, Files = 1000, WalkFiles = 5000, ManyFiles = 5000, Names = 5000, Keys = [2000], Runs = 1 };
            else if (i + 1 == arguments.Length || Amount(arguments[++i]) is not { } amount) return null;
            else if (word == "--size") settings = settings with { CloneBytes = amount };
            else if (word == "--files") settings = settings with { Files = checked((int)amount) };
            else if (word == "--walk") settings = settings with { WalkFiles = checked((int)amount) };
            else if (word == "--many") settings = settings with { ManyFiles = checked((int)amount) };
            else if (word == "--names") settings = settings with { Names = checked((int)amount) };
            else if (word == "--keys") settings = settings with { Keys = [checked((int)amount)] };
            else if (word == "--runs") settings = settings with { Runs = checked((int)amount) };
            else return null;
        }

        return tables.Count == 0 ? settings : settings with { Tables = tables };
    }

    private static long? Amount(string text)
    {
        int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
        return long.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number > 0 ? number << shift : null;
    }
}
