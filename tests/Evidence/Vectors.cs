using System.Text.Json;

namespace DatFs.Evidence;

/// <summary>Finds the test vectors and fixtures under tests/vectors, wherever the tests were started from.</summary>
public static class Vectors
{
    private static readonly Lazy<string> s_root = new(FindRoot);

    /// <summary>The checkout's tests folder.</summary>
    public static string TestsRoot => s_root.Value;

    /// <summary>Path of a vector file or folder, "hypercore/keys.json".</summary>
    public static string PathOf(string relative) => Path.Combine(TestsRoot, "vectors", relative);

    /// <summary>A parsed vector file; the caller keeps the document alive.</summary>
    public static JsonElement Json(string relative) => JsonDocument.Parse(File.ReadAllBytes(PathOf(relative))).RootElement;

    /// <summary>The bytes of a hex string member, null when the member is absent or null.</summary>
    public static byte[]? Hex(this JsonElement element, string member) =>
        element.TryGetProperty(member, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? Convert.FromHexString(value.GetString()!)
            : null;

    private static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            string candidate = Path.Combine(at.FullName, "tests", "vectors");
            if (Directory.Exists(candidate)) return Path.GetDirectoryName(candidate)!;
        }

        throw new DirectoryNotFoundException("tests/vectors was not found above " + AppContext.BaseDirectory);
    }
}
