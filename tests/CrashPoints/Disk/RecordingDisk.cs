using DatFs.Storage;

namespace DatFs.CrashPoints;

/// <summary>A disk in memory with folders one level deep that writes down every call which changes it or makes changes durable.</summary>
internal sealed class RecordingDisk
{
    private readonly Lock _lock = new();
    private readonly List<Call> _calls = [];
    private readonly MemoryFolder _root;
    private readonly Dictionary<string, int> _files;
    private int _nextFile;

    /// <summary>A disk on which there is what programs see of a model.</summary>
    public RecordingDisk(DiskModel from)
    {
        _root = from.ToFolder();
        _files = new Dictionary<string, int>(from.Names);
        _nextFile = from.NextFile;
    }

    /// <summary>The calls so far.</summary>
    public IReadOnlyList<Call> Calls => _calls;

    /// <summary>Done once, in the next synchronisation.</summary>
    public Action? InNextSync { get; set; }

    public IStorageFolder Folder(string name) => new RecordingFolder(this, name, _root.Folder(name));

    private void Add(CallKind kind, string name, int file, long offset = 0, long length = 0, byte[]? bytes = null)
    {
        lock (_lock) _calls.Add(new Call(kind, name, file, offset, length, bytes ?? []));
    }

    private int Create(string name)
    {
        lock (_lock)
        {
            _files.Add(name, _nextFile);
            return _nextFile++;
        }
    }

    private int? Find(string name)
    {
        lock (_lock) return _files.TryGetValue(name, out int file) ? file : null;
    }

    private void Remove(string name)
    {
        lock (_lock) _files.Remove(name);
    }

    private void Synchronise()
    {
        Action? first = InNextSync;
        InNextSync = null;
        first?.Invoke();
    }

    private sealed class RecordingFolder(RecordingDisk disk, string path, IStorageFolder folder) : IStorageFolder
    {
        public string DisplayName => path;

        public IRandomAccessFile? Open(string name, FileUse use)
        {
            IRandomAccessFile? file = folder.Open(name, use);
            if (file is null) return null;
            string full = $"{path}/{name}";
            if (disk.Find(full) is not { } number)
            {
                number = disk.Create(full);
                disk.Add(CallKind.Create, full, number);
            }

            return new RecordingFile(disk, full, number, file);
        }

        public bool Exists(string name) => folder.Exists(name);

        public void Delete(string name)
        {
            string full = $"{path}/{name}";
            if (disk.Find(full) is { } number) disk.Add(CallKind.Delete, full, number);
            disk.Remove(full);
            folder.Delete(name);
        }

        public void Rename(string from, string to) => throw new NotSupportedException("feeds rename nothing");

        public IStorageFolder Folder(string name) => throw new NotSupportedException("feeds have no folders");

        public IReadOnlyList<string> List() => folder.List();

        public void Sync() => disk.Add(CallKind.SyncFolder, path, 0);
    }

    private sealed class RecordingFile(RecordingDisk disk, string name, int number, IRandomAccessFile file) : IRandomAccessFile
    {
        public long Length => file.Length;

        public int Read(long offset, Span<byte> into) => file.Read(offset, into);

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            disk.Add(CallKind.Write, name, number, offset, data.Length, data.ToArray());
            file.Write(offset, data);
        }

        public void SetLength(long length)
        {
            disk.Add(CallKind.SetLength, name, number, length);
            file.SetLength(length);
        }

        public void PunchHole(long offset, long length)
        {
            disk.Add(CallKind.Punch, name, number, offset, length);
            file.PunchHole(offset, length);
        }

        public void Sync()
        {
            disk.Synchronise();
            disk.Add(CallKind.Sync, name, number);
        }

        public void Dispose() => file.Dispose();
    }
}
