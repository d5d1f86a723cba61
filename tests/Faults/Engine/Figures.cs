using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using DatFs.Evidence;

namespace DatMount.Faults;

/// <summary>What each fault cost, a line on the console as it is known and a table in artifacts/faults.md at the end.</summary>
public sealed class Figures : IDisposable
{
    private readonly ConcurrentQueue<string> _rows = new();

    internal void Add(string fault, string what, TimeSpan took, string figures)
    {
        string seconds = took.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture);
        _rows.Enqueue($"| {fault} | {what} | {seconds} | {figures} |");
        Console.WriteLine($"{fault}: {what}: {seconds} s, {figures}");
    }

    public void Dispose()
    {
        if (_rows.IsEmpty) return;
        StringBuilder table = new("# Real faults of real processes\n\n| fault | what was done meanwhile | s | figures |\n|---|---|---|---|\n");
        foreach (string row in _rows) table.Append(row).Append('\n');
        string folder = Path.Combine(Path.GetDirectoryName(Vectors.TestsRoot)!, "artifacts");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "faults.md"), table.ToString());
    }
}
