using DatFs.Evidence;
using DatFs.FileSystem;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Names and attributes through <see cref="DatFileSystem"/>.</summary>
public sealed class LookupTests : FakeDriveTests
{
    [Fact]
    public async Task A_name_is_found_with_the_attributes_of_its_entry()
    {
        Drive.Publish(("/a/b.txt", FakeEntry.File("hello") with { Mode = 0x1ED, MtimeMs = 1_516_000_000_123 }));
        await using DatFileSystem fs = new(Drive);
        NodeInfo file = await fs.NodeAsync("/a/b.txt");
        file.Kind.Should().Be(NodeKind.File);
        file.Size.Should().Be(5);
        file.StoredBytes.Should().Be(5);
        file.Links.Should().Be(1);
        file.MtimeNs.Should().Be(1_516_000_000_123_000_000);
        file.Uid.Should().BeNull("the mounting user owns everything");
        NodeInfo directory = await fs.NodeAsync("/a");
        directory.Kind.Should().Be(NodeKind.Directory);
        directory.Links.Should().Be(2);
    }

    [Fact]
    public async Task Write_bits_are_hidden_where_nothing_can_be_written()
    {
        Drive.Publish(("/f", FakeEntry.File("") with { Mode = 0xFFF }));
        await using DatFileSystem fs = new(Drive);
        (await fs.NodeAsync("/f")).Mode.Should().Be(0x16D);
    }

    [Fact]
    public async Task Write_bits_show_on_a_drive_of_our_own_but_not_in_its_versions()
    {
        FakeDrive own = new(writable: true);
        own.Publish(("/f", FakeEntry.File("")));
        await using DatFileSystem fs = new(own);
        (await fs.NodeAsync("/f")).Mode.Should().Be(0x1A4);
        (await fs.NodeAsync("/.dat/versions/1/f")).Mode.Should().Be(0x124);
        await using DatFileSystem readOnly = new(own, new MountFsOptions { ReadOnly = true });
        (await readOnly.NodeAsync("/f")).Mode.Should().Be(0x124);
    }

    [Fact]
    public async Task Owner_and_group_are_those_asked_for()
    {
        Drive.Publish(("/f", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive, new MountFsOptions { Uid = 12, Gid = 34 });
        NodeInfo file = await fs.NodeAsync("/f");
        (file.Uid, file.Gid).Should().Be((12u, 34u));
    }

    [Theory]
    [InlineData("missing", FsError.NotFound)]
    [InlineData("", FsError.NotFound)]
    [InlineData("a/b", FsError.NotFound)]
    [InlineData("a\0b", FsError.NotFound)]
    [InlineData(".", FsError.NotFound)]
    [InlineData("..", FsError.NotFound)]
    public async Task A_name_that_cannot_be_is_not_found(string name, FsError error)
    {
        Drive.Publish(("/a/b", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        (await fs.LookupAsync(NodeId.Root, name)).Error.Should().Be(error);
    }

    [Fact]
    public async Task Names_have_at_most_255_bytes()
    {
        string longest = new string('x', 253) + "é";
        Drive.Publish(("/" + longest, FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        (await fs.LookupAsync(NodeId.Root, longest)).Ok.Should().BeTrue();
        (await fs.LookupAsync(NodeId.Root, longest + "x")).Error.Should().Be(FsError.NameTooLong);
        (await fs.ListAsync("/")).Should().Equal(longest);
    }

    [Fact]
    public async Task Bytes_that_are_not_text_are_not_found()
    {
        await using DatFileSystem fs = new(Drive);
        (await fs.LookupAsync(NodeId.Root, new byte[] { 0xFF, 0xFE }, default)).Error.Should().Be(FsError.NotFound);
    }

    [Fact]
    public async Task Composed_and_decomposed_spellings_are_different_names()
    {
        Drive.Publish(("/caf\u00e9", FakeEntry.File("nfc")), ("/cafe\u0301", FakeEntry.File("nfd")));
        await using DatFileSystem fs = new(Drive);
        (await fs.ReadAsync("/caf\u00e9")).Should().Be("nfc");
        (await fs.ReadAsync("/cafe\u0301")).Should().Be("nfd");
    }

    [Fact]
    public async Task Nothing_is_found_below_a_file_and_a_file_cannot_be_listed()
    {
        Drive.Publish(("/f", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        NodeInfo file = await fs.NodeAsync("/f");
        (await fs.LookupAsync(file.Id, "x")).Error.Should().Be(FsError.NotDirectory);
        (await fs.OpenDirAsync(file.Id, default)).Error.Should().Be(FsError.NotDirectory);
        (await fs.OpenAsync(NodeId.Root, OpenMode.Read, default)).Error.Should().Be(FsError.IsDirectory);
    }

    [Fact]
    public async Task A_node_that_was_forgotten_is_stale()
    {
        Drive.Publish(("/f", FakeEntry.File("")));
        await using DatFileSystem fs = new(Drive);
        NodeInfo file = await fs.NodeAsync("/f");
        fs.Forget(file.Id, 1);
        (await fs.GetAsync(file.Id, null, default)).Error.Should().Be(FsError.Stale);
        (await fs.LookupAsync(file.Id, "x")).Error.Should().Be(FsError.Stale);
        (await fs.OpenAsync(file.Id, OpenMode.Read, default)).Error.Should().Be(FsError.Stale);
        (await fs.OpenDirAsync(file.Id, default)).Error.Should().Be(FsError.Stale);
        (await fs.ReadLinkAsync(file.Id, default)).Error.Should().Be(FsError.Stale);
    }

    [Theory]
    [InlineData("/d/link", "file", true)]
    [InlineData("/d/link", "../up", true)]
    [InlineData("/d/link", "./a/./b", true)]
    [InlineData("/d/link", "../../out", false)]
    [InlineData("/link", "..", false)]
    [InlineData("/d/link", "/etc/passwd", false)]
    [InlineData("/d/link", "sub/../../x", false)]
    [InlineData("/d/link", "sub/..", false)]
    public async Task Links_of_others_are_read_unless_they_leave_the_drive(string path, string target, bool allowed)
    {
        Drive.Publish((path, FakeEntry.Link(target)));
        await using DatFileSystem fs = new(Drive);
        NodeInfo link = await fs.NodeAsync(path);
        (link.Kind, link.Size, link.Mode).Should().Be((NodeKind.Symlink, (ulong)target.Length, 0x1FFu));
        Result<ReadOnlyMemory<byte>> read = await fs.ReadLinkAsync(link.Id, default);
        read.Error.Should().Be(allowed ? FsError.None : FsError.AccessDenied);
        await using DatFileSystem following = new(Drive, new MountFsOptions { FollowForeignLinks = true });
        Result<ReadOnlyMemory<byte>> anyway = await following.ReadLinkAsync((await following.NodeAsync(path)).Id, default);
        anyway.Value.ToArray().Should().Equal(FsCalls.Utf8(target));
    }

    [Fact]
    public async Task Links_of_our_own_drive_are_read_whatever_they_say()
    {
        FakeDrive own = new(writable: true);
        own.Publish(("/link", FakeEntry.Link("/etc")), ("/f", FakeEntry.File("")));
        await using DatFileSystem fs = new(own);
        (await fs.ReadLinkAsync((await fs.NodeAsync("/link")).Id, default)).Ok.Should().BeTrue();
        (await fs.ReadLinkAsync((await fs.NodeAsync("/f")).Id, default)).Error.Should().Be(FsError.Invalid);
    }

    [Fact]
    public async Task Whether_a_file_is_held_here_is_told_on_request()
    {
        Drive.Publish(("/here", FakeEntry.File("12")), ("/there", FakeEntry.File("12")), ("/empty", FakeEntry.File("")));
        Drive.Local = path => path.Name == "here" ? 2 : 1;
        await using DatFileSystem fs = new(Drive, new MountFsOptions { ShowLocal = true });
        (await fs.NodeAsync("/here")).Local.Should().BeTrue();
        (await fs.NodeAsync("/there")).Local.Should().BeFalse();
        (await fs.NodeAsync("/empty")).Local.Should().BeTrue();
    }

    [Fact]
    public async Task Sizes_and_times_that_lie_are_held_in_range()
    {
        Drive.Publish(("/f", FakeEntry.File("") with { ClaimedSize = long.MaxValue, MtimeMs = long.MaxValue }), ("/g", FakeEntry.File("") with { MtimeMs = long.MinValue }));
        await using DatFileSystem fs = new(Drive);
        NodeInfo file = await fs.NodeAsync("/f");
        file.Size.Should().Be((ulong)long.MaxValue);
        file.MtimeNs.Should().BePositive();
        (await fs.NodeAsync("/g")).MtimeNs.Should().BeNegative();
    }

    [Fact]
    public async Task What_is_held_is_answered_without_waiting()
    {
        Drive.Publish(("/a/f", FakeEntry.File("x")));
        await using DatFileSystem fs = new(Drive);
        NodeId a = AtOnce(fs.LookupAsync(NodeId.Root, "a")).Value.Id;
        NodeId f = AtOnce(fs.LookupAsync(a, "f")).Value.Id;
        AtOnce(fs.GetAsync(f, null, default)).Value.Size.Should().Be(1);
        await using IFileHandle handle = AtOnce(fs.OpenAsync(f, OpenMode.Read, default)).Value;
        AtOnce(handle.ReadAsync(0, 1, default)).Value.Dispose();
        await using IDirHandle listing = AtOnce(fs.OpenDirAsync(a, default)).Value;
        AtOnce(listing.ReadAsync(0, (ReadOnlySpan<byte> _, in NodeInfo _, ulong _) => true, withInfo: true, default)).Value.Should().BeTrue();
    }

    [Fact]
    public async Task Statfs_counts_content_and_files_and_no_free_space()
    {
        Drive.Publish(("/a", FakeEntry.File(new byte[5000])), ("/d", FakeEntry.Directory()));
        await using DatFileSystem fs = new(Drive);
        VolumeInfo volume = (await fs.StatAsync(default)).Value;
        volume.Should().Be(new VolumeInfo(2, 0, 1, 0, 4096, 255));
    }
}
