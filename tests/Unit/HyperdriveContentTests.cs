using System.Buffers;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>The bytes of files, and entries that lie about them (hyperdrive.md §5.2): an error, never wrong bytes, never a hang.</summary>
public sealed class HyperdriveContentTests
{
    private const long Max = (1L << 53) - 1;

    /// <summary>Sizes of blocks, some of them such as make the usual guess go wrong.</summary>
    public static TheoryData<int[]> Cuts => new()
    {
        new[] { 65536, 65536, 100 },
        new[] { 65536, 10, 94454 },
        new[] { 10, 65536, 65526 },
        new[] { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 },
        new[] { 0, 0, 500, 0, 300, 0 },
        new[] { 160000 },
        new[] { 131072, 0, 1 },
    };

    /// <summary>size, blocks, offset, byteOffset of a file that really has three blocks of 100 bytes at block 2, byte 200.</summary>
    public static TheoryData<string, long, long, long, long> Lies => new()
    {
        { "a size beyond its blocks", 301, 3, 2, 200 },
        { "the largest size", Max, 3, 2, 200 },
        { "the largest everything", Max, Max, Max, Max },
        { "more blocks than there are", 5000, 50, 2, 200 },
        { "the largest count of blocks", Max, Max, 2, 200 },
        { "a place beyond the feed", 300, 3, 100, 200 },
        { "the last possible place", 300, 3, Max, 200 },
        { "a size without blocks", 300, 0, 2, 200 },
        { "a position one too high", 299, 3, 2, 201 },
        { "a position one too low", 300, 3, 2, 199 },
        { "the position of another file", 300, 3, 2, 0 },
        { "a position beyond the feed", 300, 3, 2, 100_000 },
        { "the last possible position", 300, 3, 2, Max },
        { "the block of another file", 300, 3, 0, 200 },
    };

    [Theory]
    [MemberData(nameof(Cuts))]
    public async Task Any_range_of_a_file_of_any_blocks_reads_as_it_was(int[] sizes)
    {
        byte[] whole = new byte[sizes.Sum()];
        new Random(4711).NextBytes(whole);
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.Content.AppendAsync([new byte[77], new byte[3]], Token);
        int at = 0;
        foreach (int size in sizes)
        {
            await made.Content.AppendAsync([whole.AsMemory(at, size)], Token);
            at += size;
        }

        await made.Content.AppendAsync([new byte[1000]], Token);
        await made.PutAsync("/f", CraftedDrive.Stat(size: whole.Length, blocks: sizes.Length, offset: 2, byteOffset: 80));
        await using HyperdriveDrive held = made.Open();
        await using HyperdriveDrive fetched = made.Clone(out CraftedDrive.GivingNetwork network);
        await network.Metadata.GiveAsync(0);
        await network.Metadata.GiveAsync(1);
        foreach (HyperdriveDrive drive in (HyperdriveDrive[])[held, fetched])
        {
            IFileContent content = await ContentAsync(drive);
            Random random = new(42);
            int[] edges = [.. sizes.Select((_, i) => sizes.Take(i).Sum()), whole.Length];
            for (int i = 0; i < 60; i++)
            {
                int start = i < edges.Length ? edges[i] : random.Next(whole.Length + 1);
                int length = random.Next(1, 200_000);
                (await ReadAsync(content, start, length)).Should().Equal(whole.AsSpan(start, Math.Min(length, whole.Length - start)).ToArray(), "{0} bytes at {1}", length, start);
            }

            (await ReadAsync(content, whole.Length, 10)).Should().BeEmpty();
            (await ReadAsync(content, long.MaxValue, 10)).Should().BeEmpty();
            (await ReadAsync(content, -1, 10)).Should().BeEmpty();
        }

        held.Content!.HeldBlocks.Should().Be(held.Content.Length);
    }

    [Fact]
    public async Task A_size_below_what_the_blocks_hold_cuts_them_off()
    {
        await using CraftedDrive made = await LyingAsync(150, 3, 2, 200);
        await using HyperdriveDrive drive = made.Open();
        IFileContent content = await ContentAsync(drive);
        (await ReadAsync(content, 0, 1000)).Should().Equal(FileBytes.AsSpan(0, 150).ToArray());
        (await ReadAsync(content, 149, 1000)).Should().Equal(FileBytes.AsSpan(149, 1).ToArray());
    }

    [Theory]
    [MemberData(nameof(Lies))]
    public async Task An_entry_that_lies_gives_an_error_where_it_lies_and_true_bytes_elsewhere(string lie, long size, long blocks, long offset, long byteOffset)
    {
        await using CraftedDrive made = await LyingAsync(size, blocks, offset, byteOffset);
        await using HyperdriveDrive held = made.Open();
        await using HyperdriveDrive fetched = made.Clone(out CraftedDrive.GivingNetwork network);
        await network.Metadata.GiveAsync(0);
        await network.Metadata.GiveAsync(1);
        foreach (HyperdriveDrive drive in (HyperdriveDrive[])[held, fetched])
        {
            IFileContent content = await ContentAsync(drive);
            content.Size.Should().Be(size, "it is shown as claimed");
            content.LocalBytes().Should().BeLessThanOrEqualTo(1300);
            content.Prefetch(0, long.MaxValue, FetchPriority.ReadAhead);
            foreach (long at in (long[])[0, 1, 150, 299, 300, size / 2, size - 1])
            {
                byte[]? read = await TryReadAsync(content, at, 100);
                if (read is null or []) continue;
                // The first answer may come before what proves the lie is known; it is then what lies at the claimed position.
                read.Should().Equal(Everything.AsSpan((int)(byteOffset + at), read.Length).ToArray(), "{0}, at {1}", lie, at);
            }

            (await TryReadAsync(content, 0, int.MaxValue)).Should().BeNull(lie);
        }
    }

    [Fact]
    public async Task A_position_that_lies_is_found_out_although_the_blocks_look_usual()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.Content.AppendAsync([new byte[65536], new byte[65536], new byte[65536]], Token);
        await made.PutAsync("/f", CraftedDrive.Stat(size: 65536, blocks: 1, offset: 1, byteOffset: 0));
        await using HyperdriveDrive drive = made.Open();
        (await TryReadAsync(await ContentAsync(drive), 0, 10)).Should().BeNull();
    }

    [Fact]
    public async Task A_read_of_many_blocks_asks_for_them_together()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.WriteAsync("/f", new byte[16 * HyperdriveWriter.BlockSize]);
        await using HyperdriveDrive drive = made.Clone(out CraftedDrive.GivingNetwork network, answers: false);
        await network.Metadata.GiveAsync(0);
        await network.Metadata.GiveAsync(1);
        IFileContent content = await ContentAsync(drive);
        using CancellationTokenSource given = new();
        Task<ContentLease> read = content.ReadAsync(HyperdriveWriter.BlockSize, 4 * HyperdriveWriter.BlockSize, FetchPriority.Interactive, given.Token).AsTask();
        network.Content!.Ranges.Should().ContainSingle().Which.Should().Be((1, 5, FetchPriority.Interactive));
        await given.CancelAsync();
        await FluentActions.Awaiting(() => read).Should().ThrowAsync<OperationCanceledException>();
        network.Content.Ranges.Should().BeEmpty();
        network.Content.Open.Should().BeEmpty();
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static byte[] Everything { get; } = [.. Enumerable.Range(0, 13).SelectMany(i => FormulaBlocks.Bytes(5, i, 100))];

    private static byte[] FileBytes => Everything.AsSpan(200, 300).ToArray();

    // Thirteen blocks of 100 bytes.
    private static async Task<CraftedDrive> LyingAsync(long size, long blocks, long offset, long byteOffset)
    {
        CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.Content.AppendAsync([.. Enumerable.Range(0, 13).Select(i => (ReadOnlyMemory<byte>)Everything.AsMemory(i * 100, 100))], Token);
        await made.PutAsync("/f", CraftedDrive.Stat(size: size, blocks: blocks, offset: offset, byteOffset: byteOffset));
        return made;
    }

    private static async Task<IFileContent> ContentAsync(HyperdriveDrive drive)
    {
        IDriveView live = await drive.ReadyAsync(Token);
        return live.OpenContent((await live.FindAsync(DrivePath.From("/f"), Token))!);
    }

    private static async Task<byte[]> ReadAsync(IFileContent content, long offset, int length)
    {
        using ContentLease lease = await content.ReadAsync(offset, length, FetchPriority.Interactive, Token);
        return lease.Data.ToArray();
    }

    private static async Task<byte[]?> TryReadAsync(IFileContent content, long offset, int length)
    {
        try
        {
            return await ReadAsync(content, offset, length);
        }
        catch (DatException failure)
        {
            failure.Error.Should().BeOneOf(DatError.Corrupt, DatError.Offline);
            return null;
        }
    }
}
