using DatFs;
using DatFs.Storage;

namespace DatMount.Simulation;

/// <summary>A folder of a simulated disk. Names that were not synchronised are lost when the power fails, the newest first.</summary>
internal sealed class SimFolder(SimDisk disk, string displayName) : IStorageFolder
{
    private readonly SortedDictionary<string, SimFile> _files = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, SimFolder> _folders = new(StringComparer.Ordinal);
    private readonly List<Action<SortedDictionary<string, SimFile>>> _unsynced = [];
    private readonly SortedDictionary<string, SimFile> _durable = new(StringComparer.Ordinal);

    public string DisplayName { get; } = displayName;

    public IRandomAccessFile? Open(string name, FileUse use)
    {
        disk.Reading();
        if (!_files.TryGetValue(name, out SimFile? file))
        {
            if (use == FileUse.Read) return null;
            _ = disk.Changing(null, 0, 0, out IOException? error);
            if (error is not null) throw error;
            file = new SimFile();
            Change(names => names[name] = file);
        }

        if (file.Exclusive || (use == FileUse.Exclusive && file.Handles > 0)) throw new DatException(DatError.Locked, $"The folder {DisplayName} is in use by another process.");
        file.Exclusive = use == FileUse.Exclusive;
        file.Handles++;
        return new Handle(disk, file, use != FileUse.Read);
    }

    public bool Exists(string name) => _files.ContainsKey(name) || (_folders.TryGetValue(name, out SimFolder? folder) && folder.NamedFiles().Any());

    public void Delete(string name)
    {
        _ = disk.Changing(null, 0, 0, out IOException? error);
        if (error is not null) throw error;
        if (_files.ContainsKey(name)) Change(names => names.Remove(name));
    }

    public void Rename(string from, string to)
    {
        _ = disk.Changing(null, 0, 0, out IOException? error);
        if (error is not null) throw error;
        if (!_files.ContainsKey(from)) throw new FileNotFoundException($"{from} does not exist", from);
        Change(names =>
        {
            if (names.Remove(from, out SimFile? file)) names[to] = file;
        });
    }

    public IStorageFolder Folder(string name)
    {
        if (!_folders.TryGetValue(name, out SimFolder? folder)) _folders.Add(name, folder = new SimFolder(disk, $"{DisplayName}/{name}"));
        return folder;
    }

    public IReadOnlyList<string> List() => [.. _files.Keys];

    public void Sync()
    {
        disk.Syncing(null);
        foreach (Action<SortedDictionary<string, SimFile>> change in _unsynced) change(_durable);
        _unsynced.Clear();
    }

    internal IEnumerable<SimFile> Files() => NamedFiles().Select(named => named.File);

    internal IEnumerable<Named> NamedFiles() =>
        _files.Select(file => new Named($"{DisplayName}/{file.Key}", file.Value)).Concat(_folders.Values.SelectMany(folder => folder.NamedFiles()));

    internal void LosePower(Rng rng, World world)
    {
        int kept = rng.Chance(0.5) ? _unsynced.Count : rng.Below(_unsynced.Count + 1);
        foreach (Action<SortedDictionary<string, SimFile>> change in _unsynced[..kept]) change(_durable);
        _unsynced.Clear();
        _files.Clear();
        foreach ((string name, SimFile file) in _durable)
        {
            file.LosePower(rng, world);
            _files.Add(name, file);
        }

        foreach (SimFolder folder in _folders.Values) folder.LosePower(rng, world);
    }

    private void Change(Action<SortedDictionary<string, SimFile>> change)
    {
        change(_files);
        _unsynced.Add(change);
    }

    internal readonly record struct Named(string Name, SimFile File);

    private sealed class Handle(SimDisk disk, SimFile file, bool writable) : IRandomAccessFile
    {
        private readonly Machine? _owner = disk.User;
        private bool _closed;

        public long Length
        {
            get
            {
                Open();
                return file.Length;
            }
        }

        public int Read(long offset, Span<byte> into)
        {
            Open();
            disk.Reading();
            return file.Read(offset, into);
        }

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            Open(toWrite: true);
            // What a failing power cuts off may have reached the disk as much as what was written before it.
            if (disk.CallsUntilCrash == 0 && offset + data.Length <= SimDisk.MaxFileLength) file.Write(offset, data);
            int written = disk.Changing(file, offset + data.Length, data.Length, out IOException? error);
            if (written > 0) file.Write(offset, data[..written]);
            if (error is not null) throw error;
        }

        public void SetLength(long length)
        {
            Open(toWrite: true);
            _ = disk.Changing(file, length, 0, out IOException? error);
            if (error is not null) throw error;
            file.SetLength(length);
        }

        public void PunchHole(long offset, long length)
        {
            Open(toWrite: true);
            _ = disk.Changing(file, 0, 0, out IOException? error);
            if (error is not null) throw error;
            file.PunchHole(offset, length);
        }

        public void Sync()
        {
            Open();
            disk.Syncing(file);
            file.Sync();
        }

        public void Dispose()
        {
            if (_closed) return;
            _closed = true;
            if (!disk.IsOf(_owner)) return;
            file.Handles--;
            file.Exclusive = false;
        }

        private void Open(bool toWrite = false)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (!disk.IsOf(_owner)) throw new IOException("the computer is off");
            if (toWrite && !writable) throw new UnauthorizedAccessException("the file was opened for reading");
        }
    }
}
