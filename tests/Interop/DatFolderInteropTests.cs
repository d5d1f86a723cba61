using System.Diagnostics;
using DatFs.Drives;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>Folders of the real dat tool, read and served where they lie (hyperdrive.md §6.2), and the tool as our reader.</summary>
public sealed class DatFolderInteropTests
{
    public static TheoryData<bool> Layouts => [true, false];

    [Fact]
    public async Task A_folder_is_shown_while_dat_shares_it_and_what_changes_appears()
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("shared"), seed: 41, SeededTreeShape.Small);
        await using DatTool tool = await DatTool.ShareAsync(tree.Root, folder.File("home"));
        await using OurDrive ours = await OurDrive.OpenFolderAsync(tree.Root);
        ours.Drive.Key.ToHex().Should().Be(tool.Key);
        IDriveView view = await ours.VersionAsync(tree.Files.Count);
        Files(await ours.WalkAsync(view)).Should().Equal(FilesOf(tree));

        await File.WriteAllTextAsync(Path.Combine(tree.Root, "added.txt"), "new", TestContext.Current.CancellationToken);
        long started = Stopwatch.GetTimestamp();
        IDriveView grown = await ours.VersionAsync(tree.Files.Count + 1);
        Stopwatch.GetElapsedTime(started).Should().BeLessThan(TimeSpan.FromSeconds(10), "the tool takes a moment to import, and its folder is looked at every second");
        (await ours.ReadAsync(grown, "/added.txt", 0, 3)).Should().Equal("new"u8.ToArray());

        string changed = tree.Files.First(file => file.Size > 100).Path;
        await File.WriteAllTextAsync(tree.Root + changed, "changed", TestContext.Current.CancellationToken);
        IDriveView newest = await ours.VersionAsync(tree.Files.Count + 2);
        (await ours.ReadAsync(newest, changed, 0, 7)).Should().Equal("changed"u8.ToArray());

        File.Delete(tree.Root + changed);
        newest = await ours.VersionAsync(tree.Files.Count + 3);
        (await ours.WalkAsync(newest)).Should().NotContain(entry => entry.Path == changed);
    }

    [Fact]
    public async Task A_file_edited_since_its_import_is_not_held_and_nobody_gets_wrong_bytes()
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("shared"), seed: 42, SeededTreeShape.Small);
        await using (DrivePeer importer = await ShareAsync(tree, folder)) { }
        SeededFile edited = tree.Files.First(file => file.Size > 100_000), touched = tree.Files.First(file => file.Size is > 1000 and < 60_000);
        await using (FileStream file = File.OpenWrite(tree.Root + edited.Path))
        {
            file.Position = edited.Size / 2;
            await file.WriteAsync("edited by hand"u8.ToArray(), TestContext.Current.CancellationToken);
        }

        File.SetLastWriteTimeUtc(tree.Root + touched.Path, DateTime.UtcNow.AddHours(1));
        await using OurDrive ours = await OurDrive.OpenFolderAsync(tree.Root);
        await using DrivePeer copy = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Key = ours.Drive.Key.ToHex() });
        await copy.ConnectAsync(ours.Listen());
        await copy.WaitSyncAsync(tree.Files.Count, content: false);
        foreach (SeededFile file in tree.Files.Where(file => file != edited))
            (await copy.HashAsync(file.Path)).Should().Be(file.Sha256, file.Path);
        (await copy.HashAsync(edited.Path, start: 0, length: 1000)).Should().Be(Sha256Of.Bytes(await BeginningAsync(tree.Root + edited.Path, 1000)), "blocks that were not touched are still there");
        PeerFeedInfo content = (await copy.InfoAsync()).Content!;
        content.Held.Should().Be(content.Length - 1, "the one block is with nobody");

        IDriveView view = await ours.ReadyAsync();
        (await FluentActions.Awaiting(() => ours.ReadAsync(view, edited.Path, edited.Size / 2, 1).WaitAsync(TimeSpan.FromMilliseconds(500))).Should().ThrowAsync<Exception>())
            .Which.Should().Match(failure => failure is TimeoutException || failure is DatException);
    }

    [Theory, MemberData(nameof(Layouts))]
    public async Task A_dat_folder_is_served_to_node_and_grows_there_too(bool latest)
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("shared"), seed: 43, SeededTreeShape.Small);
        await using DrivePeer owner = await ShareAsync(tree, folder, latest);
        await using OurDrive ours = await OurDrive.OpenFolderAsync(folder.File(latest ? "shared" : "archival"));
        Files(await ours.WalkAsync(await ours.VersionAsync(tree.Files.Count))).Should().Equal(FilesOf(tree));
        await using DrivePeer copy = await DrivePeer.StartAsync("9.9", new PeerDriveOptions { Key = owner.Key });
        await copy.ConnectAsync(ours.Listen());
        await copy.WaitSyncAsync(tree.Files.Count);
        (await copy.ListAsync()).Where(e => !e.IsDirectory).Select(e => (e.Path, e.Sha256)).Should().Equal(FilesOf(tree));
        Directory.EnumerateFiles(ours.HyperdriveFolder, "data", SearchOption.AllDirectories).Should().ContainSingle("nothing but the metadata is stored twice");

        if (latest) await File.WriteAllTextAsync(Path.Combine(tree.Root, "added.txt"), "new", TestContext.Current.CancellationToken);
        long version = latest ? (await owner.ImportFilesAsync()).Version : await owner.WriteAsync("/added.txt", "new"u8.ToArray());
        await copy.WaitSyncAsync(version);
        (await copy.HashAsync("/added.txt")).Should().Be(Sha256Of.Bytes("new"u8));
    }

    [Fact]
    public async Task Every_version_of_an_archival_folder_is_read()
    {
        using TempFolder folder = TempFolder.Create();
        await using DrivePeer owner = await DrivePeer.StartAsync("dat", new PeerDriveOptions { Folder = folder.Folder("archival"), Latest = false });
        await owner.WriteAsync("/changed", "one"u8.ToArray());
        await owner.WriteAsync("/changed", "two"u8.ToArray());
        long version = await owner.UnlinkAsync("/changed");
        await using OurDrive ours = await OurDrive.OpenFolderAsync(folder.File("archival"));
        IDriveView newest = await ours.VersionAsync(version);
        (await ours.WalkAsync(newest)).Should().BeEmpty();
        (await ours.ReadAsync(await ours.Drive.CheckoutAsync(1, TestContext.Current.CancellationToken), "/changed", 0, 3)).Should().Equal("one"u8.ToArray());
        (await ours.ReadAsync(await ours.Drive.CheckoutAsync(2, TestContext.Current.CancellationToken), "/changed", 0, 3)).Should().Equal("two"u8.ToArray());
    }

    [Fact]
    public async Task The_dat_tool_clones_what_we_serve_from_a_dat_folder_and_we_read_its_clone()
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("shared"), seed: 44, SeededTreeShape.Small);
        await using (DrivePeer importer = await ShareAsync(tree, folder)) { }
        await using (OurDrive ours = await OurDrive.OpenFolderAsync(tree.Root))
            await DatTool.CloneAsync(ours.Drive.Key.ToHex(), ours.Listen(), folder.Folder("clone"), folder.File("home"));

        // The tool never creates empty files; they are in its metadata all the same.
        foreach (SeededFile file in tree.Files.Where(f => f.Size > 0)) Sha256Of.File(folder.File("clone") + file.Path).Should().Be(file.Sha256, file.Path);
        await using OurDrive clone = await OurDrive.OpenFolderAsync(folder.File("clone"));
        Files(await clone.WalkAsync(await clone.ReadyAsync())).Should().Equal(FilesOf(tree));
    }

    [Fact]
    public async Task What_a_clone_s_folder_lacks_comes_from_peers_into_our_storage_which_node_opens()
    {
        using TempFolder folder = TempFolder.Create();
        SeededTree tree = SeededTree.Create(folder.File("shared"), seed: 45, SeededTreeShape.Small);
        await using DrivePeer owner = await ShareAsync(tree, folder);
        int port = await owner.ListenAsync();
        await using (DrivePeer clone = await DrivePeer.StartAsync("dat", new PeerDriveOptions { Folder = folder.Folder("clone"), Key = owner.Key, SecretFolder = folder.File("secret") }))
        {
            await clone.ConnectAsync(port);
            await clone.WaitSyncAsync(tree.Files.Count);
        }

        SeededFile[] lost = [.. tree.Files.Where(file => file.Size > 0).Take(5)];
        foreach (SeededFile file in lost) File.Delete(folder.File("clone") + file.Path);
        string[] before = Listing(folder.File("clone"));
        string stored;
        await using (OurDrive ours = await OurDrive.OpenFolderAsync(folder.File("clone"), folder.File("storage")))
        {
            await ours.ConnectAsync(port);
            Files(await ours.WalkAsync(await ours.VersionAsync(tree.Files.Count))).Should().Equal(FilesOf(tree));
            stored = ours.HyperdriveFolder;
        }

        Listing(folder.File("clone")).Should().Equal(before, "the folder is only read");
        Directory.EnumerateFiles(folder.File("storage"), "*secret*", SearchOption.AllDirectories).Should().BeEmpty();
        await using DrivePeer node = await DrivePeer.StartAsync("9.16", new PeerDriveOptions { Folder = stored, Sparse = true });
        (await node.ListAsync(hash: false)).Where(e => !e.IsDirectory).Select(e => (e.Path, e.Size)).Should().Equal(tree.Files.Select(f => (f.Path, f.Size)));
        foreach (SeededFile file in lost) (await node.HashAsync(file.Path)).Should().Be(file.Sha256, file.Path);
    }

    /// <summary>The dat tool's library with a tree imported: in place, or into a flat folder that keeps every version.</summary>
    private static async Task<DrivePeer> ShareAsync(SeededTree tree, TempFolder folder, bool latest = true)
    {
        DrivePeer owner = await DrivePeer.StartAsync("dat", new PeerDriveOptions { Folder = latest ? tree.Root : folder.Folder("archival"), Latest = latest, SecretFolder = folder.File("secret") });
        PeerDriveInfo info = latest ? await owner.ImportFilesAsync() : await owner.ImportAsync(tree.Root, directories: false);
        info.Version.Should().Be(tree.Files.Count);
        return owner;
    }

    private static IEnumerable<(string Path, string? Sha256)> Files(IReadOnlyList<OurEntry> entries) => entries.Where(e => !e.IsDirectory).Select(e => (e.Path, e.Sha256));

    private static IEnumerable<(string Path, string? Sha256)> FilesOf(SeededTree tree) => tree.Files.Select(file => (file.Path, (string?)file.Sha256));

    private static string[] Listing(string folder) =>
        [.. Directory.EnumerateFileSystemEntries(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 })
            .Order(StringComparer.Ordinal).Select(path => $"{path} {File.GetLastWriteTimeUtc(path).Ticks}")];

    private static async Task<byte[]> BeginningAsync(string path, int count)
    {
        byte[] bytes = new byte[count];
        await using FileStream file = File.OpenRead(path);
        await file.ReadExactlyAsync(bytes, TestContext.Current.CancellationToken);
        return bytes;
    }
}
