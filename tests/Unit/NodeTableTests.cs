using DatFs.Evidence;
using DatFs.FileSystem;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Lookup counts, ids and file numbers (platform.md §3, §6).</summary>
public sealed class NodeTableTests : FakeDriveTests
{
    public NodeTableTests() => Drive.Publish(("/a/f", FakeEntry.File("1")), ("/g", FakeEntry.File("2")));

    [Fact]
    public async Task Forgetting_every_lookup_leaves_only_the_root()
    {
        await using DatFileSystem fs = new(Drive);
        NodeInfo first = (await fs.LookupAsync(NodeId.Root, "g")).Value;
        NodeInfo again = (await fs.LookupAsync(NodeId.Root, "g")).Value;
        again.Id.Should().Be(first.Id);
        fs.LivingNodes.Should().Be(2);
        fs.Forget(first.Id, 1);
        fs.LivingNodes.Should().Be(2);
        fs.Forget(first.Id, 1);
        fs.LivingNodes.Should().Be(1);
    }

    [Fact]
    public async Task The_root_is_never_forgotten()
    {
        await using DatFileSystem fs = new(Drive);
        fs.Forget(NodeId.Root, 1_000);
        (await fs.GetAsync(NodeId.Root, null, default)).Ok.Should().BeTrue();
    }

    [Fact]
    public async Task An_open_handle_keeps_its_node()
    {
        await using DatFileSystem fs = new(Drive);
        NodeInfo file = await fs.NodeAsync("/g");
        IFileHandle handle = await fs.OpenAsync(file.Id);
        fs.Forget(file.Id, 1);
        (await fs.GetAsync(file.Id, handle, default)).Value.Size.Should().Be(1);
        (await handle.TextAsync()).Should().Be("2");
        await handle.DisposeAsync();
        await handle.DisposeAsync();
        fs.LivingNodes.Should().Be(1);
    }

    [Fact]
    public async Task Ids_are_never_used_again()
    {
        await using DatFileSystem fs = new(Drive);
        HashSet<NodeId> seen = [];
        for (int i = 0; i < 100; i++)
        {
            NodeInfo file = await fs.NodeAsync("/g");
            seen.Add(file.Id).Should().BeTrue();
            fs.Forget(file.Id, 1);
        }
    }

    [Fact]
    public async Task File_numbers_survive_forgetting_and_mounting_again()
    {
        ulong number;
        await using (DatFileSystem fs = new(Drive))
        {
            NodeInfo file = await fs.NodeAsync("/a/f");
            number = file.FileNumber;
            fs.Forget(file.Id, 1);
            (await fs.NodeAsync("/a/f")).FileNumber.Should().Be(number);
        }

        await using DatFileSystem next = new(Drive);
        (await next.NodeAsync("/a/f")).FileNumber.Should().Be(number);
    }

    [Fact]
    public async Task File_numbers_are_the_same_on_every_machine()
    {
        await using DatFileSystem fs = new(Drive);
        (await fs.NodeAsync("/a/f")).FileNumber.Should().Be(FileNumber.Of(new NodeName(new Space(SpaceKind.Live), DatFs.Drives.DrivePath.From("/a/f"))));
        FileNumber.Of(new NodeName(new Space(SpaceKind.Live), DatFs.Drives.DrivePath.From("/a/f"))).Should().Be(6995729295034879427);
    }

    [Fact]
    public async Task One_path_in_two_versions_is_two_files()
    {
        Drive.Publish(("/g", FakeEntry.File("3")));
        await using DatFileSystem fs = new(Drive);
        NodeInfo[] files = [await fs.NodeAsync("/g"), await fs.NodeAsync("/.dat/versions/1/g"), await fs.NodeAsync("/.dat/versions/2/g")];
        files.Select(file => file.Id).Should().OnlyHaveUniqueItems();
        files.Select(file => file.FileNumber).Should().OnlyHaveUniqueItems();
    }

    [Fact]
    public void A_file_number_that_is_taken_goes_to_the_next_value()
    {
        Space live = new(SpaceKind.Live);
        NodeTable table = new(new NodeName(live, DatFs.Drives.DrivePath.Root));
        NodeName name = new(live, DatFs.Drives.DrivePath.From("/f"));
        Node old = table.Add(name, NodeKind.File, null, VirtualKind.None);
        old.Lookups = 1;
        table.Detach(old);
        Node next = table.Add(name, NodeKind.File, null, VirtualKind.None);
        next.FileNumber.Should().Be(old.FileNumber + 1);
        table.At(name).Should().BeSameAs(next);
        table.Forget(old, 1);
        table.At(name).Should().BeSameAs(next);
        FileNumber.After(ulong.MaxValue).Should().Be(1);
    }

    [Fact]
    public void File_numbers_spread_over_the_whole_range()
    {
        Space live = new(SpaceKind.Live);
        HashSet<ulong> seen = [];
        HashSet<ulong> low = [];
        for (int i = 0; i < 100_000; i++)
        {
            ulong number = FileNumber.Of(new NodeName(live, DatFs.Drives.DrivePath.From($"/crowded/entry {i}")));
            seen.Add(number);
            low.Add(number & 0xFFFF);
        }

        seen.Should().HaveCount(100_000);
        low.Should().HaveCountGreaterThan(40_000);
    }
}
