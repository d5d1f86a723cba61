using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatMount.Posix;

/// <summary>What a mount fetches, what it leaves, and what it leaves behind on disk.</summary>
public sealed class RealDriveLazyTests
{
    private const int Seed = 64;

    [Fact]
    public async Task Four_kilobytes_in_the_middle_of_a_large_file_move_three_blocks_at_most()
    {
        const int Size = 64 << 20;
        byte[] bytes = SeededBytes.Take(Seed, 0, Size);
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/large", bytes, default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        int at = (Size / 2) + (5 * 4096);
        (await Shell.RunAsync("sh", "-c", $"dd if='{mounted["/large"]}' bs=4096 skip={at / 4096} count=1 2>/dev/null | sha256sum")).Out
            .Should().StartWith(Sha256Of.Bytes(bytes.AsSpan(at, 4096)));
        mounted.Drive.Status.ContentHeld.Should().BeInRange(1, 3);
        shared.ContentBlocksSent.Should().BeInRange(1, 3);
    }

    [Fact]
    public async Task Looking_around_moves_no_content()
    {
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            for (int n = 0; n < 50; n++) await writer.PutFileAsync($"/d{n % 5}/file{n}", SeededBytes.Take(Seed, n, 100_000), default);
        });
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        (await Shell.RunAsync("ls", "-l", mounted.Folder)).Exit.Should().Be(0);
        (await Shell.RunAsync("sh", "-c", $"find '{mounted.Folder}' -type f -size 98k | wc -l")).Out.Should().Be("50\n");
        (await Shell.RunAsync("du", "-s", "--apparent-size", "-B1", mounted.Folder)).Out.Should().StartWith("5000000\t");
        shared.ContentBlocksSent.Should().Be(0);
        mounted.Drive.Status.ContentHeld.Should().Be(0);
    }

    [Fact]
    public async Task What_a_mount_stored_proves_itself_again_block_by_block()
    {
        byte[] bytes = SeededBytes.Take(Seed, 0, (9 << 20) + 321);
        using TempFolder storage = TempFolder.Create("storage");
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync("/a", bytes, default);
            for (int n = 0; n < 40; n++) await writer.PutFileAsync($"/d/{n}", SeededBytes.Take(Seed, n, n * 1000), default);
        });
        await using (MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Storage = storage.Path }))
        {
            using (FileStream file = new(mounted["/a"], FileMode.Open, FileAccess.Read, FileShare.Read, 0))
            {
                byte[] piece = new byte[30_000];
                Random random = new(Seed);
                for (int i = 0; i < 30; i++) RandomAccess.Read(file.SafeFileHandle, piece, random.Next(bytes.Length)).Should().BePositive();
            }

            for (int n = 0; n < 40; n += 3) (await File.ReadAllBytesAsync(mounted[$"/d/{n}"])).Should().Equal(SeededBytes.Take(Seed, n, n * 1000));
            await shared.PutAsync("/d/late", bytes[..100_000]);
            Shell.Until(() => File.Exists(mounted["/d/late"]), "a later version");
            (await File.ReadAllBytesAsync(mounted["/d/late"])).Should().Equal(bytes[..100_000]);
            mounted.UntilMetadataIsHere(shared);
        }

        (await ProveAgainAsync(storage.Path, shared.Key, "metadata", shared.Metadata)).Should().Be(shared.Metadata.Length);
        (await ProveAgainAsync(storage.Path, shared.Key, "content", shared.Content)).Should().BeInRange(20, shared.Content.Length - 1);
    }

    /// <summary>
    /// Reopens a stored feed and hands each held block with its proof to an empty feed, which believes nothing but the owner's signature.
    /// </summary>
    private static async Task<long> ProveAgainAsync(string storage, FeedKey drive, string name, Feed truth)
    {
        DiskFolder folder = new(Path.Combine(storage, drive.ToDiscoveryKey().ToHex(), "drive", name));
        await using Feed stored = Feed.Open(new FeedFiles(folder), new FeedOptions { Key = truth.Key, ReadOnly = true });
        await using Feed verifier = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = truth.Key });
        long held = 0;
        for (long block = stored.FirstHeld(0, stored.Length); block < stored.Length; block = stored.FirstHeld(block + 1, stored.Length), held++)
        {
            stored.TryProve(block, verifier.DigestFor(block), hashOnly: false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue($"block {block} of {name} is held");
            using (lease)
            {
                (await verifier.AcceptAsync(proof, CancellationToken.None)).Should().BeOneOf([ProofOutcome.Accepted, ProofOutcome.AcceptedLonger], $"block {block} of {name}");
                truth.TryRead(block, out BlockLease original).Should().BeTrue();
                using (original) lease.Memory.Span.SequenceEqual(original.Memory.Span).Should().BeTrue();
            }
        }

        held.Should().Be(stored.HeldBlocks);
        return held;
    }
}
