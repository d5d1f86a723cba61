using System.Diagnostics;
using DatFs.Evidence;
using FluentAssertions;
using Microsoft.Win32.SafeHandles;
using Xunit;

namespace DatMount.Posix;

/// <summary>What the owner does while the drive is mounted. The kernel keeps names and pages for an hour unless it is told.</summary>
public sealed class RealDriveLiveTests
{
    private const int Seed = 7;

    [Fact]
    public async Task Files_that_come_change_and_go_show_without_a_remount()
    {
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync("/stays", "same"u8.ToArray(), default);
            await writer.PutFileAsync("/changes", "before"u8.ToArray(), default);
            await writer.PutFileAsync("/goes", "x"u8.ToArray(), default);
            await writer.PutFileAsync("/d/inner", "x"u8.ToArray(), default);
        });
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        Names(mounted["/"]).Should().Equal("changes", "d", "goes", "stays");
        File.ReadAllText(mounted["/changes"]).Should().Be("before");
        File.ReadAllText(mounted["/goes"]).Should().Be("x");
        File.Exists(mounted["/comes"]).Should().BeFalse();
        Directory.Exists(mounted["/new/folder"]).Should().BeFalse();

        await shared.PutAsync("/comes", "here");
        Shell.Until(() => File.Exists(mounted["/comes"]), "a new file");
        File.ReadAllText(mounted["/comes"]).Should().Be("here");
        Names(mounted["/"]).Should().Contain("comes");

        await shared.PutAsync("/changes", "after, and longer");
        Shell.Until(() => new FileInfo(mounted["/changes"]).Length == 17, "the new size");
        Shell.Until(() => File.ReadAllText(mounted["/changes"]) == "after, and longer", "the new content");

        await shared.DeleteAsync("/goes");
        Shell.Until(() => !File.Exists(mounted["/goes"]), "the file goes");
        Names(mounted["/"]).Should().NotContain("goes");

        await shared.PutAsync("/new/folder/file", "deep");
        Shell.Until(() => File.Exists(mounted["/new/folder/file"]), "folders come with what is in them");
        await shared.DeleteAsync("/d/inner");
        Shell.Until(() => !Directory.Exists(mounted["/d"]), "a folder goes with the last file in it");
        Names(mounted["/"]).Should().Equal("changes", "comes", "new", "stays");
    }

    [Fact]
    public async Task A_renamed_file_and_one_that_turns_into_a_folder_show_as_such()
    {
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync("/old name", "moved"u8.ToArray(), default);
            await writer.PutFileAsync("/thing", "a file"u8.ToArray(), default);
            await writer.PutFileAsync("/place/in", "x"u8.ToArray(), default);
        });
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        File.ReadAllText(mounted["/old name"]).Should().Be("moved");
        File.ReadAllText(mounted["/thing"]).Should().Be("a file");
        Names(mounted["/place"]).Should().Equal("in");
        using SafeFileHandle open = File.OpenHandle(mounted["/thing"]);

        await shared.PutAsync("/new name", "moved");
        await shared.DeleteAsync("/old name");
        await shared.DeleteAsync("/thing");
        await shared.PutAsync("/thing/part", "a folder now");
        await shared.DeleteAsync("/place/in");
        await shared.PutAsync("/place", "a file now");

        Shell.Until(() => !File.Exists(mounted["/old name"]) && File.Exists(mounted["/new name"]), "the rename");
        Shell.Until(() => Directory.Exists(mounted["/thing"]), "the folder");
        File.ReadAllText(mounted["/thing/part"]).Should().Be("a folder now");
        Shell.Until(() => File.Exists(mounted["/place"]), "the file");
        File.ReadAllText(mounted["/place"]).Should().Be("a file now");
        Names(mounted["/"]).Should().Equal("new name", "place", "thing");
        Read(open, 0, 20).Should().Equal("a file"u8.ToArray(), "who has it open keeps it");
    }

    [Fact]
    public async Task Caches_are_dropped_exactly_where_something_changed()
    {
        byte[] kept = SeededBytes.Take(Seed, 0, 300_000);
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync("/kept", kept, default);
            await writer.PutFileAsync("/d/kept", kept, default);
            await writer.PutFileAsync("/d/changes", kept, default);
        });
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        foreach (string path in (string[])["/kept", "/d/kept", "/d/changes"]) File.ReadAllBytes(mounted[path]).Should().Equal(kept);

        byte[] changed = SeededBytes.Take(Seed + 1, 0, 300_000);
        await shared.PutAsync("/d/changes", changed);
        Shell.Until(() => File.ReadAllBytes(mounted["/d/changes"]).AsSpan().SequenceEqual(changed), "the new content");
        long before = mounted.Mount.Counters.BytesRead;
        foreach (string path in (string[])["/kept", "/d/kept"]) File.ReadAllBytes(mounted[path]).Should().Equal(kept);
        mounted.Mount.Counters.BytesRead.Should().Be(before, "their pages are still in the kernel");
    }

    [Fact]
    public async Task Old_and_new_handles_of_a_changed_file_each_keep_their_version()
    {
        const int Size = (3 << 20) + 77;
        byte[][] versions = [.. Enumerable.Range(0, 3).Select(n => SeededBytes.Take(Seed + n, 0, Size + n))];
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/f", versions[0], default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        List<SafeFileHandle> handles = [File.OpenHandle(mounted["/f"])];
        try
        {
            Read(handles[0], 0, 1000).Should().Equal(versions[0][..1000]);
            for (int n = 1; n < versions.Length; n++)
            {
                await shared.PutAsync("/f", versions[n]);
                Shell.Until(() => new FileInfo(mounted["/f"]).Length == Size + n, "the new file");
                handles.Add(File.OpenHandle(mounted["/f"]));
            }

            Random random = new(Seed);
            for (int i = 0; i < 300; i++)
            {
                int n = i % versions.Length;
                int at = random.Next(Size - 5000);
                Read(handles[n], at, 5000).AsSpan().SequenceEqual(versions[n].AsSpan(at, 5000)).Should().BeTrue($"handle {n} at {at}, seed {Seed}");
            }

            for (int n = 0; n < versions.Length; n++) RandomAccess.GetLength(handles[n]).Should().Be(Size + n);
        }
        finally
        {
            handles.ForEach(handle => handle.Dispose());
        }

        Sha256Of.File(mounted["/f"]).Should().Be(Sha256Of.Bytes(versions[^1]));
    }

    [Fact]
    public async Task A_mapping_of_the_old_version_stays_and_pages_in_its_rest()
    {
        const int Size = 6 << 20;
        byte[] old = SeededBytes.Take(Seed, 0, Size);
        byte[] now = SeededBytes.Take(Seed + 1, 0, Size);
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/f", old, default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared);
        using Process map = Shell.StartSelf("--mmap-twice", mounted["/f"], "65536");
        (await map.StandardOutput.ReadLineAsync()).Should().Be(Sha256Of.Bytes(old.AsSpan(0, 65536)));

        await shared.PutAsync("/f", now);
        Shell.Until(() => Sha256Of.File(mounted["/f"]) == Sha256Of.Bytes(now), "the new file");
        await map.StandardInput.WriteLineAsync("go on");
        (await map.StandardOutput.ReadToEndAsync()).Should().Be(Sha256Of.Bytes(old) + "\n");
        Sha256Of.File(mounted["/f"]).Should().Be(Sha256Of.Bytes(now));
    }

    [Fact]
    public async Task Watchers_hear_of_what_the_owner_does()
    {
        MountedTree.RequireRoot();
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync("/d/changes", "1"u8.ToArray(), default);
            await writer.PutFileAsync("/d/goes", "x"u8.ToArray(), default);
        });
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Fuse = new() { AnnounceChanges = true, UnmountGrace = TimeSpan.FromSeconds(1) } });
        Names(mounted["/d"]).Should().Equal("changes", "goes");
        using Process watch = Process.Start(new ProcessStartInfo("sh", ["-c", $"exec timeout 30 inotifywait -m -e create,delete,modify --format '%e %f' '{mounted["/d"]}' 2>&1"])
        { RedirectStandardOutput = true })!;
        string? first = await watch.StandardOutput.ReadLineAsync();
        Assert.SkipWhen(first is null || first.Contains("not found"), "skipped: no inotifywait (package inotify-tools)");
        (await watch.StandardOutput.ReadLineAsync()).Should().Be("Watches established.");

        await shared.PutAsync("/d/comes", "x");
        (await watch.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(20))).Should().Be("CREATE comes");
        await shared.PutAsync("/d/changes", "2");
        (await watch.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(20))).Should().Be("MODIFY changes");
        await shared.DeleteAsync("/d/goes");
        (await watch.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(20))).Should().Be("DELETE goes");
        watch.Kill();
    }

    private static byte[] Read(SafeFileHandle handle, long at, int length)
    {
        byte[] bytes = new byte[length];
        return bytes[..RandomAccess.Read(handle, bytes, at)];
    }

    private static IEnumerable<string?> Names(string folder) => Directory.GetFileSystemEntries(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal);
}
