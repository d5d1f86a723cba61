using DatFs.Evidence;
using DatFs.FileSystem;
using DatMount.Platform.Fuse;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Notifications byte by byte (platform.md §3, "Cache times and live changes").</summary>
public sealed class FuseNotifierTests
{
    private static readonly byte[] s_name = "größe"u8.ToArray();

    [Fact]
    public async Task Content_and_attribute_changes_name_the_node_and_the_range()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        FuseNotifier notifier = harness.Session.Notifier;
        notifier.Changed(new NodeId(7), 4096, 100, attributesOnly: false);
        Check(await harness.Channel.NextAsync(), 2, w => w.U64(7).I64(4096).I64(100));
        notifier.Changed(new NodeId(7), -5, 0, attributesOnly: false);
        Check(await harness.Channel.NextAsync(), 2, w => w.U64(7).I64(0).I64(0));
        notifier.Changed(new NodeId(8), 0, 0, attributesOnly: true);
        Check(await harness.Channel.NextAsync(), 2, w => w.U64(8).I64(-1).I64(0));
        harness.Session.Counters.Notifications.Should().Be(3);
    }

    [Theory]
    [InlineData(EntryChange.Added)]
    [InlineData(EntryChange.Replaced)]
    [InlineData(EntryChange.RenamedFrom)]
    [InlineData(EntryChange.RenamedTo)]
    public async Task A_changed_name_is_dropped_and_then_its_folder_s_attributes(EntryChange change)
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        harness.Session.Notifier.EntryChanged(new NodeId(5), s_name, change, new NodeId(9));
        Check(await harness.Channel.NextAsync(), 3, w => w.U64(5).U32(7).U32(0).Name("größe"));
        Check(await harness.Channel.NextAsync(), 2, w => w.U64(5).I64(-1).I64(0));
    }

    [Fact]
    public async Task A_removed_node_is_deleted_so_that_its_watchers_hear_of_it()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        harness.Session.Notifier.EntryChanged(new NodeId(5), s_name, EntryChange.Removed, new NodeId(9));
        Check(await harness.Channel.NextAsync(), 6, w => w.U64(5).U64(9).U32(7).U32(0).Name("größe"));
        Check(await harness.Channel.NextAsync(), 2, w => w.U64(5).I64(-1).I64(0));
    }

    [Fact]
    public async Task A_delete_the_kernel_refuses_drops_the_name()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        harness.Channel.Refuse = notice => notice.U32(4) == 6 ? Errno.ENOTEMPTY : 0;
        harness.Session.Notifier.EntryChanged(new NodeId(5), s_name, EntryChange.Removed, new NodeId(9));
        Check(await harness.Channel.NextAsync(), 3, w => w.U64(5).U32(7).U32(0).Name("größe"));
    }

    [Fact]
    public async Task All_names_go_in_one_step_where_the_kernel_has_epochs()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()), minor: 44);
        harness.Session.Notifier.AllEntriesChanged();
        Check(await harness.Channel.NextAsync(), 8, _ => { });
    }

    [Fact]
    public async Task All_names_of_the_root_go_one_by_one_where_it_has_not()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        fs.File("a", "1");
        fs.Folder("b");
        fs.File("b/c", "2");
        fs.File("unseen", "3");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs, minor: 43);
        await harness.LookupAsync(1, "a");
        await harness.LookupAsync(1, "a");
        await harness.LookupAsync(await harness.LookupAsync(1, "b"), "c");
        harness.Session.Notifier.AllEntriesChanged();
        byte[][] notices = [await harness.Channel.NextAsync(), await harness.Channel.NextAsync()];
        notices.Select(n => n.Payload()[16..].Text()).Should().BeEquivalentTo("a\0", "b\0");
        harness.Session.Notifier.Changed(new NodeId(3), 0, 0, attributesOnly: true);
        Check(await harness.Channel.NextAsync(), 2, w => w.U64(3).I64(-1).I64(0));
    }

    [Fact]
    public async Task More_notices_than_the_bound_become_whole_files_and_all_names()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        var held = new ManualResetEventSlim();
        var writing = new TaskCompletionSource();
        harness.Channel.Refuse = _ =>
        {
            writing.TrySetResult();
            held.Wait();
            return 0;
        };
        FuseNotifier notifier = harness.Session.Notifier;
        notifier.Changed(new NodeId(2), 0, 0, attributesOnly: true);
        await writing.Task;
        notifier.Changed(new NodeId(77), 5000, 1, attributesOnly: false);
        for (int i = 0; i < FuseNotifier.MaxQueued; i++) notifier.EntryChanged(new NodeId(5), s_name, EntryChange.Added, null);
        held.Set();

        Check(await harness.Channel.NextAsync(), 2, w => w.U64(2).I64(-1).I64(0));
        Check(await harness.Channel.NextAsync(), 8, _ => { });
        Check(await harness.Channel.NextAsync(), 3, w => w.U64(5).U32(7).U32(0).Name("größe"));
        Check(await harness.Channel.NextAsync(), 2, w => w.U64(77).I64(0).I64(0));
        Check(await harness.Channel.NextAsync(), 2, w => w.U64(5).I64(-1).I64(0));
    }

    [Fact]
    public async Task Names_beyond_the_bound_are_not_cached_where_the_kernel_has_no_epochs()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        fs.File("last", "x");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs, minor: 43);
        for (int i = 0; i < FuseNotifier.MaxRootNames; i++)
            harness.Session.Notifier.Remember(NodeId.Root, System.Text.Encoding.UTF8.GetBytes("n" + i)).Should().BeTrue();
        byte[] entry = (await harness.AskAsync(Opcode.Lookup, 1, w => w.Name("last"))).Payload();
        (entry.U64(16), entry.U32(32)).Should().Be((0UL, 0u));
    }

    [Fact]
    public async Task A_wish_to_unmount_reaches_the_mount()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        string? asked = null;
        harness.Session.Notifier.UnmountAsked = reason => asked = reason;
        harness.Session.Notifier.Unmount("the disk is gone");
        asked.Should().Be("the disk is gone");
    }

    private static void Check(byte[] notice, uint code, Action<FuseBytes> payload)
    {
        var expected = new FuseBytes();
        payload(expected);
        notice.Unique().Should().Be(0);
        notice.U32(4).Should().Be(code);
        notice.Length().Should().Be((uint)notice.Length);
        Convert.ToHexStringLower(notice.Payload()).Should().Be(Convert.ToHexStringLower(expected.ToArray()));
    }
}
