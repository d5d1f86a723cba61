using System.Globalization;

namespace DatFs.BenchPeer;

/// <summary>Numbers as they travel between this program and the benchmark that starts it.</summary>
internal static class Amount
{
    public static long Parse(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    public static string Text(IFormattable number) => number.ToString(null, CultureInfo.InvariantCulture);
}
