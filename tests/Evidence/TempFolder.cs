namespace DatFs.Evidence;

/// <summary>A folder of one test's own, removed with everything in it when disposed.</summary>
public sealed class TempFolder : IDisposable
{
    private TempFolder(string path) => Path = path;

    /// <summary>Absolute path, without a trailing slash.</summary>
    public string Path { get; }

    /// <summary>Creates a folder whose name begins with "datmount-" and the purpose.</summary>
    public static TempFolder Create(string purpose = "test") => new(Directory.CreateTempSubdirectory($"datmount-{purpose}-").FullName);

    /// <summary>A path inside the folder; nothing is created.</summary>
    public string File(string relative) => System.IO.Path.Combine(Path, relative);

    /// <summary>A folder inside the folder, created.</summary>
    public string Folder(string relative) => Directory.CreateDirectory(File(relative)).FullName;

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Directory.Exists(Path)) Directory.Delete(Path, recursive: true);
    }
}
