using System.Text;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Posix;

/// <summary>The versions of a real drive, and what is virtual or forbidden in a mount.</summary>
public sealed class RealDriveVersionTests
{
    private const int Versions = 30;
    private const int Seed = 30;

    [Fact]
    public async Task Every_version_directory_is_what_the_owner_had_then()
    {
        await using SharedDrive shared = await SharedDrive.CreateAsync();
        List<SortedDictionary<string, string>> recorded = await ChangeAsync(shared);
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        string versions = mounted["/.dat/versions"];

        for (int n = 0; n <= Versions; n++) ReadTree(Path.Combine(versions, $"{n}")).Should().Equal(recorded[n], $"version {n}, seed {Seed}");
        ReadTree(mounted.Folder).Should().Equal(recorded[Versions]);
        (await Shell.RunAsync("sh", "-c", $"ls '{versions}' | wc -l")).Out.Should().Be($"{Versions + 2}\n", "0, every number, latest");
        (await Shell.RunAsync("readlink", versions + "/latest")).Out.Should().Be($"{Versions}\n");
        ReadTree(versions + "/latest/").Should().Equal(recorded[Versions]);
        (await Shell.RunAsync("cat", $"{versions}/{Versions + 1}/f0")).Error.Should().Contain("No such file or directory");

        using TempFolder truth = TempFolder.Create("truth");
        (int Old, int New)[] pairs = [(1, Versions), (7, 8), (10, 20), (29, 3)];
        foreach ((int old, int now) in pairs)
        {
            Write(recorded[old], truth.Folder($"{old}"));
            Write(recorded[now], truth.Folder($"{now}"));
            (int Exit, string Out, string Error) expected = await Shell.RunAsync("sh", "-c", $"cd '{truth.Path}' && diff -r {old} {now}");
            expected.Exit.Should().Be(1, "these versions differ");
            (await Shell.RunAsync("sh", "-c", $"cd '{versions}' && diff -r {old} {now}")).Should().Be(expected);
        }
    }

    [Fact]
    public async Task A_mount_of_one_version_stays_at_it()
    {
        await using SharedDrive shared = await SharedDrive.CreateAsync();
        List<SortedDictionary<string, string>> recorded = await ChangeAsync(shared);
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Version = 12 });
        ReadTree(mounted.Folder).Should().Equal(recorded[12]);
        long version = await shared.PutAsync("/later", "not shown");
        Shell.Until(() => mounted.Drive.Live.Version == version, "the new version");
        ReadTree(mounted.Folder).Should().Equal(recorded[12]);
        (await Shell.RunAsync("touch", mounted["/x"])).Error.Should().Contain("Read-only file system");
        (await Shell.RunAsync("grep", mounted.Folder, "/proc/mounts")).Out.Should().Contain(" ro,");
    }

    [Fact]
    public async Task Latest_and_the_list_of_versions_follow_the_owner()
    {
        await using SharedDrive shared = await SharedDrive.CreateAsync();
        await shared.PutAsync("/a", "1");
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        string versions = mounted["/.dat/versions"];
        (await Shell.RunAsync("readlink", versions + "/latest")).Out.Should().Be("1\n");
        Directory.Exists(versions + "/2").Should().BeFalse();
        await shared.PutAsync("/a", "2");
        Shell.Until(() => new FileInfo(versions + "/latest").LinkTarget == "2", "the link moves");
        Shell.Until(() => Directory.Exists(versions + "/2"), "the name shows although its absence was cached");
        File.ReadAllText(versions + "/1/a").Should().Be("1");
        File.ReadAllText(versions + "/latest/a").Should().Be("2");
        Directory.EnumerateDirectories(versions).Select(Path.GetFileName).Should().BeEquivalentTo("0", "1", "2", "latest");
    }

    [Fact]
    public async Task The_virtual_folder_is_there_but_not_listed_and_nothing_can_be_written()
    {
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync("/a", "one"u8.ToArray(), default);
            await writer.PutFileAsync("/d/b", new byte[200_000], default);
            await writer.PutFileAsync("/a", "two"u8.ToArray(), default);
        });
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);

        (await Shell.RunAsync("ls", "-A", mounted.Folder)).Out.Should().Be("a\nd\n");
        (await Shell.RunAsync("ls", mounted["/.dat"])).Out.Should().Be("key\nlog\npeers\nstatus.json\nversions\n");
        (await Shell.RunAsync("cat", mounted["/.dat/key"])).Out.Should().Be($"dat://{shared.Key.ToHex()}\n");
        (await Shell.RunAsync("mkdir", mounted["/.dat"])).Error.Should().Contain("File exists");
        foreach (string command in (string[])["echo y > a", "echo y >> a", "touch b", "mkdir c", "rm a", "rmdir d", "mv a b", "ln -s a l", "ln a l", "chmod 700 a", "truncate -s 9 a",
            "touch .dat/x", "rm .dat/key", "touch .dat/versions/1/x", "rm .dat/versions/1/a", "setfattr -n user.x -v 1 a"])
            (await Shell.RunAsync("sh", "-c", $"cd '{mounted.Folder}' && {command}")).Error.Should().MatchRegex("Read-only file system|not permitted", command);
        File.ReadAllText(mounted["/a"]).Should().Be("two");

        (await AttributeAsync(mounted["/a"], "version")).Should().Be("3");
        (await AttributeAsync(mounted["/a"], "seq")).Should().Be("3");
        (await AttributeAsync(mounted["/.dat/versions/1/a"], "seq")).Should().Be("1");
        (await AttributeAsync(mounted["/.dat/versions/1/a"], "version")).Should().Be("1");
        (await AttributeAsync(mounted["/d/b"], "blocks")).Should().Be("4");
        (await AttributeAsync(mounted["/d/b"], "local")).Should().Be("0");
        (await Shell.RunAsync("cat", mounted["/d/b"])).Exit.Should().Be(0);
        (await AttributeAsync(mounted["/d/b"], "local")).Should().Be("200000");
        (await AttributeAsync(mounted.Folder, "key")).Should().Be(shared.Key.ToHex());
        (await Shell.RunAsync("getfattr", "--absolute-names", "-d", mounted["/a"])).Out.Should().BeEmpty("copies do not carry them along");
        (await Shell.RunAsync("getfattr", "-n", "user.dat.none", mounted["/a"])).Error.Should().Contain("No such attribute");
    }

    private static async Task<string> AttributeAsync(string path, string name)
    {
        (int exit, string value, string error) = await Shell.RunAsync("getfattr", "--absolute-names", "--only-values", "-n", "user.dat." + name, path);
        exit.Should().Be(0, error);
        return value;
    }

    /// <summary>Makes thirty versions: files come, change and go, and folders take the place of files and the other way round.</summary>
    private static async Task<List<SortedDictionary<string, string>>> ChangeAsync(SharedDrive shared)
    {
        Random random = new(Seed);
        SortedDictionary<string, string> now = new(StringComparer.Ordinal);
        List<SortedDictionary<string, string>> recorded = [new(now, now.Comparer)];
        while (recorded.Count <= Versions)
        {
            string path = random.Next(3) switch { 0 => $"/f{random.Next(5)}", 1 => $"/d{random.Next(2)}/f{random.Next(4)}", _ => $"/d{random.Next(2)}/ü/f{random.Next(3)}" };
            if (now.ContainsKey(path) && random.Next(3) == 0)
            {
                await shared.DeleteAsync(path);
                now.Remove(path);
            }
            else
            {
                string text = new StringBuilder().Insert(0, $"{path} at {recorded.Count}\n", random.Next(1, 4000)).ToString();
                await shared.PutAsync(path, text);
                now[path] = text;
            }

            recorded.Add(new(now, now.Comparer));
        }

        return recorded;
    }

    private static SortedDictionary<string, string> ReadTree(string folder)
    {
        SortedDictionary<string, string> found = new(StringComparer.Ordinal);
        string root = folder.TrimEnd('/');
        foreach (string file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
            found["/" + Path.GetRelativePath(root, file)] = File.ReadAllText(file);
        return found;
    }

    private static void Write(SortedDictionary<string, string> tree, string folder)
    {
        foreach ((string path, string text) in tree)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder + path)!);
            File.WriteAllText(folder + path, text);
        }
    }
}
