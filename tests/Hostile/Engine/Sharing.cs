using System.Globalization;
using DatFs.Evidence;

namespace DatMount.Hostile;

/// <summary>"datmount share" of a folder on a free port of loopback.</summary>
internal static class Sharing
{
    public static async Task<(Datmount Program, int Port)> StartAsync(TempFolder home, string folder, params string[] options)
    {
        Datmount program = Datmount.Start(home, ["share", folder, "--listen", "127.0.0.1:0", "--no-discovery", .. options]);
        string line = await program.LineAsync("sharing dat://");
        return (program, int.Parse(line[(line.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture));
    }
}
