namespace DatFs.Storage;

/// <summary>
/// A folder that lives in memory: for a feed of which nothing is stored yet (hypercore.md §20), and for tests. Files are sparse, so a block
/// far into a large feed costs only itself. May be used by several threads.
/// </summary>
public sealed class MemoryFolder : IStorageFolder
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, MemoryFile> _files = new(StringComparer.Ordinal);
    private readonly Dictionary<string, MemoryFolder> _folders = [];

    /// <summary>An empty folder.</summary>
    public MemoryFolder(string displayName = "memory") => DisplayName = displayName;

    /// <inheritdoc/>
    public string DisplayName { get; }

    /// <inheritdoc/>
    public IRandomAccessFile? Open(string name, FileUse use)
    {
        StorageName.Check(name);
        lock (_lock)
        {
            if (!_files.TryGetValue(name, out MemoryFile? file))
            {
                if (use == FileUse.Read) return null;
                _files.Add(name, file = new MemoryFile());
            }

            return file.TryOpen(use) ?? throw new DatException(DatError.Locked, $"The folder {DisplayName} is in use by another process.");
        }
    }

    /// <inheritdoc/>
    public bool Exists(string name)
    {
        StorageName.Check(name);
        lock (_lock) return _files.ContainsKey(name) || (_folders.TryGetValue(name, out MemoryFolder? folder) && folder.HasContent);
    }

    /// <inheritdoc/>
    public void Delete(string name)
    {
        StorageName.Check(name);
        lock (_lock) _files.Remove(name);
    }

    /// <inheritdoc/>
    public void Rename(string from, string to)
    {
        StorageName.Check(from);
        StorageName.Check(to);
        lock (_lock)
        {
            if (!_files.Remove(from, out MemoryFile? file)) throw new FileNotFoundException($"{from} does not exist", from);
            _files[to] = file;
        }
    }

    /// <inheritdoc/>
    public IStorageFolder Folder(string name)
    {
        StorageName.Check(name);
        lock (_lock)
        {
            if (!_folders.TryGetValue(name, out MemoryFolder? folder)) _folders.Add(name, folder = new MemoryFolder($"{DisplayName}/{name}"));
            return folder;
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> List()
    {
        lock (_lock) return [.. _files.Keys];
    }

    /// <inheritdoc/>
    public void Sync()
    {
    }

    /// <summary>A copy of everything, with nothing open: what another process would find.</summary>
    public MemoryFolder Clone()
    {
        MemoryFolder copy = new(DisplayName);
        lock (_lock)
        {
            foreach ((string name, MemoryFile file) in _files) copy._files.Add(name, file.Clone());
            foreach ((string name, MemoryFolder folder) in _folders) copy._folders.Add(name, folder.Clone());
        }

        return copy;
    }

    private bool HasContent
    {
        get
        {
            lock (_lock) return _files.Count > 0 || _folders.Values.Any(folder => folder.HasContent);
        }
    }
}
