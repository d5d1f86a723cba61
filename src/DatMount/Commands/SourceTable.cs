using System.Globalization;
using DatMount.Hosting;
using Spectre.Console;

namespace DatMount.Commands;

/// <summary>The sources of peers and their health, as "peers" and "doctor" show them: a table of facts, then a line for what is wrong, whole however long.</summary>
internal static class SourceTable
{
    public static void Print(IReadOnlyList<SourceHealthReport> sources)
    {
        Table table = new Table().Border(TableBorder.None);
        foreach (string column in (string[])["source", "health", "last answer", "round trip", "announced", "peers named"])
            table.AddColumn(new TableColumn(new Markup("[grey]" + column + "[/]")).NoWrap());
        foreach (SourceHealthReport source in sources)
        {
            table.AddRow(
                Cell(source.Name), Cell(source.Health),
                Cell(source.LastAnswer?.LocalDateTime.ToString("HH:mm:ss", CultureInfo.InvariantCulture) ?? "never"),
                Cell(source.RoundTrip is { } trip ? string.Create(CultureInfo.InvariantCulture, $"{trip:0.#} ms") : ""),
                Cell(source.Announced ? "yes" : "no"),
                Cell(source.Named.ToString(CultureInfo.InvariantCulture)));
        }

        AnsiConsole.Write(table);
        int servers = sources.Count(source => source.Kind == "dns");
        if (servers > 0) Line($"announced at {sources.Count(source => source is { Kind: "dns", Announced: true })} of {servers} servers");
        foreach (SourceHealthReport source in sources)
            if (source.Problem is { } problem) Line($"{source.Name}: {problem}{(source.Remedy is { } remedy ? "; " + remedy : "")}");
    }

    private static void Line(string text) => Console.Out.WriteLine(TerminalText.Escape(text));

    private static Text Cell(string text) => new(TerminalText.Escape(text));
}
