using DatFs.Drives.Hyperdrive;
using DatFs.Storage;

namespace DatFs.BenchPeer;

/// <summary>Makes a drive out of a plain folder, names in ordinal order: Node writes a few files a second once a drive has 65,536 entries.</summary>
internal static class Creation
{
    /// <summary>Prints the drive's key.</summary>
    public static async Task<int> RunAsync(string target, string from)
    {
        await using HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(new LazyFolder(new DiskFolder(target)), TimeProvider.System, null, CancellationToken.None);
        await PutAsync(writer, from, "");
        Console.WriteLine(writer.Key.ToHex());
        return 0;
    }

    private static async Task PutAsync(HyperdriveWriter writer, string folder, string into)
    {
        foreach (FileSystemInfo entry in new DirectoryInfo(folder).EnumerateFileSystemInfos().OrderBy(e => e.Name, StringComparer.Ordinal))
        {
            string path = $"{into}/{entry.Name}";
            if (entry is DirectoryInfo)
            {
                await writer.PutDirectoryAsync(path, CancellationToken.None);
                await PutAsync(writer, entry.FullName, path);
            }
            else
            {
                await using FileStream bytes = File.OpenRead(entry.FullName);
                await writer.PutFileAsync(path, bytes, CancellationToken.None);
            }
        }
    }

    /// <summary>A folder whose files are never synchronised: this drive need not survive a loss of power, and there are hundreds of thousands of calls.</summary>
    private sealed class LazyFolder(IStorageFolder inner) : IStorageFolder
    {
        public string DisplayName => inner.DisplayName;

        public IRandomAccessFile? Open(string name, FileUse use) => inner.Open(name, use) is { } file ? new LazyFile(file) : null;

        public bool Exists(string name) => inner.Exists(name);

        public void Delete(string name) => inner.Delete(name);

        public void Rename(string from, string to) => inner.Rename(from, to);

        public IStorageFolder Folder(string name) => new LazyFolder(inner.Folder(name));

        public IReadOnlyList<string> List() => inner.List();

        public void Sync()
        {
        }
    }

    private sealed class LazyFile(IRandomAccessFile inner) : IRandomAccessFile
    {
        public long Length => inner.Length;

        public int Read(long offset, Span<byte> into) => inner.Read(offset, into);

        public void Write(long offset, ReadOnlySpan<byte> data) => inner.Write(offset, data);

        public void SetLength(long length) => inner.SetLength(length);

        public void PunchHole(long offset, long length) => inner.PunchHole(offset, length);

        public void Sync()
        {
        }

        public void Dispose() => inner.Dispose();
    }
}
