using DatFs.Drives;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>What DatMount holds, it gives on: real Node peers clone from it, from its folders, and from it and others at once.</summary>
public sealed class OnwardTests
{
    public static TheoryData<string> Releases => [.. DrivePeer.Versions];

    [Theory, MemberData(nameof(Releases))]
    public async Task Node_clones_a_whole_archive_from_us_alone(string release)
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("tree"), seed: 21, SeededTreeShape.Small);
        (OurDrive ours, string key, long version) = await CloneOfAsync(tree, folder);
        await using OurDrive keep = ours;
        await using DrivePeer copy = await DrivePeer.StartAsync(release, new PeerDriveOptions { Key = key });

        await copy.ConnectAsync(ours.Listen());
        await copy.WaitSyncAsync(version);

        (await copy.ListAsync()).Where(e => !e.IsDirectory).Select(e => (e.Path, e.Sha256)).Should().Equal(tree.Files.Select(f => (f.Path, (string?)f.Sha256)));
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task Node_reads_sparsely_from_us_alone(string release)
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("tree"), seed: 22, SeededTreeShape.Small);
        (OurDrive ours, string key, long version) = await CloneOfAsync(tree, folder);
        await using OurDrive keep = ours;
        await using DrivePeer copy = await DrivePeer.StartAsync(release, new PeerDriveOptions { Key = key, Sparse = true, SparseMetadata = true });
        SeededFile large = tree.Files.MaxBy(f => f.Size)!;

        await copy.ConnectAsync(ours.Listen());
        await copy.WaitForVersionAsync(version);

        (await copy.HashAsync(large.Path, start: large.Size / 2, length: 10_000))
            .Should().Be(Sha256Of.Bytes((await File.ReadAllBytesAsync(tree.Root + large.Path)).AsSpan((int)(large.Size / 2), 10_000)));
        (await copy.CountersAsync()).Content.Downloaded.Should().BeLessThanOrEqualTo(2);
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task A_finite_clone_from_us_ends_and_is_complete(string release)
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("tree"), seed: 23, SeededTreeShape.Small);
        (OurDrive ours, string key, _) = await CloneOfAsync(tree, folder);
        await using OurDrive keep = ours;
        await using DrivePeer copy = await DrivePeer.StartAsync(release, new PeerDriveOptions { Key = key });

        int link = await copy.ConnectAsync(ours.Listen(), new PeerLink { Live = false });
        await copy.Node.EventAsync("closed", e => e.GetProperty("link").GetInt32() == link);

        PeerDriveInfo info = await copy.InfoAsync();
        info.Metadata.Held.Should().Be(info.Metadata.Length);
        info.Content!.Held.Should().Be(info.Content.Length).And.BeGreaterThan(0);
    }

    [Fact]
    public async Task Node_clones_from_us_and_from_a_node_peer_at_once()
    {
        using TempFolder folder = TempFolder.Create();
        await using DrivePeer source = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Folder = folder.File("source") });
        long version = await source.WriteSeededAsync("/big.bin", 24, 40 << 20);
        int port = await source.ListenAsync();
        await using OurDrive ours = await OurDrive.OpenAsync(source.Key, port);
        await ours.HoldEverythingAsync(version);
        await using DrivePeer copy = await DrivePeer.StartAsync("9.9", new PeerDriveOptions { Key = source.Key });
        await source.CountersAsync(reset: true);

        await copy.ConnectAsync(ours.Listen());
        await copy.ConnectAsync(port);
        PeerDriveInfo info = await copy.WaitSyncAsync(version);

        (await copy.HashAsync("/big.bin")).Should().Be(Sha256Of.Seeded(24, 0, 40 << 20));
        info.Content!.Held.Should().Be(info.Content.Length);
        (await source.CountersAsync()).Content.Uploaded.Should().BePositive();
        ours.UploadedBlocks.Should().BePositive();
    }

    [Fact]
    public async Task A_clone_grows_through_us_while_blocks_still_arrive_here()
    {
        using TempFolder folder = TempFolder.Create();
        await using DrivePeer source = await DrivePeer.StartAsync("9.9", new PeerDriveOptions { Folder = folder.File("source") });
        long version = await source.WriteSeededAsync("/big.bin", 25, 20 << 20);
        await using OurDrive ours = await OurDrive.OpenAsync(source.Key, await source.ListenAsync());
        await using DrivePeer copy = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Key = source.Key });
        await copy.ConnectAsync(ours.Listen());

        Task holding = ours.HoldEverythingAsync(version);
        await copy.WaitSyncAsync(version);
        await holding;

        (await copy.HashAsync("/big.bin")).Should().Be(Sha256Of.Seeded(25, 0, 20 << 20));
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task A_storage_folder_written_by_us_is_opened_and_served_by_node(string release)
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("tree"), seed: 26, SeededTreeShape.Small);
        (OurDrive ours, string key, long version) = await CloneOfAsync(tree, folder);
        string storage = ours.HyperdriveFolder;
        await ours.DisposeAsync();

        await using DrivePeer node = await DrivePeer.StartAsync(release, new PeerDriveOptions { Folder = storage });
        node.Info.Should().BeEquivalentTo(new { Key = key, Version = version, Writable = false });
        (await node.ListAsync()).Where(e => !e.IsDirectory).Select(e => (e.Path, e.Sha256)).Should().Equal(tree.Files.Select(f => (f.Path, (string?)f.Sha256)));
        await using DrivePeer copy = await DrivePeer.StartAsync("9.9", new PeerDriveOptions { Key = key });
        await copy.ConnectAsync(await node.ListenAsync());
        await copy.WaitSyncAsync(version);
    }

    [Theory, MemberData(nameof(Releases))]
    public async Task A_folder_written_by_node_is_read_and_served_where_it_lies(string release)
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("tree"), seed: 27, SeededTreeShape.Small);
        string key;
        long version;
        await using (DrivePeer node = await DrivePeer.StartAsync(release, new PeerDriveOptions { Folder = folder.File("node") }))
            (key, version) = (node.Key, (await node.ImportAsync(tree.Root)).Version);

        await using OurDrive ours = await OurDrive.OpenFolderAsync(folder.File("node"));
        (await ours.WalkAsync(await ours.ReadyAsync())).Where(e => !e.IsDirectory).Select(e => (e.Path, e.Sha256))
            .Should().Equal(tree.Files.Select(f => (f.Path, (string?)f.Sha256)));
        await using DrivePeer copy = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Key = key });
        await copy.ConnectAsync(ours.Listen());
        await copy.WaitSyncAsync(version);
    }

    [Fact]
    public async Task The_dat_library_clones_from_us_into_a_folder_of_plain_files()
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("tree"), seed: 28, SeededTreeShape.Small);
        (OurDrive ours, string key, long version) = await CloneOfAsync(tree, folder);
        await using OurDrive keep = ours;
        await using DrivePeer copy = await DrivePeer.StartAsync("dat", new PeerDriveOptions { Folder = folder.Folder("copy"), Key = key, SecretFolder = folder.File("secret") });

        await copy.ConnectAsync(ours.Listen());
        await copy.WaitSyncAsync(version);

        // The tool never creates empty files.
        foreach (SeededFile file in tree.Files.Where(f => f.Size > 0)) Sha256Of.File(folder.File("copy") + file.Path).Should().Be(file.Sha256, file.Path);
    }

    [Fact]
    public async Task What_dat_share_serves_is_read_here()
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("shared"), seed: 29, SeededTreeShape.Small);
        await using DatTool tool = await DatTool.ShareAsync(tree.Root, folder.File("home"));
        await using OurDrive ours = await OurDrive.OpenAsync(tool.Key, tool.Port);

        IDriveView view = await ours.VersionAsync(tree.Files.Count);

        (await ours.WalkAsync(view)).Where(e => !e.IsDirectory).Select(e => (e.Path, e.Sha256)).Should().Equal(tree.Files.Select(f => (f.Path, (string?)f.Sha256)));
    }

    /// <summary>Ours holding everything of a tree that Node shared; the Node peer has gone.</summary>
    private static async Task<(OurDrive Ours, string Key, long Version)> CloneOfAsync(SeededTree tree, TempFolder folder)
    {
        await using DrivePeer node = await DrivePeer.StartAsync("9.16");
        PeerDriveInfo info = await node.ImportAsync(tree.Root);
        OurDrive ours = await OurDrive.OpenAsync(node.Key, await node.ListenAsync(), folder.File("ours"));
        await ours.HoldEverythingAsync(info.Version);
        return (ours, node.Key, info.Version);
    }
}
