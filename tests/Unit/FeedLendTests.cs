using DatFs.Encoding;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Blocks whose bytes lie in files of someone else (hyperdrive.md §6.2).</summary>
public sealed class FeedLendTests
{
    private const int BlockBytes = 1000;
    private const int Blocks = 20;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Lent_blocks_are_held_read_and_served_but_never_stored()
    {
        MemoryFolder storage = new();
        await using Feed owner = await OwnerAsync();
        using IRandomAccessFile bytes = Bytes();
        await using (Feed feed = await LeavesOfAsync(owner, storage))
        {
            HeardChanges heard = new();
            using IDisposable observing = feed.Observe(heard);
            feed.Lender = bytes;
            feed.Lend(3, Blocks, check: false);
            feed.HeldBlocks.Should().Be(Blocks - 3);
            (feed.HasBlock(2), feed.HasBlock(3)).Should().Be((false, true));
            heard.Events.Should().Equal($"added 3 {Blocks - 3}");
            for (int i = 3; i < Blocks; i++) Read(feed, i).Should().Equal(Block(i));

            feed.TryProve(7, 0, false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
            using (lease) proof.Value!.Value.ToArray().Should().Equal(Block(7));
            feed.EncodeHave(0, 16).Should().Equal(BitfieldRle.Encode([0x1F, 0xFF]), "peers are told");

            await feed.ClearAsync(0, Blocks, Token);
            feed.HeldBlocks.Should().Be(Blocks - 3, "what is lent is not ours to give up");
            await feed.FlushAsync(Token);
            storage.Exists("data").Should().BeFalse();
        }

        await using Feed again = Feed.Open(new FeedFiles(storage), new FeedOptions { Key = owner.Key });
        again.HeldBlocks.Should().Be(0, "nothing of it was stored");
        again.Length.Should().Be(Blocks);
    }

    [Fact]
    public async Task A_changed_file_makes_its_blocks_not_held_and_a_peer_can_give_them()
    {
        MemoryFolder storage = new();
        await using Feed owner = await OwnerAsync();
        using IRandomAccessFile bytes = Bytes();
        await using (Feed feed = await LeavesOfAsync(owner, storage))
        {
            HeardChanges heard = new();
            using IDisposable observing = feed.Observe(heard);
            feed.Lender = bytes;
            feed.Lend(0, Blocks, check: false);
            bytes.Write(5 * BlockBytes, "someone else's"u8);
            bytes.SetLength((Blocks - 1) * BlockBytes);
            feed.TryRead(5, out _).Should().BeFalse();
            feed.TryRead(Blocks - 1, out _).Should().BeFalse();
            heard.Events.Should().Equal($"added 0 {Blocks}", "cleared 5 1", $"cleared {Blocks - 1} 1");
            feed.TryProve(5, 0, false, new RemoteTree(), out _, out _).Should().BeFalse("wrong bytes are never served");

            feed.Lend(0, Blocks, check: true);
            feed.HasBlock(5).Should().BeFalse("it was looked at first");
            owner.TryProve(5, feed.DigestFor(5), false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
            using (lease) (await feed.AcceptAsync(proof, Token)).Should().Be(ProofOutcome.Accepted);
            Read(feed, 5).Should().Equal(Block(5));
            feed.IsLent(5).Should().BeFalse();
        }

        await using Feed again = Feed.Open(new FeedFiles(storage), new FeedOptions { Key = owner.Key });
        again.HeldBlocks.Should().Be(1, "the one that came from a peer is ours");
        Read(again, 5).Should().Equal(Block(5));
    }

    [Fact]
    public async Task Bytes_that_came_back_are_lent_again_and_unknown_leaves_never()
    {
        await using Feed owner = await OwnerAsync();
        using IRandomAccessFile bytes = Bytes();
        await using Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = owner.Key });
        feed.Lender = bytes;
        feed.Lend(0, Blocks, check: false);
        feed.HeldBlocks.Should().Be(0, "no leaf is known");
        await LearnAsync(owner, feed, 4);
        await LearnAsync(owner, feed, 5);
        bytes.Write(5 * BlockBytes, [0]);
        feed.Lend(0, Blocks, check: true);
        (feed.HasBlock(4), feed.HasBlock(5), feed.HeldBlocks).Should().Be((true, false, 1));
        bytes.Write(5 * BlockBytes, Block(5));
        feed.Lend(5, 6, check: true);
        Read(feed, 5).Should().Equal(Block(5));
    }

    [Fact]
    public async Task Many_readers_beside_a_changing_file_get_the_right_bytes_or_none()
    {
        await using Feed owner = await OwnerAsync();
        using IRandomAccessFile bytes = Bytes();
        await using Feed feed = await LeavesOfAsync(owner, new MemoryFolder());
        feed.Lender = bytes;
        Task[] readers = [.. Enumerable.Range(0, 4).Select(reader => Task.Run(() =>
        {
            for (int i = 0; i < 4000; i++)
            {
                int block = (i + 5 * reader) % Blocks;
                if (!feed.TryRead(block, out BlockLease lease)) continue;
                using (lease) lease.Memory.Span.SequenceEqual(Block(block)).Should().BeTrue();
            }
        }, Token))];
        for (int i = 0; !Array.TrueForAll(readers, reader => reader.IsCompleted); i++)
        {
            bytes.Write(i % Blocks * BlockBytes, i % 3 == 0 ? Block(i % Blocks) : "changed"u8.ToArray());
            feed.Lend(0, Blocks, check: i % 2 == 0);
            int block = i % Blocks;
            if (i % 7 == 0 && !feed.HasBlock(block) && owner.TryProve(block, 0, false, new RemoteTree(), out Proof proof, out BlockLease lease))
                using (lease) await feed.AcceptAsync(proof, Token);
        }

        await Task.WhenAll(readers);
    }

    private static async Task<Feed> OwnerAsync()
    {
        Feed owner = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
        await owner.AppendAsync([.. Enumerable.Range(0, Blocks).Select(i => (ReadOnlyMemory<byte>)Block(i))], Token);
        return owner;
    }

    private static async Task<Feed> LeavesOfAsync(Feed owner, MemoryFolder storage)
    {
        Feed feed = Feed.Open(new FeedFiles(storage), new FeedOptions { Key = owner.Key });
        for (int i = 0; i < Blocks; i++) await LearnAsync(owner, feed, i);
        return feed;
    }

    private static async Task LearnAsync(Feed owner, Feed feed, int block)
    {
        owner.TryProve(block, feed.DigestFor(block), true, new RemoteTree(), out Proof proof, out _).Should().BeTrue();
        await feed.AcceptAsync(proof, Token);
    }

    private static IRandomAccessFile Bytes()
    {
        IRandomAccessFile file = new MemoryFolder().Open("bytes", FileUse.ReadWrite)!;
        for (int i = 0; i < Blocks; i++) file.Write(i * BlockBytes, Block(i));
        return file;
    }

    private static byte[] Block(int index) => SeededBytes.Take(9, index * BlockBytes, BlockBytes);

    private static byte[] Read(Feed feed, int block)
    {
        feed.TryRead(block, out BlockLease lease).Should().BeTrue("block {0} is held", block);
        using (lease) return lease.Memory.ToArray();
    }
}
