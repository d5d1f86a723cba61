using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;

namespace DatMount.Hostile;

/// <summary>A hyperdrive on the disk of which a test writes both feeds block by block, also such as no writer would write.</summary>
internal sealed class CraftedFolder : IAsyncDisposable
{
    /// <summary>2018-01-15T00:00:00Z.</summary>
    public const long Time = 1515974400000;

    private readonly TempFolder _folder = TempFolder.Create("hostile-owner");
    private readonly TempFolder _copy = TempFolder.Create("hostile-copy");

    private CraftedFolder(SecretKey metadata, SecretKey content)
    {
        DiskFolder folder = new(_folder.Path);
        Metadata = Open(folder, "metadata", metadata);
        Content = Open(folder, "content", content);
    }

    public string Path => _folder.Path;

    public Feed Metadata { get; private set; }

    public Feed Content { get; private set; }

    public FeedKey Key => Metadata.Key;

    /// <summary>A drive whose header names the content feed, unless the test gives another header.</summary>
    public static async Task<CraftedFolder> CreateAsync(SecretKey? content = null, SecretKey? metadata = null, byte[]? header = null)
    {
        using SecretKey ownMetadata = metadata ?? SecretKey.Generate();
        using SecretKey ownContent = content ?? ownMetadata.DeriveContent();
        CraftedFolder made = new(ownMetadata, ownContent);
        await made.Metadata.AppendAsync([header ?? HyperCodec.EncodeHeader(made.Content.Key.ToArray())], CancellationToken.None);
        return made;
    }

    /// <summary>Attributes as stored; a link's target in the field that hyperdrive 10 has for it.</summary>
    public static byte[] Stat(uint mode = 0x81A4, long size = 0, long blocks = 0, long offset = 0, long byteOffset = 0, long time = Time, byte[]? link = null) =>
    [
        .. HyperCodec.EncodeFileStat(new HyperStat(mode, 0, 0, size, blocks, offset, byteOffset, time, time, null)),
        .. link is null ? Array.Empty<byte>() : [0x52, .. Scripts.Number((ulong)link.Length), .. link],
    ];

    /// <summary>A block of the content feed.</summary>
    public byte[] Block(long index)
    {
        if (!Content.TryRead(index, out BlockLease lease)) throw new ArgumentOutOfRangeException(nameof(index));
        using (lease) return lease.Memory.ToArray();
    }

    /// <summary>Appends an entry in the root; its name is bytes, of any kind, and may be a path for those that look it up by itself.</summary>
    public Task PutAsync(string name, byte[] stat) => AppendAsync(HyperCodec.EncodeNode(Metadata.Length, "/" + name, stat, [[.. Numbers(Metadata.Length)], [Metadata.Length]]));

    public async Task AppendAsync(params byte[][] metadata) => await Metadata.AppendAsync([.. metadata.Select(block => (ReadOnlyMemory<byte>)block)], CancellationToken.None);

    /// <summary>Both feeds are on the disk and free for the program; here a copy can still be read.</summary>
    public async Task ReleaseAsync()
    {
        await Metadata.DisposeAsync();
        await Content.DisposeAsync();
        Metadata = Reopen("metadata");
        Content = Reopen("content");
    }

    public async ValueTask DisposeAsync()
    {
        await Metadata.DisposeAsync();
        await Content.DisposeAsync();
        _folder.Dispose();
        _copy.Dispose();
    }

    private Feed Reopen(string name)
    {
        string copy = _copy.Folder(name);
        foreach (string file in Directory.GetFiles(_folder.File(name))) File.Copy(file, System.IO.Path.Combine(copy, System.IO.Path.GetFileName(file)));
        return Feed.Open(new FeedFiles(new DiskFolder(copy)), new FeedOptions { ReadOnly = true });
    }

    private static IEnumerable<long> Numbers(long last)
    {
        for (long seq = 1; seq <= last; seq++) yield return seq;
    }

    private static Feed Open(DiskFolder folder, string name, SecretKey secret)
    {
        byte[] key = new byte[SecretKey.Size];
        secret.CopyTo(key);
        return Feed.Open(new FeedFiles(folder.Folder(name)), new FeedOptions { Key = secret.PublicKey, SecretKey = key });
    }
}
