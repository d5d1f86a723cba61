using System.Diagnostics;
using DatFs.Evidence;
using DatMount.Platform.Fuse;
using FluentAssertions;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DatMount.Posix;

/// <summary>Mounting, unmounting, and what goes wrong between.</summary>
public sealed class FuseLifeTests
{
    [Fact]
    public async Task Somebody_else_s_umount_ends_the_mount()
    {
        var fs = new TreeFs();
        fs.File("a", "x");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        await Shell.RunAsync("cat", mounted["a"]);
        (await Shell.RunAsync("umount", mounted.Folder)).Exit.Should().Be(0);
        await mounted.Mount.Completion.WaitAsync(TimeSpan.FromSeconds(20));
        fs.OpenHandles.Should().Be(0);
        await mounted.Mount.UnmountAsync(lazyAfterGrace: false, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_busy_mount_names_its_holders_and_can_be_detached()
    {
        var fs = new TreeFs();
        fs.File("a", "still here");
        fs.Folder("d");
        await using MountedTree mounted = await MountedTree.CreateAsync(fs, new FuseMountOptions { UnmountGrace = TimeSpan.FromMilliseconds(300) });
        using Process inside = Shell.Start("sh", "-c", $"cd '{mounted.Folder}'/d && echo in && read line && cat ../a");
        (await inside.StandardOutput.ReadLineAsync()).Should().Be("in");
        using Process reader = Shell.Start("sh", "-c", $"exec < '{mounted["a"]}' && echo in && exec sleep 60");
        (await reader.StandardOutput.ReadLineAsync()).Should().Be("in");

        MountException busy = (await FluentActions.Awaiting(() => mounted.Mount.UnmountAsync(false, CancellationToken.None).AsTask())
            .Should().ThrowAsync<MountException>()).Which;
        busy.Kind.Should().Be(MountFailure.Busy);
        busy.Message.Should().MatchRegex(@"in use by .*sh \(pid \d+, working folder\)").And.MatchRegex(@"sleep \(pid \d+, open file\)");

        await mounted.Mount.UnmountAsync(lazyAfterGrace: true, CancellationToken.None);
        mounted.Mount.Completion.IsCompleted.Should().BeFalse();
        Directory.EnumerateFileSystemEntries(mounted.Folder).Should().BeEmpty("it is detached");
        reader.Kill(entireProcessTree: true);
        await inside.StandardInput.WriteLineAsync("go");
        (await inside.StandardOutput.ReadToEndAsync()).Should().Be("still here", "who is inside stays served");
        await mounted.Mount.Completion.WaitAsync(TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task A_mount_left_dead_by_a_killed_process_is_replaced()
    {
        MountedTree.RequireFuse();
        string folder = MountedTree.FreshFolder();
        using (Process host = Shell.StartSelf("--host", folder))
        {
            (await host.StandardOutput.ReadLineAsync()).Should().Be("ready");
            (await Shell.RunAsync("cat", Path.Combine(folder, "hello.txt"))).Out.Should().Be("hello from another process\n");
            host.Kill();
            await host.WaitForExitAsync();
        }

        (await Shell.RunAsync("cat", Path.Combine(folder, "hello.txt"))).Error.Should().NotBeEmpty();
        var fs = new TreeFs();
        fs.File("new", "alive");
        await using (FuseMount mount = await FuseMount.MountAsync(fs, folder, new FuseMountOptions(), NullLogger.Instance, CancellationToken.None))
            (await Shell.RunAsync("cat", Path.Combine(folder, "new"))).Out.Should().Be("alive");
        Directory.EnumerateFileSystemEntries(folder).Should().BeEmpty();
        Directory.Delete(folder);
    }

    [Fact]
    public async Task With_auto_unmount_a_killed_process_leaves_nothing()
    {
        MountedTree.RequireFuse();
        Assert.SkipWhen(Fusermount.Find() is null, "skipped: no fusermount3 (package fuse3)");
        string folder = MountedTree.FreshFolder();
        using Process host = Shell.StartSelf("--host", folder, "auto_unmount,fsname=a\\,b");
        (await host.StandardOutput.ReadLineAsync()).Should().Be("ready");
        MountTable.At(folder)!.Value.Source.Should().Be("a,b");
        host.Kill();
        Shell.Until(() => MountTable.At(folder) is null, "fusermount3 unmounts");
        Directory.Delete(folder);
    }

    [Fact]
    public async Task An_aborted_connection_ends_and_leaves_no_dead_mount()
    {
        MountedTree.RequireRoot();
        var fs = new TreeFs();
        TreeFsNode file = fs.Status("a", "x");
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var cancelled = new TaskCompletionSource();
        fs.Gate = async (op, node, ct) =>
        {
            if (op != "read" || node != file) return;
            arrived.TrySetResult();
            await Shell.CancelledAsync(ct);
            cancelled.TrySetResult();
            ct.ThrowIfCancellationRequested();
        };
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        string connection = MountTable.At(mounted.Folder)!.Value.Device.Split(':')[1];
        string control = MountedTree.FreshFolder();
        (await Shell.RunAsync("mount", "-t", "fusectl", "none", control)).Error.Should().BeEmpty();
        using Process cat = Shell.Start("cat", mounted["a"]);
        await arrived.Task.WaitAsync(TimeSpan.FromSeconds(20));
        await File.WriteAllTextAsync($"{control}/{connection}/abort", "1");
        (await Shell.RunAsync("umount", control)).Error.Should().BeEmpty();
        Directory.Delete(control);
        await mounted.Mount.Completion.WaitAsync(TimeSpan.FromSeconds(20));
        cancelled.Task.IsCompleted.Should().BeTrue();
        MountTable.At(mounted.Folder).Should().BeNull();
        await cat.WaitForExitAsync();
        cat.ExitCode.Should().NotBe(0);
    }

    [Fact]
    public async Task A_mount_point_that_can_t_be_used_says_why_and_what_to_do()
    {
        MountedTree.RequireFuse();
        string folder = MountedTree.FreshFolder();
        string file = Path.Combine(folder, "file");
        await File.WriteAllTextAsync(file, "x");

        (await FailureAsync(Path.Combine(folder, "missing"))).Should().Be((MountFailure.Missing, $"{folder}/missing does not exist; make it first: mkdir -p {folder}/missing"));
        (await FailureAsync(file)).Kind.Should().Be(MountFailure.NotDirectory);
        (await FailureAsync(file + "/below")).Kind.Should().Be(MountFailure.NotDirectory);
        (await FailureAsync(folder)).Should().Be((MountFailure.NotEmpty, $"{folder} is not empty; choose an empty folder, or hide what it holds with -o nonempty"));
        (await FailureAsync(folder, new FuseMountOptions { RefuseMountPoint = path => path + " is our storage" })).Should()
            .Be((MountFailure.Refused, folder + " is our storage"));

        var fs = new TreeFs();
        fs.File("inner", "x");
        await using (FuseMount mount = await FuseMount.MountAsync(fs, folder, new FuseMountOptions { NonEmpty = true }, NullLogger.Instance, default))
        {
            File.Exists(Path.Combine(folder, "inner")).Should().BeTrue();
            (await FailureAsync(folder)).Should().Be((MountFailure.AlreadyMounted, $"{folder} is already mounted; unmount it first: fusermount3 -u {folder}"));
        }

        File.Delete(file);
        Directory.Delete(folder);
    }

    [Fact]
    public async Task A_link_to_a_folder_and_a_name_with_blanks_can_be_mounted_on()
    {
        MountedTree.RequireFuse();
        string folder = MountedTree.FreshFolder();
        string real = Directory.CreateDirectory(Path.Combine(folder, "a b\\c ü")).FullName;
        string link = Path.Combine(folder, "link");
        File.CreateSymbolicLink(link, real);
        await using (FuseMount mount = await FuseMount.MountAsync(new TreeFs(), link + "/", new FuseMountOptions(), NullLogger.Instance, default))
        {
            mount.MountPoint.Should().Be(real);
            MountTable.At(real)!.Value.Type.Should().Be("fuse.datmount");
        }

        MountTable.At(real).Should().BeNull();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task Root_reads_further_ahead()
    {
        MountedTree.RequireRoot();
        await using MountedTree mounted = await MountedTree.CreateAsync(new TreeFs(), new FuseMountOptions { ReadAheadKiB = 2048 });
        string device = MountTable.At(mounted.Folder)!.Value.Device;
        (await File.ReadAllTextAsync($"/sys/class/bdi/{device}/read_ahead_kb")).Should().Be("2048\n");
    }

    [Fact]
    public async Task The_file_system_can_ask_to_be_unmounted()
    {
        var fs = new TreeFs();
        await using MountedTree mounted = await MountedTree.CreateAsync(fs);
        fs.Notifier!.Unmount("the disk is gone");
        await mounted.Mount.Completion.WaitAsync(TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task An_ordinary_user_mounts_through_fusermount()
    {
        MountedTree.RequireFuse();
        MountedTree.RequireRoot();
        Assert.SkipWhen(Fusermount.Find() is null, "skipped: no fusermount3 (package fuse3)");
        string folder = MountedTree.FreshFolder();
        string node = Path.Combine(folder, "fuse");
        string mountPoint = Directory.CreateDirectory(Path.Combine(folder, "mnt")).FullName;
        // platform.md §7: a device everybody may open, seen only in a namespace of its own.
        string script = $"""
            set -e
            mknod -m 666 '{node}' c 10 229
            mount --bind '{node}' /dev/fuse
            chmod 755 '{folder}'
            chown nobody '{mountPoint}'
            cd /
            run() (exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp DOTNET_CLI_HOME=/tmp dotnet '{AppContext.BaseDirectory}DatMount.Posix.dll' --host '{mountPoint}' "$@")
            mkfifo '{folder}/in'
            run fsname=mine < '{folder}/in' > '{folder}/out' &
            exec 3> '{folder}/in'
            until grep -q . '{folder}/out'; do kill -0 $!; done
            head -1 '{folder}/out'
            setpriv --reuid=65534 --regid=65534 --clear-groups cat '{mountPoint}/hello.txt'
            grep '{mountPoint}' /proc/mounts | cut -d' ' -f1,3,4
            cat '{mountPoint}/hello.txt' 2>&1 || true
            exec 3>&-
            wait $!
            grep -c '{mountPoint}' /proc/mounts || true
            run allow_other < /dev/null || true
            """;
        (int exit, string output, string error) = await Shell.RunAsync("unshare", "-m", "sh", "-c", script);
        (exit, error).Should().Be((0, ""));
        output.Split('\n')[..^1].Should().Equal(
            "ready",
            "hello from another process",
            "mine fuse.datmount rw,nosuid,nodev,relatime,user_id=65534,group_id=65534,default_permissions",
            $"cat: {mountPoint}/hello.txt: Permission denied",
            "0",
            "AllowOtherRefused: allow_other is not permitted to ordinary users; add the line user_allow_other to /etc/fuse.conf");
        Directory.Delete(folder, recursive: true);
    }

    private static async Task<(MountFailure Kind, string Message)> FailureAsync(string folder, FuseMountOptions? options = null)
    {
        MountException failure = (await FluentActions
            .Awaiting(() => FuseMount.MountAsync(new TreeFs(), folder, options ?? new FuseMountOptions(), NullLogger.Instance, default))
            .Should().ThrowAsync<MountException>()).Which;
        return (failure.Kind, failure.Message);
    }
}
