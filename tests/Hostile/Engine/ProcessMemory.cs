using System.Globalization;

namespace DatMount.Hostile;

/// <summary>What a process holds of the machine's memory, as the kernel counts it.</summary>
internal static class ProcessMemory
{
    /// <summary>KiB in memory now.</summary>
    public static long Now(int process) => Read(process, "VmRSS:");

    /// <summary>Most KiB in memory since <see cref="ForgetPeak"/>.</summary>
    public static long Peak(int process) => Read(process, "VmHWM:");

    public static void ForgetPeak(int process) => File.WriteAllText($"/proc/{process}/clear_refs", "5");

    private static long Read(int process, string name)
    {
        string line = File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line.AsSpan(name.Length).Trim(" \tkB"), CultureInfo.InvariantCulture);
    }
}
