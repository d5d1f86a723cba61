using System.Security.Cryptography;
using DatFs.Evidence;

namespace DatMount.Fuzz;

/// <summary>Where inputs lie: those that once failed, in the sources; those that fail now, under artifacts.</summary>
internal static class FuzzFiles
{
    private static readonly string s_found = Path.Combine(Vectors.TestsRoot, "Fuzz", "Found");

    /// <summary>Created when something is saved.</summary>
    public static string Artifacts => Path.Combine(Path.GetDirectoryName(Vectors.TestsRoot)!, "artifacts", "fuzz");

    /// <summary>Target and path of every input that once failed.</summary>
    public static IEnumerable<(string Target, string Path)> Found() =>
        from folder in (Directory.Exists(s_found) ? Directory.EnumerateDirectories(s_found) : []).Order(StringComparer.Ordinal)
        from file in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal)
        select (System.IO.Path.GetFileName(folder), file);

    /// <summary>Keeps an input for whoever looks into it; answers the file.</summary>
    public static string Save(string target, byte[] input) => Write(Path.Combine(Artifacts, target), input);

    /// <summary>Inputs that earlier guided runs found worth keeping.</summary>
    public static IEnumerable<byte[]> Kept(string target) =>
        Directory.Exists(KeptFolder(target)) ? Directory.EnumerateFiles(KeptFolder(target)).Order(StringComparer.Ordinal).Select(File.ReadAllBytes) : [];

    /// <summary>Keeps inputs for later guided runs.</summary>
    public static void Keep(string target, IEnumerable<byte[]> inputs)
    {
        foreach (byte[] input in inputs) Write(KeptFolder(target), input);
    }

    private static string KeptFolder(string target) => Path.Combine(Artifacts, "kept", target);

    private static string Write(string folder, byte[] input)
    {
        Directory.CreateDirectory(folder);
        string file = Path.Combine(folder, Convert.ToHexStringLower(SHA256.HashData(input))[..16]);
        File.WriteAllBytes(file, input);
        return file;
    }
}
