namespace DatFs.Storage;

/// <summary>
/// A folder on the machine's disk. Everything it creates belongs to the user alone: folders 0700, files 0600. Symbolic links are never
/// followed below the folder it was made for, so nobody who can write into a shared folder can lead us elsewhere.
/// May be used by several threads; each opened file is its own handle.
/// </summary>
public sealed class DiskFolder : IStorageFolder
{
    private const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly DiskFolder? _parent;

    /// <summary>Names the folder at a path; nothing is touched yet.</summary>
    public DiskFolder(string path)
        : this(Path.GetFullPath(path), null)
    {
    }

    private DiskFolder(string path, DiskFolder? parent)
    {
        DisplayName = path;
        _parent = parent;
    }

    /// <summary>The absolute path.</summary>
    public string DisplayName { get; }

    /// <inheritdoc/>
    public IRandomAccessFile? Open(string name, FileUse use)
    {
        string path = PathOf(name);
        RefuseLinks();
        RefuseLink(path);
        if (use == FileUse.Read && !File.Exists(path)) return null;
        if (use != FileUse.Read) Create();
        return DiskFile.Open(path, use);
    }

    /// <inheritdoc/>
    public bool Exists(string name) => Path.Exists(PathOf(name));

    /// <inheritdoc/>
    public void Delete(string name)
    {
        string path = PathOf(name);
        if (File.Exists(path)) File.Delete(path);
    }

    /// <inheritdoc/>
    public void Rename(string from, string to) => File.Move(PathOf(from), PathOf(to), overwrite: true);

    /// <inheritdoc/>
    public IStorageFolder Folder(string name) => new DiskFolder(PathOf(name), this);

    /// <inheritdoc/>
    public IReadOnlyList<string> List()
    {
        if (!Directory.Exists(DisplayName)) return [];
        return [.. Directory.EnumerateFiles(DisplayName).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
    }

    /// <inheritdoc/>
    public void Sync()
    {
        if (!Directory.Exists(DisplayName)) return;

        // Folders that were created on the way must survive in their own parents too, up to the one that holds the first of ours.
        DiskFolder top = this;
        for (; top._parent is not null; top = top._parent) DiskCalls.SyncFolder(top.DisplayName);
        DiskCalls.SyncFolder(top.DisplayName);
        if (Path.GetDirectoryName(top.DisplayName) is { } above) DiskCalls.SyncFolder(above, mayBeClosed: true);
    }

    private void Create()
    {
        if (Directory.Exists(DisplayName)) return;
        _parent?.Create();
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(DisplayName);
        else Directory.CreateDirectory(DisplayName, FolderMode);
    }

    private string PathOf(string name) => Path.Combine(DisplayName, StorageName.Check(name));

    // The folder handed to us may well be reached through a link; those that we name ourselves may not.
    private void RefuseLinks()
    {
        for (DiskFolder folder = this; folder._parent is not null; folder = folder._parent) RefuseLink(folder.DisplayName);
    }

    private static void RefuseLink(string path)
    {
        if (new FileInfo(path).LinkTarget is not null)
            throw new DatException(DatError.Io, $"{path} is a symbolic link; links inside DatMount's folders are not followed.");
    }
}
