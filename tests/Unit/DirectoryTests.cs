using DatFs.Evidence;
using DatFs.FileSystem;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Listing directories.</summary>
public sealed class DirectoryTests : FakeDriveTests
{
    [Fact]
    public async Task A_listing_has_the_dots_and_then_the_names_in_order()
    {
        Drive.Publish(("/b", FakeEntry.File("")), ("/a", FakeEntry.Link("b")), ("/d/x", FakeEntry.File("")), ("/é", FakeEntry.File("")), ("/\U0001F980", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        await using IDirHandle root = (await fs.OpenDirAsync(NodeId.Root, default)).Value;
        var entries = await root.EntriesAsync();
        entries.Select(e => e.Name).Should().Equal(".", "..", "a", "b", "d", "é", "\U0001F980");
        entries.Select(e => e.Info.Kind).Should().Equal(
            NodeKind.Directory, NodeKind.Directory, NodeKind.Symlink, NodeKind.File, NodeKind.Directory, NodeKind.File, NodeKind.File);
        entries.Should().OnlyContain(e => e.Info.Id.Value == 0 && e.Info.FileNumber != 0);
        fs.LivingNodes.Should().Be(1, "names alone make no nodes");
        root.Immutable.Should().BeFalse();
    }

    [Fact]
    public async Task File_numbers_of_a_listing_are_those_of_the_files()
    {
        Drive.Publish(("/d/f", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        NodeInfo d = await fs.NodeAsync("/d");
        await using IDirHandle handle = (await fs.OpenDirAsync(d.Id, default)).Value;
        var entries = await handle.EntriesAsync();
        entries[0].Info.FileNumber.Should().Be(d.FileNumber);
        entries[1].Info.FileNumber.Should().Be((await fs.NodeAsync("/")).FileNumber);
        entries[2].Info.FileNumber.Should().Be((await fs.NodeAsync("/d/f")).FileNumber);
    }

    [Fact]
    public async Task With_attributes_each_taken_entry_is_one_lookup()
    {
        Drive.Publish(("/a", FakeEntry.File("1")), ("/b", FakeEntry.File("22")), ("/c", FakeEntry.File("333")));
        await using DatFileSystem fs = new(Drive);
        await using IDirHandle root = (await fs.OpenDirAsync(NodeId.Root, default)).Value;
        var entries = await root.EntriesAsync(withInfo: true, atATime: 2);
        entries.Skip(2).Select(e => e.Info.Size).Should().Equal(1, 2, 3);
        fs.LivingNodes.Should().Be(4);
        foreach (var entry in entries.Skip(2)) fs.Forget(entry.Info.Id, 1);
        fs.LivingNodes.Should().Be(1, "an entry there was no room for was not taken");
    }

    [Fact]
    public async Task A_listing_goes_on_from_any_position()
    {
        Drive.Publish([.. Enumerable.Range(0, 20).Select(i => ($"/f{i:D2}", (FakeEntry?)FakeEntry.File("")))]);
        await using DatFileSystem fs = new(Drive);
        await using IDirHandle root = (await fs.OpenDirAsync(NodeId.Root, default)).Value;
        var all = await root.EntriesAsync();
        foreach ((_, _, ulong next) in all) (await root.EntriesAsync(from: next)).Select(e => e.Name).Should().Equal(all.Skip((int)next).Select(e => e.Name));
        (await root.EntriesAsync(from: ulong.MaxValue)).Should().BeEmpty();
        (await root.EntriesAsync(atATime: 1)).Should().HaveCount(22);
    }

    [Fact]
    public async Task The_position_after_a_name_is_where_the_next_one_stands()
    {
        Drive.Publish(("/a", FakeEntry.File("")), ("/c", FakeEntry.File("")), ("/\uFFFD", FakeEntry.File("")), ("/\U0001F980", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        await using IDirHandle root = (await fs.OpenDirAsync(NodeId.Root, default)).Value;
        async Task<string?> After(string name) => (await root.EntriesAsync(from: root.PositionAfter(FsCalls.Utf8(name)))).Select(e => e.Name).FirstOrDefault();
        (await After("")).Should().Be(".");
        (await After(".")).Should().Be("..");
        (await After("..")).Should().Be("a");
        (await After("a")).Should().Be("c");
        (await After("b")).Should().Be("c");
        (await After("c")).Should().Be("\uFFFD");
        (await After("\uFFFD")).Should().Be("\U0001F980", "names are ordered by their bytes, not by their UTF-16 units");
        (await After("\U0001F980")).Should().BeNull();
    }

    [Fact]
    public async Task A_listing_is_the_one_of_the_moment_it_was_opened()
    {
        Drive.Publish(("/a", FakeEntry.File("")), ("/b", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        await using IDirHandle root = (await fs.OpenDirAsync(NodeId.Root, default)).Value;
        Drive.Publish(("/a", null), ("/c", FakeEntry.File("")));
        (await root.EntriesAsync()).Select(e => e.Name).Should().Equal(".", "..", "a", "b");
    }

    [Fact]
    public async Task With_attributes_an_entry_that_went_since_is_left_out_and_one_that_changed_is_new()
    {
        Drive.Publish(("/a", FakeEntry.File("1")), ("/b", FakeEntry.File("1")), ("/c", FakeEntry.File("1")));
        await using DatFileSystem fs = new(Drive);
        await using IDirHandle root = (await fs.OpenDirAsync(NodeId.Root, default)).Value;
        Drive.Publish(("/a", null), ("/b", FakeEntry.File("22")));
        (await root.EntriesAsync(withInfo: true, atATime: 1)).Skip(2).Select(e => (e.Name, e.Info.Size)).Should().Equal(("b", 2UL), ("c", 1UL));
    }

    [Fact]
    public async Task An_empty_directory_has_only_the_dots()
    {
        Drive.Publish(("/d", FakeEntry.Directory()));
        await using DatFileSystem fs = new(Drive);
        (await fs.ListAsync("/d")).Should().BeEmpty();
    }

    [Fact]
    public async Task A_hundred_thousand_entries_cost_little_until_their_attributes_are_asked_for()
    {
        const int count = 100_000;
        Drive.Publish([.. Enumerable.Range(0, count).Select(i => ($"/d/file-{i:D6}", (FakeEntry?)FakeEntry.File("")))]);
        await using DatFileSystem fs = new(Drive);
        NodeInfo d = await fs.NodeAsync("/d");
        await using IDirHandle handle = (await fs.OpenDirAsync(d.Id, default)).Value;
        int seen = 0;
        bool Count(ReadOnlySpan<byte> name, in NodeInfo info, ulong next) => ++seen > 0;
        await handle.ReadAsync(0, Count, withInfo: false, default);
        seen = 0;
        long before = GC.GetAllocatedBytesForCurrentThread();
        ValueTask<Result<bool>> read = handle.ReadAsync(0, Count, withInfo: false, default);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        (await read).Value.Should().BeTrue();
        seen.Should().Be(count + 2);
        allocated.Should().BeLessThan(10_000);
        fs.LivingNodes.Should().Be(2);
    }
}
