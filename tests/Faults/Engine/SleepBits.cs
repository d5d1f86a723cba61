using System.Diagnostics;

namespace DatMount.Faults;

/// <summary>The blocks in a bitfield file (hypercore.md §5), read by a second pair of eyes.</summary>
internal static class SleepBits
{
    private const int Header = 32;
    private const int Entry = 3328;
    private const int DataBytes = 1024;

    public static IEnumerable<long> Read(string path)
    {
        // The program that has the feed holds a lock on this file, which .NET heeds and cat does not.
        using Process cat = Process.Start(new ProcessStartInfo("cat", [path]) { RedirectStandardOutput = true })!;
        using MemoryStream whole = new();
        cat.StandardOutput.BaseStream.CopyTo(whole);
        cat.WaitForExit();
        byte[] bytes = whole.GetBuffer();
        int count = (int)whole.Length;
        for (int entry = 0; Header + entry * Entry + DataBytes <= count; entry++)
        {
            for (int bit = 0; bit < DataBytes * 8; bit++)
                if ((bytes[Header + entry * Entry + bit / 8] & (0x80 >> (bit % 8))) != 0) yield return (long)entry * DataBytes * 8 + bit;
        }
    }
}
