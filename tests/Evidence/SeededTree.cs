namespace DatFs.Evidence;

/// <summary>One file of a <see cref="SeededTree"/>. The path is absolute within the tree, "/a/b".</summary>
public sealed record SeededFile(string Path, long Size, string Sha256, int Mode, long MtimeMs);

/// <summary>How big a tree is made.</summary>
public sealed record SeededTreeShape
{
    /// <summary>Ordinary files, in nested folders.</summary>
    public int Files { get; init; } = 150;
    /// <summary>Files of some MiB among them.</summary>
    public int LargeFiles { get; init; } = 2;
    /// <summary>Largest size, in bytes.</summary>
    public int LargestSize { get; init; } = 30 << 20;
    /// <summary>Entries of one crowded folder; 0 leaves it out.</summary>
    public int CrowdedFolder { get; init; } = 1000;

    /// <summary>For tests that need the shapes but not the amounts.</summary>
    public static SeededTreeShape Small { get; } = new() { Files = 40, LargeFiles = 1, LargestSize = 3 << 20, CrowdedFolder = 60 };
}

/// <summary>
/// A folder full of files that a seed determines wholly: nested folders, names in several scripts and in both Unicode
/// normal forms, names with odd characters, empty files, sizes around the 64 KiB block, a few large files, and one
/// folder with many entries.
/// </summary>
public sealed class SeededTree
{
    private static readonly string[] s_words =
    [
        "alpha", "beta", "Ünïcode", "naïve cafe\u0301", "naïve café", "日本語", "emoji 🎈", "with space", "UPPER", "upper", "comma,semi;colon",
        "quote'\"quote", "percent%20", "star*", "back`tick", "new\nline", "-dash", "dot.dot.", "ελληνικά", "tab\there", "(brackets)", "x",
    ];

    private static readonly int[] s_edges = [0, 1, 15, 16, 4095, 4096, 65535, 65536, 65537, 131071, 131072, 131073, 200000];

    private SeededTree(string root, IReadOnlyList<SeededFile> files, IReadOnlyList<string> emptyFolders)
    {
        Root = root;
        Files = files;
        EmptyFolders = emptyFolders;
    }

    /// <summary>The folder on disk.</summary>
    public string Root { get; }

    /// <summary>Every file, in ordinal order of paths.</summary>
    public IReadOnlyList<SeededFile> Files { get; }

    /// <summary>Folders that hold nothing.</summary>
    public IReadOnlyList<string> EmptyFolders { get; }

    /// <summary>Every folder that must exist, the root left out, in ordinal order.</summary>
    public IReadOnlyList<string> Folders => [.. Files.SelectMany(f => Ancestors(f.Path)).Concat(EmptyFolders).Concat(EmptyFolders.SelectMany(Ancestors)).Distinct().Order(StringComparer.Ordinal)];

    /// <summary>Writes the tree for a seed into a folder, which is created.</summary>
    public static SeededTree Create(string root, int seed, SeededTreeShape? shape = null)
    {
        shape ??= new SeededTreeShape();
        Random random = new(seed);
        Directory.CreateDirectory(root);
        SortedDictionary<string, int> sizes = new(StringComparer.Ordinal);
        List<string> folders = [""];
        for (int i = 0; i < 2 + shape.Files / 8; i++) folders.Add($"{folders[random.Next(folders.Count)]}/{Word(random)} {i}");
        for (int i = 0; i < shape.Files; i++) sizes[$"{folders[random.Next(folders.Count)]}/{Word(random)} {i}.bin"] = SmallSize(random);
        for (int i = 0; i < shape.LargeFiles; i++)
            sizes[$"{folders[random.Next(folders.Count)]}/large {i}.bin"] = i == 0 ? shape.LargestSize : random.Next(shape.LargestSize / 8, shape.LargestSize / 2);
        for (int i = 0; i < shape.CrowdedFolder; i++) sizes[$"/crowded/entry {i:D4}"] = random.Next(0, 100);

        List<SeededFile> files = [];
        foreach ((string path, int size) in sizes)
        {
            byte[] content = SeededBytes.Take(seed, random.NextInt64(1L << 40), size);
            string onDisk = root + path;
            Directory.CreateDirectory(Path.GetDirectoryName(onDisk)!);
            File.WriteAllBytes(onDisk, content);
            int mode = random.Next(4) switch { 0 => 0b111_101_101, 1 => 0b110_000_000, _ => 0b110_100_100 };
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(onDisk, (UnixFileMode)mode);
            long mtime = 1_514_764_800_000 + random.NextInt64(31_536_000_000);
            File.SetLastWriteTimeUtc(onDisk, DateTimeOffset.FromUnixTimeMilliseconds(mtime).UtcDateTime);
            files.Add(new SeededFile(path, size, Sha256Of.Bytes(content), mode, mtime));
        }

        string[] empty = ["/empty folder", "/empty folder 2/inner"];
        foreach (string folder in empty) Directory.CreateDirectory(root + folder);
        return new SeededTree(root, files, empty);
    }

    private static string Word(Random random) => s_words[random.Next(s_words.Length)];

    private static int SmallSize(Random random) => random.Next(3) switch
    {
        0 => s_edges[random.Next(s_edges.Length)],
        1 => random.Next(0, 2000),
        _ => random.Next(0, 300_000),
    };

    private static IEnumerable<string> Ancestors(string path)
    {
        for (int cut = path.LastIndexOf('/'); cut > 0; cut = path.LastIndexOf('/', cut - 1)) yield return path[..cut];
    }
}
