using CsCheck;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Metadata that only an ill-willed writer would sign (reliability.md §4): every question ends, with an answer or an error.</summary>
public sealed class HyperdriveHostileTests
{
    [Fact]
    public async Task Indices_that_lead_from_node_to_node_to_no_end_are_walked_to_their_end()
    {
        // Each node points at every older one as another name of every directory.
        const int nodes = 200;
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        for (long seq = 1; seq <= nodes; seq++)
        {
            long[] all = [.. Enumerable.Range(1, (int)seq).Select(i => (long)i)];
            await made.NodeAsync($"/d{seq % 3}/{seq}/x", CraftedDrive.Bytes(CraftedDrive.Stat()), all, all, all, all);
        }

        await using HyperdriveDrive drive = made.Open();
        int seen = await WalkAsync(drive.Live, DrivePath.Root, 0);
        seen.Should().BePositive();
        (await drive.Live.FindAsync(DrivePath.From("/d1/1/y/z"), Token)).Should().BeNull();
    }

    [Fact]
    public async Task Two_representatives_of_one_name_show_as_the_newer()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.NodeAsync("/a", CraftedDrive.Bytes(CraftedDrive.Stat()), [1], [1]);
        await made.NodeAsync("/a", CraftedDrive.Bytes(CraftedDrive.Stat()), [1, 2], [2]);
        await made.NodeAsync("/b", CraftedDrive.Bytes(CraftedDrive.Stat()), [1, 2, 3], [3]);
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Select(e => (e.Path.Text, e.Seq)).Should().Equal(("/a", 2), ("/b", 3));
        (await drive.Live.FindAsync(DrivePath.From("/a"), Token))!.Seq.Should().Be(2);
    }

    [Fact]
    public async Task Deletions_that_stand_for_nothing_show_as_nothing()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.NodeAsync("/ghost/x", null, [1], []);
        await made.NodeAsync("/real", CraftedDrive.Bytes(CraftedDrive.Stat()), [1, 2], [2]);
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Select(e => e.Path.Text).Should().Equal("/real");
        (await drive.Live.FindAsync(DrivePath.From("/ghost"), Token)).Should().BeNull();
        (await drive.Live.ListAsync(DrivePath.From("/ghost"), Token)).Should().BeNull();
    }

    [Fact]
    public async Task A_broken_node_spoils_the_directories_it_stands_in_and_no_others()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/good/a");
        await made.Metadata.AppendAsync([new byte[] { 0x0a, 0x02, 0x2f, 0x61, 0x1a, 0x03, 0x00, 0x05, 0x01 }], Token);
        await made.NodeAsync("/bad/b", CraftedDrive.Bytes(CraftedDrive.Stat()), [1, 3], [2, 3], [3]);
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Select(e => e.Path.Text).Should().Contain("/good");
        (await drive.Live.ListAsync(DrivePath.From("/good"), Token)).Should().ContainSingle();
        (await FluentActions.Awaiting(async () => await drive.Live.ListAsync(DrivePath.From("/bad"), Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Corrupt);
    }

    [Fact]
    public async Task Names_as_deep_as_they_may_be_are_walked()
    {
        string deep = string.Concat(Enumerable.Repeat("/a", HyperCodec.MaxComponents));
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.NodeAsync(deep, CraftedDrive.Bytes(CraftedDrive.Stat()), [.. Enumerable.Repeat((long[])[1], HyperCodec.MaxComponents + 1)]);
        await using HyperdriveDrive drive = made.Open();
        (await WalkAsync(drive.Live, DrivePath.Root, 0, 200)).Should().Be(200);
        (await drive.Live.FindAsync(DrivePath.From(deep), Token))!.Kind.Should().Be(EntryKind.File);
    }

    [Fact]
    public async Task Chains_of_deletions_are_no_stack_of_calls()
    {
        string deep = string.Concat(Enumerable.Repeat("/a", HyperCodec.MaxComponents));
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.NodeAsync(deep, null, [.. Enumerable.Repeat((long[])[1], HyperCodec.MaxComponents)]);
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Should().ContainSingle().Which.MtimeMs.Should().Be(0);
    }

    [Fact]
    public void Random_indices_never_make_a_reader_fail_otherwise_than_by_refusing() =>
        Gen.Select(Gen.Byte.Array[0, 40], Gen.Long[1, 1L << 40], Gen.Int[0, 6]).Sample((bytes, seq, depth) =>
        {
            bool valid = HyperIndex.IsValid(seq, bytes);
            bool decoded = HyperIndex.TryDecode(seq, bytes, out long[][] levels);
            long[] level = HyperIndex.Level(seq, bytes, depth);
            if (!valid) return !decoded;
            return decoded && level.SequenceEqual(depth < levels.Length ? levels[depth] : [])
                && levels.All(one => one.All(number => number >= 1 && number <= seq) && one.SequenceEqual(one.Distinct().Order()));
        }, iter: 20_000);

    [Fact]
    public void Random_blocks_never_make_a_reader_fail_otherwise_than_by_refusing() =>
        Gen.Byte.Array[0, 60].Sample(bytes =>
        {
            try
            {
                HyperCodec.DecodeNode(9, bytes);
            }
            catch (DatException refused)
            {
                return refused.Error == DatError.Corrupt;
            }

            HyperCodec.DecodeHeader(bytes);
            HyperCodec.TryDecodeStat(bytes, out _);
            return true;
        }, iter: 20_000);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<int> WalkAsync(IDriveView view, DrivePath path, int depth, int maxDepth = 50)
    {
        int seen = 0;
        if (depth == maxDepth) return 0;
        foreach (DriveEntry entry in (await view.ListAsync(path, Token))!)
        {
            seen++;
            if (entry.Kind == EntryKind.Directory) seen += await WalkAsync(view, entry.Path, depth + 1, maxDepth);
        }

        return seen;
    }
}
