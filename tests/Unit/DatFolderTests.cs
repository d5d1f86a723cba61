using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using DatFs.Crypto;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>Folders of the dat tool and of dat-node, read where they lie (hyperdrive.md §6.2).</summary>
public sealed class DatFolderTests : IDisposable
{
    private readonly TempFolder _temp = TempFolder.Create("dat");
    private readonly FakeTimeProvider _time = new();

    public static TheoryData<string> Fixtures => ["dat-latest", "dat-clone", "dat-sparse", "dat-archival"];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _temp.Dispose();

    [Theory]
    [MemberData(nameof(Fixtures))]
    public async Task Every_version_is_listed_and_every_file_is_right_or_an_error(string fixture)
    {
        JsonElement manifest = Vectors.Json($"hyperdrive/{fixture}/manifest.json");
        string folder = Copy(fixture);
        string before = Fingerprint(folder);
        int read = 0, missing = 0;
        await using (IDrive drive = await OpenAsync(folder))
        {
            drive.Key.ToHex().Should().Be(manifest.GetProperty("key").GetString());
            drive.Writable.Should().BeFalse();
            (await drive.ReadyAsync(Token)).Version.Should().Be(manifest.GetProperty("version").GetInt64());
            foreach (JsonProperty version in manifest.GetProperty("versions").EnumerateObject())
            {
                IDriveView view = await drive.CheckoutAsync(long.Parse(version.Name, CultureInfo.InvariantCulture), Token);
                List<DriveEntry> found = [];
                await WalkAsync(view, DrivePath.Root, found);
                found.Select(entry => entry.Path.Text).Order(StringComparer.Ordinal)
                    .Should().Equal(version.Value.EnumerateObject().Select(entry => entry.Name).Order(StringComparer.Ordinal), "version {0}", version.Name);
                foreach (DriveEntry entry in found.Where(entry => entry.Kind == EntryKind.File))
                {
                    string? sha256 = manifest.GetProperty("nodes").GetProperty(entry.Seq.ToString(CultureInfo.InvariantCulture)).GetProperty("sha256").GetString();
                    if (sha256 is null)
                    {
                        await FluentActions.Awaiting(() => ReadAsync(view, entry)).Should().ThrowAsync<DatException>("{0} is not stored", entry.Path);
                        missing++;
                    }
                    else
                    {
                        Convert.ToHexStringLower(SHA256.HashData(await ReadAsync(view, entry))).Should().Be(sha256, "{0} at {1}", entry.Path, version.Name);
                        read++;
                    }
                }
            }
        }

        read.Should().BePositive();
        if (fixture != "dat-archival") missing.Should().BePositive("the tool keeps only the newest bytes");
        Fingerprint(folder).Should().Be(before, "nothing is written into such a folder");
    }

    [Fact]
    public async Task An_owner_s_folder_is_read_only_and_says_whose_it_is()
    {
        string keys = Vectors.PathOf("hyperdrive/dat-latest/secret_keys");
        await using (IDrive drive = await OpenAsync(Copy("dat-latest"), secretKeys: keys)) drive.Status.ReadOnlyBecause.Should().Contain("the dat tool of this user");
        await using (IDrive drive = await OpenAsync(_temp.File("dat-latest"), secretKeys: _temp.Folder("none"))) drive.Status.ReadOnlyBecause.Should().Contain("not by this user");
        await using (IDrive drive = await OpenAsync(Copy("dat-archival"))) drive.Status.ReadOnlyBecause.Should().Contain("dat-node");
    }

    [Theory]
    [InlineData("dat-clone")]
    [InlineData("dat-latest")]
    [InlineData("dat-archival")]
    public async Task The_tree_is_kept_and_the_bytes_stay_in_the_folder(string fixture)
    {
        string folder = Copy(fixture), key;
        await using (IDrive drive = await OpenAsync(folder))
        {
            key = drive.Key.ToHex();
            await drive.ReadyAsync(Token);
            await WaitForAsync(drive, status => status.MetadataHeld == status.MetadataLength);
            (await ReadAsync(await drive.ReadyAsync(Token), "/data/big.bin")).Should().HaveCount(70_000);
        }

        string[] kept = [.. Directory.EnumerateFiles(_temp.File("storage"), "*", SearchOption.AllDirectories)];
        kept.Select(path => Path.GetFileName(Path.GetDirectoryName(path)) + "/" + Path.GetFileName(path)).Should()
            .Contain("metadata/data").And.Contain("content/tree").And.NotContain("content/data", "nothing is stored twice").And.NotContain("metadata/secret_key");
        await using (IDrive named = await OpenAsync(key))
            (await ReadAsync(await named.ReadyAsync(Token), "/data/big.bin")).Should().HaveCount(70_000, "the folder is found again by its key");

        Directory.Delete(folder, recursive: true);
        await using IDrive alone = await OpenAsync(key);
        IDriveView view = await alone.ReadyAsync(Token);
        (await view.ListAsync(DrivePath.From("/data"), Token)).Should().NotBeEmpty();
        (await FluentActions.Awaiting(() => ReadAsync(view, "/data/big.bin")).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Offline);
    }

    [Fact]
    public async Task What_a_sparse_clone_holds_of_a_file_is_read_and_the_rest_is_not_there()
    {
        await using IDrive drive = await OpenAsync(Copy("dat-sparse"));
        IDriveView view = await drive.ReadyAsync(Token);
        IFileContent content = view.OpenContent((await view.FindAsync(DrivePath.From("/data/big.bin"), Token))!);
        using (ContentLease second = await content.ReadAsync(65536, 4464, FetchPriority.Interactive, Token)) second.Data.Length.Should().Be(4464);
        await FluentActions.Awaiting(async () => (await content.ReadAsync(0, 10, FetchPriority.Interactive, Token)).Dispose()).Should().ThrowAsync<DatException>();
    }

    [Theory]
    [InlineData("dat-latest")]
    [InlineData("dat-clone")]
    public async Task A_file_that_was_changed_is_an_error_and_never_wrong_bytes(string fixture)
    {
        string folder = Copy(fixture);
        await File.WriteAllTextAsync(Path.Combine(folder, "hello.txt"), "32 bytes that nobody ever signed", Token);
        File.Delete(Path.Combine(folder, "dat.json"));
        await using IDrive drive = await OpenAsync(folder);
        IDriveView view = await drive.ReadyAsync(Token);
        foreach (string lost in (string[])["/hello.txt", "/dat.json"])
            await FluentActions.Awaiting(() => ReadAsync(view, lost)).Should().ThrowAsync<DatException>();
        (await ReadAsync(view, "/private/key.txt")).Should().HaveCount(9, "other files are not concerned");
    }

    [Fact]
    public async Task A_pipe_in_the_place_of_a_file_makes_nobody_wait()
    {
        if (!OperatingSystem.IsLinux()) return;
        string folder = Copy("dat-latest"), file = Path.Combine(folder, "hello.txt");
        File.Delete(file);
        using (Process make = Process.Start("mkfifo", [file])!) await make.WaitForExitAsync(Token);
        File.Exists(file).Should().BeTrue();
        await using IDrive drive = await OpenAsync(folder);
        IDriveView view = await drive.ReadyAsync(Token);
        await FluentActions.Awaiting(() => ReadAsync(view, "/hello.txt").WaitAsync(TimeSpan.FromSeconds(20), Token)).Should().ThrowAsync<DatException>();
    }

    [Fact]
    public void No_name_leads_out_of_the_folder_or_into_the_tool_s_own()
    {
        string root = _temp.Folder("root"), outside = _temp.File("outside");
        File.WriteAllText(outside, "secret");
        Directory.CreateDirectory(Path.Combine(root, ".dat"));
        Directory.CreateDirectory(Path.Combine(root, "sub"));
        File.WriteAllText(Path.Combine(root, "sub", "file"), "");
        File.CreateSymbolicLink(Path.Combine(root, "in"), "sub/file");
        File.CreateSymbolicLink(Path.Combine(root, "sub", "up"), "../sub/./file");
        File.CreateSymbolicLink(Path.Combine(root, "absolute-in"), Path.Combine(root, "sub", "file"));
        File.CreateSymbolicLink(Path.Combine(root, "out"), "../outside");
        File.CreateSymbolicLink(Path.Combine(root, "absolute-out"), outside);
        File.CreateSymbolicLink(Path.Combine(root, "neighbour"), root + "side");
        File.CreateSymbolicLink(Path.Combine(root, "folder-out"), "..");
        File.CreateSymbolicLink(Path.Combine(root, "tool"), ".dat/metadata.key");
        File.CreateSymbolicLink(Path.Combine(root, "loop"), "loop");
        DatFolderContent content = new(root, new DatFolderIndex());
        foreach (string inside in (string[])["sub/file", "in", "sub/up", "absolute-in", "sub/.dat"])
            content.Resolve(inside.Split('/')).Should().Be(Path.Combine(root, "sub", inside == "sub/.dat" ? ".dat" : "file"));
        foreach (string wrong in (string[])["out", "absolute-out", "neighbour", "folder-out/outside", "tool", "loop", ".dat/metadata.key", ".DAT/metadata.key", "..", "../outside", ".", "a//b", "sub/../../outside", "a\0b"])
            content.Resolve(wrong.Split('/')).Should().BeNull(wrong);
        content.Resolve([]).Should().BeNull();
        content.Resolve(["sub/file"]).Should().BeNull("a component is one name");
    }

    [Theory]
    [InlineData(".dat/", false)]
    [InlineData(".dat/", true)]
    [InlineData("", true)]
    public async Task A_folder_that_grows_while_it_is_open_is_followed(string place, bool owners)
    {
        string folder = _temp.Folder("growing");
        if (owners && place.Length > 0)
        {
            Directory.CreateDirectory(Path.Combine(folder, place));
            await File.WriteAllBytesAsync(Path.Combine(folder, place, "metadata.ogd"), [0], Token);
        }

        SecretKey secret = ProofExchange.Key(7);
        if (place.Length == 0)
        {
            byte[] bytes = new byte[SecretKey.Size];
            secret.CopyTo(bytes);
            await File.WriteAllBytesAsync(Path.Combine(folder, "metadata.secret_key"), bytes, Token);
        }

        await using HyperdriveWriter writer = await HyperdriveWriter.CreateAsync(new DiskFolder(_temp.Folder("owner")), TimeProvider.System, secret, Token);
        Directory.CreateDirectory(Path.Combine(folder, place));
        await PutAsync("/a.txt", "first");
        await using IDrive drive = await OpenAsync(folder);
        (await ReadAsync(await drive.ReadyAsync(Token), "/a.txt")).Should().Equal("first"u8.ToArray());

        TaskCompletionSource<DriveChange> heard = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable observing = drive.Observe(change => heard.TrySetResult(change));
        await PutAsync("/sub/b.txt", "second");
        _time.Advance(DatFolderNetwork.PollPeriod);
        DriveChange change = await heard.Task.WaitAsync(TimeSpan.FromSeconds(30), Token);
        change.After.Version.Should().Be(2);
        change.Paths.Should().Contain(DrivePath.From("/sub/b.txt"));
        (drive.Status.ReadOnlyBecause is not null).Should().Be(owners);
        (await ReadAsync(change.After, "/sub/b.txt")).Should().Equal("second"u8.ToArray());

        async Task PutAsync(string path, string text)
        {
            await writer.PutFileAsync(path, System.Text.Encoding.UTF8.GetBytes(text), Token);
            if (place.Length > 0)
            {
                Directory.CreateDirectory(Path.GetDirectoryName(folder + path)!);
                await File.WriteAllTextAsync(folder + path, text, Token);
            }

            foreach (Feed feed in writer.Feeds) await feed.FlushAsync(Token);
            foreach (string file in Directory.EnumerateFiles(_temp.File("owner"), "*", SearchOption.AllDirectories))
            {
                string name = Path.GetFileName(Path.GetDirectoryName(file)) + "." + Path.GetFileName(file);
                if (name is "metadata.secret_key" || (place.Length > 0 && name is "content.data")) continue;
                await CopyHeldAsync(file, Path.Combine(folder, place, name));
            }
        }
    }

    [Fact]
    public async Task Where_names_share_bytes_the_newest_is_asked_first()
    {
        Feed metadata = Feed.Open(new FeedFiles(new DiskFolder(Vectors.PathOf("hyperdrive/handmade/archive/metadata"))), new FeedOptions { ReadOnly = true });
        await using (metadata)
        {
            DatFolderIndex index = new();
            index.Extend(metadata);
            index.At(0).Select(range => range.Seq).Should().Equal([5, 3, 2, 1], "four names were given to the same bytes");
            index.At(16).Should().HaveCount(4);
            index.At(17).Select(range => range.Seq).Should().Equal(8, 7, 6);
            index.At(index.End).Should().BeEmpty();
            index.At(-1).Should().BeEmpty();
            index.End.Should().Be(42 + 160_000);
            index.Extend(metadata);
            index.At(0).Should().HaveCount(4, "nothing is taken in twice");
        }
    }

    [Fact]
    public async Task An_entry_that_could_not_be_read_yet_is_taken_in_later()
    {
        await using Feed whole = Feed.Open(new FeedFiles(new DiskFolder(Vectors.PathOf("hyperdrive/handmade/archive/metadata"))), new FeedOptions { ReadOnly = true });
        await using Feed partly = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = whole.Key });
        DatFolderIndex index = new();
        foreach (long seq in (long[])[whole.Length - 1, 1, 5, 2, 3])
        {
            whole.TryProve(seq, partly.DigestFor(seq), false, new RemoteTree(), out Proof proof, out BlockLease lease).Should().BeTrue();
            using (lease) await partly.AcceptAsync(proof, Token);
            index.Extend(partly);
        }

        index.At(0).Select(range => range.Seq).Should().Equal(5, 3, 2, 1);
    }

    private async Task<IDrive> OpenAsync(string reference, string? secretKeys = null) =>
        await DriveOpener.OpenAsync(DriveReference.Parse(reference), new DriveOpenOptions { StorageRoot = _temp.File("storage"), Time = _time, DatSecretKeys = secretKeys }, Token);

    // Held blocks change on other threads than those that are observed: they are looked at until the condition holds.
    private static async Task WaitForAsync(IDrive drive, Func<DriveStatus, bool> condition)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(Token);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while (!condition(drive.Status))
        {
            patience.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    private string Copy(string fixture)
    {
        string from = Vectors.PathOf($"hyperdrive/{fixture}/folder"), to = _temp.Folder(fixture);
        foreach (string file in Directory.EnumerateFiles(from, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }))
        {
            string copy = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            if (new FileInfo(file).LinkTarget is { } target) File.CreateSymbolicLink(copy, target);
            else File.WriteAllBytes(copy, File.ReadAllBytes(file));
        }

        // Version control keeps the fixture's link as a text (README of the fixtures).
        string link = Path.Combine(to, "link-to-hello");
        if (fixture == "dat-latest" && new FileInfo(link).LinkTarget is null)
        {
            File.Delete(link);
            File.CreateSymbolicLink(link, "hello.txt");
        }

        return to;
    }

    private static string Fingerprint(string folder) =>
        string.Join('\n', Directory.EnumerateFileSystemEntries(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }).Order(StringComparer.Ordinal)
            .Select(path => $"{path} {File.GetLastWriteTimeUtc(path).Ticks} {(File.Exists(path) ? Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(path))) : "")}"));

    // The writer holds its bitfield; another program reads it all the same.
    private static async Task CopyHeldAsync(string from, string to)
    {
        using Process copy = Process.Start("cp", [from, to])!;
        await copy.WaitForExitAsync(Token);
        copy.ExitCode.Should().Be(0);
    }

    private static async Task WalkAsync(IDriveView view, DrivePath path, List<DriveEntry> found)
    {
        foreach (DriveEntry entry in (await view.ListAsync(path, Token))!)
        {
            found.Add(entry);
            if (entry.Kind == EntryKind.Directory) await WalkAsync(view, entry.Path, found);
        }
    }

    private static async Task<byte[]> ReadAsync(IDriveView view, string path) => await ReadAsync(view, (await view.FindAsync(DrivePath.From(path), Token))!);

    private static async Task<byte[]> ReadAsync(IDriveView view, DriveEntry entry)
    {
        using ContentLease lease = await view.OpenContent(entry).ReadAsync(0, (int)entry.Size, FetchPriority.Interactive, Token);
        return lease.Data.ToArray();
    }
}
