using System.Globalization;
using System.Text.Json;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Cli;

/// <summary>Folders of the dat tool on the command line: mounted, shared and exported where they lie (hyperdrive.md §6.2).</summary>
public sealed class DatFolderCommandTests : IDisposable
{
    private readonly TempFolder _home = TempFolder.Create("cli");
    private readonly TempFolder _reader = TempFolder.Create("reader");

    public static TheoryData<string> Fixtures => ["dat-latest", "dat-clone", "dat-archival"];

    public void Dispose()
    {
        // A test that failed may have left its mount.
        foreach (string line in File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(_home.Path + "/", StringComparison.Ordinal)).ToArray())
            using (System.Diagnostics.Process unmount = System.Diagnostics.Process.Start("umount", ["-l", line.Split(' ')[4]])) unmount.WaitForExit();
        _home.Dispose();
        _reader.Dispose();
    }

    [Theory, MemberData(nameof(Fixtures))]
    public async Task A_dat_folder_is_shared_to_another_process_and_nothing_is_written_into_it(string fixture)
    {
        string folder = Copy(fixture);
        string[] before = Listing(folder);
        await using (Datmount share = Datmount.Start(_home, "share", folder, "--listen", "127.0.0.1:0"))
        {
            string line = await share.LineAsync("sharing dat://");
            string key = line.Split("dat://")[1][..64];
            (int code, _, string errors) = await Datmount.RunAsync(_reader, "export", key, _reader.File("out"), "--peer", line[(line.LastIndexOf(' ') + 1)..], "--io-timeout", "5s");
            (code, errors).Should().Be((0, ""));
            AssertNewestFilesIn(_reader.File("out"), fixture);
        }

        Listing(folder).Should().Equal(before);
    }

    [Theory, MemberData(nameof(Fixtures))]
    public async Task A_dat_folder_is_exported_where_it_lies(string fixture)
    {
        string folder = Copy(fixture);
        (int code, _, string errors) = await Datmount.RunAsync(_home, "export", folder, _home.File("out"));
        (code, errors).Should().Be((0, ""));
        AssertNewestFilesIn(_home.File("out"), fixture);
        (code, _, errors) = await Datmount.RunAsync(_home, "export", folder, Path.Combine(folder, "data"));
        code.Should().Be(4);
        errors.Should().Contain("which the drive is read from");
    }

    [Fact]
    public async Task A_mounted_dat_folder_says_why_it_is_read_only_and_an_edited_file_is_an_error_at_once()
    {
        SkipWithoutFuse();
        string folder = Copy("dat-latest"), mountpoint = _home.Folder("mnt");
        await File.WriteAllTextAsync(Path.Combine(folder, "hello.txt"), "32 bytes that nobody ever signed", TestContext.Current.CancellationToken);
        await using Datmount mount = Datmount.Start(_home, folder, mountpoint);
        (await mount.LineAsync("mounted")).Should().Contain("read-only: ").And.Contain("the dat tool");
        File.ReadAllText(Path.Combine(mountpoint, "private", "key.txt")).Should().HaveLength(9);
        new FileInfo(Path.Combine(mountpoint, "hello.txt")).Length.Should().Be(32, "what is in the folder is the archive's, not the file's");
        FluentActions.Invoking(() => File.ReadAllText(Path.Combine(mountpoint, "hello.txt"))).Should().Throw<IOException>();
        FluentActions.Invoking(() => File.WriteAllText(Path.Combine(mountpoint, "new.txt"), "")).Should().Throw<IOException>();
        File.Exists(Path.Combine(mountpoint, ".hidden")).Should().BeFalse("it was never imported");

        (int code, _, string errors) = await Datmount.RunAsync(_home, "export", folder, _home.File("out"));
        code.Should().Be(4);
        errors.Should().Contain("in use by").And.Contain($"mounted at {mountpoint}").And.Contain("(pid " + mount.Id.ToString(CultureInfo.InvariantCulture) + ")");
        (_, string status, _) = await Datmount.RunAsync(_home, "status", "--json");
        JsonDocument.Parse(status).RootElement[0].GetProperty("readOnlyBecause").GetString().Should().Contain("the dat tool");
    }

    [Fact]
    public async Task A_dat_folder_is_not_mounted_into_itself()
    {
        SkipWithoutFuse();
        string folder = Copy("dat-latest");
        (int code, _, string errors) = await Datmount.RunAsync(_home, folder, Directory.CreateDirectory(Path.Combine(folder, "data", "mnt")).FullName);
        code.Should().Be(4);
        errors.Should().Contain("which the drive is read from");
    }

    private static void SkipWithoutFuse() => Assert.SkipUnless(File.Exists("/dev/fuse"), "needs /dev/fuse");

    private string Copy(string fixture)
    {
        string from = Vectors.PathOf($"hyperdrive/{fixture}/folder"), to = _home.Folder(fixture);
        foreach (string file in Directory.EnumerateFiles(from, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }))
        {
            string copy = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            if (Path.GetFileName(file) == "link-to-hello") File.CreateSymbolicLink(copy, "hello.txt");
            else File.WriteAllBytes(copy, File.ReadAllBytes(file));
        }

        return to;
    }

    private static string[] Listing(string folder) =>
        [.. Directory.EnumerateFileSystemEntries(folder, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 })
            .Order(StringComparer.Ordinal).Select(path => $"{path} {File.GetLastWriteTimeUtc(path).Ticks}")];

    private static void AssertNewestFilesIn(string folder, string fixture)
    {
        JsonElement manifest = Vectors.Json($"hyperdrive/{fixture}/manifest.json");
        int compared = 0;
        foreach (JsonProperty entry in manifest.GetProperty("versions").GetProperty(manifest.GetProperty("version").ToString()).EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.Number) continue;
            Sha256Of.File(folder + entry.Name).Should().Be(manifest.GetProperty("nodes").GetProperty(entry.Value.ToString()).GetProperty("sha256").GetString(), entry.Name);
            compared++;
        }

        compared.Should().BePositive();
    }
}
