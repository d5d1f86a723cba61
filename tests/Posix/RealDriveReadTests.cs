using System.Diagnostics;
using System.Text;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Posix;

/// <summary>A drive of another peer, fetched over sockets and read by ordinary programs.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class RealDriveReadTests
{
    private const int Seed = 20180124;
    private const int BigSize = (20 << 20) + 4711;
    private const string Big = "/big.bin";

    [Fact]
    public async Task Every_file_of_a_shared_folder_arrives_as_its_owner_has_it()
    {
        using TempFolder temporary = TempFolder.Create("truth");
        SeededTree truth = SeededTree.Create(temporary.File("truth"), Seed, new SeededTreeShape { Files = 80, LargeFiles = 2, LargestSize = 6 << 20, CrowdedFolder = 1000 });
        truth.Files.Should().Contain(file => file.Path.Contains("caf\u00e9")).And.Contain(file => file.Path.Contains("cafe\u0301"), "both Unicode forms are tried")
            .And.Contain(file => file.Size == 0).And.Contain(file => file.Path.Contains('\n'));
        await using SharedDrive shared = await SharedDrive.CreateAsync(truth);
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);

        foreach (SeededFile file in truth.Files)
        {
            Sha256Of.File(mounted[file.Path]).Should().Be(file.Sha256, file.Path);
            ((int)File.GetUnixFileMode(mounted[file.Path])).Should().Be(file.Mode & ~0b010_010_010, file.Path);
        }

        Directory.EnumerateFileSystemEntries(mounted["/crowded"]).Should().HaveCount(1000);
        (await Shell.RunAsync("sh", "-c", $"cd '{mounted.Folder}' && find . -mindepth 1 -printf x | wc -c")).Out.Trim()
            .Should().Be((truth.Files.Count + truth.Folders.Count).ToString(System.Globalization.CultureInfo.InvariantCulture));
        (await Shell.RunAsync("diff", "-r", truth.Root, mounted.Folder)).Should().Be((0, "", ""));
        mounted.Drive.Status.ContentHeld.Should().Be(shared.Content.Length, "each block was fetched");
    }

    [Fact]
    public async Task Tar_rsync_and_sha256sum_carry_a_drive_away_whole()
    {
        using TempFolder temporary = TempFolder.Create("truth");
        SeededTree truth = SeededTree.Create(temporary.File("truth"), Seed + 1, SeededTreeShape.Small);
        await using SharedDrive shared = await SharedDrive.CreateAsync(truth);
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        string list = temporary.File("sums");
        await File.WriteAllTextAsync(list, string.Concat(truth.Files.Select(SumLine)));

        (int exit, string sums, string error) = await Shell.RunAsync("sh", "-c", $"cd '{mounted.Folder}' && sha256sum --strict --quiet -c '{list}'");
        (exit, sums, error).Should().Be((0, "", ""));

        string unpacked = temporary.Folder("unpacked");
        (await Shell.RunAsync("sh", "-c", $"cd '{mounted.Folder}' && tar cf - . | tar xpf - -C '{unpacked}'")).Should().Be((0, "", ""));
        (await Shell.RunAsync("diff", "-r", truth.Root, unpacked)).Should().Be((0, "", ""));
        (await Shell.RunAsync("sh", "-c", $"cd '{mounted.Folder}' && tar cf - . | tar tf - | wc -l")).Out.Trim()
            .Should().Be((1 + truth.Files.Count + truth.Folders.Count).ToString(System.Globalization.CultureInfo.InvariantCulture));

        string copied = temporary.Folder("copied");
        (await Shell.RunAsync("rsync", "-a", mounted.Folder + "/", copied + "/")).Should().Be((0, "", ""));
        (await Shell.RunAsync("diff", "-r", truth.Root, copied)).Should().Be((0, "", ""));
        (await Shell.RunAsync("rsync", "-a", "--dry-run", "--itemize-changes", mounted.Folder + "/", copied + "/"))
            .Should().Be((0, "", ""), "sizes, modes and times are steady");
    }

    [Fact]
    public async Task A_mapped_file_is_fetched_by_its_page_faults()
    {
        byte[] big = SeededBytes.Take(Seed, 0, BigSize);
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync(Big, big, default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        using Process map = Shell.StartSelf("--mmap", mounted[Big]);
        (await map.StandardOutput.ReadToEndAsync()).Should().Be(Sha256Of.Bytes(big) + "\n");
    }

    [Fact]
    public async Task Direct_reads_are_answered_from_the_drive()
    {
        byte[] big = SeededBytes.Take(Seed, 0, BigSize);
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync(Big, big, default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        for (int i = 0; i < 2; i++)
        {
            long before = mounted.Mount.Counters.BytesRead;
            (await Shell.RunAsync("sh", "-c", $"dd if='{mounted[Big]}' iflag=direct bs=1M 2>/dev/null | sha256sum")).Out.Should().StartWith(Sha256Of.Bytes(big));
            (mounted.Mount.Counters.BytesRead - before).Should().Be(BigSize);
        }
    }

    [Fact]
    public async Task Sixty_four_readers_share_what_is_fetched()
    {
        const int Readers = 64;
        byte[] big = SeededBytes.Take(Seed, 0, BigSize);
        byte[][] own = [.. Enumerable.Range(0, Readers).Select(n => SeededBytes.Take(Seed + n, 0, 150_000 + (n * 1001)))];
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync(Big, big, default);
            for (int n = 0; n < Readers; n++) await writer.PutFileAsync($"/own/{n}", own[n], default);
        });
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Relayed = true });
        mounted.Line!.SetDelay(TimeSpan.FromMilliseconds(5));

        int wrong = 0;
        Thread[] readers = [.. Enumerable.Range(0, Readers).Select(n => new Thread(() =>
        {
            if (!File.ReadAllBytes(mounted[$"/own/{n}"]).AsSpan().SequenceEqual(own[n])) Interlocked.Increment(ref wrong);
            if (n % 8 == 0 && !File.ReadAllBytes(mounted[Big]).AsSpan().SequenceEqual(big)) Interlocked.Increment(ref wrong);
            Interlocked.Add(ref wrong, ReadHereAndThere(mounted[Big], big, new Random(Seed + n), 20));
        }))];
        foreach (Thread reader in readers) reader.Start();
        foreach (Thread reader in readers) reader.Join(TimeSpan.FromSeconds(100)).Should().BeTrue();
        wrong.Should().Be(0, $"seed {Seed}");
        shared.ContentBlocksSent.Should().Be(shared.Content.Length, "no block travels twice, however many read it");
    }

    [Fact]
    public async Task Random_reads_of_what_is_not_here_yet_are_right()
    {
        byte[] big = SeededBytes.Take(Seed, 0, BigSize);
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync("/before", new byte[12345], default);
            await writer.PutFileAsync(Big, big, default);
        });
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        ReadHereAndThere(mounted[Big], big, new Random(Seed), 400).Should().Be(0, $"seed {Seed}");
    }

    /// <summary>How many of so many reads at random places gave something else than the truth.</summary>
    private static int ReadHereAndThere(string path, byte[] truth, Random random, int count)
    {
        int wrong = 0;
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0);
        byte[] buffer = new byte[200_000];
        for (int i = 0; i < count; i++)
        {
            int at = random.Next(truth.Length);
            int length = Math.Min(random.Next(1, buffer.Length), truth.Length - at);
            int read = RandomAccess.Read(file.SafeFileHandle, buffer.AsSpan(0, length), at);
            if (read != length || !buffer.AsSpan(0, read).SequenceEqual(truth.AsSpan(at, read))) wrong++;
        }

        return wrong;
    }

    /// <summary>As sha256sum prints it: a name with a line break is escaped, and the line begins with a backslash.</summary>
    private static string SumLine(SeededFile file)
    {
        string name = "." + file.Path;
        string escaped = new StringBuilder(name).Replace("\\", "\\\\").Replace("\n", "\\n").ToString();
        return (escaped == name ? "" : "\\") + file.Sha256 + "  " + escaped + "\n";
    }
}
