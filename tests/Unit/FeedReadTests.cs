using System.Text.Json;
using CsCheck;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

public sealed class FeedReadTests
{
    private static readonly JsonElement s_offsets = Vectors.Json("hypercore/byte-offsets.json");

    [Fact]
    public async Task Offsets_sizes_and_seeks_equal_the_reference()
    {
        await using Feed feed = await VaryingFeed();
        foreach (JsonElement row in s_offsets.GetProperty("offsets").EnumerateArray())
        {
            long block = row.GetProperty("block").GetInt64();
            feed.TryGetOffset(block, out long offset).Should().BeTrue();
            offset.Should().Be(row.GetProperty("offset").GetInt64());
            feed.TryGetSize(block, out long size).Should().BeTrue();
            size.Should().Be(row.GetProperty("size").GetInt64());
        }

        foreach (JsonElement row in s_offsets.GetProperty("seeks").EnumerateArray())
        {
            long start = 0;
            long end = feed.Length;
            feed.TrySeek(row.GetProperty("bytes").GetInt64(), ref start, ref end, out long within).Should().BeTrue();
            (start, within).Should().Be((row.GetProperty("block").GetInt64(), row.GetProperty("offset").GetInt64()));
        }
    }

    [Fact]
    public async Task A_byte_outside_the_given_blocks_is_not_found()
    {
        await using Feed feed = await VaryingFeed();
        feed.TryGetOffset(10, out long offset).Should().BeTrue();
        (long start, long end) = (0, 10);
        feed.TrySeek(offset, ref start, ref end, out _).Should().BeFalse();
        end.Should().BeLessThanOrEqualTo(start, "the range is empty");
        await FluentActions.Awaiting(() => feed.SeekAsync(offset, 0, 10, FetchPriority.Interactive, default).AsTask()).Should().ThrowAsync<DatException>()
            .Where(e => e.Error == DatError.Corrupt);

        (start, end) = (0, 100);
        feed.TrySeek(feed.ByteLength + 5, ref start, ref end, out _).Should().BeFalse();
        (start, end).Should().Be((20, 100), "it may lie in blocks that are not known yet");
        (start, end) = (-5, 5);
        feed.TrySeek(-1, ref start, ref end, out _).Should().BeFalse();
    }

    [Fact]
    public async Task A_seek_in_a_sparse_feed_narrows_to_what_has_to_be_asked()
    {
        RecordedFeed recorded = RecordedFeed.Named("v7-sparse-of-17");
        await using Feed feed = Feed.Open(new FeedFiles(recorded.Copy()), new FeedOptions());
        (long start, long end) = (0, 17);
        feed.TrySeek(75, ref start, ref end, out _).Should().BeFalse();
        (start, end).Should().Be((4, 8), "node 11 is known, its children are not");
        (start, end) = (0, 17);
        feed.TrySeek(95, ref start, ref end, out long within).Should().BeTrue();
        (start, within).Should().Be((9, 5));
        feed.TryGetOffset(6, out _).Should().BeFalse();
        feed.TryGetOffset(8, out long offset).Should().BeTrue();
        offset.Should().Be(80);
    }

    [Fact]
    public void Seeks_agree_with_adding_up_sizes()
    {
        Gen.Int[0, 5].Array[1, 40].Sample(sizes =>
        {
            Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
            feed.AppendAsync([.. sizes.Select(size => (ReadOnlyMemory<byte>)new byte[size])], default).AsTask().GetAwaiter().GetResult();
            long total = sizes.Sum();
            for (long at = 0; at <= total; at++)
            {
                long block = 0;
                long rest = at;
                while (at > 0 && block < sizes.Length && rest >= sizes[block]) rest -= sizes[block++];
                (long start, long end) = (0, sizes.Length);
                feed.TrySeek(at, ref start, ref end, out long within).Should().BeTrue();
                (start, within).Should().Be((block, rest));
            }
        },
        iter: 60);
    }

    [Fact]
    public async Task Damaged_bytes_are_given_up_and_fetched_again()
    {
        RecordedFeed recorded = RecordedFeed.Named("v7-len8");
        MemoryFolder folder = recorded.Copy();
        using (IRandomAccessFile data = folder.Open("data", FileUse.ReadWrite)!) data.Write(35, [0xEE]);
        await using Feed feed = Feed.Open(new FeedFiles(folder), new FeedOptions { VerifyReads = true });
        HeardChanges heard = new();
        feed.Observe(heard);
        feed.TryRead(3, out _).Should().BeFalse();
        feed.HasBlock(3).Should().BeFalse();
        heard.Events.Should().Equal("cleared 3 1");
        await FluentActions.Awaiting(() => feed.ReadAsync(3, FetchPriority.Interactive, default).AsTask()).Should().ThrowAsync<DatException>().Where(e => e.Error == DatError.Offline);

        feed.Source = new FixedSource(index => feed.AcceptAsync(new Proof(index, recorded.Block(index), [], null), default));
        using BlockLease block = await feed.ReadAsync(3, FetchPriority.Interactive, default);
        block.Memory.ToArray().Should().Equal(recorded.Block(3));
        feed.TryRead(2, out BlockLease other).Should().BeTrue();
        other.Dispose();
    }

    [Fact]
    public async Task A_data_file_that_is_too_short_loses_only_the_blocks_beyond_it()
    {
        RecordedFeed recorded = RecordedFeed.Named("v7-len8");
        MemoryFolder folder = recorded.Copy();
        using (IRandomAccessFile data = folder.Open("data", FileUse.ReadWrite)!) data.SetLength(75);
        await using Feed feed = Feed.Open(new FeedFiles(folder), new FeedOptions());
        feed.TryRead(7, out _).Should().BeFalse();
        feed.TryRead(6, out BlockLease block).Should().BeTrue();
        block.Dispose();
        feed.FirstMissing(0, 8).Should().Be(7);
    }

    [Fact]
    public async Task Bytes_may_come_from_the_users_own_files()
    {
        RecordedFeed recorded = RecordedFeed.Named("v7-len8");
        MemoryFolder folder = recorded.Copy();
        byte[] data = RecordedFeed.Read(folder, "data")!;
        folder.Delete("data");
        MemoryFolder elsewhere = new();
        RecordedFeed.Write(elsewhere, "file", data);
        await using Feed feed = Feed.Open(new FeedFiles(folder) { Data = elsewhere.Open("file", FileUse.Read) }, new FeedOptions { ReadOnly = true, VerifyReads = true });
        feed.Writable.Should().BeFalse();
        feed.TryRead(5, out BlockLease block).Should().BeTrue();
        block.Memory.ToArray().Should().Equal(recorded.Block(5));
        block.Dispose();
    }

    [Fact]
    public async Task Waiting_for_a_length_ends_when_the_feed_has_it()
    {
        await using Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
        await feed.WaitForLengthAsync(0, FetchPriority.Interactive, default);
        Task waiting = feed.WaitForLengthAsync(2, FetchPriority.Interactive, default).AsTask();
        await feed.AppendAsync([new byte[1]], default);
        waiting.IsCompleted.Should().BeFalse();
        await feed.AppendAsync([new byte[1]], default);
        await waiting.WaitAsync(TimeSpan.FromSeconds(30));
        using CancellationTokenSource cancel = new();
        Task cancelled = feed.WaitForLengthAsync(9, FetchPriority.Interactive, cancel.Token).AsTask();
        await cancel.CancelAsync();
        await FluentActions.Awaiting(() => cancelled).Should().ThrowAsync<OperationCanceledException>();
    }

    [Fact]
    public async Task Readers_do_not_wait_while_the_disk_synchronises()
    {
        using GateFolder folder = new();
        Feed feed = Feed.Open(new FeedFiles(folder), new FeedOptions { CreateKeyPair = true });
        await feed.AppendAsync([new byte[] { 1 }], default);
        folder.Close();
        Task<long> append = Task.Run(() => feed.AppendAsync([new byte[] { 2 }], default).AsTask());
        folder.WaitUntilSomebodyWaits();

        feed.TryRead(0, out BlockLease block).Should().BeTrue();
        block.Dispose();
        feed.TryRead(1, out _).Should().BeFalse();
        feed.DigestFor(5).Should().BeGreaterThanOrEqualTo(0);
        feed.EncodeHave(0, 8192).Should().Equal(BitsOf(0x80));
        feed.TryProve(0, 0, false, new RemoteTree(), out Proof proof, out BlockLease value).Should().BeTrue();
        proof.Signature.Should().NotBeNull();
        value.Dispose();
        feed.TryProve(1, 0, false, new RemoteTree(), out _, out _).Should().BeFalse("it is not durable");

        folder.Open();
        await append;
        feed.EncodeHave(0, 8192).Should().Equal(BitsOf(0xC0));
        await feed.DisposeAsync();
    }

    private static byte[] BitsOf(params byte[] bits) => DatFs.Encoding.BitfieldRle.Encode(bits);

    private static async Task<Feed> VaryingFeed()
    {
        Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
        await feed.AppendAsync([.. Enumerable.Range(0, 20).Select(i => (ReadOnlyMemory<byte>)FormulaBlocks.Of(s_offsets.GetProperty("blocks"), i))], default);
        feed.ByteLength.Should().Be(s_offsets.GetProperty("byteLength").GetInt64());
        return feed;
    }
}
