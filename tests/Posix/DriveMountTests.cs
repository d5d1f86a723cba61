using DatFs.Evidence;
using DatFs.FileSystem;
using DatMount.Platform.Fuse;
using FluentAssertions;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DatMount.Posix;

/// <summary>A drive in memory through <see cref="DatFileSystem"/> and the real kernel, whose caches last an hour.</summary>
public sealed class DriveMountTests : IAsyncDisposable
{
    private readonly FakeDrive _drive = new();
    private readonly string _folder = MountedTree.FreshFolder();
    private DatFileSystem? _fs;
    private FuseMount? _mount;

    [Fact]
    public async Task Every_version_is_a_folder()
    {
        _drive.Publish(("/d/f", FakeEntry.File("one")));
        _drive.Publish(("/d/f", FakeEntry.File("two")), ("/g", FakeEntry.File("g")));
        await MountAsync();
        Names("").Should().Equal("d", "g");
        Names(".dat").Should().Equal("key", "log", "peers", "status.json", "versions");
        Names(".dat/versions").Should().Equal("0", "1", "2", "latest");
        Read("d/f").Should().Be("two");
        Read(".dat/versions/1/d/f").Should().Be("one");
        Read(".dat/versions/latest/d/f").Should().Be("two");
        Read(".dat/key").Should().Be($"dat://{_drive.Key.ToHex()}\n");
        Read(".dat/status.json").Should().Contain("\"version\": 2");
        (await Shell.RunAsync("diff", "-r", At(".dat/versions/1"), At(".dat/versions/2"))).Out.Should().Contain("Only in").And.Contain("g");
        (await Shell.RunAsync("find", At(".dat/versions/1"), "-type", "f")).Out.Should().Be(At(".dat/versions/1/d/f") + "\n");
        (await Shell.RunAsync("ls", "-la", At(".dat/versions"))).Exit.Should().Be(0);
    }

    [Fact]
    public async Task What_the_owner_changes_shows_at_once()
    {
        _drive.Publish(("/d/f", FakeEntry.File("old")));
        await MountAsync();
        Read("d/f").Should().Be("old");
        Exists("later").Should().BeFalse();
        Exists("deep").Should().BeFalse();
        Names("d").Should().Equal("f");
        _drive.Publish(("/d/f", FakeEntry.File("new and longer")), ("/later", FakeEntry.File("")), ("/deep/er/x", FakeEntry.File("x")), ("/d/g", FakeEntry.File("")));
        Shell.Until(() => Read("d/f") == "new and longer", "the new content");
        Shell.Until(() => Exists("later") && Exists("deep/er/x") && Exists("d/g"), "the new names");
        Names("d").Should().Equal("f", "g");
        Read(".dat/versions/2/deep/er/x").Should().Be("x");
        Read(".dat/versions/latest/d/f").Should().Be("new and longer");
        _drive.Publish(("/deep/er/x", null), ("/d", null), ("/d/g", null));
        Shell.Until(() => !Exists("deep") && !Exists("d/g"), "what was removed goes");
        Names("").Should().Equal("d", "later");
        Read(".dat/versions/latest/d/f").Should().Be("new and longer");
        File.ResolveLinkTarget(At(".dat/versions/latest"), false)!.Name.Should().Be("3");
    }

    [Fact]
    public async Task An_open_file_keeps_its_version_and_a_new_reader_gets_the_new_one()
    {
        _drive.Publish(("/f", FakeEntry.File("the old text")));
        await MountAsync();
        await using FileStream open = File.OpenRead(At("f"));
        byte[] start = new byte[3];
        await open.ReadExactlyAsync(start);
        _drive.Publish(("/f", FakeEntry.File("THE NEW TEXT, LONGER")));
        Shell.Until(() => Read("f") == "THE NEW TEXT, LONGER", "the new version");
        using StreamReader rest = new(open);
        (await rest.ReadToEndAsync()).Should().Be(" old text");
        open.Length.Should().Be(12);
    }

    [Fact]
    public async Task Changes_are_refused_with_the_errors_the_page_names()
    {
        _drive.Publish(("/f", FakeEntry.File("x")), ("/out", FakeEntry.Link("/etc/passwd")), ("/in", FakeEntry.Link("f")));
        await MountAsync();
        (await Shell.RunAsync("touch", At("new"))).Error.Should().Contain("Read-only file system");
        (await Shell.RunAsync("mkdir", At("new"))).Error.Should().Contain("Read-only file system");
        (await Shell.RunAsync("mkdir", At(".dat"))).Error.Should().Contain("File exists");
        (await Shell.RunAsync("rm", "-f", At("f"))).Error.Should().Contain("Read-only file system");
        (await Shell.RunAsync("mv", At("f"), At("g"))).Error.Should().Contain("Read-only file system");
        (await Shell.RunAsync("cat", At("out"))).Error.Should().Contain("Permission denied");
        (await Shell.RunAsync("cat", At("in"))).Out.Should().Be("x");
        (await Shell.RunAsync("ls", At(new string('x', 256)))).Error.Should().Contain("File name too long");
    }

    [Fact]
    public async Task Everything_is_forgotten_at_the_end()
    {
        _drive.Publish([.. Enumerable.Range(0, 2000).Select(i => ($"/d{i % 20}/f{i}", (FakeEntry?)FakeEntry.File($"{i}")))]);
        await MountAsync();
        (await Shell.RunAsync("ls", "-lR", _folder)).Exit.Should().Be(0);
        (await Shell.RunAsync("sh", "-c", $"cat {_folder}/*/* | wc -c")).Out.Trim().Should().Be($"{Enumerable.Range(0, 2000).Sum(i => $"{i}".Length)}");
        _fs!.LivingNodes.Should().Be(2021);
        _drive.Publish([.. Enumerable.Range(0, 2000).Select(i => ($"/d{i % 20}/f{i}", (FakeEntry?)null))]);
        Shell.Until(() => _fs.LivingNodes < 50, "the kernel forgets what was removed");
    }

    public async ValueTask DisposeAsync()
    {
        if (_mount is { } mount)
        {
            await mount.UnmountAsync(lazyAfterGrace: true, CancellationToken.None);
            await mount.Completion.WaitAsync(TimeSpan.FromSeconds(20));
        }

        if (_fs is not null) await _fs.DisposeAsync();
        await _drive.DisposeAsync();
        Directory.Delete(_folder);
    }

    private async Task MountAsync()
    {
        MountedTree.RequireFuse();
        _fs = new DatFileSystem(_drive);
        FuseMountOptions options = new() { UnmountGrace = TimeSpan.FromSeconds(1) };
        _mount = await FuseMount.MountAsync(_fs, _folder, options, NullLogger.Instance, TestContext.Current.CancellationToken);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private string Read(string name) => File.ReadAllText(At(name));

    private bool Exists(string name) => Path.Exists(At(name));

    private string[] Names(string directory) => [.. Directory.EnumerateFileSystemEntries(At(directory)).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)];
}
