using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>What a view makes of entries: kinds, modes, names, and paths that are two things at once (hyperdrive.md §3, §4, reliability.md §4).</summary>
public sealed class HyperdriveViewTests
{
    public static TheoryData<int, EntryKind, long> Types => new()
    {
        { 0, EntryKind.File, 5 }, { 1, EntryKind.File, 0 }, { 2, EntryKind.File, 0 }, { 3, EntryKind.File, 0 },
        { 4, EntryKind.Directory, 0 }, { 5, EntryKind.File, 0 }, { 6, EntryKind.File, 0 }, { 7, EntryKind.File, 0 },
        { 8, EntryKind.File, 5 }, { 9, EntryKind.File, 0 }, { 10, EntryKind.Symlink, 6 }, { 11, EntryKind.File, 0 },
        { 12, EntryKind.File, 0 }, { 13, EntryKind.File, 0 }, { 14, EntryKind.File, 0 }, { 15, EntryKind.File, 0 },
    };

    /// <summary>Names that no file system can show (reliability.md §4).</summary>
    public static IReadOnlyList<string> BadNames { get; } =
    [
        "..", ".", "", "\0", "a\0b", "\0..", new string('a', 256), new string('ä', 128), new string('日', 86), string.Concat(Enumerable.Repeat("😀", 64)),
        .. Enumerable.Range(0, 25).Select(i => new string('x', 256 + i)), .. Enumerable.Range(0, 25).Select(i => $"n{i}\0"),
    ];

    [Theory]
    [MemberData(nameof(Types))]
    public async Task Each_type_has_its_kind_and_only_permissions_are_shown(int nibble, EntryKind kind, long size)
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.Content.AppendAsync(["bytes"u8.ToArray()], Token);
        await made.PutAsync("/x", CraftedDrive.Stat(((uint)nibble << 12) | 0xFFF, 5, 1, link: nibble == 10 ? "target"u8.ToArray() : null));
        await using HyperdriveDrive drive = made.Open();
        DriveEntry entry = (await drive.Live.FindAsync(DrivePath.From("/x"), Token))!;
        entry.Kind.Should().Be(kind);
        entry.Size.Should().Be(size);
        entry.Mode.Should().Be(0x1FF, "set-user-ID and the like are dropped");
        entry.LinkTarget.ToArray().Should().Equal(kind == EntryKind.Symlink ? "target"u8.ToArray() : []);
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Should().Equal(entry);
    }

    [Fact]
    public async Task A_link_without_a_target_is_an_empty_file()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/x", CraftedDrive.Stat(0xA1FF, 5, 1));
        await using HyperdriveDrive drive = made.Open();
        DriveEntry entry = (await drive.Live.FindAsync(DrivePath.From("/x"), Token))!;
        (entry.Kind, entry.Size).Should().Be((EntryKind.File, 0));
        (await drive.Live.OpenContent(entry).ReadAsync(0, 10, FetchPriority.Interactive, Token)).Data.Length.Should().Be(0);
    }

    [Theory]
    [InlineData("x", "x (file)")]
    [InlineData("x.txt", "x (file).txt")]
    [InlineData("x.tar.gz", "x.tar (file).gz")]
    [InlineData(".bashrc", ".bashrc (file)")]
    [InlineData("x.", "x (file).")]
    public async Task A_file_at_the_path_of_a_directory_is_beside_it(string name, string beside)
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.WriteAsync($"/{name}", "hidden"u8.ToArray());
        await made.PutAsync($"/{name}/child");
        await using HyperdriveDrive drive = made.Open();
        IReadOnlyList<DriveEntry> entries = (await drive.Live.ListAsync(DrivePath.Root, Token))!;
        entries.Select(e => (e.Path.Name, e.Kind)).Should().BeEquivalentTo([(name, EntryKind.Directory), (beside, EntryKind.File)]);
        DriveEntry file = (await drive.Live.FindAsync(DrivePath.Root.Child(beside), Token))!;
        file.Should().Be(entries.Single(e => e.Kind == EntryKind.File));
        (file.Mode, file.Seq).Should().Be((0x124u, 1));
        (await ReadAsync(drive.Live, file)).Should().Equal("hidden"u8.ToArray());
        (await drive.Live.FindAsync(DrivePath.Root.Child(name), Token))!.Should().Match<DriveEntry>(e => e.Kind == EntryKind.Directory && e.Seq == -1 && e.Mode == 0x1ED);
        (await drive.Live.ListAsync(DrivePath.Root.Child(beside), Token)).Should().BeNull();
    }

    [Fact]
    public async Task A_real_entry_keeps_the_name_that_a_file_beside_a_directory_would_have()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.WriteAsync("/x", "hidden"u8.ToArray());
        await made.PutAsync("/x/child");
        long real = await made.WriteAsync("/x (file)", "real"u8.ToArray());
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Select(e => e.Path.Name).Should().Equal("x", "x (file)");
        (await drive.Live.FindAsync(DrivePath.From("/x (file)"), Token))!.Seq.Should().Be(real);
    }

    [Fact]
    public async Task A_long_name_is_shortened_to_leave_room()
    {
        string name = new string('ä', 125) + ".txt";
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync($"/{name}");
        await made.PutAsync($"/{name}/child");
        await using HyperdriveDrive drive = made.Open();
        DriveEntry file = (await drive.Live.ListAsync(DrivePath.Root, Token))!.Single(e => e.Kind == EntryKind.File);
        file.Path.Name.Should().EndWith("ä (file).txt");
        System.Text.Encoding.UTF8.GetByteCount(file.Path.Name).Should().BeInRange(254, 255);
        (await drive.Live.FindAsync(file.Path, Token)).Should().Be(file);
    }

    [Fact]
    public async Task An_entry_without_a_type_says_what_its_directory_is_like_unless_it_has_blocks()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/dir", CraftedDrive.Stat(0x1C0));
        await made.PutAsync("/dir/child");
        await made.PutAsync("/both", CraftedDrive.Stat(0x1C0, 3, 1));
        await made.PutAsync("/both/child");
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Select(e => (e.Path.Name, e.Kind, e.Mode))
            .Should().Equal(("both", EntryKind.Directory, 0x1EDu), ("both (file)", EntryKind.File, 0x140u), ("dir", EntryKind.Directory, 0x1C0u));
    }

    [Fact]
    public async Task A_directory_without_an_entry_has_the_newest_time_known_below_it()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/d/old", CraftedDrive.Stat(time: 1000));
        await made.PutAsync("/d/e/newer", CraftedDrive.Stat(time: 5000));
        await made.PutAsync("/d/e/gone", CraftedDrive.Stat(time: 9000));
        await made.PutAsync("/other", CraftedDrive.Stat(time: 12000));
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.FindAsync(DrivePath.From("/d"), Token))!.Should().Match<DriveEntry>(e => e.MtimeMs == 9000 && e.Mode == 0x1ED && e.Seq == -1);
        await made.DeleteAsync("/d/e/gone");
        IDriveView after = await drive.ReadyAsync(Token);
        (await after.FindAsync(DrivePath.From("/d"), Token))!.MtimeMs.Should().Be(5000, "a deletion has no time of its own");
        (await after.FindAsync(DrivePath.Root, Token))!.MtimeMs.Should().Be(12000);
        after.Time.ToUnixTimeMilliseconds().Should().Be(12000);
    }

    [Fact]
    public async Task A_directory_with_an_entry_shows_it_and_stays_when_it_is_empty()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        long own = await made.PutAsync("/d", CraftedDrive.Stat(0x41C0, time: 77));
        await made.PutAsync("/d/a");
        await made.DeleteAsync("/d/a");
        await made.PutAsync("/i/a");
        await made.DeleteAsync("/i/a");
        await using HyperdriveDrive drive = made.Open();
        DriveEntry entry = (await drive.Live.ListAsync(DrivePath.Root, Token))!.Single();
        (entry.Path.Text, entry.Mode, entry.MtimeMs, entry.Seq).Should().Be(("/d", 0x1C0u, 77, own));
        (await drive.Live.ListAsync(DrivePath.From("/d"), Token)).Should().BeEmpty();
        (await drive.Live.ListAsync(DrivePath.From("/i"), Token)).Should().BeNull();
    }

    [Fact]
    public async Task Names_that_no_file_system_can_show_are_hidden_and_counted()
    {
        BadNames.Should().HaveCount(60);
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/good/a");
        foreach (string name in BadNames.Where(name => name.Length > 0)) await made.PutAsync($"/good/{name}");
        await made.PutAsync("/good//below nothing");
        await made.PutAsync("/good/../../escaped");
        await made.PutAsync("/good/z");
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.ListAsync(DrivePath.From("/good"), Token))!.Select(e => e.Path.Name).Should().Equal("a", "z");
        drive.Status.HiddenNames.Should().Be(BadNames.Count);
        foreach (string name in BadNames) (await drive.Live.FindAsync(DrivePath.From("/good").Child(name), Token)).Should().BeNull();
        (await drive.Live.FindAsync(DrivePath.From("/good/../../escaped"), Token)).Should().BeNull();
        (await drive.Live.ListAsync(DrivePath.From("/good/.."), Token)).Should().BeNull();
    }

    [Fact]
    public async Task Odd_names_that_can_be_shown_are()
    {
        string[] names = ["*", ":", "a\nb", "trailing.", " ", "-rf", "\u001b[31m", "\\", "é", "e\u0301", "\uFFFD", "...", new string('b', 255)];
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        foreach (string name in names) await made.PutAsync($"/{name}");
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Select(e => e.Path.Name).Should().BeEquivalentTo(names);
        foreach (string name in names) (await drive.Live.FindAsync(DrivePath.Root.Child(name), Token)).Should().NotBeNull();
        drive.Status.HiddenNames.Should().Be(0);
    }

    [Fact]
    public async Task Listings_are_in_the_order_of_the_names_bytes()
    {
        string[] names = ["a", "B", "ä", "\uE000", "\uFFFD", "😀", "😀b", "\U00010000", "日本", "ab", "a b", "Z", "z"];
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        foreach (string name in names) await made.PutAsync($"/{name}");
        await using HyperdriveDrive drive = made.Open();
        string[] listed = [.. (await drive.Live.ListAsync(DrivePath.Root, Token))!.Select(e => e.Path.Name)];
        listed.Select(name => Convert.ToHexString(System.Text.Encoding.UTF8.GetBytes(name))).Should().BeInAscendingOrder(StringComparer.Ordinal);
        listed.Should().BeEquivalentTo(names);
    }

    [Fact]
    public async Task An_entry_whose_attributes_cannot_be_read_hides_nothing_else()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/a");
        await made.Writer.PutAsync("/broken", [], Token);
        await made.Writer.PutAsync("/dir", [0x20, 0x05], Token);
        await made.PutAsync("/dir/b");
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Select(e => e.Path.Name).Should().Equal("a", "dir");
        drive.Status.HiddenNames.Should().Be(1);
        (await FluentActions.Awaiting(async () => await drive.Live.FindAsync(DrivePath.From("/broken"), Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Corrupt);
    }

    [Fact]
    public async Task An_entry_of_the_root_gives_the_root_its_mode()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/", CraftedDrive.Stat(0x41C0, time: 5));
        await made.PutAsync("/a");
        await using HyperdriveDrive drive = made.Open();
        (await drive.Live.FindAsync(DrivePath.Root, Token))!.Should().Match<DriveEntry>(e => e.Mode == 0x1C0 && e.MtimeMs == 5);
        (await drive.Live.ListAsync(DrivePath.Root, Token))!.Select(e => e.Path.Text).Should().Equal("/a");
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<byte[]> ReadAsync(IDriveView view, DriveEntry entry)
    {
        using ContentLease lease = await view.OpenContent(entry).ReadAsync(0, 1 << 20, FetchPriority.Interactive, Token);
        return System.Buffers.BuffersExtensions.ToArray(lease.Data);
    }
}
