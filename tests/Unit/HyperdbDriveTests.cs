using System.Text.Json;
using DatFs.Drives;
using DatFs.Drives.Hyperdb;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Drives of two writers that the reference left on disk, and small ones of our own (tests/vectors/hyperdb/drives).</summary>
public sealed class HyperdbDriveTests
{
    // Faults of the reference's drive, by its README: what is deleted is not there.
    private static readonly string[] s_deleted = ["/gone.txt", "/next.txt"];

    [Theory]
    [InlineData("two-writers-a")]
    [InlineData("two-writers-b")]
    public async Task Every_path_is_what_the_reference_shows_or_should(string name)
    {
        JsonElement json = Vectors.Json($"hyperdb/drives/{name}.json");
        await using HyperdbDrive drive = await OpenAsync(new DiskFolder(Vectors.PathOf($"hyperdb/drives/{name}")));
        IDriveView view = await drive.ReadyAsync(Token);
        foreach (JsonProperty file in json.GetProperty("files").EnumerateObject())
        {
            DrivePath path = DrivePath.From(file.Name);
            DriveEntry? entry = await view.FindAsync(path, Token);
            if (s_deleted.Contains(file.Name) || file.Value.TryGetProperty("error", out _))
            {
                entry.Should().BeNull(file.Name);
                continue;
            }

            JsonElement stat = file.Value.GetProperty("stat");
            bool isDirectory = (stat.GetProperty("mode").GetUInt32() & 0xF000) == 0x4000;
            entry!.Kind.Should().Be(isDirectory ? EntryKind.Directory : EntryKind.File, file.Name);
            entry.Mode.Should().Be(stat.GetProperty("mode").GetUInt32() & 0x1FF, file.Name);
            if (isDirectory)
            {
                (await view.ListAsync(path, Token))!.Select(one => one.Path.Name).Where(one => !one.Contains("(conflict", StringComparison.Ordinal))
                    .Should().BeEquivalentTo(file.Value.GetProperty("readdir").EnumerateArray().Select(one => one.GetString()!).Except(s_deleted.Select(one => one[1..])), file.Name);
                continue;
            }

            (entry.Size, entry.MtimeMs, entry.Writer, entry.Seq).Should().Be(
                (stat.GetProperty("size").GetInt64(), stat.GetProperty("mtime").GetInt64(), stat.GetProperty("writer").GetString(), stat.GetProperty("seq").GetInt64()), file.Name);
            byte[] bytes = await ReadAsync(view, entry);
            if (file.Value.GetProperty("data") is { ValueKind: JsonValueKind.String } data) Convert.ToHexStringLower(bytes).Should().Be(data.GetString(), file.Name);
            else bytes.Should().Equal([.. Enumerable.Repeat((byte)1, 65536), .. Enumerable.Repeat((byte)2, 65536), .. Enumerable.Repeat((byte)3, 1000)]);
        }
    }

    [Fact]
    public async Task Files_that_lost_stand_beside_the_winner_under_a_name_that_tells_who_wrote_them()
    {
        await using HyperdbDrive drive = await OpenAsync(new DiskFolder(Vectors.PathOf("hyperdb/drives/two-writers-a")));
        IDriveView view = await drive.ReadyAsync(Token);
        IReadOnlyList<DriveEntry> root = (await view.ListAsync(DrivePath.Root, Token))!;
        root.Select(entry => entry.Path.Text).Where(path => path.Contains("conflict", StringComparison.Ordinal)).Should().Equal(
            "/hello (conflict 2648286a 2018-01-03 172000).txt", "/tie (conflict 2648286a 2018-01-03 172000).txt");
        DriveEntry loser = (await view.FindAsync(DrivePath.From("/hello (conflict 2648286a 2018-01-03 172000).txt"), Token))!;
        System.Text.Encoding.UTF8.GetString(await ReadAsync(view, loser)).Should().Be("edited by a");
        (loser.Mode & 0x92).Should().Be(0, "it cannot be written");
    }

    [Fact]
    public async Task A_folder_with_such_a_drive_is_opened_where_it_lies()
    {
        using TempFolder temporary = TempFolder.Create();
        string folder = temporary.Folder("drive");
        foreach (string file in Directory.EnumerateFiles(Vectors.PathOf("hyperdb/drives/two-writers-b"), "*", SearchOption.AllDirectories))
        {
            string target = Path.Combine(folder, Path.GetRelativePath(Vectors.PathOf("hyperdb/drives/two-writers-b"), file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.WriteAllBytes(target, File.ReadAllBytes(file));
        }

        for (int time = 0; time < 2; time++)
        {
            await using IDrive drive = await DriveOpener.OpenAsync(DriveReference.Parse(folder), new DriveOpenOptions { StorageRoot = temporary.Folder("root") }, Token);
            (drive.Format, drive.Writable).Should().Be(("hyperdb", true));
            IDriveView view = await drive.ReadyAsync(Token);
            view.Version.Should().Be(1, "the same heads have the same number again");
            System.Text.Encoding.UTF8.GetString(await ReadAsync(view, (await view.FindAsync(DrivePath.From("/from-b.txt"), Token))!)).Should().Be("b was here");
        }
    }

    [Fact]
    public async Task A_database_without_files_is_no_drive()
    {
        MemoryFolder folder = new();
        await using (Database made = await Database.CreateAsync(folder, new DatabaseOptions(), null, Token)) await made.PutAsync("key", "value"u8.ToArray(), Token);
        await using HyperdbDrive drive = await OpenAsync(folder, readOnly: false);
        (await FluentActions.Awaiting(async () => await drive.ReadyAsync(Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Unsupported);
    }

    [Fact]
    public async Task Each_step_tells_the_paths_that_changed_and_is_numbered()
    {
        await using Database database = await Database.CreateAsync(new MemoryFolder(), new DatabaseOptions { ContentFeeds = true }, null, Token);
        await database.PutAsync("a/b", Stat(), Token);
        await using HyperdbDrive drive = new(database, VersionTable.Open(null), WriterNotes.Open(null), null, TimeProvider.System, NullLogger.Instance);
        List<DriveChange> heard = [];
        using IDisposable observing = drive.Observe(heard.Add);
        await database.PutAsync("a/c", Stat(), Token);
        await database.DeleteAsync("a/b", Token);
        heard.Select(change => change.After.Version).Should().Equal(2, 3);
        heard[0].Paths!.Select(path => path.Text).Should().BeEquivalentTo("/a", "/a/c");
        heard[1].Paths!.Select(path => path.Text).Should().BeEquivalentTo("/a", "/a/b");
        (await (await drive.CheckoutAsync(1, Token)).ListAsync(DrivePath.From("/a"), Token))!.Select(entry => entry.Path.Text).Should().Equal("/a/b");
        (await drive.Live.ListAsync(DrivePath.From("/a"), Token))!.Select(entry => entry.Path.Text).Should().Equal("/a/c");
        (await drive.VersionAtAsync(DateTimeOffset.UnixEpoch.AddMilliseconds(1), Token)).Should().Be(0);
        (await FluentActions.Awaiting(async () => await drive.CheckoutAsync(9, Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.NotFound);
    }

    [Fact]
    public void Numbers_of_versions_outlive_the_process_and_a_line_cut_short()
    {
        MemoryFolder folder = new();
        using (VersionTable table = VersionTable.Open(folder))
        {
            table.NumberOf([1], DateTimeOffset.UnixEpoch).Should().Be(1);
            table.NumberOf([2], DateTimeOffset.UnixEpoch).Should().Be(2);
            table.NumberOf([1], DateTimeOffset.UnixEpoch).Should().Be(1);
        }

        using (IRandomAccessFile file = folder.Open("versions", FileUse.ReadWrite)!) file.Write(file.Length, "17 0"u8);
        using VersionTable again = VersionTable.Open(folder);
        again.Count.Should().Be(2);
        again.NumberOf([3], DateTimeOffset.UnixEpoch).Should().Be(3);
        again.Find(2).Should().Equal(2);
        again.Find(4).Should().BeNull();
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static ReadOnlyMemory<byte> Stat() => new HyperdbStat(0x81A4, null, null, 0, 0, 0, 0, 1515000000000, 1515000000000).Encode();

    private static async Task<HyperdbDrive> OpenAsync(IStorageFolder folder, bool readOnly = true)
    {
        DatabaseOptions options = new() { ContentFeeds = true, ReadOnly = true, Feeds = new FeedOptions { ReadOnly = readOnly } };
        return new HyperdbDrive(await Database.OpenAsync(folder, null, options, Token), VersionTable.Open(null), WriterNotes.Open(null), null, TimeProvider.System, NullLogger.Instance);
    }

    private static async Task<byte[]> ReadAsync(IDriveView view, DriveEntry entry)
    {
        IFileContent content = view.OpenContent(entry);
        using MemoryStream bytes = new();
        while (bytes.Length < content.Size)
        {
            using ContentLease lease = await content.ReadAsync(bytes.Length, 1 << 20, FetchPriority.Interactive, Token);
            foreach (ReadOnlyMemory<byte> part in lease.Data) bytes.Write(part.Span);
        }

        return bytes.ToArray();
    }
}
