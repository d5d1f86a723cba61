using System.Security.Cryptography;
using System.Text;
using DatFs.Evidence;
using DatFs.FileSystem;
using DatMount.Platform.Fuse;
using FluentAssertions;
using Xunit;

namespace DatMount.Posix;

/// <summary>Reading through a real mount.</summary>
public sealed class FuseReadTests
{
    private const int Seed = 20180101;

    [Fact]
    public async Task Lists_and_reads_a_mounted_tree()
    {
        var fs = new TreeFs();
        fs.File("hello.txt", "hello dat\n");
        fs.Folder("docs");
        fs.File("docs/größe.md", "# size");
        fs.Symlink("link", "docs/größe.md");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);

        (int exit, string listing, string error) = await Shell.RunAsync("ls", "-lai", mounted.Folder);
        exit.Should().Be(0, error);
        listing.Should().Contain("hello.txt").And.Contain("docs").And.Contain("link -> docs/größe.md");
        (await Shell.RunAsync("cat", mounted["hello.txt"])).Out.Should().Be("hello dat\n");
        (await Shell.RunAsync("cat", mounted["link"])).Out.Should().Be("# size");
        (await Shell.RunAsync("stat", "-c", "%i %s %a %F %Y %h", mounted["hello.txt"])).Out.Should()
            .Be($"{fs.At("hello.txt").FileNumber} 10 644 regular file 1500000000 1\n");
        (await Shell.RunAsync("cat", mounted["missing"])).Error.Should().Contain("No such file or directory");
        (await Shell.RunAsync("stat", "-f", "-c", "%T %b %f %l", mounted.Folder)).Out.Should().Be("fuseblk 1000 400 255\n");
        mounted.Mount.Counters.Requests.Should().BeGreaterThan(5);
        mounted.Mount.Counters.BytesRead.Should().Be(16);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task Sixty_four_readers_each_get_their_bytes(int threads)
    {
        byte[] data = RandomBytes(3_000_017);
        var fs = new TreeFs { Segment = 65_521 };
        fs.File("big", data);
        fs.Gate = async (op, _, _) =>
        {
            if (op == "read" && Random.Shared.Next(2) == 0) await Task.Yield();
        };
        await using MountedTree mounted = await MountedTree.CreateAsync(fs, new FuseMountOptions { Threads = threads });
        int wrong = 0;
        Thread[] readers = [.. Enumerable.Range(0, 64).Select(n => new Thread(() =>
        {
            var random = new Random(Seed + n);
            using FileStream file = new(mounted["big"], FileMode.Open, FileAccess.Read, FileShare.Read, 0);
            byte[] buffer = new byte[200_000];
            for (int i = 0; i < 30; i++)
            {
                int at = random.Next(data.Length);
                int read = RandomAccess.Read(file.SafeFileHandle, buffer.AsSpan(0, random.Next(buffer.Length)), at);
                if (!buffer.AsSpan(0, read).SequenceEqual(data.AsSpan(at, read))) Interlocked.Increment(ref wrong);
            }
        }))];
        foreach (Thread reader in readers) reader.Start();
        foreach (Thread reader in readers) reader.Join(TimeSpan.FromSeconds(60)).Should().BeTrue();
        wrong.Should().Be(0, $"seed {Seed}");
        Shell.Until(() => fs.LeasesOut == 0, "all leases come back");
    }

    [Fact]
    public async Task A_mapped_file_reads_the_same()
    {
        byte[] data = RandomBytes(1_234_567);
        var fs = new TreeFs();
        fs.File("big", data);
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        using System.Diagnostics.Process map = Shell.StartSelf("--mmap", mounted["big"]);
        (await map.StandardOutput.ReadToEndAsync()).Should().Be(Convert.ToHexStringLower(SHA256.HashData(data)) + "\n");
    }

    [Fact]
    public async Task Direct_reads_go_around_the_page_cache()
    {
        byte[] data = RandomBytes((1 << 20) + 4096 + 77);
        var fs = new TreeFs();
        fs.File("big", data);
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        for (int i = 0; i < 2; i++)
        {
            long before = fs.Reads;
            (await Shell.RunAsync("sh", "-c", $"dd if='{mounted["big"]}' iflag=direct bs=1M 2>/dev/null | sha256sum")).Out
                .Should().StartWith(Convert.ToHexStringLower(SHA256.HashData(data)));
            fs.Reads.Should().BeGreaterThan(before);
        }
    }

    [Fact]
    public async Task A_buffered_file_is_read_from_us_once()
    {
        var fs = new TreeFs();
        fs.File("a", RandomBytes(100_000));
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        await Shell.RunAsync("cat", mounted["a"]);
        long once = fs.Reads;
        await Shell.RunAsync("cat", mounted["a"]);
        fs.Reads.Should().Be(once, "pages outlive the handle");
    }

    [Fact]
    public async Task A_generated_file_is_made_anew_at_each_open()
    {
        var fs = new TreeFs();
        TreeFsNode status = fs.Status("status.json", "{\"peers\":1}");
        status.AttrTtl = TimeSpan.Zero;
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        (await Shell.RunAsync("cat", mounted["status.json"])).Out.Should().Be("{\"peers\":1}");
        status.Data = Encoding.UTF8.GetBytes("{\"peers\":1234}");
        (await Shell.RunAsync("cat", mounted["status.json"])).Out.Should().Be("{\"peers\":1234}");
    }

    [Fact]
    public async Task A_hundred_thousand_names_are_listed_while_some_go()
    {
        var fs = new TreeFs();
        fs.Folder("many");
        for (int i = 0; i < 100_000; i++) fs.File($"many/f{i:d6}", "");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        var names = new List<string>();
        int seen = 0;
        foreach (string path in Directory.EnumerateFiles(mounted["many"]))
        {
            names.Add(Path.GetFileName(path));
            if (seen % 1000 == 0)
            {
                fs.Delete($"many/f{99_999 - (seen / 1000):d6}");
                File.Delete(Path.Combine(mounted["many"], $"f{seen / 1000:d6}"));
            }

            seen++;
        }

        names.Should().OnlyHaveUniqueItems();
        names.Should().HaveCount(100_000, "a listing is what was there when it was opened");
        Directory.EnumerateFiles(mounted["many"]).Count().Should().Be(99_800);
        (int exit, string count, string error) = await Shell.RunAsync("sh", "-c", $"ls -l '{mounted["many"]}' | wc -l");
        (exit, count, error).Should().Be((0, "99801\n", ""));
        (await Shell.RunAsync("rm", "-r", mounted["many"])).Error.Should().BeEmpty();
        fs.Root.Children.Should().BeEmpty();
    }

    [Fact]
    public async Task Names_are_bytes()
    {
        var fs = new TreeFs();
        string longest = new('x', 255);
        fs.File(longest, "255");
        fs.File("\u00e9", "composed");
        fs.File("e\u0301", "decomposed");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        (await Shell.RunAsync("cat", mounted[longest])).Out.Should().Be("255");
        (await Shell.RunAsync("cat", mounted["\u00e9"])).Out.Should().Be("composed");
        (await Shell.RunAsync("cat", mounted["e\u0301"])).Out.Should().Be("decomposed");
        (await Shell.RunAsync("cat", mounted[longest + "x"])).Error.Should().Contain("too long");
        (await Shell.RunAsync("sh", "-c", $"printf raw > '{mounted.Folder}'/$(printf '\\377') && cat '{mounted.Folder}'/$(printf '\\377')")).Out.Should().Be("raw");
        fs.Root.Children.Should().ContainKey("\u00ff", "the tree keeps one char a byte");
    }

    [Fact]
    public async Task Extended_attributes_are_shown()
    {
        var fs = new TreeFs();
        fs.File("a", "x").Xattrs["user.dat.key"] = "abc"u8.ToArray();
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        (int exit, string shown, string error) = await Shell.RunAsync("getfattr", "--absolute-names", "-d", mounted["a"]);
        Assert.SkipWhen(exit == 127, "skipped: no getfattr (package attr)");
        (exit, error).Should().Be((0, ""));
        shown.Should().Contain("user.dat.key=\"abc\"");
        (await Shell.RunAsync("getfattr", "-n", "user.none", mounted["a"])).Error.Should().Contain("No such attribute");
    }

    [Fact]
    public async Task What_is_never_written_is_read_only_to_the_kernel_too()
    {
        var fs = new TreeFs(new MountCapabilities
        {
            ReadOnly = true,
            CaseSensitive = true,
            Symlinks = true,
            HardLinks = false,
            Xattrs = false,
            LiveChanges = false,
        });
        fs.File("a", "x");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        (await Shell.RunAsync("touch", mounted["b"])).Error.Should().Contain("Read-only file system");
        (await Shell.RunAsync("cat", mounted["a"])).Out.Should().Be("x");
        File.ReadLines("/proc/mounts").Should().Contain(line => line.StartsWith($"datmount {mounted.Folder} fuse.datmount ro,nosuid,nodev"));
        Directory.EnumerateFiles(mounted.Folder).Should().HaveCount(1);
    }

    [Fact]
    public async Task Refused_writes_carry_the_file_system_s_reason()
    {
        var fs = new TreeFs(new MountCapabilities
        {
            ReadOnly = true,
            CaseSensitive = true,
            Symlinks = true,
            HardLinks = false,
            Xattrs = true,
            LiveChanges = true,
        });
        fs.File("a", "x");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        foreach (string command in (string[])["echo y > a", "touch b", "mkdir c", "rm a", "mv a b", "ln -s a l", "chmod 700 a", "truncate -s 9 a"])
            (await Shell.RunAsync("sh", "-c", $"cd '{mounted.Folder}' && {command}")).Error.Should().Contain("Read-only file system", command);
    }

    private static byte[] RandomBytes(int length)
    {
        byte[] data = new byte[length];
        new Random(Seed).NextBytes(data);
        return data;
    }
}
