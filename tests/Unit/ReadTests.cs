using System.Buffers;
using DatFs.Drives;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.FileSystem;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Open files and read-ahead.</summary>
public sealed class ReadTests : FakeDriveTests
{
    [Fact]
    public async Task Reads_give_the_bytes_of_the_range_and_nothing_past_the_end()
    {
        Drive.Publish(("/f", FakeEntry.File("0123456789")));
        await using DatFileSystem fs = new(Drive);
        await using IFileHandle file = await fs.OpenAsync((await fs.NodeAsync("/f")).Id);
        (await file.TextAsync(2, 3)).Should().Be("234");
        (await file.TextAsync(8, 100)).Should().Be("89");
        (await file.TextAsync(10, 1)).Should().BeEmpty();
        (await file.TextAsync(long.MaxValue, 1)).Should().BeEmpty();
        (await file.TextAsync(0, 0)).Should().BeEmpty();
        (await file.TextAsync(-1, 1)).Should().Be("<Invalid>");
        (await file.TextAsync(0, -1)).Should().Be("<Invalid>");
        file.DirectIo.Should().BeFalse();
    }

    [Fact]
    public async Task A_lease_is_given_back_exactly_with_its_reader()
    {
        Drive.Publish(("/f", FakeEntry.File("0123456789")));
        await using DatFileSystem fs = new(Drive);
        await using IFileHandle file = await fs.OpenAsync((await fs.NodeAsync("/f")).Id);
        ReadLease lease = (await file.ReadAsync(0, 10, default)).Value;
        Drive.OpenLeases.Should().Be(1);
        lease.Data.ToArray().Should().HaveCount(10);
        lease.Dispose();
        Drive.OpenLeases.Should().Be(0);
    }

    [Fact]
    public async Task An_open_file_keeps_its_version_whatever_happens_to_the_name()
    {
        Drive.Publish(("/f", FakeEntry.File("old")));
        await using DatFileSystem fs = new(Drive);
        await using IFileHandle file = await fs.OpenAsync((await fs.NodeAsync("/f")).Id);
        Drive.Publish(("/f", FakeEntry.File("new")));
        (await file.TextAsync()).Should().Be("old");
        (await fs.ReadAsync("/f")).Should().Be("new");
        Drive.Publish(("/f", null));
        (await file.TextAsync()).Should().Be("old");
        (await fs.ReadAsync("/f")).Should().Be("<NotFound>");
    }

    [Fact]
    public async Task A_file_shorter_than_it_claims_is_corrupt_where_the_bytes_are_missing()
    {
        Drive.Publish(("/f", FakeEntry.File("0123") with { ClaimedSize = 1L << 62 }));
        await using DatFileSystem fs = new(Drive);
        await using IFileHandle file = await fs.OpenAsync((await fs.NodeAsync("/f")).Id);
        (await file.TextAsync(0, 4)).Should().Be("0123");
        (await file.TextAsync(0, 5)).Should().Be("<Corrupt>");
    }

    [Theory]
    [InlineData(OpenMode.Write)]
    [InlineData(OpenMode.Read | OpenMode.Write)]
    [InlineData(OpenMode.Read | OpenMode.Truncate)]
    [InlineData(OpenMode.Read | OpenMode.Append)]
    public async Task Opening_for_a_change_is_refused(OpenMode mode)
    {
        Drive.Publish(("/f", FakeEntry.File("x")));
        await using DatFileSystem fs = new(Drive);
        NodeInfo file = await fs.NodeAsync("/f");
        (await fs.OpenAsync(file.Id, mode, default)).Error.Should().Be(FsError.ReadOnly);
    }

    [Fact]
    public async Task Every_change_is_refused_as_read_only()
    {
        Drive.Publish(("/f", FakeEntry.File("x")), ("/d", FakeEntry.Directory()));
        await using DatFileSystem fs = new(Drive);
        NodeInfo f = await fs.NodeAsync("/f");
        foreach (NodeId directory in new[] { NodeId.Root, (await fs.NodeAsync("/.dat")).Id, (await fs.NodeAsync("/.dat/versions/1")).Id })
        {
            (await fs.MakeAsync(directory, FsCalls.Utf8("n"), NodeKind.Directory, 0x1ED, default, default, default)).Error.Should().Be(FsError.ReadOnly);
            (await fs.CreateAsync(directory, FsCalls.Utf8("n"), OpenMode.Write, 0x1ED, default, default)).Error.Should().Be(FsError.ReadOnly);
            (await fs.RemoveAsync(directory, FsCalls.Utf8("f"), false, default)).Should().Be(FsError.ReadOnly);
            (await fs.RenameAsync(directory, FsCalls.Utf8("f"), NodeId.Root, FsCalls.Utf8("g"), RenameMode.Replace, default)).Should().Be(FsError.ReadOnly);
            (await fs.SetAsync(directory, null, new NodeChange { Mode = 0 }, default)).Error.Should().Be(FsError.ReadOnly);
        }

        (await fs.SetAsync(f.Id, null, new NodeChange { Size = 0 }, default)).Error.Should().Be(FsError.ReadOnly);
        (await fs.SetXattrAsync(f.Id, FsCalls.Utf8("user.x"), default, default)).Should().Be(FsError.ReadOnly);
        (await fs.RemoveXattrAsync(f.Id, FsCalls.Utf8("user.x"), default)).Should().Be(FsError.ReadOnly);
        await using IFileHandle handle = await fs.OpenAsync(f.Id);
        (await handle.WriteAsync(0, new byte[1], default)).Error.Should().Be(FsError.ReadOnly);
        (await handle.FlushAsync(default)).Should().Be(FsError.None);
        (await fs.SyncAsync(f.Id, false, default)).Should().Be(FsError.None);
        (await fs.SyncAsync(null, true, default)).Should().Be(FsError.None);
    }

    [Fact]
    public void A_reader_in_order_is_fetched_ahead_in_windows_that_double_while_it_waits()
    {
        const int step = 128 << 10;
        List<(long From, long To)> ahead = ReadInOrder(step, waits: true);
        ahead[0].From.Should().Be(2 * step, "one read alone is no order");
        ahead.Zip(ahead.Skip(1)).Should().OnlyContain(pair => pair.First.To == pair.Second.From, "nothing is asked for twice");
        ahead.Select(range => range.To - range.From).Max().Should().BeInRange(ReadAhead.MaxWindow / 2, ReadAhead.MaxWindow);
    }

    [Fact]
    public void A_reader_that_never_waits_is_fetched_ahead_no_further_than_it_needs()
    {
        List<(long From, long To)> ahead = ReadInOrder(128 << 10, waits: false);
        ahead.Select(range => range.To - range.From).Max().Should().BeInRange(ReadAhead.MinWindow / 2, ReadAhead.MinWindow);
        ahead[^1].To.Should().BeInRange((32L << 20) + 1, (32L << 20) + ReadAhead.MinWindow);
    }

    [Theory]
    [InlineData(0, 2 << 20)]
    [InlineData(62 << 20, -(3 << 20))]
    public async Task A_reader_that_takes_a_piece_at_even_distances_gets_the_next_ones(long start, long stride)
    {
        Drive.Publish(("/f", FakeEntry.File(new byte[64 << 20])));
        await using DatFileSystem fs = new(Drive);
        await using IFileHandle file = await fs.OpenAsync((await fs.NodeAsync("/f")).Id);
        List<long> reads = [];
        for (long at = start; at is >= 0 and < 64 << 20; at += stride)
        {
            (await file.ReadAsync(at, 4096, default)).Value.Dispose();
            reads.Add(at);
        }

        List<long> ahead = [.. Drive.Prefetched.Select(p => p.Offset)];
        ahead.Should().Equal(reads.Skip(ReadAhead.EqualStrides + 2), "each piece is asked for once, none that is not read");
        Drive.Prefetched.Should().OnlyContain(p => p.Length == 4096);
    }

    private static List<(long From, long To)> ReadInOrder(int step, bool waits)
    {
        RecordedContent content = new(64 << 20);
        ReadAhead ahead = new(content);
        for (long at = 0; at < 32 << 20; at += step) ahead.Reading(at, step, waits);
        return content.Prefetched;
    }

    private sealed class RecordedContent(long size) : IFileContent
    {
        public List<(long From, long To)> Prefetched { get; } = [];
        public long Size => size;
        public long Blocks => size / 65536;
        public long LocalBytes() => 0;
        public void Prefetch(long offset, long length, FetchPriority priority) => Prefetched.Add((offset, offset + length));
        public ValueTask<ContentLease> ReadAsync(long offset, int length, FetchPriority priority, CancellationToken ct) => throw new InvalidOperationException("nothing is read here");
    }

    [Fact]
    public async Task Fetching_ahead_ends_at_the_end_of_the_file()
    {
        Drive.Publish(("/f", FakeEntry.File(new byte[300_000])));
        await using DatFileSystem fs = new(Drive);
        await using IFileHandle file = await fs.OpenAsync((await fs.NodeAsync("/f")).Id);
        for (long at = 0; at < 300_000; at += 65536) (await file.ReadAsync(at, 65536, default)).Value.Dispose();
        Drive.Prefetched.Should().OnlyContain(p => p.Length > 0 && p.Offset + p.Length <= 300_000);
        Drive.Prefetched.Sum(p => p.Length).Should().Be(300_000 - (2 * 65536));
    }

    [Fact]
    public async Task A_reader_that_jumps_is_not_fetched_ahead()
    {
        Drive.Publish(("/f", FakeEntry.File(new byte[64 << 20])));
        await using DatFileSystem fs = new(Drive);
        await using IFileHandle file = await fs.OpenAsync((await fs.NodeAsync("/f")).Id);
        foreach (int megabyte in new[] { 0, 40, 3, 60, 20, 50, 7 }) (await file.ReadAsync((long)megabyte << 20, 4096, default)).Value.Dispose();
        Drive.Prefetched.Should().BeEmpty();
    }

    [Fact]
    public async Task Neighbouring_reads_that_arrive_swapped_are_still_in_order()
    {
        Drive.Publish(("/f", FakeEntry.File(new byte[8 << 20])));
        await using DatFileSystem fs = new(Drive);
        await using IFileHandle file = await fs.OpenAsync((await fs.NodeAsync("/f")).Id);
        foreach (int part in new[] { 1, 0, 3, 2, 5, 4 }) (await file.ReadAsync(part * 131072, 131072, default)).Value.Dispose();
        Drive.Prefetched.Should().NotBeEmpty();
        Drive.Prefetched[^1].Offset.Should().BeGreaterThanOrEqualTo(6 * 131072);
    }
}
