using System.Text.Json;
using DatFs.Evidence;
using DatFs.FileSystem;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>The files of <c>.dat</c> (design: "Inside a mount").</summary>
public sealed class VirtualFilesTests : FakeDriveTests
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2018, 1, 24, 17, 0, 0, TimeSpan.Zero));

    [Fact]
    public async Task The_folder_is_found_by_name_and_not_listed()
    {
        Drive.Publish(("/f", FakeEntry.File("")));
        await using DatFileSystem fs = Mount();
        (await fs.ListAsync("/")).Should().Equal("f");
        NodeInfo folder = await fs.NodeAsync("/.dat");
        (folder.Kind, folder.Mode, folder.Links).Should().Be((NodeKind.Directory, 0x16Du, 2u));
        (await fs.ListAsync("/.dat")).Should().Equal("key", "log", "peers", "status.json", "versions");
        (await fs.LookupAsync(folder.Id, "nothing")).Error.Should().Be(FsError.NotFound);
    }

    [Fact]
    public async Task The_dots_of_the_virtual_folders_lead_where_they_should()
    {
        await using DatFileSystem fs = Mount();
        NodeInfo root = await fs.NodeAsync("/");
        NodeInfo folder = await fs.NodeAsync("/.dat");
        NodeInfo versions = await fs.NodeAsync("/.dat/versions");
        await using IDirHandle inFolder = (await fs.OpenDirAsync(folder.Id, default)).Value;
        (await inFolder.EntriesAsync()).Take(2).Select(e => e.Info.FileNumber).Should().Equal(folder.FileNumber, root.FileNumber);
        await using IDirHandle inVersions = (await fs.OpenDirAsync(versions.Id, default)).Value;
        (await inVersions.EntriesAsync()).Take(2).Select(e => e.Info.FileNumber).Should().Equal(versions.FileNumber, folder.FileNumber);
        inFolder.Immutable.Should().BeFalse();
    }

    [Fact]
    public async Task Making_what_is_there_already_says_so()
    {
        await using DatFileSystem fs = Mount();
        (await fs.MakeAsync(NodeId.Root, FsCalls.Utf8(".dat"), NodeKind.Directory, 0x1ED, default, default, default)).Error.Should().Be(FsError.Exists);
        (await fs.CreateAsync(NodeId.Root, FsCalls.Utf8(".dat"), OpenMode.Write, 0x1ED, default, default)).Error.Should().Be(FsError.Exists);
        (await fs.RemoveAsync(NodeId.Root, FsCalls.Utf8(".dat"), true, default)).Should().Be(FsError.ReadOnly);
        NodeInfo status = await fs.NodeAsync("/.dat/status.json");
        (await fs.OpenAsync(status.Id, OpenMode.Write, default)).Error.Should().Be(FsError.ReadOnly);
    }

    [Fact]
    public async Task The_key_is_a_link_that_only_its_owner_may_read()
    {
        await using DatFileSystem fs = Mount();
        (await fs.NodeAsync("/.dat/key")).Mode.Should().Be(0x100);
        (await fs.ReadAsync("/.dat/key")).Should().Be($"dat://{Drive.Key.ToHex()}\n");
        foreach (string other in new[] { "/.dat/status.json", "/.dat/peers", "/.dat/log" })
        {
            (await fs.NodeAsync(other)).Mode.Should().Be(0x124);
            (await fs.ReadAsync(other)).Should().NotContain(Drive.Key.ToHex());
        }
    }

    [Fact]
    public async Task Status_without_a_host_tells_what_the_drive_knows()
    {
        Drive.Publish(("/f", FakeEntry.File("12345")));
        await using DatFileSystem fs = Mount();
        using JsonDocument status = JsonDocument.Parse(await fs.ReadAsync("/.dat/status.json"));
        status.RootElement.GetProperty("version").GetInt64().Should().Be(1);
        status.RootElement.GetProperty("contentBytes").GetInt64().Should().Be(5);
        status.RootElement.GetProperty("discoveryKey").GetString().Should().Be(Drive.Key.ToDiscoveryKey().ToHex());
        (await fs.ReadAsync("/.dat/peers")).Should().BeEmpty();
    }

    [Fact]
    public async Task Content_is_made_at_open_and_stays_for_the_handle()
    {
        Status source = new();
        await using DatFileSystem fs = new(Drive, new MountFsOptions { Status = source, Time = _time });
        NodeInfo node = await fs.NodeAsync("/.dat/peers");
        node.AttrTtl.Should().Be(TimeSpan.Zero);
        await using IFileHandle handle = await fs.OpenAsync(node.Id);
        handle.DirectIo.Should().BeTrue("there is no place for it in a page cache");
        string first = await handle.TextAsync();
        source.Peers = "a longer list of peers\n";
        (await handle.TextAsync()).Should().Be(first);
        (await handle.TextAsync(1, 3)).Should().Be(first[1..4]);
        (await handle.TextAsync(1000)).Should().BeEmpty();
        (await handle.TextAsync(-1)).Should().Be("<Invalid>");
        (await fs.GetAsync(node.Id, handle, default)).Value.Size.Should().Be((ulong)first.Length);
        (await fs.GetAsync(node.Id, null, default)).Value.Size.Should().Be((ulong)source.Peers.Length);
        (await fs.ReadAsync("/.dat/peers")).Should().Be(source.Peers);
        (await fs.ReadAsync("/.dat/status.json")).Should().Be(source.StatusJson());
    }

    [Fact]
    public async Task The_log_tells_the_versions_that_came()
    {
        await using DatFileSystem fs = Mount();
        Drive.Publish(("/a b", FakeEntry.File("")), ("/\u001b[31mred\n", FakeEntry.File("")), ("/\u202eevil", FakeEntry.File("")));
        Drive.Publish([.. Enumerable.Range(0, ChangeLog.MaxPaths + 5).Select(i => ($"/f{i}", (FakeEntry?)FakeEntry.File("")))]);
        Drive.Publish(null, tellPaths: false, ("/g", FakeEntry.File("")));
        (await fs.ReadAsync("/.dat/log")).Split('\n').Should().Equal(
            @"2018-01-24T17:00:00Z version 1: /a\u0020b /\u001b[31mred\u000a /\u202eevil",
            "2018-01-24T17:00:00Z version 2: /f0 /f1 /f2 /f3 /f4 /f5 /f6 /f7 and 5 more",
            "2018-01-24T17:00:00Z version 3: anything may have changed",
            "");
    }

    [Fact]
    public async Task The_log_keeps_the_newest_lines()
    {
        await using DatFileSystem fs = Mount();
        for (int i = 0; i < ChangeLog.MaxLines + 10; i++) Drive.Publish(("/f", FakeEntry.File("")));
        string[] lines = (await fs.ReadAsync("/.dat/log")).TrimEnd('\n').Split('\n');
        lines.Should().HaveCount(ChangeLog.MaxLines);
        lines[0].Should().Contain("version 11:");
    }

    private DatFileSystem Mount() => new(Drive, new MountFsOptions { Time = _time });

    private sealed class Status : IStatusSource
    {
        public string Peers { get; set; } = "one\n";

        public string StatusJson() => "{}\n";

        public string PeersText() => Peers;
    }
}
