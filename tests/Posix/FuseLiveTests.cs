using System.Diagnostics;
using System.Text;
using DatFs.Evidence;
using DatFs.FileSystem;
using DatMount.Platform.Fuse;
using FluentAssertions;
using Xunit;

namespace DatMount.Posix;

/// <summary>Changes under the kernel's caches (which are kept for an hour here), waiting, interrupts, writes.</summary>
public sealed class FuseLiveTests
{
    [Fact]
    public async Task A_file_that_grows_is_read_anew()
    {
        var fs = new TreeFs();
        TreeFsNode file = fs.File("a", "short");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        (await File.ReadAllTextAsync(mounted["a"])).Should().Be("short");
        fs.Grow(file, Encoding.UTF8.GetBytes("much longer than before"));
        Shell.Until(() => new FileInfo(mounted["a"]).Length == 23, "the new size");
        Shell.Until(() => File.ReadAllText(mounted["a"]) == "much longer than before", "the new content");
        fs.Grow(file, Encoding.UTF8.GetBytes("cut"));
        Shell.Until(() => File.ReadAllText(mounted["a"]) == "cut", "less content");
    }

    [Fact]
    public async Task A_file_deleted_elsewhere_is_gone()
    {
        var fs = new TreeFs();
        fs.File("a", "x");
        fs.Folder("d");
        fs.File("d/b", "y");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        File.Exists(mounted["a"]).Should().BeTrue();
        File.Exists(mounted["d/b"]).Should().BeTrue();
        fs.Delete("a");
        Shell.Until(() => !File.Exists(mounted["a"]), "the file goes");
        fs.Delete("d");
        Shell.Until(() => !Directory.Exists(mounted["d"]) && !File.Exists(mounted["d/b"]), "the folder goes");
    }

    [Fact]
    public async Task A_file_that_appears_shows_although_its_absence_was_cached()
    {
        var fs = new TreeFs(Live(TimeSpan.FromHours(1)));
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        File.Exists(mounted["later"]).Should().BeFalse();
        fs.File("silent", "not announced");
        File.Exists(mounted["silent"]).Should().BeTrue();
        fs.Appear("later", "now");
        Shell.Until(() => File.Exists(mounted["later"]), "the file shows");
        (await File.ReadAllTextAsync(mounted["later"])).Should().Be("now");
    }

    [Fact]
    public async Task An_open_file_keeps_its_version_when_its_name_gets_another()
    {
        var fs = new TreeFs();
        fs.File("a", "old content");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        using FileStream old = File.OpenRead(mounted["a"]);
        old.ReadByte().Should().Be('o');
        fs.Replace("a", Encoding.UTF8.GetBytes("new"));
        Shell.Until(() => File.ReadAllText(mounted["a"]) == "new", "the new file");
        byte[] rest = new byte[20];
        RandomAccess.Read(old.SafeFileHandle, rest, 4).Should().Be(7);
        Encoding.UTF8.GetString(rest, 0, 7).Should().Be("content");
    }

    [Fact]
    public async Task All_names_change_in_one_step()
    {
        var fs = new TreeFs(Live(TimeSpan.FromHours(1)));
        fs.File("gone", "x");
        fs.File("stays", "x");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        File.Exists(mounted["gone"]).Should().BeTrue();
        File.Exists(mounted["stays"]).Should().BeTrue();
        File.Exists(mounted["new"]).Should().BeFalse();
        fs.Root.Children.Remove("gone");
        fs.File("new", "x");
        fs.Notifier!.AllEntriesChanged();
        Shell.Until(() => !File.Exists(mounted["gone"]) && File.Exists(mounted["stays"]) && File.Exists(mounted["new"]), "the other version");
    }

    [Fact]
    public async Task A_slow_read_does_not_stall_others_on_one_thread()
    {
        var fs = new TreeFs();
        TreeFsNode slow = fs.File("slow", "late");
        fs.File("fast", "now");
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var open = new TaskCompletionSource();
        fs.Gate = async (op, node, ct) =>
        {
            if (op != "read" || node != slow) return;
            arrived.TrySetResult();
            await open.Task.WaitAsync(ct);
        };
        await using MountedTree mounted = await MountedTree.CreateAsync(fs, new FuseMountOptions { Threads = 1 });
        using Process cat = Shell.Start("cat", mounted["slow"]);
        await arrived.Task.WaitAsync(TimeSpan.FromSeconds(20));
        (await Shell.RunAsync("cat", mounted["fast"])).Out.Should().Be("now");
        (await Shell.RunAsync("ls", "-l", mounted.Folder)).Exit.Should().Be(0);
        cat.HasExited.Should().BeFalse();
        open.SetResult();
        (await cat.StandardOutput.ReadToEndAsync()).Should().Be("late");
    }

    [Theory]
    [InlineData("read")]
    [InlineData("lookup")]
    [InlineData("open")]
    public async Task A_killed_process_interrupts_what_it_waits_for(string operation)
    {
        var fs = new TreeFs();
        // Reads through the page cache are nobody's: only direct ones are interrupted (platform.md §3).
        TreeFsNode file = fs.Status("a", "x");
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var cancelled = new TaskCompletionSource();
        fs.Gate = async (op, node, ct) =>
        {
            if (op != operation || (node != file && op != "lookup")) return;
            arrived.TrySetResult();
            await Shell.CancelledAsync(ct);
            cancelled.TrySetResult();
            ct.ThrowIfCancellationRequested();
        };
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        using Process cat = Process.Start(new ProcessStartInfo("cat", [mounted["a"]]) { RedirectStandardError = true })!;
        await arrived.Task.WaitAsync(TimeSpan.FromSeconds(20));
        cancelled.Task.IsCompleted.Should().BeFalse();
        cat.Kill();
        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(20));
        await cat.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(20));
        Shell.Until(() => mounted.Mount.Counters.InFlight == 0, "the request ends");
    }

    [Fact]
    public async Task A_defect_in_the_file_system_is_EIO_and_the_mount_lives()
    {
        var fs = new TreeFs();
        TreeFsNode file = fs.File("a", "x");
        fs.File("b", "fine");
        fs.Gate = (op, node, _) => op == "read" && node == file ? ValueTask.FromException(new InvalidOperationException("a defect")) : default;
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        (await Shell.RunAsync("cat", mounted["a"])).Error.Should().Contain("Input/output error");
        (await Shell.RunAsync("cat", mounted["b"])).Out.Should().Be("fine");
    }

    [Fact]
    public async Task Written_files_survive_rename_unlink_while_open_and_four_appenders()
    {
        var fs = new TreeFs();
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        await File.WriteAllTextAsync(mounted["a"], "one");
        await File.WriteAllTextAsync(mounted["b"], "two");
        File.Move(mounted["a"], mounted["b"], overwrite: true);
        (await File.ReadAllTextAsync(mounted["b"])).Should().Be("one");
        using (FileStream open = new(mounted["b"], FileMode.Open, FileAccess.ReadWrite))
        {
            File.Delete(mounted["b"]);
            open.Seek(0, SeekOrigin.End);
            open.Write("-more"u8);
            open.Flush();
            byte[] all = new byte[20];
            RandomAccess.Read(open.SafeFileHandle, all, 0).Should().Be(8);
        }

        Process[] appenders = [.. Enumerable.Range(0, 4).Select(n =>
            Shell.Start("sh", "-c", $"for i in $(seq 100); do echo line-{n}-$i >> '{mounted["log"]}'; done"))];
        foreach (Process appender in appenders)
        {
            await appender.WaitForExitAsync();
            appender.ExitCode.Should().Be(0);
            appender.Dispose();
        }

        File.ReadAllLines(mounted["log"]).Should().HaveCount(400).And.OnlyHaveUniqueItems();
        byte[] data = new byte[3_000_000];
        new Random(1).NextBytes(data);
        await File.WriteAllBytesAsync(mounted["big"], data);
        fs.At("big").Data.Should().Equal(data);
        mounted.Mount.Counters.BytesWritten.Should().BeGreaterThan(3_000_000);
    }

    [Fact]
    public async Task References_return_to_zero_when_the_kernel_forgets()
    {
        var fs = new TreeFs();
        fs.Folder("d");
        for (int i = 0; i < 500; i++) fs.File($"d/old{i}", "x");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        (await Shell.RunAsync("ls", "-l", mounted["d"])).Exit.Should().Be(0);
        (await Shell.RunAsync("sh", "-c", $"cd '{mounted["d"]}' && for i in $(seq 200); do echo x > n$i; done && cat n* > /dev/null && rm n*")).Exit.Should().Be(0);
        fs.References().Should().BeGreaterThan(0);
        for (int i = 0; i < 500; i++) fs.Delete($"d/old{i}");
        fs.Delete("d");
        Shell.Until(() => fs.References() == 0, "all forgets");
    }

    [Fact]
    public async Task Watchers_hear_of_a_remote_deletion()
    {
        var fs = new TreeFs();
        fs.File("a", "x");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        using Process watch = Process.Start(new ProcessStartInfo("sh", ["-c", $"exec timeout 30 inotifywait -e delete_self '{mounted["a"]}' 2>&1"])
        { RedirectStandardOutput = true })!;
        string? first = await watch.StandardOutput.ReadLineAsync();
        Assert.SkipWhen(first is null || first.Contains("No such file"), "skipped: no inotifywait (package inotify-tools)");
        (await watch.StandardOutput.ReadLineAsync()).Should().Be("Watches established.");
        fs.Delete("a");
        (await watch.StandardOutput.ReadToEndAsync()).Should().Contain("DELETE_SELF");
    }

    [Fact]
    public async Task Watchers_hear_of_all_remote_changes_when_they_are_announced()
    {
        MountedTree.RequireRoot();
        var fs = new TreeFs();
        fs.Folder("d");
        fs.File("d/known", "x");
        fs.File("d/unknown", "x");
        TreeFsNode grows = fs.File("d/grows", "x");
        fs.Folder("d/sub");
        fs.File("d/sub/inner", "x");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs, new FuseMountOptions { AnnounceChanges = true });
        using Process watch = Process.Start(new ProcessStartInfo("sh",
            ["-c", $"exec timeout 30 inotifywait -m -e create,delete,modify,close_write,attrib --format '%e %f' '{mounted["d"]}' 2>&1"])
        { RedirectStandardOutput = true })!;
        string? first = await watch.StandardOutput.ReadLineAsync();
        Assert.SkipWhen(first is null || first.Contains("not found"), "skipped: no inotifywait (package inotify-tools)");
        (await watch.StandardOutput.ReadLineAsync()).Should().Be("Watches established.");
        async Task Heard(params string[] events)
        {
            foreach (string one in events)
                (await watch.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(20))).Should().Be(one);
        }

        File.Exists(mounted["d/known"]).Should().BeTrue();
        File.Exists(mounted["d/grows"]).Should().BeTrue();
        File.Exists(mounted["d/sub/inner"]).Should().BeTrue();

        fs.Delete("d/known");
        await Heard("DELETE known");
        fs.Delete("d/unknown");
        await Heard("DELETE unknown");
        fs.Delete("d/sub");
        await Heard("DELETE,ISDIR sub");
        fs.Appear("d/new", "content");
        await Heard("CREATE new", "CLOSE_WRITE,CLOSE new");
        fs.Grow(grows, "more content"u8.ToArray());
        await Heard("MODIFY grows", "CLOSE_WRITE,CLOSE grows");
        fs.Replace("d/new", "other content"u8.ToArray());
        await Heard("MODIFY new", "CLOSE_WRITE,CLOSE new");
        fs.Notifier!.Changed(grows.Id, 0, 0, attributesOnly: true);
        await Heard("ATTRIB grows");
        watch.Kill();

        File.ReadAllText(mounted["d/grows"]).Should().Be("more content");
        File.ReadAllText(mounted["d/new"]).Should().Be("other content");
        Directory.EnumerateFileSystemEntries(mounted["d"]).Select(Path.GetFileName).Should().BeEquivalentTo("grows", "new");
        Encoding.UTF8.GetString(fs.At("d/grows").Data).Should().Be("more content", "nothing was written");
        Shell.Until(() => fs.OpenHandles == 0, "the kernel gives the handles back");
    }

    private static MountCapabilities Live(TimeSpan negative) => new()
    {
        ReadOnly = false,
        CaseSensitive = true,
        Symlinks = true,
        HardLinks = false,
        Xattrs = true,
        LiveChanges = true,
        NegativeTtl = negative,
    };
}
