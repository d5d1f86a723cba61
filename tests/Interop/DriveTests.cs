using System.Diagnostics;
using DatFs.Drives;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>Archives shared by real hyperdrive 9, read through the drive's door.</summary>
public sealed class DriveTests
{
    public static TheoryData<string> Releases => [.. DrivePeer.Versions];

    [Theory, MemberData(nameof(Releases))]
    public async Task Every_file_of_a_seeded_tree_reads_as_it_was(string release)
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("tree"), seed: 2);
        await using DrivePeer node = await DrivePeer.StartAsync(release);
        await node.ImportAsync(tree.Root);
        await using OurDrive ours = await OurDrive.OpenAsync(node.Key, await node.ListenAsync());

        IReadOnlyList<OurEntry> entries = await ours.WalkAsync(await ours.ReadyAsync());

        entries.Where(e => !e.IsDirectory).Select(e => (e.Path, e.Size, e.Sha256, e.Mode, e.MtimeMs))
            .Should().Equal(tree.Files.Select(f => (f.Path, f.Size, (string?)f.Sha256, f.Mode, f.MtimeMs)));
        entries.Where(e => e.IsDirectory).Select(e => e.Path).Should().Equal(tree.Folders);
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task Folders_without_entries_of_their_own_exist_all_the_same(string release)
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("tree"), seed: 3, SeededTreeShape.Small);
        await using DrivePeer node = await DrivePeer.StartAsync(release);
        await node.ImportAsync(tree.Root, directories: false);
        await using OurDrive ours = await OurDrive.OpenAsync(node.Key, await node.ListenAsync());

        IReadOnlyList<OurEntry> entries = await ours.WalkAsync(await ours.ReadyAsync());

        entries.Where(e => !e.IsDirectory).Select(e => (e.Path, e.Sha256)).Should().Equal(tree.Files.Select(f => (f.Path, (string?)f.Sha256)));
        entries.Where(e => e.IsDirectory).Select(e => e.Path).Should().Equal(tree.Folders.Except(tree.EmptyFolders).Except(["/empty folder 2"]));
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task A_new_view_shows_what_node_adds_overwrites_and_deletes_within_two_seconds(string release)
    {
        await using DrivePeer node = await DrivePeer.StartAsync(release);
        await node.WriteAsync("/kept", "kept"u8.ToArray());
        await node.WriteAsync("/changed", "before"u8.ToArray());
        await node.WriteAsync("/deleted", "soon gone"u8.ToArray());
        await using OurDrive ours = await OurDrive.OpenAsync(node.Key, await node.ListenAsync());
        IDriveView before = await ours.ReadyAsync();
        (await ours.WalkAsync(before)).Select(e => e.Path).Should().Equal("/changed", "/deleted", "/kept");

        await node.WriteAsync("/added/deep", "new"u8.ToArray());
        await node.WriteAsync("/changed", "after"u8.ToArray());
        long version = await node.UnlinkAsync("/deleted");
        long started = Stopwatch.GetTimestamp();
        IDriveView after = await ours.VersionAsync(version);
        Stopwatch.GetElapsedTime(started).Should().BeLessThan(TimeSpan.FromSeconds(2));

        (await ours.WalkAsync(after)).Where(e => !e.IsDirectory).Select(e => (e.Path, e.Sha256)).Should().Equal(
            ("/added/deep", Sha256Of.Bytes("new"u8)),
            ("/changed", Sha256Of.Bytes("after"u8)),
            ("/kept", Sha256Of.Bytes("kept"u8)));
        (await ours.WalkAsync(before)).Should().HaveCount(3, "a view never changes");
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task Every_version_reads_as_node_recorded_it(string release)
    {
        await using DrivePeer node = await DrivePeer.StartAsync(release);
        await ChangeAtRandomAsync(node, seed: 4, changes: 60);
        await using OurDrive ours = await OurDrive.OpenAsync(node.Key, await node.ListenAsync());
        await ours.ReadyAsync();

        IReadOnlyList<IReadOnlyList<PeerEntry>> history = await node.HistoryAsync();
        for (int version = 1; version <= history.Count; version++)
        {
            IDriveView view = await ours.Drive.CheckoutAsync(version, CancellationToken.None);
            (await ours.WalkAsync(view)).Select(e => (e.Path, e.IsDirectory, e.Sha256))
                .Should().Equal(history[version - 1].Select(e => (e.Path, e.IsDirectory, e.Sha256)), "version {0}", version);
        }
    }

    [Fact]
    public async Task Four_KiB_in_the_middle_of_a_GiB_cost_at_most_three_blocks()
    {
        const long Size = 1L << 30;
        using TempFolder folder = TempFolder.Create();
        await using DrivePeer node = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Folder = folder.File("node") });
        await node.WriteAsync("/small", [1]);
        await node.WriteSeededAsync("/big.bin", 5, Size);
        await node.WriteAsync("/newer", [2]);
        await using OurDrive ours = await OurDrive.OpenAsync(node.Key, await node.ListenAsync());
        IDriveView view = await ours.ReadyAsync();
        await node.CountersAsync(reset: true);

        byte[] middle = await ours.ReadAsync(view, "/big.bin", Size / 2 - 1234, 4096);

        middle.Should().Equal(SeededBytes.Take(5, Size / 2 - 1234, 4096));
        (await node.CountersAsync()).Content.Uploaded.Should().BeInRange(1, 3);
    }

    /// <summary>Writes, overwrites and deletes among a few names, so that names collide often; some nested, some directories with entries.</summary>
    private static async Task ChangeAtRandomAsync(DrivePeer node, int seed, int changes)
    {
        TestContext.Current.SendDiagnosticMessage("seed {0}", seed);
        Random random = new(seed);
        List<string> files = [];
        for (int i = 0; i < changes; i++)
        {
            if (files.Count > 3 && random.Next(4) == 0)
            {
                string gone = files[random.Next(files.Count)];
                files.Remove(gone);
                await node.UnlinkAsync(gone);
            }
            else if (random.Next(8) == 0)
            {
                await node.MakeDirectoryAsync($"/folder {random.Next(4)}/made {random.Next(3)}");
            }
            else
            {
                string path = random.Next(3) switch
                {
                    0 => $"/top {random.Next(6)}",
                    1 => $"/folder {random.Next(4)}/file {random.Next(4)}",
                    _ => $"/folder {random.Next(4)}/deeper/still/file {random.Next(3)}",
                };
                if (!files.Contains(path)) files.Add(path);
                await node.WriteAsync(path, SeededBytes.Take(seed, random.Next(1 << 20), random.Next(4) == 0 ? random.Next(200_000) : random.Next(300)));
            }
        }
    }
}
