using System.Diagnostics;
using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Storage;
using FluentAssertions;

namespace DatMount.Hostile;

/// <summary>A drive of an honest owner on the disk, and what an honest peer must get of it.</summary>
internal sealed class HonestDrive : IDisposable
{
    private readonly TempFolder _folder = TempFolder.Create("hostile-owner");
    private readonly Dictionary<string, string> _hashes = [];

    private HonestDrive(FeedKey key, FeedKey contentKey) => (Key, ContentKey) = (key, contentKey);

    public FeedKey Key { get; }

    public FeedKey ContentKey { get; }

    public string Folder => _folder.Path;

    /// <summary>Three files, 6 MB together.</summary>
    public static async Task<HonestDrive> CreateAsync()
    {
        SecretKey secret = SecretKey.Generate();
        using SecretKey content = secret.DeriveContent();
        HonestDrive drive = new(secret.PublicKey, content.PublicKey);
        await using HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(new DiskFolder(drive.Folder), TimeProvider.System, secret, CancellationToken.None);
        foreach ((string path, int size) in ((string, int)[])[("readme.txt", 1234), ("data/first.bin", 5_000_000), ("data/second.bin", 1_000_001)])
        {
            byte[] bytes = RandomNumberGenerator.GetBytes(size);
            drive._hashes.Add(path, Convert.ToHexStringLower(SHA256.HashData(bytes)));
            await writer.PutFileAsync("/" + path, bytes, CancellationToken.None);
        }

        return drive;
    }

    /// <summary>A peer that knows nothing fetches everything, in a process of its own; answers how long that took.</summary>
    public async Task<TimeSpan> FetchAsync(params int[] ports)
    {
        using TempFolder home = TempFolder.Create("hostile-reader");
        Stopwatch clock = Stopwatch.StartNew();
        string[] peers = [.. ports.SelectMany(port => (string[])["--peer", $"127.0.0.1:{port}"])];
        (int code, _, string errors) = await Datmount.RunAsync(home, ["export", "dat://" + Key.ToHex(), home.File("out"), "--no-discovery", .. peers]);
        code.Should().Be(0, "an honest reader is served whatever happens: {0}", errors);
        foreach ((string path, string hash) in _hashes)
            Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(Path.Combine(home.File("out"), path)))).Should().Be(hash, path);
        return clock.Elapsed;
    }

    public void Dispose() => _folder.Dispose();
}
