using DatFs.Drives;
using DatFs.Evidence;
using DatFs.FileSystem;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>What happens to nodes and caches when a new version comes while mounted (platform.md §3).</summary>
public sealed class LiveChangeTests : FakeDriveTests
{
    private readonly RecordedNotices _told = new();

    [Fact]
    public async Task A_changed_file_that_nobody_has_open_keeps_its_node_and_loses_its_pages()
    {
        Drive.Publish(("/d/f", FakeEntry.File("old")));
        await using DatFileSystem fs = Mount();
        NodeInfo d = await fs.NodeAsync("/d");
        NodeInfo f = await fs.NodeAsync("/d/f");
        Drive.Publish(("/d/f", FakeEntry.File("newer")));
        _told.Take().Should().Equal($"Replaced {d.Id.Value}/f was {f.Id.Value}", $"attributes {d.Id.Value}", $"content {f.Id.Value}");
        NodeInfo now = AtOnce(fs.GetAsync(f.Id, null, default)).Value;
        (now.Size, now.FileNumber, now.Links).Should().Be((5UL, f.FileNumber, 1u));
        (await fs.NodeAsync("/d/f")).Id.Should().Be(f.Id);
    }

    [Fact]
    public async Task A_changed_file_that_is_open_stays_what_it_was_and_the_name_gets_a_new_node()
    {
        Drive.Publish(("/f", FakeEntry.File("old")));
        await using DatFileSystem fs = Mount();
        NodeInfo f = await fs.NodeAsync("/f");
        await using IFileHandle handle = await fs.OpenAsync(f.Id);
        Drive.Publish(("/f", FakeEntry.File("newer")));
        _told.Take().Should().StartWith($"Replaced 1/f was {f.Id.Value}").And.NotContain(line => line.StartsWith("content"));
        NodeInfo next = await fs.NodeAsync("/f");
        next.Id.Should().NotBe(f.Id);
        next.FileNumber.Should().NotBe(f.FileNumber, "tail -F notices by the number");
        next.Size.Should().Be(5);
        NodeInfo old = AtOnce(fs.GetAsync(f.Id, handle, default)).Value;
        (old.Size, old.Links).Should().Be((3UL, 0u));
        (await handle.TextAsync()).Should().Be("old");
        await using IFileHandle again = await fs.OpenAsync(f.Id);
        (await again.TextAsync()).Should().Be("old", "who holds the old node opens the old version");
        await handle.DisposeAsync();
        await again.DisposeAsync();
        fs.Forget(f.Id, 1);
        fs.Forget(next.Id, 1);
        fs.LivingNodes.Should().Be(1);
    }

    [Fact]
    public async Task Each_version_that_is_open_keeps_its_own_node()
    {
        Drive.Publish(("/f", FakeEntry.File("0")));
        await using DatFileSystem fs = Mount();
        List<(NodeId Node, IFileHandle Handle)> open = [];
        for (int i = 0; i < 5; i++)
        {
            NodeInfo f = await fs.NodeAsync("/f");
            open.Add((f.Id, await fs.OpenAsync(f.Id)));
            Drive.Publish(("/f", FakeEntry.File($"{i + 1}")));
        }

        open.Select(o => o.Node).Should().OnlyHaveUniqueItems();
        for (int i = 0; i < open.Count; i++) (await open[i].Handle.TextAsync()).Should().Be($"{i}");
        foreach ((NodeId node, IFileHandle handle) in open)
        {
            await handle.DisposeAsync();
            fs.Forget(node, 1);
        }

        fs.LivingNodes.Should().Be(1);
    }

    [Fact]
    public async Task A_name_that_appears_is_announced_though_nobody_knew_it()
    {
        Drive.Publish(("/d/f", FakeEntry.File("")));
        await using DatFileSystem fs = Mount();
        (await fs.LookupAsync(NodeId.Root, "x")).Error.Should().Be(FsError.NotFound);
        Drive.Publish(("/x", FakeEntry.File("")));
        _told.Take().Should().Equal("Added 1/x", "attributes 1");
        (await fs.NodeAsync("/x")).Kind.Should().Be(NodeKind.File);
    }

    [Fact]
    public async Task A_directory_appears_with_the_first_file_below_it()
    {
        await using DatFileSystem fs = Mount();
        await fs.NodeAsync("/");
        (await fs.LookupAsync(NodeId.Root, "a")).Error.Should().Be(FsError.NotFound);
        Drive.Publish(("/a/b/c", FakeEntry.File("")));
        _told.Take().Should().Contain("Added 1/a");
        (await fs.ReadAsync("/a/b/c")).Should().BeEmpty();
    }

    [Fact]
    public async Task A_directory_vanishes_with_the_last_file_below_it()
    {
        Drive.Publish(("/a/b/c", FakeEntry.File("")), ("/z", FakeEntry.File("")));
        await using DatFileSystem fs = Mount();
        NodeInfo a = await fs.NodeAsync("/a");
        NodeInfo b = await fs.NodeAsync("/a/b");
        NodeInfo c = await fs.NodeAsync("/a/b/c");
        Drive.Publish(("/a/b/c", null));
        _told.Take().Should().Contain([$"Removed {b.Id.Value}/c was {c.Id.Value}", $"Removed {a.Id.Value}/b was {b.Id.Value}", $"Removed 1/a was {a.Id.Value}"]);
        (await fs.LookupAsync(a.Id, "b")).Error.Should().Be(FsError.NotFound);
        (await fs.OpenDirAsync(a.Id, default)).Error.Should().Be(FsError.NotFound);
        AtOnce(fs.GetAsync(a.Id, null, default)).Value.Links.Should().Be(0);
        Drive.Publish(("/a/b/c", FakeEntry.File("back")));
        (await fs.NodeAsync("/a")).Id.Should().NotBe(a.Id);
        (await fs.LookupAsync(a.Id, "b")).Error.Should().Be(FsError.NotFound, "who stands in the removed directory stays there");
    }

    [Fact]
    public async Task A_directory_stays_the_same_node_while_its_content_changes()
    {
        Drive.Publish(("/d/f", FakeEntry.File("") with { MtimeMs = 1000 }));
        await using DatFileSystem fs = Mount();
        NodeInfo d = await fs.NodeAsync("/d");
        Drive.Publish(("/d/g", FakeEntry.File("") with { MtimeMs = 2000 }));
        _told.Take().Should().Equal($"Added {d.Id.Value}/g", $"attributes {d.Id.Value}", "attributes 1");
        AtOnce(fs.GetAsync(d.Id, null, default)).Value.MtimeNs.Should().Be(2_000_000_000);
        (await fs.NodeAsync("/d")).Id.Should().Be(d.Id);
    }

    [Fact]
    public async Task A_name_that_changes_its_kind_gets_a_new_node()
    {
        Drive.Publish(("/x", FakeEntry.File("file")));
        await using DatFileSystem fs = Mount();
        NodeInfo file = await fs.NodeAsync("/x");
        Drive.Publish(("/x", null), ("/x/y", FakeEntry.File("below")));
        _told.Take().Should().Contain($"Replaced 1/x was {file.Id.Value}");
        NodeInfo directory = await fs.NodeAsync("/x");
        (directory.Kind, directory.Id).Should().NotBe((NodeKind.Directory, file.Id));
        (await fs.ReadAsync("/x/y")).Should().Be("below");
        AtOnce(fs.GetAsync(file.Id, null, default)).Value.Kind.Should().Be(NodeKind.File);
    }

    [Fact]
    public async Task A_removed_file_is_gone_by_name_and_stays_for_its_handles()
    {
        Drive.Publish(("/f", FakeEntry.File("old")));
        await using DatFileSystem fs = Mount();
        NodeInfo f = await fs.NodeAsync("/f");
        await using IFileHandle handle = await fs.OpenAsync(f.Id);
        Drive.Publish(("/f", null));
        _told.Take().Should().Contain($"Removed 1/f was {f.Id.Value}");
        (await fs.LookupAsync(NodeId.Root, "f")).Error.Should().Be(FsError.NotFound);
        AtOnce(fs.GetAsync(f.Id, handle, default)).Value.Links.Should().Be(0);
        (await handle.TextAsync()).Should().Be("old");
    }

    [Fact]
    public async Task A_path_that_is_told_but_did_not_change_disturbs_nobody()
    {
        FakeEntry same = FakeEntry.File("same");
        Drive.Publish(("/f", same));
        await using DatFileSystem fs = Mount();
        NodeInfo f = await fs.NodeAsync("/f");
        await using IFileHandle handle = await fs.OpenAsync(f.Id);
        Drive.Publish(null, [DrivePath.From("/f")]);
        _told.Take().Should().Equal("attributes 1");
        (await fs.NodeAsync("/f")).Id.Should().Be(f.Id);
    }

    [Fact]
    public async Task A_link_that_changes_shows_its_new_target()
    {
        Drive.Publish(("/l", FakeEntry.Link("a")));
        await using DatFileSystem fs = Mount();
        NodeInfo link = await fs.NodeAsync("/l");
        Drive.Publish(("/l", FakeEntry.Link("bb")));
        _told.Take().Should().Contain($"content {link.Id.Value}");
        AtOnce(fs.ReadLinkAsync(link.Id, default)).Value.ToArray().Should().Equal(FsCalls.Utf8("bb"));
    }

    [Fact]
    public async Task A_change_that_was_not_told_is_noticed_at_the_next_lookup_or_listing()
    {
        Drive.Publish(("/a", FakeEntry.File("1")), ("/b", FakeEntry.File("1")), ("/c", FakeEntry.File("1")));
        await using DatFileSystem fs = Mount();
        NodeInfo a = await fs.NodeAsync("/a");
        NodeInfo b = await fs.NodeAsync("/b");
        NodeInfo c = await fs.NodeAsync("/c");
        Drive.Publish(null, [], ("/a", FakeEntry.File("22")), ("/b", null), ("/c", FakeEntry.File("22")));
        _told.Take();
        (await fs.NodeAsync("/a")).Size.Should().Be(2);
        (await fs.LookupAsync(NodeId.Root, "b")).Error.Should().Be(FsError.NotFound);
        await using IDirHandle root = (await fs.OpenDirAsync(NodeId.Root, default)).Value;
        (await root.EntriesAsync(withInfo: true)).Skip(2).Select(e => (e.Name, e.Info.Size)).Should().Equal(("a", 2UL), ("c", 2UL));
        _told.Take().Should().Contain([$"content {a.Id.Value}", $"Removed 1/b was {b.Id.Value}", $"content {c.Id.Value}"]);
    }

    [Fact]
    public async Task A_change_of_unknown_extent_makes_everything_be_asked_again()
    {
        Drive.Publish(("/a", FakeEntry.File("1")), ("/b", FakeEntry.File("1")), ("/c", FakeEntry.File("1")));
        await using DatFileSystem fs = Mount();
        NodeInfo a = await fs.NodeAsync("/a");
        NodeInfo b = await fs.NodeAsync("/b");
        NodeInfo c = await fs.NodeAsync("/c");
        Drive.Publish(null, tellPaths: false, ("/a", FakeEntry.File("22")), ("/b", null));
        List<string> told = _told.Take();
        told[0].Should().Be("all");
        told.Should().Contain([$"content {a.Id.Value}", $"Removed 1/b was {b.Id.Value}"]).And.NotContain($"content {c.Id.Value}");
        AtOnce(fs.GetAsync(a.Id, null, default)).Value.Size.Should().Be(2);
        (await fs.LookupAsync(NodeId.Root, "b")).Error.Should().Be(FsError.NotFound);
        (await fs.NodeAsync("/c")).Id.Should().Be(c.Id);
    }

    [Fact]
    public async Task The_first_view_takes_no_name_back_for_none_was_handed_out()
    {
        TaskCompletionSource ready = new();
        Drive.Delay = call => call.Ask == FakeAsk.Ready ? ready.Task : null;
        await using DatFileSystem fs = Mount();
        Drive.Publish(null, tellPaths: false, ("/a", FakeEntry.File("1")));
        _told.Take().Should().Equal("attributes 1");
        NodeInfo a = await fs.NodeAsync("/a");
        ready.SetResult();
        Drive.Publish(null, tellPaths: false, ("/a", FakeEntry.File("22")));
        _told.Take().Should().StartWith("all").And.Contain($"content {a.Id.Value}");
    }

    [Fact]
    public async Task The_new_state_can_be_read_inside_the_notification_from_any_thread()
    {
        Drive.Publish(("/f", FakeEntry.File("old")));
        await using DatFileSystem fs = Mount();
        NodeInfo f = await fs.NodeAsync("/f");
        List<ulong> sizes = [];
        _told.During = () => sizes.Add(Task.Run(async () => (await fs.GetAsync(f.Id, null, default)).Value.Size).Result);
        Drive.Publish(("/f", FakeEntry.File("newer")));
        sizes.Should().NotBeEmpty().And.OnlyContain(size => size == 5);
    }

    [Fact]
    public async Task Changes_made_inside_a_notification_are_told_after_it()
    {
        await using DatFileSystem fs = Mount();
        await fs.NodeAsync("/");
        bool once = false;
        _told.During = () =>
        {
            if (once) return;
            once = true;
            Drive.Publish(("/second", FakeEntry.File("")));
        };
        Drive.Publish(("/first", FakeEntry.File("")));
        _told.Take().Where(line => line.StartsWith("Added")).Should().Equal("Added 1/first", "Added 1/second");
    }

    [Fact]
    public async Task An_answer_that_was_overtaken_is_asked_again()
    {
        Drive.Publish(("/f", FakeEntry.File("old")));
        await using DatFileSystem fs = Mount();
        await fs.NodeAsync("/");
        TaskCompletionSource slow = new();
        Drive.Delay = call => call is { Ask: FakeAsk.Find, Version: 1, Path.Name: "f" } ? slow.Task : null;
        Task<Result<NodeInfo>> looking = fs.LookupAsync(NodeId.Root, "f").AsTask();
        looking.IsCompleted.Should().BeFalse();
        Drive.Publish(("/f", FakeEntry.File("newer")));
        slow.SetResult();
        (await looking).Value.Size.Should().Be(5, "the old answer would never have been taken back");
    }

    [Fact]
    public async Task A_lookup_that_is_always_overtaken_gives_up()
    {
        Drive.Publish(("/f", FakeEntry.File("old")));
        await using DatFileSystem fs = Mount();
        await fs.NodeAsync("/");
        int looks = 0;
        bool inside = false;
        Drive.Delay = call =>
        {
            if (inside || call.Ask != FakeAsk.Find || call.Path.Name != "f") return null;
            inside = true;
            looks++;
            Drive.Publish(("/other", FakeEntry.File($"{looks}")));
            inside = false;
            return null;
        };
        (await fs.LookupAsync(NodeId.Root, "f")).Error.Should().Be(FsError.TimedOut);
        looks.Should().BeInRange(DatFileSystem.MaxOvertaken, DatFileSystem.MaxOvertaken + 1);
        Drive.Delay = null;
        (await fs.LookupAsync(NodeId.Root, "f")).Ok.Should().BeTrue();
    }

    [Fact]
    public async Task A_change_whose_entry_is_not_here_yet_is_settled_when_it_is_asked_for()
    {
        Drive.Publish(("/f", FakeEntry.File("old")), ("/g", FakeEntry.File("old")), ("/d/x", FakeEntry.File("")));
        await using DatFileSystem fs = Mount();
        NodeInfo f = await fs.NodeAsync("/f");
        NodeInfo g = await fs.NodeAsync("/g");
        NodeInfo d = await fs.NodeAsync("/d");
        await using IFileHandle open = await fs.OpenAsync(g.Id);
        TaskCompletionSource metadata = new();
        Drive.Delay = call => call.Version == 2 && call.Ask is FakeAsk.Find or FakeAsk.List ? metadata.Task : null;
        Drive.Publish(("/f", FakeEntry.File("newer")), ("/g", FakeEntry.File("newer")), ("/d/x", null));
        _told.Take().Should().Contain([$"Replaced 1/f was {f.Id.Value}", $"Replaced 1/g was {g.Id.Value}", $"content {f.Id.Value}"]);
        Task<Result<NodeInfo>> asking = fs.GetAsync(f.Id, null, default).AsTask();
        Task<Result<NodeInfo>> directory = fs.GetAsync(d.Id, null, default).AsTask();
        AtOnce(fs.GetAsync(g.Id, open, default)).Value.Size.Should().Be(3, "what is open is known");
        asking.IsCompleted.Should().BeFalse();
        metadata.SetResult();
        (await asking).Value.Size.Should().Be(5);
        (await directory).Value.Links.Should().Be(0);
        _told.Take().Should().Contain($"Removed 1/d was {d.Id.Value}");
        (await fs.NodeAsync("/g")).Id.Should().NotBe(g.Id);
    }

    [Fact]
    public async Task Opening_a_file_whose_change_is_not_here_yet_waits_for_the_new_version()
    {
        Drive.Publish(("/f", FakeEntry.File("old")));
        await using DatFileSystem fs = Mount();
        NodeInfo f = await fs.NodeAsync("/f");
        TaskCompletionSource metadata = new();
        Drive.Delay = call => call is { Version: 2, Ask: FakeAsk.Find } ? metadata.Task : null;
        Drive.Publish(("/f", FakeEntry.File("newer")));
        Task<Result<IFileHandle>> opening = fs.OpenAsync(f.Id, OpenMode.Read, default).AsTask();
        opening.IsCompleted.Should().BeFalse();
        metadata.SetResult();
        await using IFileHandle handle = (await opening).Value;
        (await handle.TextAsync()).Should().Be("newer");
    }

    [Fact]
    public async Task An_archives_own_dat_folder_is_neither_listed_nor_announced()
    {
        Drive.Publish(("/.dat/secret", FakeEntry.File("own")), ("/f", FakeEntry.File("")));
        await using DatFileSystem fs = Mount();
        (await fs.ListAsync("/")).Should().Equal("f");
        NodeInfo virtualFolder = await fs.NodeAsync("/.dat");
        Drive.Publish(("/.dat/secret", FakeEntry.File("changed")));
        _told.Take().Should().NotContain(line => line.Contains(".dat") || line.Contains("secret"));
        (await fs.NodeAsync("/.dat")).Id.Should().Be(virtualFolder.Id);
    }

    [Fact]
    public async Task Nothing_is_told_after_the_adapter_left_or_the_mount_ended()
    {
        await using DatFileSystem fs = new(Drive);
        using (fs.Subscribe(_told)) Drive.Publish(("/a", FakeEntry.File("")));
        _told.Take().Should().NotBeEmpty();
        Drive.Publish(("/b", FakeEntry.File("")));
        fs.Subscribe(_told);
        await fs.DisposeAsync();
        Drive.Publish(("/c", FakeEntry.File("")));
        _told.Take().Should().BeEmpty();
    }

    [Fact]
    public async Task A_mount_of_one_version_does_not_change()
    {
        Drive.Publish(("/f", FakeEntry.File("one")));
        Drive.Publish(("/f", FakeEntry.File("two")));
        await using DatFileSystem fs = new(Drive, new MountFsOptions { Version = 1 });
        using IDisposable subscription = fs.Subscribe(_told);
        NodeInfo f = await fs.NodeAsync("/f");
        Drive.Publish(("/f", FakeEntry.File("three")), ("/g", FakeEntry.File("")));
        _told.Take().Should().BeEmpty();
        (await fs.ReadAsync("/f")).Should().Be("one");
        (await fs.NodeAsync("/f")).Id.Should().Be(f.Id);
        (await fs.ListAsync("/")).Should().Equal("f");
        (fs.Capabilities.ReadOnly, fs.Capabilities.LiveChanges).Should().Be((true, false));
        await using IDirHandle root = (await fs.OpenDirAsync(NodeId.Root, default)).Value;
        root.Immutable.Should().BeTrue();
    }

    private DatFileSystem Mount()
    {
        DatFileSystem fs = new(Drive);
        fs.Subscribe(_told);
        fs.GetAsync(NodeId.Root, null, default).AsTask().Wait();
        _told.Take();
        return fs;
    }
}
