using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class FeedAppendTests
{
    public static TheoryData<string> Writers => [.. RecordedFeed.All.Where(feed => feed.IsWriter).Select(feed => feed.Name)];

    [Theory]
    [MemberData(nameof(Writers))]
    public async Task Writes_the_same_bytes_as_the_reference(string name)
    {
        RecordedFeed recorded = RecordedFeed.Named(name);
        MemoryFolder folder = recorded.WithSecretOnly();
        FeedOptions options = new() { BitfieldEntrySize = recorded.IsOld ? SleepHeader.OldBitfieldEntry : SleepHeader.BitfieldEntry };
        await using (Feed feed = Feed.Open(new FeedFiles(folder), options))
        {
            foreach (int batch in recorded.Batches)
            {
                long first = feed.Length;
                (await feed.AppendAsync(recorded.Blocks(first, batch), default)).Should().Be(first);
            }

            feed.Length.Should().Be(recorded.Length);
            feed.ByteLength.Should().Be(recorded.ByteLength);
            foreach ((long start, long end) in recorded.Cleared) await feed.ClearAsync(start, end, default);
        }

        foreach (string file in RecordedFeed.FileNames)
        {
            byte[]? content = RecordedFeed.Read(folder, file);
            System.Text.Json.JsonElement expected = recorded.Row.GetProperty("files").GetProperty(file);
            if (file == "data" && (recorded.Cleared.Any() || content is null)) continue;
            if (file == "bitfield" && recorded.IsOld && recorded.Length > 4095)
            {
                SameBits(content!, expected, recorded);
                continue;
            }

            content.Should().NotBeNull(file);
            content!.Length.Should().Be(expected.GetProperty("size").GetInt32(), file);
            Sha256Of.Bytes(content).Should().Be(expected.GetProperty("sha256").GetString(), file);
        }
    }

    [Fact]
    public async Task Batches_that_wait_for_each_other_share_one_signature()
    {
        using GateFolder folder = new();
        await using Feed feed = Feed.Open(new FeedFiles(folder), new FeedOptions { CreateKeyPair = true });
        folder.Close();
        Task<long>[] appends = [.. Enumerable.Range(0, 10).Select(i => Task.Run(() => feed.AppendAsync([new[] { (byte)i }, new[] { (byte)i }], default).AsTask()))];
        folder.WaitUntilSomebodyWaits();
        feed.Length.Should().Be(0, "nothing is visible before it is durable");
        folder.Open();
        long[] firsts = await Task.WhenAll(appends);
        firsts.Order().Should().Equal(Enumerable.Range(0, 10).Select(i => 2L * i));
        for (int i = 0; i < 10; i++)
        {
            feed.TryRead(firsts[i] + 1, out BlockLease lease).Should().BeTrue();
            lease.Memory.ToArray().Should().Equal((byte)i);
            lease.Dispose();
        }

        feed.Length.Should().Be(20);
    }

    [Fact]
    public async Task An_empty_batch_signs_nothing()
    {
        MemoryFolder folder = new();
        await using Feed feed = Feed.Open(new FeedFiles(folder), new FeedOptions { CreateKeyPair = true });
        (await feed.AppendAsync([], default)).Should().Be(0);
        RecordedFeed.Read(folder, "signatures").Should().HaveCount(32);
    }

    [Fact]
    public async Task A_block_that_could_not_be_sent_is_refused()
    {
        await using Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
        await FluentActions.Awaiting(() => feed.AppendAsync([new byte[1], new byte[Feed.MaxBlockSize + 1]], default).AsTask()).Should().ThrowAsync<DatException>()
            .Where(e => e.Error == DatError.Invalid);
        feed.Length.Should().Be(0);
        await feed.AppendAsync([new byte[Feed.MaxBlockSize]], default);
        feed.ByteLength.Should().Be(Feed.MaxBlockSize);
    }

    [Fact]
    public async Task Observers_hear_of_an_append_when_it_can_be_read()
    {
        await using Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
        HeardChanges heard = new();
        IDisposable observing = feed.Observe(heard);
        await feed.AppendAsync([new byte[3], new byte[4]], default);
        heard.Events.Should().Equal("length 0 2", "added 0 2");
        await feed.ClearAsync(0, 5, default);
        heard.Events.Should().Equal("length 0 2", "added 0 2", "cleared 0 2");
        observing.Dispose();
        observing.Dispose();
        await feed.AppendAsync([new byte[3]], default);
        heard.Events.Should().HaveCount(3);
    }

    [Fact]
    public async Task Blocks_of_every_size_around_the_write_buffer_are_read_back()
    {
        MemoryFolder folder = new();
        int[] sizes = [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 0, 5, 3 << 20, 70_000, 0];
        ReadOnlyMemory<byte>[] blocks = [.. sizes.Select((size, i) => (ReadOnlyMemory<byte>)SeededBytes.Take(7, i * 10_000_000L, size))];
        await using (Feed feed = Feed.Open(new FeedFiles(folder), new FeedOptions { CreateKeyPair = true })) await feed.AppendAsync(blocks, default);
        await using Feed again = Feed.Open(new FeedFiles(folder), new FeedOptions { VerifyReads = true });
        long offset = 0;
        for (int i = 0; i < blocks.Length; i++)
        {
            again.TryRead(i, out BlockLease lease).Should().BeTrue();
            lease.Memory.Span.SequenceEqual(blocks[i].Span).Should().BeTrue();
            lease.Dispose();
            again.TryGetOffset(i, out long at).Should().BeTrue();
            at.Should().Be(offset);
            offset += sizes[i];
        }
    }

    private static void SameBits(byte[] content, System.Text.Json.JsonElement expected, RecordedFeed recorded)
    {
        content.Length.Should().Be(expected.GetProperty("size").GetInt32());
        using IRandomAccessFile file = Open(content);
        Bitfield bits = Bitfield.Load(file, SleepHeader.OldBitfieldEntry, "bitfield");
        bits.FirstMissing(0, recorded.Length).Should().Be(recorded.Length);
        bits.Nodes().LongCount().Should().Be(2 * recorded.Length - FlatTree.RootCount(recorded.Length));
    }

    private static IRandomAccessFile Open(byte[] content)
    {
        MemoryFolder folder = new();
        RecordedFeed.Write(folder, "f", content);
        return folder.Open("f", FileUse.Read)!;
    }
}
