using System.Globalization;

namespace DatFs.Bench;

/// <summary>What a figure is compared with: another subject of the same work, or of a work of its own such as a limit.</summary>
internal readonly record struct Beside(string Subject, string? Work = null);

/// <summary>One measured figure: the median of its runs, and what it is compared with.</summary>
internal sealed record BenchRow(string Work, string Subject, double Median, double Lowest, double Highest, string Unit, string Note, IReadOnlyList<Beside> Beside);

/// <summary>Rows as they are measured, printed as one table at the end.</summary>
internal sealed class BenchTable
{
    private readonly List<BenchRow> _rows = [];

    /// <summary>Adds a figure from the values of its runs.</summary>
    public void Add(string work, string subject, IReadOnlyCollection<double> values, string unit, string note = "", params IReadOnlyList<Beside> beside)
    {
        double[] sorted = [.. values.Order()];
        double median = sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
        _rows.Add(new BenchRow(work, subject, median, sorted[0], sorted[^1], unit, note, beside));
    }

    /// <summary>Says why something was not measured.</summary>
    public void Skip(string work, string why) => _rows.Add(new BenchRow(work, "", double.NaN, 0, 0, "", why, []));

    public void Print(TextWriter to)
    {
        List<string[]> lines = [["work", "subject", "median", "", "lowest", "highest", "ratio", "note"]];
        foreach (BenchRow row in _rows)
        {
            lines.Add(double.IsNaN(row.Median)
                ? [row.Work, "not measured", "", "", "", "", "", row.Note]
                : [row.Work, row.Subject, Figure(row.Median), row.Unit, Figure(row.Lowest), Figure(row.Highest), Ratios(row), row.Note]);
        }

        int[] widths = [.. Enumerable.Range(0, lines[0].Length).Select(c => lines.Max(l => l[c].Length))];
        bool[] right = [false, false, true, false, true, true, false, false];
        lines.Insert(1, [.. widths.Select(w => new string('-', w))]);
        foreach (string[] line in lines)
            to.WriteLine(string.Join("  ", line.Select((cell, c) => right[c] ? cell.PadLeft(widths[c]) : cell.PadRight(widths[c]))).TrimEnd());
        to.WriteLine($"load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}, {Environment.ProcessorCount} cores, .NET {Environment.Version}, {DateTimeOffset.UtcNow:yyyy-MM-dd HH:mm} UTC");
    }

    // What was not measured in this run is left out.
    private string Ratios(BenchRow row) => string.Join(", ",
        from beside in row.Beside
        let other = _rows.Find(r => r.Work == (beside.Work ?? row.Work) && r.Subject == beside.Subject)
        where other is not null
        select $"{(row.Median / other.Median).ToString("0.00", CultureInfo.InvariantCulture)} x {beside.Subject}");

    private static string Figure(double value) => value.ToString(value >= 100 ? "#,##0" : "0.00", CultureInfo.InvariantCulture);
}
