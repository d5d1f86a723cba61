using System.Globalization;

namespace DatFs.Bench;

/// <summary>Seconds of processor time that a process has used, its threads included.</summary>
internal static class ProcessorTime
{
    private const double TicksPerSecond = 100;

    public static double Of(int process)
    {
        // Fields 14 and 15 of proc(5) stat, counted after the name, which may hold spaces.
        string stat = File.ReadAllText($"/proc/{process}/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond;
    }
}
