using DatFs.Evidence;
using DatFs.FileSystem;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary><c>.dat/versions</c> (design: "Inside a mount").</summary>
public sealed class VersionDirectoryTests : FakeDriveTests
{
    private static readonly DateTimeOffset s_start = new(2018, 1, 24, 17, 0, 0, TimeSpan.Zero);
    private readonly FakeTimeProvider _time = new(s_start);

    [Fact]
    public async Task Every_version_is_a_directory_with_the_whole_drive_at_that_number()
    {
        Drive.Publish(("/a/f", FakeEntry.File("one")));
        Drive.Publish(("/a/f", FakeEntry.File("two")), ("/g", FakeEntry.File("g")));
        Drive.Publish(("/a/f", null));
        await using DatFileSystem fs = Mount();
        (await fs.ListAsync("/.dat/versions/0")).Should().BeEmpty();
        (await fs.ReadAsync("/.dat/versions/1/a/f")).Should().Be("one");
        (await fs.ListAsync("/.dat/versions/1")).Should().Equal("a");
        (await fs.ReadAsync("/.dat/versions/2/a/f")).Should().Be("two");
        (await fs.ListAsync("/.dat/versions/2")).Should().Equal("a", "g");
        (await fs.ReadAsync("/.dat/versions/3/a/f")).Should().Be("<NotFound>");
        fs.LivingNodes.Should().Be(1);
    }

    [Theory]
    [InlineData("4")]
    [InlineData("-1")]
    [InlineData("+1")]
    [InlineData("01")]
    [InlineData(" 1")]
    [InlineData("1.0")]
    [InlineData("99999999999999999999")]
    [InlineData("@")]
    [InlineData("@tomorrow")]
    [InlineData("@h-ago")]
    [InlineData("@2y-ago")]
    [InlineData("@9999999999h-ago")]
    [InlineData("@2018-13-01")]
    [InlineData("@2018-01-24T17:30+02:00")]
    [InlineData("versions")]
    public async Task Other_names_are_not_found(string name)
    {
        Drive.Publish(("/f", FakeEntry.File("one")));
        await using DatFileSystem fs = Mount();
        (await fs.LookupAsync((await fs.NodeAsync("/.dat/versions")).Id, name)).Error.Should().Be(FsError.NotFound);
    }

    [Fact]
    public async Task A_text_that_names_a_version_is_a_directory_too()
    {
        Drive.Publish(("/f", FakeEntry.File("one")));
        Drive.Publish(("/f", FakeEntry.File("two")));
        (string text, string alias, string digits) = (new('a', 68), "0123456789abcdef", "0000000000000001");
        foreach (string name in (string[])[text, alias]) Drive.VersionTexts.Add(name, 1);
        await using DatFileSystem fs = Mount();
        (await fs.ReadAsync($"/.dat/versions/{text}/f")).Should().Be("one");
        (await fs.ReadAsync($"/.dat/versions/{alias}/f")).Should().Be("one");
        (await fs.ReadAsync($"/.dat/versions/{digits}/f")).Should().Be("<NotFound>", "neither a text that is known nor a number as numbers are written");
        (await fs.ReadAsync($"/.dat/versions/{alias.ToUpperInvariant()}/f")).Should().Be("<NotFound>", "one version has one name");
    }

    [Fact]
    public async Task A_version_that_comes_is_reachable_and_announced()
    {
        await using DatFileSystem fs = Mount();
        RecordedNotices told = new();
        fs.Subscribe(told);
        NodeInfo versions = await fs.NodeAsync("/.dat/versions");
        (await fs.LookupAsync(versions.Id, "1")).Error.Should().Be(FsError.NotFound);
        Drive.Publish(("/f", FakeEntry.File("one")));
        told.Take().Should().Contain([$"Added {versions.Id.Value}/1", $"attributes {versions.Id.Value}"]);
        (await fs.ReadAsync("/.dat/versions/1/f")).Should().Be("one");
    }

    [Fact]
    public async Task Latest_is_a_link_to_the_newest_number()
    {
        Drive.Publish(("/f", FakeEntry.File("one")));
        await using DatFileSystem fs = Mount();
        RecordedNotices told = new();
        fs.Subscribe(told);
        NodeInfo latest = await fs.NodeAsync("/.dat/versions/latest");
        (latest.Kind, latest.Size, latest.AttrTtl).Should().Be((NodeKind.Symlink, 1UL, TimeSpan.Zero));
        AtOnce(fs.ReadLinkAsync(latest.Id, default)).Value.ToArray().Should().Equal(FsCalls.Utf8("1"));
        for (int i = 2; i <= 10; i++) Drive.Publish(("/f", FakeEntry.File("more")));
        told.Lines.Should().Contain($"content {latest.Id.Value}");
        AtOnce(fs.ReadLinkAsync(latest.Id, default)).Value.ToArray().Should().Equal(FsCalls.Utf8("10"));
        AtOnce(fs.GetAsync(latest.Id, null, default)).Value.Size.Should().Be(2);
    }

    [Fact]
    public async Task A_listing_names_latest_and_every_version_in_order()
    {
        for (int i = 0; i < 11; i++) Drive.Publish(("/f", FakeEntry.File($"{i}")));
        await using DatFileSystem fs = Mount();
        (await fs.ListAsync("/.dat/versions")).Should().Equal("0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9", "latest");
    }

    [Fact]
    public async Task A_listing_names_only_the_newest_thousand_and_older_ones_are_found_by_name()
    {
        for (int i = 0; i < 1100; i++) Drive.Publish(("/f", FakeEntry.File($"{i}")));
        await using DatFileSystem fs = Mount();
        List<string> names = await fs.ListAsync("/.dat/versions");
        names.Should().HaveCount(DatFileSystem.MaxListedVersions + 1).And.Contain(["latest", "1100", "101"]).And.NotContain("100");
        (await fs.ReadAsync("/.dat/versions/1/f")).Should().Be("0");
    }

    [Fact]
    public async Task Listing_versions_with_attributes_checks_none_of_them_out()
    {
        for (int i = 0; i < 3; i++) Drive.Publish(("/f", FakeEntry.File($"{i}")));
        await using DatFileSystem fs = Mount();
        NodeInfo versions = await fs.NodeAsync("/.dat/versions");
        int checkouts = 0;
        Drive.Delay = call =>
        {
            if (call.Ask == FakeAsk.Checkout) checkouts++;
            return null;
        };
        await using IDirHandle handle = (await fs.OpenDirAsync(versions.Id, default)).Value;
        var entries = await handle.EntriesAsync(withInfo: true);
        checkouts.Should().Be(0);
        entries.Where(e => char.IsDigit(e.Name[0])).Should().OnlyContain(e => e.Info.Id.Value == 0 && e.Info.Kind == NodeKind.Directory);
        entries.Single(e => e.Name == "2").Info.FileNumber.Should().Be((await fs.NodeAsync("/.dat/versions/2")).FileNumber);
        handle.PositionAfter(FsCalls.Utf8("3")).Should().Be(entries.Single(e => e.Name == "3").Next);
    }

    [Fact]
    public async Task Nodes_of_all_views_live_side_by_side_and_end_with_their_lookups()
    {
        Drive.Publish(("/f", FakeEntry.File("one")));
        await using DatFileSystem fs = Mount();
        NodeInfo[] nodes =
        [
            await fs.NodeAsync("/f"), await fs.NodeAsync("/.dat/versions/1/f"), await fs.NodeAsync("/.dat/versions/1"),
            await fs.NodeAsync("/.dat/versions/0"), await fs.NodeAsync("/.dat/versions/@1s-ago"), await fs.NodeAsync("/.dat/key"),
        ];
        nodes.Select(node => node.Id).Should().OnlyHaveUniqueItems();
        nodes.Select(node => node.FileNumber).Should().OnlyHaveUniqueItems();
        foreach (NodeInfo node in nodes) fs.Forget(node.Id, 1);
        fs.LivingNodes.Should().Be(1);
    }

    [Fact]
    public async Task A_version_does_not_change_and_its_listing_may_be_cached()
    {
        Drive.Publish(("/f", FakeEntry.File("one")));
        await using DatFileSystem fs = Mount();
        NodeInfo f = await fs.NodeAsync("/.dat/versions/1/f");
        NodeInfo one = await fs.NodeAsync("/.dat/versions/1");
        await using IDirHandle handle = (await fs.OpenDirAsync(one.Id, default)).Value;
        handle.Immutable.Should().BeTrue();
        Drive.Publish(("/f", FakeEntry.File("two")));
        AtOnce(fs.GetAsync(f.Id, null, default)).Value.Should().Be(f);
        (await fs.ReadAsync("/.dat/versions/1/f")).Should().Be("one");
    }

    [Fact]
    public async Task The_root_of_a_version_tells_when_it_was_made()
    {
        DateTimeOffset made = new(2018, 1, 15, 12, 0, 0, TimeSpan.Zero);
        Drive.Publish(made, true, ("/f", FakeEntry.File("one") with { MtimeMs = 0 }));
        await using DatFileSystem fs = Mount();
        (await fs.NodeAsync("/.dat/versions/1")).MtimeNs.Should().Be(made.ToUnixTimeMilliseconds() * 1_000_000);
    }

    [Fact]
    public async Task The_archives_own_dat_folder_is_inside_its_versions()
    {
        Drive.Publish(("/.dat/own", FakeEntry.File("own")));
        await using DatFileSystem fs = Mount();
        (await fs.ReadAsync("/.dat/versions/1/.dat/own")).Should().Be("own");
        (await fs.ListAsync("/.dat/versions/1")).Should().Equal(".dat");
        (await fs.ReadAsync("/.dat/own")).Should().Be("<NotFound>");
    }

    [Fact]
    public async Task A_mount_of_one_version_has_the_other_versions_too()
    {
        Drive.Publish(("/f", FakeEntry.File("one")));
        Drive.Publish(("/f", FakeEntry.File("two")));
        await using DatFileSystem fs = new(Drive, new MountFsOptions { Version = 1, Time = _time });
        (await fs.ReadAsync("/f")).Should().Be("one");
        (await fs.ReadAsync("/.dat/versions/2/f")).Should().Be("two");
        (await fs.NodeAsync("/.dat/versions/1")).Id.Should().NotBe(NodeId.Root, "one directory cannot have two names");
    }

    [Theory]
    [InlineData("@2018-01-24T1530Z", "two")]
    [InlineData("@2018-01-24T15:30Z", "two")]
    [InlineData("@2018-01-24T145959Z", "one")]
    [InlineData("@2018-01-24T15:00:00Z", "two")]
    [InlineData("@2h-ago", "two")]
    [InlineData("@121m-ago", "one")]
    [InlineData("@121min-ago", "one")]
    [InlineData("@7201s-ago", "one")]
    [InlineData("@1d-ago", "zero")]
    [InlineData("@yesterday", "zero")]
    [InlineData("@1w-ago", "<NotFound>")]
    [InlineData("@2018-01-24", "zero")]
    [InlineData("@999999999w-ago", "<NotFound>")]
    [InlineData("@0s-ago", "three")]
    public async Task A_time_names_the_last_version_made_by_then(string name, string content)
    {
        Drive.Publish(s_start.AddDays(-2), true, ("/f", FakeEntry.File("zero")));
        Drive.Publish(s_start.AddHours(-3), true, ("/f", FakeEntry.File("one")));
        Drive.Publish(s_start.AddHours(-2), true, ("/f", FakeEntry.File("two")));
        Drive.Publish(s_start.AddHours(-1), true, ("/f", FakeEntry.File("three")));
        await using DatFileSystem fs = Mount();
        (await fs.ReadAsync($"/.dat/versions/{name}/f")).Should().Be(content);
    }

    [Fact]
    public async Task A_time_is_resolved_at_each_lookup_and_stays_for_who_is_inside()
    {
        Drive.Publish(s_start.AddHours(-3), true, ("/f", FakeEntry.File("one")));
        Drive.Publish(s_start.AddMinutes(-90), true, ("/f", FakeEntry.File("two")));
        await using DatFileSystem fs = Mount();
        NodeInfo inside = await fs.NodeAsync("/.dat/versions/@2h-ago");
        inside.EntryTtl.Should().Be(TimeSpan.Zero, "the name is asked again at each use");
        (await fs.NodeAsync("/.dat/versions/@2h-ago")).Id.Should().Be(inside.Id);
        _time.Advance(TimeSpan.FromHours(1));
        NodeInfo later = await fs.NodeAsync("/.dat/versions/@2h-ago");
        later.Id.Should().NotBe(inside.Id);
        (await fs.ReadAsync("/.dat/versions/@2h-ago/f")).Should().Be("two");
        NodeInfo f = (await fs.LookupAsync(inside.Id, "f")).Value;
        await using IFileHandle handle = await fs.OpenAsync(f.Id);
        (await handle.TextAsync()).Should().Be("one");
    }

    private DatFileSystem Mount() => new(Drive, new MountFsOptions { Time = _time });
}
