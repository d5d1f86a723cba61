using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using DatFs.Evidence;

namespace DatMount.Hostile;

/// <summary>The figures of every script that held, one line on the console when it ends and one row of artifacts/hostile.md when all ended.</summary>
public sealed class Report : IDisposable
{
    private readonly ConcurrentBag<(string Family, string Name, string Row)> _rows = [];

    internal void Add(string family, string name, string what, int times, long grownKiB, int boundMiB, TimeSpan took)
    {
        string grown = (grownKiB / 1024.0).ToString("0.0", CultureInfo.InvariantCulture);
        string seconds = took.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture);
        _rows.Add((family, name, string.Create(CultureInfo.InvariantCulture, $"| {family} | {name} | {what} | {times} | {grown} | {boundMiB} | {seconds} |")));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{family}: {name}: {what}. {times} times, memory +{grown} MiB of {boundMiB}, {seconds} s"));
    }

    public void Dispose()
    {
        if (_rows.IsEmpty) return;
        StringBuilder table = new();
        table.AppendLine("# Attacks on the running program").AppendLine();
        table.AppendLine(CultureInfo.InvariantCulture, $"{_rows.Count} scripts held. Program: {string.Join(' ', Datmount.Program.Select(Path.GetFileName))}. Memory: growth of the program's resident set at its highest over what it was just before, and the bound that is asserted.");
        table.AppendLine("The time is what an honest reader took meanwhile, or how long the script lasted; what was read was compared byte by byte.").AppendLine();
        table.AppendLine("| family | script | attack | times | MiB | bound | s |").AppendLine("|---|---|---|---|---|---|---|");
        foreach ((_, _, string row) in _rows.OrderBy(row => row.Family, StringComparer.Ordinal).ThenBy(row => row.Name, StringComparer.Ordinal)) table.AppendLine(row);
        string folder = Path.Combine(Path.GetDirectoryName(Vectors.TestsRoot)!, "artifacts");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "hostile.md"), table.ToString());
    }
}
