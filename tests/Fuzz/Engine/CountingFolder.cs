using DatFs.Storage;

namespace DatMount.Fuzz.Engine;

/// <summary>A folder that counts what is read of it: the steps that files can make their reader take.</summary>
internal sealed class CountingFolder(IStorageFolder inner) : IStorageFolder
{
    public long Reads { get; private set; }

    public long Bytes { get; private set; }

    public string DisplayName => inner.DisplayName;

    public IRandomAccessFile? Open(string name, FileUse use) => inner.Open(name, use) is { } file ? new Counting(this, file) : null;

    public bool Exists(string name) => inner.Exists(name);

    public void Delete(string name) => inner.Delete(name);

    public void Rename(string from, string to) => inner.Rename(from, to);

    public IStorageFolder Folder(string name) => inner.Folder(name);

    public IReadOnlyList<string> List() => inner.List();

    public void Sync() => inner.Sync();

    private sealed class Counting(CountingFolder folder, IRandomAccessFile file) : IRandomAccessFile
    {
        public long Length => file.Length;

        public int Read(long offset, Span<byte> into)
        {
            int read = file.Read(offset, into);
            folder.Reads++;
            folder.Bytes += read;
            return read;
        }

        public void Write(long offset, ReadOnlySpan<byte> data) => file.Write(offset, data);

        public void SetLength(long length) => file.SetLength(length);

        public void PunchHole(long offset, long length) => file.PunchHole(offset, length);

        public void Sync() => file.Sync();

        public void Dispose() => file.Dispose();
    }
}
