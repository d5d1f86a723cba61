using DatFs.Crypto;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatMount.Faults;

/// <summary>A drive of many files that a real Node peer serves, and what must be true of the storage of whoever fetched some of it.</summary>
public sealed class KillStage : IAsyncLifetime
{
    public const int Files = 300;

    private const int Seed = 9;
    private const int PerFolder = 50;
    private const int ChecksInNode = 20;

    private readonly TempFolder _owner = TempFolder.Create("kills-owner");
    private Feed _truth = null!;
    private NodeMember _peer = null!;

    public string Key { get; private set; } = "";

    /// <summary>Blocks of content.</summary>
    public int Blocks => (int)_truth.Length;

    internal string Address => _peer.Address;

    internal long BytesSent => _peer.Line.BytesFromTarget;

    public static string PathOf(string folder, int file) => Path.Combine(folder, NameOf(file));

    /// <summary>Most are small; every tenth is of several blocks.</summary>
    public static byte[] Content(int file) => SeededBytes.Take(Seed, file * 1000, file % 10 == 0 ? 300_000 + file : 3_000 + file);

    public async ValueTask InitializeAsync()
    {
        SecretKey secret = SecretKey.Generate();
        Key = secret.PublicKey.ToHex();
        using SecretKey content = secret.DeriveContent();
        FeedKey contentKey = content.PublicKey;
        await using (HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(new DiskFolder(_owner.Folder("drive")), TimeProvider.System, secret, CancellationToken.None))
            for (int file = 0; file < Files; file++) await writer.PutFileAsync("/" + NameOf(file), Content(file), CancellationToken.None);
        Folders.Copy(_owner.File("drive/content"), _owner.File("truth"));
        _truth = Feed.Open(new FeedFiles(new DiskFolder(_owner.File("truth"))), new FeedOptions { ReadOnly = true, Key = contentKey });
        _peer = await NodeMember.StartAsync(_owner.File("drive"));
    }

    public bool HasAll(HashSet<long> flushed) => flushed.Count == Blocks;

    /// <summary>Blocks of content that a storage on the disk says it has.</summary>
    public HashSet<long> Flushed(TempFolder home)
    {
        HashSet<long> found = [];
        if (StorageIn(home) is { } storage && File.Exists(Path.Combine(storage, "content", "bitfield")))
            foreach (long block in SleepBits.Read(Path.Combine(storage, "content", "bitfield"))) found.Add(block);
        return found;
    }

    /// <summary>
    /// Opens a copy of what a killed program left: every flushed block is there and every block that is there is the owner's, for us and
    /// for Node. False = nothing was stored yet.
    /// </summary>
    public async Task<bool> CheckAsync(TempFolder home, HashSet<long> flushed, bool withNode)
    {
        if (StorageIn(home) is not { } storage || !File.Exists(Path.Combine(storage, "content", "key"))) return false;
        using TempFolder copy = TempFolder.Create("kills-copy");
        Folders.Copy(storage, copy.File("drive"));
        await using (Feed feed = Feed.Open(new FeedFiles(new DiskFolder(copy.File("drive/content"))), new FeedOptions { Key = _truth.Key, VerifyReads = true }))
        {
            feed.IsForked.Should().BeFalse();
            for (long block = 0; block < _truth.Length; block++)
            {
                if (!feed.HasBlock(block))
                {
                    flushed.Should().NotContain(block, "it was on the disk before the program was killed");
                    continue;
                }

                feed.TryRead(block, out BlockLease held).Should().BeTrue();
                _truth.TryRead(block, out BlockLease own).Should().BeTrue();
                using (held)
                using (own) held.Memory.Span.SequenceEqual(own.Memory.Span).Should().BeTrue("block {0} is the owner's", block);
            }
        }

        if (withNode) await CheckInNodeAsync(copy.File("drive"), flushed);
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        await _peer.DisposeAsync();
        await _truth.DisposeAsync();
        _owner.Dispose();
    }

    private static async Task CheckInNodeAsync(string drive, HashSet<long> flushed)
    {
        await using DrivePeer node = await DrivePeer.StartAsync(DrivePeer.Versions[^1], new PeerDriveOptions { Folder = drive, Sparse = true });
        node.Info.Writable.Should().BeFalse();
        (node.Info.Content?.Held ?? 0).Should().BeGreaterThanOrEqualTo(flushed.Count);
        int seen = 0;
        foreach (PeerEntry entry in await node.ListAsync(hash: false))
        {
            if (entry.IsDirectory || !Enumerable.Range((int)entry.Offset, (int)entry.Blocks).All(block => flushed.Contains(block)) || seen == ChecksInNode) continue;
            (await node.HashAsync(entry.Path)).Should().Be(Sha256Of.Bytes(Content(int.Parse(Path.GetFileName(entry.Path), System.Globalization.CultureInfo.InvariantCulture))));
            seen++;
        }
    }

    // The drive's own folder, wherever the program keeps it.
    private static string? StorageIn(TempFolder home) =>
        Directory.Exists(home.File("data")) ? Path.GetDirectoryName(Directory.GetDirectories(home.File("data"), "content", SearchOption.AllDirectories).SingleOrDefault()) : null;

    private static string NameOf(int file) => $"{file / PerFolder}/{file}";
}
