using DatFs.Storage;

namespace DatFs.Unit;

/// <summary>A folder in memory whose synchronisations wait at a gate, and which can be full.</summary>
internal sealed class GateFolder : IStorageFolder, IDisposable
{
    private readonly MemoryFolder _folder = new();
    private readonly ManualResetEventSlim _gate = new(true);
    private readonly SemaphoreSlim _arrived = new(0);

    /// <summary>Nothing can be written.</summary>
    public bool IsFull { get; set; }

    public string DisplayName => _folder.DisplayName;

    public void Close() => _gate.Reset();

    public void Open() => _gate.Set();

    public void Dispose()
    {
        _gate.Dispose();
        _arrived.Dispose();
    }

    public void WaitUntilSomebodyWaits() => _arrived.Wait();

    public IRandomAccessFile? Open(string name, FileUse use) => _folder.Open(name, use) is { } file ? new GateFile(file, this) : null;

    public bool Exists(string name) => _folder.Exists(name);

    public void Delete(string name) => _folder.Delete(name);

    public void Rename(string from, string to) => _folder.Rename(from, to);

    public IStorageFolder Folder(string name) => _folder.Folder(name);

    public IReadOnlyList<string> List() => _folder.List();

    public void Sync()
    {
    }

    private void Pass()
    {
        if (_gate.IsSet) return;
        _arrived.Release();
        _gate.Wait();
    }

    private sealed class GateFile(IRandomAccessFile file, GateFolder folder) : IRandomAccessFile
    {
        public long Length => file.Length;

        public int Read(long offset, Span<byte> into) => file.Read(offset, into);

        public void Write(long offset, ReadOnlySpan<byte> data)
        {
            if (folder.IsFull) throw new IOException("no space left");
            file.Write(offset, data);
        }

        public void SetLength(long length) => file.SetLength(length);

        public void PunchHole(long offset, long length) => file.PunchHole(offset, length);

        public void Sync() => folder.Pass();

        public void Dispose() => file.Dispose();
    }
}
