using System.Text.Json;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Cli;

/// <summary>Two or more processes of the program and a real mount: what a user does, started the way a user starts it.</summary>
public sealed class DriveCommandTests : IDisposable
{
    private const int Interrupt = 2;
    private const int KillNow = 9;
    private const int Terminate = 15;
    private readonly TempFolder _home = TempFolder.Create("cli");
    private readonly TempFolder _owner = TempFolder.Create("owner");
    private readonly string _key = Vectors.Json("hyperdrive/basic/manifest.json").GetProperty("key").GetString()!;

    public void Dispose()
    {
        // A test that failed may have left its mount.
        foreach (string line in File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(_home.Path + "/", StringComparison.Ordinal)).ToArray())
            using (System.Diagnostics.Process unmount = System.Diagnostics.Process.Start("umount", ["-l", line.Split(' ')[4]])) unmount.WaitForExit();
        _home.Dispose();
        _owner.Dispose();
    }

    [Fact]
    public async Task A_shared_hyperdrive_folder_is_exported_by_another_process()
    {
        await using Datmount share = await ShareAsync();
        (int code, string output, string errors) = await Datmount.RunAsync(_home, "export", "dat://" + _key, _home.File("out"), "--peer", Address(share));
        errors.Should().BeEmpty();
        code.Should().Be(0);
        output.Should().Contain("files written");
        AssertNewestFilesIn(_home.File("out"));

        (code, output, _) = await Datmount.RunAsync(_home, "export", _key[..12], _home.File("out"), "--offline");
        code.Should().Be(0, "what was fetched is readable offline, and the beginning of the key names a kept drive");
        output.Should().Contain(" 0 files written");
    }

    [Fact]
    public async Task A_mount_shows_the_files_until_control_c()
    {
        SkipWithoutFuse();
        await using Datmount share = await ShareAsync();
        string mountpoint = _home.Folder("mnt");
        await using Datmount mount = Datmount.Start(_home, _key, mountpoint, "--peer", Address(share));
        await mount.LineAsync("mounted");
        AssertNewestFilesIn(mountpoint);

        (int code, string status, _) = await Datmount.RunAsync(_home, "status", "--json");
        code.Should().Be(0);
        JsonElement report = JsonDocument.Parse(status).RootElement[0];
        report.GetProperty("mountpoint").GetString().Should().Be(mountpoint);
        report.GetProperty("version").GetInt64().Should().Be(Vectors.Json("hyperdrive/basic/manifest.json").GetProperty("version").GetInt64());
        status.Should().NotContain(_key);
        JsonElement requests = report.GetProperty("budget").EnumerateArray().Single(line => line.GetProperty("name").GetString() == "requests");
        (requests.GetProperty("limit").GetInt64(), requests.GetProperty("peak").GetInt64() > 0, requests.GetProperty("refused").GetInt64()).Should().Be((1024, true, 0));
        report.GetProperty("peers")[0].GetProperty("budget").GetArrayLength().Should().BeGreaterThan(10, "each peer has its own");

        mount.Signal(Interrupt);
        (await mount.ExitAsync()).Should().Be(0);
        Directory.GetFileSystemEntries(mountpoint).Should().BeEmpty("it is an ordinary empty folder again");
        (mount.Output + mount.Errors).Should().NotContain(_key);
    }

    [Fact]
    public async Task A_mount_goes_to_the_background_and_is_unmounted_by_name()
    {
        SkipWithoutFuse();
        await using Datmount share = await ShareAsync();
        string mountpoint = _home.Folder("mnt");
        (int code, _, string errors) = await Datmount.RunAsync(_home, _key, mountpoint, "--peer", Address(share), "--detach");
        (code, errors).Should().Be((0, ""));
        AssertNewestFilesIn(mountpoint);

        (code, string output, errors) = await Datmount.RunAsync(_home, "unmount", mountpoint);
        (code, errors).Should().Be((0, ""));
        output.Should().Contain("unmounted");
        Directory.GetFileSystemEntries(mountpoint).Should().BeEmpty();
    }

    [Fact]
    public async Task A_detached_mount_that_fails_says_why_in_the_foreground()
    {
        SkipWithoutFuse();
        (int code, _, string errors) = await Datmount.RunAsync(_home, _key, _home.Folder("mnt"), "--peer", "127.0.0.1:9", "--io-timeout", "1s", "--detach");
        code.Should().Be(3);
        errors.Should().Contain("refused");
    }

    [Fact]
    public async Task Offline_with_nothing_stored_is_said_at_once()
    {
        SkipWithoutFuse();
        (int code, _, string errors) = await Datmount.RunAsync(_home, _key, _home.Folder("mnt"), "--offline", "--io-timeout", "0");
        code.Should().Be(3);
        errors.Should().Contain("leave out --offline");
    }

    [Fact]
    public async Task Without_a_terminal_log_lines_tell_what_is_going_on()
    {
        SkipWithoutFuse();
        await using Datmount share = await ShareAsync();
        (int code, string output, string errors) = await Datmount.RunAsync(_home, _key, _home.Folder("mnt"), "--peer", "127.0.0.1:9", "--io-timeout", "2s");
        code.Should().Be(3);
        output.Should().BeEmpty("log lines and errors go to standard error");
        errors.Should().Contain("connecting to peers").And.Contain("no peer yet: 127.0.0.1:9");
    }

    [Fact]
    public async Task After_kill_the_next_mount_recovers_the_mountpoint_and_the_storage()
    {
        SkipWithoutFuse();
        await using Datmount share = await ShareAsync();
        string mountpoint = _home.Folder("mnt");
        await using (Datmount killed = Datmount.Start(_home, _key, mountpoint, "--peer", Address(share)))
        {
            await killed.LineAsync("mounted");
            AssertNewestFilesIn(mountpoint);
            killed.Signal(KillNow);
            await killed.ExitAsync();
        }

        await using Datmount again = Datmount.Start(_home, _key, mountpoint, "--peer", Address(share));
        await again.LineAsync("mounted");
        AssertNewestFilesIn(mountpoint);
        again.Signal(Terminate);
        (await again.ExitAsync()).Should().Be(0);
    }

    [Fact]
    public async Task A_mountpoint_that_is_missing_full_or_a_file_is_refused_in_one_sentence()
    {
        SkipWithoutFuse();
        await using Datmount share = await ShareAsync();
        string full = _home.Folder("full");
        File.WriteAllText(Path.Combine(full, "something"), "");
        foreach ((string mountpoint, int expected) in ((string, int)[])[(_home.File("missing"), 3), (Path.Combine(full, "something"), 3), (full, 4)])
        {
            (int code, _, string errors) = await Datmount.RunAsync(_home, _key, mountpoint, "--peer", Address(share));
            code.Should().Be(expected);
            string[] lines = errors.Split('\n');
            lines[^1].Should().StartWith("datmount: ").And.Contain(mountpoint);
            lines.Should().ContainSingle(line => line.StartsWith("datmount: ", StringComparison.Ordinal), "the others are log lines");
        }
    }

    [Fact]
    public async Task A_drive_that_is_open_already_is_refused()
    {
        SkipWithoutFuse();
        await using Datmount share = await ShareAsync();
        string mountpoint = _home.Folder("mnt");
        await using Datmount mount = Datmount.Start(_home, _key, mountpoint, "--peer", Address(share));
        await mount.LineAsync("mounted");
        (int code, _, string errors) = await Datmount.RunAsync(_home, _key, _home.Folder("second"), "--peer", Address(share));
        code.Should().Be(4);
        errors.Should().Contain("in use");
    }

    [Fact]
    public async Task A_version_is_mounted_by_its_number()
    {
        SkipWithoutFuse();
        await using Datmount share = await ShareAsync();
        string mountpoint = _home.Folder("mnt");
        await using Datmount mount = Datmount.Start(_home, $"dat://{_key}+1", mountpoint, "--peer", Address(share));
        await mount.LineAsync("mounted");
        string[] expected = [.. Vectors.Json("hyperdrive/basic/manifest.json").GetProperty("versions").GetProperty("1").EnumerateObject().Select(entry => entry.Name)];
        Directory.GetFileSystemEntries(mountpoint, "*", SearchOption.AllDirectories).Select(path => path[mountpoint.Length..]).Should().BeEquivalentTo(expected);
    }

    [Fact]
    public async Task Mount_8_hands_its_options_over_and_waits_until_the_mount_answers()
    {
        SkipWithoutFuse();
        const string Helper = "/sbin/mount.fuse3";
        if (!File.Exists(Helper)) Assert.Skip("skipped: no " + Helper);
        await using Datmount share = await ShareAsync();
        string mountpoint = _home.Folder("mnt");
        string bin = _home.Folder("bin");
        string script = Path.Combine(bin, "datmount");
        File.WriteAllText(script, $"#!/bin/sh\nexport XDG_DATA_HOME='{_home.Folder("data")}' XDG_RUNTIME_DIR='{_home.Folder("runtime")}'\nexec {string.Join(' ', Datmount.Program.Select(part => $"'{part}'"))} \"$@\"\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(script, (UnixFileMode)0b111_101_101);
        System.Diagnostics.ProcessStartInfo start = new("/usr/bin/env") { RedirectStandardError = true };
        foreach (string argument in (string[])["-i", "PATH=" + bin + ":/usr/bin:/bin", Helper, "dat://" + _key, mountpoint, "-o", $"rw,noauto,_netdev,x-systemd.automount,noexec,no_discovery,peer={Address(share)}", "-t", "fuse.datmount"])
            start.ArgumentList.Add(argument);
        using System.Diagnostics.Process mount = System.Diagnostics.Process.Start(start)!;
        string errors = await mount.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await mount.WaitForExitAsync(TestContext.Current.CancellationToken);
        (mount.ExitCode, errors).Should().Be((0, ""));
        AssertNewestFilesIn(mountpoint);
        File.ReadLines("/proc/self/mountinfo").Single(line => line.Contains(mountpoint, StringComparison.Ordinal)).Should().Contain("noexec").And.Contain("fuse.datmount").And.NotContain(_key);
        (await Datmount.RunAsync(_home, "unmount", mountpoint)).Code.Should().Be(0);
    }

    [Fact]
    public async Task The_key_may_come_from_standard_input()
    {
        await using Datmount share = await ShareAsync();
        await using Datmount export = Datmount.Start(_home, "dat://" + _key, ["export", "-", _home.File("out"), "--peer", Address(share)]);
        (await export.ExitAsync()).Should().Be(0);
        AssertNewestFilesIn(_home.File("out"));
    }

    [Fact]
    public async Task The_demo_gives_its_tour_and_leaves_nothing_mounted()
    {
        SkipWithoutFuse();
        (int code, string output, string errors) = await Datmount.RunAsync(_home, "demo");
        (code, errors).Should().Be((0, ""));
        output.Should().Contain("$ ls").And.Contain(".dat/versions");
        File.ReadLines("/proc/self/mountinfo").Should().NotContain(line => line.Contains("datmount-demo", StringComparison.Ordinal));
    }

    private async Task<Datmount> ShareAsync()
    {
        string folder = _owner.Folder("drive");
        CopyFolder(Vectors.PathOf("hyperdrive/basic/archive"), folder);
        Datmount share = Datmount.Start(_owner, "share", folder, "--listen", "127.0.0.1:0");
        await share.LineAsync("sharing");
        return share;
    }

    private static string Address(Datmount share)
    {
        string line = share.Output.Split('\n').Concat(share.Errors.Split('\n')).First(text => text.Contains("sharing", StringComparison.Ordinal));
        return line[(line.LastIndexOf(' ') + 1)..];
    }

    private static void AssertNewestFilesIn(string folder)
    {
        JsonElement manifest = Vectors.Json("hyperdrive/basic/manifest.json");
        JsonElement newest = manifest.GetProperty("versions").GetProperty(manifest.GetProperty("version").ToString());
        int compared = 0;
        foreach (JsonProperty entry in newest.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.Number) continue;
            JsonElement node = manifest.GetProperty("nodes").GetProperty(entry.Value.ToString());
            string path = folder + entry.Name;
            if (!node.TryGetProperty("sha256", out JsonElement sha256) || !File.Exists(path)) continue;
            Sha256Of.File(path).Should().Be(sha256.GetString(), "{0}", path);
            compared++;
        }

        compared.Should().BeGreaterThan(5);
    }

    private static void CopyFolder(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string folder in Directory.GetDirectories(from)) CopyFolder(folder, Path.Combine(to, Path.GetFileName(folder)));
        foreach (string file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }

    private static void SkipWithoutFuse()
    {
        if (!File.Exists("/dev/fuse")) Assert.Skip("skipped: no /dev/fuse");
    }
}
