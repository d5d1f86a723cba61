using System.Text.Json;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Cli;

/// <summary>Two people who write one drive, each with the program on a machine of their own.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class WriterCommandTests : IDisposable
{
    private readonly TempFolder _ada = TempFolder.Create("ada");
    private readonly TempFolder _bob = TempFolder.Create("bob");

    public void Dispose()
    {
        foreach (string line in System.IO.File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(_bob.Path + "/", StringComparison.Ordinal) || line.Contains(_ada.Path + "/", StringComparison.Ordinal)).ToArray())
            using (System.Diagnostics.Process unmount = System.Diagnostics.Process.Start("umount", ["-l", line.Split(' ')[4]])) unmount.WaitForExit();
        _ada.Dispose();
        _bob.Dispose();
    }

    [Fact]
    public async Task A_drive_is_made_written_and_read_without_a_mount()
    {
        string link = (await DoneAsync(_ada, "create", "--name", "holiday")).Trim();
        link.Should().MatchRegex("^dat://[0-9a-f]{64}$");
        System.IO.File.WriteAllText(_ada.File("beach.txt"), "sand");
        System.IO.File.SetUnixFileMode(_ada.File("beach.txt"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        System.IO.File.SetLastWriteTimeUtc(_ada.File("beach.txt"), new DateTime(2018, 1, 24, 17, 30, 0, DateTimeKind.Utc));
        (await DoneAsync(_ada, "put", "holiday", "2018/beach.txt", _ada.File("beach.txt"))).Should().Be("version 1");
        (await DoneAsync(_ada, "put", link, "other", "-")).Should().Be("version 2");
        (await DoneAsync(_ada, "rm", "holiday", "other")).Should().Be("version 3");
        (await DoneAsync(_ada, "log", "holiday")).Should().MatchRegex("#3 .* delete +/other\n.*#2 .* put +/other  0 B\n.*#1 +2018-01-24 17:30:00Z +put +/2018/beach.txt  4 B");
        (await DoneAsync(_ada, "log", "holiday", "2018/beach.txt")).Split('\n').Should().ContainSingle();
        await DoneAsync(_ada, "export", "holiday", _ada.File("out"));
        System.IO.File.ReadAllText(_ada.File("out/2018/beach.txt")).Should().Be("sand");
        ((int)System.IO.File.GetUnixFileMode(_ada.File("out/2018/beach.txt"))).Should().Be(0b111_000_000);
        System.IO.File.GetLastWriteTimeUtc(_ada.File("out/2018/beach.txt")).Should().Be(new DateTime(2018, 1, 24, 17, 30, 0, DateTimeKind.Utc));
        Directory.GetFileSystemEntries(_ada.File("out")).Should().ContainSingle("what was removed is not there");

        (int code, _, string errors) = await Datmount.RunAsync(_ada, "rm", "holiday", "other");
        (code, errors).Should().Be((3, "datmount: there is no /other"));
        (code, _, errors) = await Datmount.RunAsync(_ada, "rm", "holiday", "2018");
        (code, errors).Should().Be((2, "datmount: /2018 is a directory with something in it; remove that first"));
        (code, _, errors) = await Datmount.RunAsync(_ada, "put", "holiday", "2018/beach.txt/x", _ada.File("beach.txt"));
        (code, errors).Should().Be((2, "datmount: /2018/beach.txt is a file"));
        (code, _, errors) = await Datmount.RunAsync(_ada, "create", "--name", "holiday");
        (code, errors).Should().Be((2, "datmount: a drive called holiday is kept already; choose another name"));
        (code, _, errors) = await Datmount.RunAsync(_ada, "export", link + "+1", _ada.File("linked"));
        code.Should().Be(2);
        errors.Should().Contain("+1 in the link means nothing");
        string text = JsonDocument.Parse(await StatusWhileSharedAsync(_ada, "holiday")).RootElement[0].GetProperty("versionText").GetString()!;
        await DoneAsync(_ada, "export", "holiday", _ada.File("by-text"), "--version", text);
        await DoneAsync(_ada, "export", "holiday", _ada.File("by-number"), "--version", "2");
        System.IO.File.Exists(_ada.File("by-number/other")).Should().BeTrue();
    }

    [Fact]
    public async Task Somebody_who_was_let_in_writes_and_the_other_sees_it()
    {
        string link = (await DoneAsync(_ada, "create", "--name", "ours")).Trim();
        await PutAsync(_ada, "ours", "hello.txt", "from ada");
        await using Datmount ada = Datmount.Start(_ada, "share", "ours", "--listen", "127.0.0.1:0", "--no-discovery");
        string address = (await ada.LineAsync("sharing")).Split(' ')[^1];

        string key = (await DoneAsync(_bob, "writer", link, "--peer", address)).Trim();
        key.Should().MatchRegex("^[0-9a-f]{64}$");
        (await DoneAsync(_bob, "writer", link)).Trim().Should().Be(key, "it is made once");
        (int code, _, string errors) = await Datmount.RunAsync(_bob, "put", link, "mine.txt", File("bob", "x"));
        code.Should().Be(4, errors);
        errors.Should().Contain("nobody has let this machine write yet");

        (await DoneAsync(_ada, "authorize", "ours", key, "--label", "bob")).Should().Be("may write from now on", "the process that shares it does it");
        (await DoneAsync(_ada, "authorize", "ours", key)).Should().Be("may write already");
        await using (Datmount bob = Datmount.Start(_bob, "share", link, "--peer", address, "--no-discovery"))
        {
            await bob.LineAsync("sharing");
            await UntilAsync(async () => JsonDocument.Parse(await DoneAsync(_bob, "writer", link, "--json")).RootElement.GetProperty("authorized").GetBoolean());
            await PutAsync(_bob, link, "mine.txt", "from bob");
            await UntilAsync(async () => (await DoneAsync(_ada, "log", "ours")).Contains("/mine.txt", StringComparison.Ordinal));
        }

        (await DoneAsync(_ada, "log", "ours", "mine.txt")).Should().MatchRegex("^bob #1 .* put +/mine.txt  8 B$", "the label stands for the key");
        JsonElement writers = JsonDocument.Parse(await DoneAsync(_ada, "writers", "ours", "--json")).RootElement;
        writers.EnumerateArray().Select(one => (one.GetProperty("own").GetBoolean(), one.GetProperty("authorized").GetBoolean(), one.GetProperty("label").GetString(), one.GetProperty("authorizedAt").ValueKind == JsonValueKind.Number))
            .Should().Equal((true, true, null, false), (false, true, "bob", true));
        (await DoneAsync(_ada, "writers", "ours")).Should().Contain("made the drive").And.Contain("bob").And.NotContain(link[6..]);
        (await DoneAsync(_ada, "ignore", "ours", key)).Should().Contain("left out");
        (await DoneAsync(_ada, "writers", "ours")).Should().Contain("left out from #1");
        ada.Errors.Should().NotContain(key).And.NotContain(link[6..]);
        (code, _, _) = await Datmount.RunAsync(_ada, "authorize", "ours", key[1..]);
        code.Should().Be(2);
    }

    [Fact]
    public async Task A_conflict_is_told_and_the_next_write_settles_it()
    {
        string link = (await DoneAsync(_ada, "create", "--name", "ours")).Trim();
        await PutAsync(_ada, "ours", "plan.txt", "begin");
        string key;
        await using (Datmount ada = Datmount.Start(_ada, "share", "ours", "--listen", "127.0.0.1:0", "--no-discovery"))
        {
            string address = (await ada.LineAsync("sharing")).Split(' ')[^1];
            key = (await DoneAsync(_bob, "writer", link, "--peer", address)).Trim();
            await DoneAsync(_ada, "authorize", "ours", key);
            await using Datmount bob = Datmount.Start(_bob, "share", link, "--peer", address, "--no-discovery");
            await bob.LineAsync("sharing");
            await UntilAsync(async () => JsonDocument.Parse(await DoneAsync(_bob, "writer", link, "--json")).RootElement.GetProperty("authorized").GetBoolean());
        }

        // Apart from each other.
        await PutAsync(_ada, "ours", "plan.txt", "ada's plan", new DateTime(2026, 1, 1, 10, 0, 0, DateTimeKind.Utc));
        await PutAsync(_bob, link, "plan.txt", "bob's", new DateTime(2026, 1, 1, 11, 0, 0, DateTimeKind.Utc));
        (await DoneAsync(_ada, "conflicts", "ours")).Should().Be("no conflicts");
        await using Datmount again = Datmount.Start(_ada, "share", "ours", "--listen", "127.0.0.1:0", "--no-discovery");
        string at = (await again.LineAsync("sharing")).Split(' ')[^1];
        string mountpoint = _bob.Folder("mnt");
        await using Datmount mount = Datmount.Start(_bob, link, mountpoint, "--peer", at, "--no-discovery");
        await mount.LineAsync("mounted");
        await UntilAsync(async () => await DoneAsync(_bob, "status") is not null && Directory.GetFiles(mountpoint).Length == 2);
        Directory.GetFiles(mountpoint).Select(Path.GetFileName).Order(StringComparer.Ordinal).Last().Should().Be("plan.txt");
        System.IO.File.ReadAllText(Path.Combine(mountpoint, "plan.txt")).Should().Be("bob's", "the later one wins everywhere");
        string loser = Directory.GetFiles(mountpoint, "plan (conflict*").Single();
        loser.Should().EndWith("2026-01-01 100000).txt");
        System.IO.File.ReadAllText(loser).Should().Be("ada's plan");
        JsonElement conflict = JsonDocument.Parse(await DoneAsync(_bob, "conflicts", mountpoint, "--json")).RootElement[0];
        conflict.GetProperty("path").GetString().Should().Be("/plan.txt");
        conflict.GetProperty("sides").EnumerateArray().Select(side => side.GetProperty("path").GetString()).Should().Equal("/plan.txt", "/" + Path.GetFileName(loser));
        await UntilAsync(async () => (await DoneAsync(_ada, "conflicts", "ours")).Contains("shown", StringComparison.Ordinal));
        (await DoneAsync(_ada, "conflicts", "ours")).Should().MatchRegex("^/plan.txt\n  [0-9a-f]{8}@1  2026-01-01 11:00:00Z  5 B  shown\n  [0-9a-f]{8}@3  2026-01-01 10:00:00Z  10 B  as /plan \\(conflict");

        await PutAsync(_bob, mountpoint, "plan.txt", "settled");
        await UntilAsync(async () => await DoneAsync(_bob, "status") is not null && Directory.GetFiles(mountpoint).Length == 1);
        System.IO.File.ReadAllText(Path.Combine(mountpoint, "plan.txt")).Should().Be("settled");
        await UntilAsync(async () => await DoneAsync(_ada, "conflicts", "ours") == "no conflicts");
        (await DoneAsync(_bob, "unmount", mountpoint)).Should().Contain("unmounted");
    }

    [Fact]
    public async Task Conflicts_are_settled_by_command_and_rules_say_what_shows()
    {
        string link = (await DoneAsync(_ada, "create", "--name", "ours")).Trim();
        string[] names = ["a.txt", "b.txt", "c.txt", "d.log"];
        foreach (string name in names) await PutAsync(_ada, "ours", name, "one\ntwo\nthree\n");
        string key;
        await using (Datmount ada = Datmount.Start(_ada, "share", "ours", "--listen", "127.0.0.1:0", "--no-discovery"))
        {
            string address = (await ada.LineAsync("sharing")).Split(' ')[^1];
            key = (await DoneAsync(_bob, "writer", link, "--peer", address)).Trim();
            await DoneAsync(_ada, "authorize", "ours", key, "--label", "bob");
            await using Datmount bob = Datmount.Start(_bob, "share", link, "--peer", address, "--no-discovery");
            await bob.LineAsync("sharing");
            await UntilAsync(async () => JsonDocument.Parse(await DoneAsync(_bob, "writer", link, "--json")).RootElement.GetProperty("authorized").GetBoolean());
            await UntilAsync(async () => (await DoneAsync(_bob, "log", link)).Contains("d.log", StringComparison.Ordinal));
        }

        foreach (string name in names)
        {
            await PutAsync(_ada, "ours", name, "ONE\ntwo\nthree\n", new DateTime(2026, 1, 1, 10, 0, 0, DateTimeKind.Utc));
            await PutAsync(_bob, link, name, "one\ntwo\nTHREE\n", new DateTime(2026, 1, 1, 11, 0, 0, DateTimeKind.Utc));
        }

        System.IO.File.WriteAllText(_ada.File("config.json"), """{ "conflicts": { "show": "hidden", "rules": ["*.log first", "*.txt latest"] } }""");
        await using Datmount again = Datmount.Start(_ada, "share", "ours", "--listen", "127.0.0.1:0", "--no-discovery", "--config", _ada.File("config.json"));
        string at = (await again.LineAsync("sharing")).Split(' ')[^1];
        await using (Datmount bob = Datmount.Start(_bob, "share", link, "--peer", at, "--no-discovery"))
        {
            await UntilAsync(async () => JsonDocument.Parse(await DoneAsync(_ada, "conflicts", "ours", "--json")).RootElement.GetArrayLength() == 4);
            (await DoneAsync(_ada, "conflicts", "ours")).Should().MatchRegex("/d.log\n  [0-9a-f]{8}@[0-9]+  2026-01-01 10:00:00Z  14 B  shown", "this machine's rule says so").And.NotContain(" as /", "losers are hidden");
            string bobs = (await DoneAsync(_ada, "conflicts", "ours")).Split('\n').First(line => line.Contains("bob@", StringComparison.Ordinal)).Trim().Split(' ')[0];
            (int code, _, string errors) = await Datmount.RunAsync(_ada, "resolve", "ours", "a.txt", "--take", "bob@77");
            (code, errors.Contains("has no version bob@77; there are ", StringComparison.Ordinal)).Should().Be((3, true), errors);
            await DoneAsync(_ada, "resolve", "ours", "a.txt", "--take", bobs);
            await DoneAsync(_ada, "resolve", "ours", "b.txt", "--merged");
            await DoneAsync(_ada, "resolve", "ours", "c.txt", "--file", File("ada", "mine\n"));
            (code, _, errors) = await Datmount.RunAsync(_ada, "resolve", "ours", "a.txt", "--merged");
            (code, errors).Should().Be((3, "datmount: nobody disagrees about /a.txt; 'datmount conflicts' lists what there is"));
            (code, _, _) = await Datmount.RunAsync(_ada, "resolve", "ours", "a.txt");
            code.Should().Be(2);
            await UntilAsync(async () => JsonDocument.Parse(await DoneAsync(_bob, "conflicts", link, "--json")).RootElement.GetArrayLength() == 1);
        }

        await DoneAsync(_bob, "export", link, _bob.File("out"), "--peer", at, "--no-discovery");
        string.Concat(names[..3].Select(name => System.IO.File.ReadAllText(_bob.File("out/" + name)))).Should().Be("one\ntwo\nTHREE\nONE\ntwo\nTHREE\nmine\n");
        System.IO.File.GetLastWriteTimeUtc(_bob.File("out/a.txt")).Hour.Should().Be(11, "a version that is taken keeps its time");
        await DoneAsync(_bob, "put", link, ".datmerge", File("bob", "*.log first\n"));
        await DoneAsync(_bob, "export", link, _bob.File("by-rule"), "--peer", at, "--no-discovery");
        System.IO.File.ReadAllText(_bob.File("by-rule/d.log")).Should().Be("ONE\ntwo\nthree\n", "the archive's own rule counts without any configuration");
    }

    private async Task PutAsync(TempFolder home, string drive, string path, string content, DateTime? time = null)
    {
        string file = File(home == _ada ? "ada" : "bob", content);
        if (time is { } at) System.IO.File.SetLastWriteTimeUtc(file, at);
        await DoneAsync(home, "put", drive, path, file);
    }

    private string File(string whose, string content)
    {
        string file = (whose == "ada" ? _ada : _bob).File("to-put");
        System.IO.File.WriteAllText(file, content);
        return file;
    }

    private static async Task<string> StatusWhileSharedAsync(TempFolder home, string drive)
    {
        await using Datmount share = Datmount.Start(home, "share", drive, "--listen", "127.0.0.1:0", "--no-discovery");
        await share.LineAsync("sharing");
        return await DoneAsync(home, "status", "--json");
    }

    private static async Task<string> DoneAsync(TempFolder home, params string[] arguments)
    {
        (int code, string output, string errors) = await Datmount.RunAsync(home, arguments);
        code.Should().Be(0, "{0}: {1}", string.Join(' ', arguments), errors);
        return output;
    }

    private static async Task UntilAsync(Func<Task<bool>> isSo)
    {
        for (int turn = 0; !await isSo(); turn++) turn.Should().BeLessThan(500, "it comes within the time that as many runs of the program take");
    }
}
