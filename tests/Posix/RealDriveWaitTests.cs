using System.Diagnostics;
using System.Runtime.InteropServices;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Posix;

/// <summary>A peer that does not answer, goes, and comes back; readers that are killed or interrupted meanwhile.</summary>
public sealed partial class RealDriveWaitTests
{
    private const int Seed = 5;
    private const int InterruptSignal = 10;
    private const int Size = 3 << 20;

    private static readonly TimeSpan s_short = TimeSpan.FromSeconds(1);

    // What "within the I/O timeout" may cost on a machine that does other things too.
    private static readonly TimeSpan s_atOnce = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData("buffered")]
    [InlineData("direct")]
    [InlineData("mapped")]
    public async Task A_reader_killed_while_it_waits_leaves_at_once_and_disturbs_nobody(string how)
    {
        byte[] bytes = SeededBytes.Take(Seed, 0, Size);
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync("/slow", bytes, default);
            await writer.PutFileAsync("/here", "at hand"u8.ToArray(), default);
        });
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Relayed = true, IoTimeout = TimeSpan.FromMinutes(5) });
        mounted.UntilMetadataIsHere(shared);
        File.ReadAllText(mounted["/here"]).Should().Be("at hand");
        mounted.Line!.Pause();

        using Process reader = how switch
        {
            "mapped" => Shell.StartSelf("--mmap", mounted["/slow"]),
            "direct" => Start("dd", $"if={mounted["/slow"]}", "iflag=direct", "bs=4096", "count=1"),
            _ => Start("cat", mounted["/slow"]),
        };
        using Process patient = Start("cat", mounted["/slow"]);
        Task<string> patientRead = patient.StandardOutput.ReadToEndAsync();
        Shell.Until(() => mounted.Mount.Counters.InFlight > 0 && Waits(reader) && Waits(patient), "both wait for the peer");
        reader.Kill();
        await reader.WaitForExitAsync().WaitAsync(s_atOnce);
        patient.HasExited.Should().BeFalse();
        (await Shell.RunAsync("cat", mounted["/here"])).Out.Should().Be("at hand");
        (await Shell.RunAsync("ls", "-l", mounted.Folder)).Exit.Should().Be(0);

        mounted.Line.Resume();
        await patientRead.WaitAsync(s_atOnce);
        Sha256Of.File(mounted["/slow"]).Should().Be(Sha256Of.Bytes(bytes));
        Shell.Until(() => mounted.Mount.Counters.InFlight == 0, "no request is left over");
    }

    [Fact]
    public async Task A_crowd_that_waits_in_vain_does_not_hold_up_what_is_here()
    {
        const int Crowd = 100;
        byte[] bytes = SeededBytes.Take(Seed, 0, Size);
        using TempFolder storage = TempFolder.Create("storage");
        await using SharedDrive shared = await SharedDrive.CreateAsync(async writer =>
        {
            await writer.PutFileAsync("/here", bytes, default);
            for (int n = 0; n < Crowd; n++) await writer.PutFileAsync($"/slow/{n}", SeededBytes.Take(Seed + n, 0, 100_000), default);
        });
        await using (MountedDrive first = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Storage = storage.Path }))
        {
            Sha256Of.File(first["/here"]).Should().Be(Sha256Of.Bytes(bytes));
            first.UntilMetadataIsHere(shared);
        }

        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Relayed = true, Storage = storage.Path, IoTimeout = TimeSpan.FromMinutes(5) });
        (await Shell.RunAsync("ls", "-l", mounted["/slow"])).Exit.Should().Be(0);
        mounted.Line!.Pause();
        Process[] crowd = [.. Enumerable.Range(0, Crowd).Select(n => Start("sha256sum", mounted[$"/slow/{n}"]))];
        try
        {
            Shell.Until(() => Array.TrueForAll(crowd, Waits), "all of them wait");
            (await Shell.RunAsync("sha256sum", mounted["/here"]).WaitAsync(s_atOnce)).Out.Should().StartWith(Sha256Of.Bytes(bytes), "its pages are not in the kernel, its blocks are on disk");
            mounted.Line.Resume();
            for (int n = 0; n < Crowd; n++)
                (await crowd[n].StandardOutput.ReadToEndAsync().WaitAsync(s_atOnce)).Should().StartWith(Sha256Of.Seeded(Seed + n, 0, 100_000));
        }
        finally
        {
            mounted.Line.Resume();
            foreach (Process one in crowd) one.Dispose();
        }
    }

    [Fact]
    public async Task A_signal_interrupts_who_waits_for_a_name()
    {
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/f", "x"u8.ToArray(), default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Paused = true });
        using Process reader = Start("sh", "-c", $"trap 'echo caught' USR1; read line < '{mounted["/f"]}'; echo over");
        Shell.Until(() => mounted.Mount.Counters.InFlight > 0 && Waits(reader), "the look-up waits");
        Signal(reader.Id, InterruptSignal).Should().Be(0);
        (await reader.StandardError.ReadToEndAsync().WaitAsync(s_atOnce)).Should().Contain("Interrupted system call");
        mounted.Line!.Resume();
        Shell.Until(() => File.Exists(mounted["/f"]), "others are served afterwards");
    }

    [Fact]
    public async Task A_signal_interrupts_a_direct_read_that_waits()
    {
        byte[] bytes = SeededBytes.Take(Seed, 0, Size);
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/f", bytes, default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Relayed = true });
        mounted.UntilMetadataIsHere(shared);
        File.Exists(mounted["/f"]).Should().BeTrue();
        mounted.Line!.Pause();
        using Process reader = Start("dd", $"if={mounted["/f"]}", "iflag=direct", "bs=1M", "of=/dev/null");
        Shell.Until(() => mounted.Mount.Counters.InFlight > 0 && Waits(reader), "the read waits");
        Signal(reader.Id, InterruptSignal).Should().Be(0);
        // dd tells its progress when a signal has ended its read, and then reads again.
        (await reader.StandardError.ReadLineAsync().WaitAsync(s_atOnce)).Should().Be("0+0 records in");
        reader.HasExited.Should().BeFalse();
        mounted.Line.Resume();
        (await reader.StandardError.ReadToEndAsync().WaitAsync(s_atOnce)).Should().Contain($"{Size} bytes");
        await reader.WaitForExitAsync();
        reader.ExitCode.Should().Be(0);
    }

    [Fact]
    public async Task Without_an_answer_calls_end_with_the_timeout_and_it_recovers_by_itself()
    {
        byte[] bytes = SeededBytes.Take(Seed, 0, Size);
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/d/f", bytes, default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Paused = true, IoTimeout = s_short });
        Stopwatch watch = Stopwatch.StartNew();
        (int exit, string _, string error) = await Shell.RunAsync("ls", mounted.Folder);
        exit.Should().NotBe(0);
        error.Should().MatchRegex("No route to host|Connection timed out");
        watch.Elapsed.Should().BeGreaterThan(s_short / 2).And.BeLessThan(s_atOnce);

        mounted.Line!.Resume();
        Shell.Until(() => Directory.Exists(mounted["/d"]), "the folder, once the peer answers");
        mounted.UntilMetadataIsHere(shared);
        (await Shell.RunAsync("ls", mounted["/d"])).Out.Should().Be("f\n");

        mounted.Line.Pause();
        watch.Restart();
        (await Shell.RunAsync("cat", mounted["/d/f"])).Error.Should().Contain("Input/output error");
        watch.Elapsed.Should().BeGreaterThan(s_short / 2).And.BeLessThan(s_atOnce);
        mounted.Line.Resume();
        Shell.Until(() => Succeeds(() => Sha256Of.File(mounted["/d/f"]) == Sha256Of.Bytes(bytes)), "the file, once the peer answers again");
    }

    [Fact]
    public async Task A_peer_that_goes_and_comes_back_is_found_again()
    {
        byte[] bytes = SeededBytes.Take(Seed, 0, Size);
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/f", bytes, default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { IoTimeout = s_short });
        mounted.UntilMetadataIsHere(shared);
        await shared.GoAsync();
        Shell.Until(() => !mounted.AnyPeer, "the loss is noticed");
        Stopwatch watch = Stopwatch.StartNew();
        (await Shell.RunAsync("cat", mounted["/f"])).Error.Should().Contain("Input/output error");
        watch.Elapsed.Should().BeLessThan(s_atOnce);
        (await Shell.RunAsync("ls", mounted.Folder)).Out.Should().Be("f\n", "names are here");

        shared.Come();
        Shell.Until(() => Succeeds(() => Sha256Of.File(mounted["/f"]) == Sha256Of.Bytes(bytes)), "the file, once the peer is back");
        await shared.PutAsync("/g", "later");
        Shell.Until(() => File.Exists(mounted["/g"]), "what the owner does now shows again");
    }

    [Fact]
    public async Task A_line_that_breaks_in_the_middle_of_a_read_is_replaced_unnoticed()
    {
        byte[] bytes = SeededBytes.Take(Seed, 0, 8 << 20);
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/f", bytes, default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Relayed = true });
        mounted.UntilMetadataIsHere(shared);
        mounted.Line!.SetDelay(TimeSpan.FromMilliseconds(20));
        Task<(int Exit, string Out, string Error)> reading = Shell.RunAsync("sha256sum", mounted["/f"]);
        Shell.Until(() => mounted.Drive.Status.ContentHeld > 0, "the first blocks");
        mounted.Line.Cut();
        (await reading).Out.Should().StartWith(Sha256Of.Bytes(bytes));
    }

    [Fact]
    public async Task A_busy_drive_names_who_uses_it_and_stays_served_when_detached()
    {
        byte[] bytes = SeededBytes.Take(Seed, 0, Size);
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/d/f", bytes, default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Fuse = new() { UnmountGrace = TimeSpan.FromMilliseconds(300) } });
        using Process inside = Start("sh", "-c", $"cd '{mounted["/d"]}' && echo in && read line && sha256sum f");
        (await inside.StandardOutput.ReadLineAsync()).Should().Be("in");
        Func<Task> unmounting = () => mounted.Mount.UnmountAsync(lazyAfterGrace: false, CancellationToken.None).AsTask();
        (await unmounting.Should().ThrowAsync<Platform.Fuse.MountException>()).Which.Message.Should().Contain($"sh (pid {inside.Id}, working folder)");

        await mounted.Mount.UnmountAsync(lazyAfterGrace: true, CancellationToken.None);
        Directory.EnumerateFileSystemEntries(mounted.Folder).Should().BeEmpty("it is detached");
        await inside.StandardInput.WriteLineAsync("go on");
        (await inside.StandardOutput.ReadToEndAsync().WaitAsync(s_atOnce)).Should().StartWith(Sha256Of.Bytes(bytes), "the content is fetched even now");
        await mounted.Mount.Completion.WaitAsync(s_atOnce);
    }

    [Fact]
    public async Task A_mount_with_readers_that_wait_in_vain_can_be_taken_away()
    {
        await using SharedDrive shared = await SharedDrive.CreateAsync(writer => writer.PutFileAsync("/f", SeededBytes.Take(Seed, 0, Size), default).AsTask());
        await using MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Relayed = true, IoTimeout = TimeSpan.Zero });
        mounted.UntilMetadataIsHere(shared);
        File.Exists(mounted["/f"]).Should().BeTrue();
        mounted.Line!.Pause();
        using Process reader = Start("cat", mounted["/f"]);
        Shell.Until(() => mounted.Mount.Counters.InFlight > 0 && Waits(reader), "the read waits");
        await mounted.Mount.UnmountAsync(lazyAfterGrace: true, CancellationToken.None);
        Directory.EnumerateFileSystemEntries(mounted.Folder).Should().BeEmpty();
        reader.Kill();
        await reader.WaitForExitAsync().WaitAsync(s_atOnce);
        await mounted.Mount.Completion.WaitAsync(s_atOnce);
    }

    [Fact]
    public async Task What_was_fetched_is_read_without_any_peer_after_a_remount()
    {
        using TempFolder temporary = TempFolder.Create("offline");
        SeededTree truth = SeededTree.Create(temporary.File("truth"), Seed, SeededTreeShape.Small);
        await using SharedDrive shared = await SharedDrive.CreateAsync(truth);
        await shared.PutAsync("/not fetched", "never read");
        string storage = temporary.Folder("storage");
        await using (MountedDrive mounted = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Storage = storage }))
        {
            foreach (SeededFile file in truth.Files) Sha256Of.File(mounted[file.Path]).Should().Be(file.Sha256, file.Path);
            mounted.UntilMetadataIsHere(shared);
        }

        await shared.GoAsync();
        await using MountedDrive again = await MountedDrive.CreateAsync(shared, new MountedDriveOptions { Storage = storage, Offline = true, IoTimeout = s_short });
        foreach (SeededFile file in truth.Files) Sha256Of.File(again[file.Path]).Should().Be(file.Sha256, file.Path);
        (await Shell.RunAsync("diff", "-rq", truth.Root, again.Folder)).Out.Should().Be($"Only in {again.Folder}: not fetched\n");
        (await Shell.RunAsync("cat", again["/not fetched"])).Error.Should().Contain("Input/output error");
        (await Shell.RunAsync("ls", again["/.dat/versions/1"])).Exit.Should().Be(0);
    }

    private static Process Start(string program, params string[] arguments) => Process.Start(new ProcessStartInfo(program, arguments)
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
        StandardOutputEncoding = System.Text.Encoding.Latin1,
    })!;

    /// <summary>True while the process sleeps inside a call of the mount.</summary>
    private static bool Waits(Process process)
    {
        string[] places = [.. Directory.EnumerateDirectories($"/proc/{process.Id}/task").Select(thread => ReadOr(thread + "/wchan"))];
        return places.Any(place => place.Contains("folio", StringComparison.Ordinal) || place.Contains("fuse", StringComparison.Ordinal) || place.Contains("request_wait", StringComparison.Ordinal));
    }

    private static string ReadOr(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            // The thread ended meanwhile.
            return "";
        }
    }

    private static bool Succeeds(Func<bool> attempt)
    {
        try
        {
            return attempt();
        }
        catch (IOException)
        {
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int pid, int signal);
}
