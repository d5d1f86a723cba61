using System.Globalization;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>What look-ups cost in nodes decoded and blocks fetched (hyperdrive.md §7).</summary>
public sealed class HyperdriveCostTests
{
    private const int Entries = 300;

    [Fact]
    public async Task A_second_look_into_a_directory_of_a_thousand_entries_decodes_nothing()
    {
        await using HyperdriveDrive drive = OpenBigdir();
        IReadOnlyList<DriveEntry> entries = (await drive.Live.ListAsync(DrivePath.Root, Token))!;
        DriveEntry directory = entries.First(e => e.Kind == EntryKind.Directory);
        await drive.Live.FindAsync(directory.Path.Child("0500.txt"), Token);
        drive.Nodes.Decoded.Should().BeLessThanOrEqualTo(drive.Live.Version, "no node is decoded twice");
        long before = drive.Nodes.Decoded;
        IReadOnlyList<DriveEntry> files = (await drive.Live.ListAsync(directory.Path, Token))!;
        files.Should().HaveCountGreaterThan(900);
        foreach (DriveEntry file in files) (await drive.Live.FindAsync(file.Path, Token)).Should().Be(file);
        (await drive.Live.FindAsync(directory.Path.Child("missing"), Token)).Should().BeNull();
        (drive.Nodes.Decoded - before).Should().BeLessThanOrEqualTo(drive.Live.Version - before);
        before = drive.Nodes.Decoded;
        foreach (DriveEntry file in files) await drive.Live.FindAsync(file.Path, Token);
        (drive.Nodes.Decoded - before).Should().Be(0);
    }

    [Fact]
    public async Task A_listing_is_made_once_for_all_versions_that_share_it()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        for (int i = 0; i < 20; i++) await made.PutAsync($"/d/{i}");
        await using HyperdriveDrive drive = made.Open();
        IReadOnlyList<DriveEntry>? first = await drive.Live.ListAsync(DrivePath.From("/d"), Token);
        await made.PutAsync("/elsewhere");
        IDriveView after = await drive.ReadyAsync(Token);
        after.Version.Should().Be(21);
        (await after.ListAsync(DrivePath.From("/d"), Token)).Should().BeSameAs(first);
        await made.PutAsync("/d/new");
        (await (await drive.ReadyAsync(Token)).ListAsync(DrivePath.From("/d"), Token)).Should().HaveCount(21);
    }

    [Fact]
    public async Task What_is_held_is_answered_at_once()
    {
        await using HyperdriveDrive drive = OpenBigdir();
        drive.ReadyAsync(Token).AsTask().IsCompletedSuccessfully.Should().BeTrue();
        ValueTask<IReadOnlyList<DriveEntry>?> list = drive.Live.ListAsync(DrivePath.Root, Token);
        list.IsCompletedSuccessfully.Should().BeTrue();
        DriveEntry directory = (await list)!.First(e => e.Kind == EntryKind.Directory);
        drive.Live.FindAsync(directory.Path.Child("nothing"), Token).AsTask().IsCompletedSuccessfully.Should().BeTrue();
        drive.Live.ListAsync(directory.Path, Token).AsTask().IsCompletedSuccessfully.Should().BeTrue();
    }

    [Fact]
    public async Task A_lazy_look_up_asks_for_a_level_at_once_newest_first_and_stops_at_its_match()
    {
        await using CraftedDrive made = await FilledAsync();
        await using HyperdriveDrive drive = made.Clone(out CraftedDrive.GivingNetwork network, answers: false);
        await network.Metadata.GiveAsync(0);
        await network.Metadata.GiveAsync(Entries);
        IDriveView live = await drive.ReadyAsync(Token);
        live.Version.Should().Be(Entries);
        network.Metadata.Fetched.Should().BeEmpty("header and head came by themselves");

        Task<DriveEntry?> found = live.FindAsync(DrivePath.From("/f0250"), Token).AsTask();
        network.Metadata.Fetched.Should().HaveCount(AppendTree.MaxInFlight).And.BeInDescendingOrder();
        long seq = 251;
        await network.Metadata.AnswerAsync(299);
        found.IsCompleted.Should().BeFalse();
        await network.Metadata.AnswerAsync(seq);
        (await found)!.Seq.Should().Be(seq);
        network.Metadata.Open.Should().BeEmpty("the rest is not wanted any more");
    }

    [Fact]
    public async Task A_lazy_directory_gives_its_attributes_without_the_names_in_it()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/d", CraftedDrive.Stat(0x41C0));
        for (int i = 0; i < 50; i++) await made.PutAsync($"/d/{i}");
        await using HyperdriveDrive drive = made.Clone(out CraftedDrive.GivingNetwork network, answers: false);
        foreach (long seq in (long[])[0, 1, 51]) await network.Metadata.GiveAsync(seq);
        IDriveView live = await drive.ReadyAsync(Token);
        (await live.FindAsync(DrivePath.From("/d"), Token))!.Mode.Should().Be(0x1C0);
        (await live.FindAsync(DrivePath.Root, Token))!.Kind.Should().Be(EntryKind.Directory);
        network.Metadata.Fetched.Should().BeEmpty("the oldest entry of a directory is its own");
    }

    [Fact]
    public async Task A_lazy_listing_asks_for_each_name_once()
    {
        await using CraftedDrive made = await FilledAsync();
        await using HyperdriveDrive drive = made.Clone(out CraftedDrive.GivingNetwork network);
        await network.Metadata.GiveAsync(0);
        await network.Metadata.GiveAsync(Entries);
        (await (await drive.ReadyAsync(Token)).ListAsync(DrivePath.Root, Token)).Should().HaveCount(Entries);
        network.Metadata.Fetched.Should().HaveCount(Entries - 1).And.OnlyHaveUniqueItems();
    }

    [Fact]
    public async Task The_root_answers_before_its_names_are_known()
    {
        await using CraftedDrive made = await FilledAsync();
        await using HyperdriveDrive drive = made.Clone(out CraftedDrive.GivingNetwork network, answers: false);
        drive.Live.FindAsync(DrivePath.Root, Token).AsTask().IsCompletedSuccessfully.Should().BeTrue();
        await network.Metadata.GiveAsync(0);
        await network.Metadata.GiveAsync(Entries);
        ValueTask<DriveEntry?> root = (await drive.ReadyAsync(Token)).FindAsync(DrivePath.Root, Token);
        root.IsCompletedSuccessfully.Should().BeTrue();
        (await root)!.MtimeMs.Should().Be(CraftedDrive.Time);
    }

    [Fact]
    public void A_cache_keeps_what_was_used_last_up_to_its_weight()
    {
        WeightedCache<int, string> cache = new(100);
        for (int i = 0; i < 10; i++) cache.Add(i, i.ToString(CultureInfo.InvariantCulture), 12);
        cache.TryGet(4, out _).Should().BeFalse();
        cache.TryGet(5, out _).Should().BeTrue("five of twenty fit");
        cache.Add(10, "10", 12);
        cache.TryGet(5, out _).Should().BeTrue("it was used last but one");
        cache.TryGet(6, out _).Should().BeFalse();
        cache.Add(11, "huge", 1000);
        cache.TryGet(11, out string? huge).Should().BeTrue();
        huge.Should().Be("huge");
        cache.TryGet(10, out _).Should().BeFalse();
        cache.Add(12, "12", 1);
        cache.TryGet(11, out _).Should().BeFalse();
        cache.Total.Should().Be(9);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<CraftedDrive> FilledAsync()
    {
        CraftedDrive made = await CraftedDrive.CreateAsync();
        for (int i = 0; i < Entries; i++) await made.PutAsync($"/f{i:D4}");
        return made;
    }

    private static HyperdriveDrive OpenBigdir()
    {
        DiskFolder folder = new(Vectors.PathOf("hyperdrive/bigdir/archive"));
        FeedOptions readOnly = new() { ReadOnly = true };
        return new HyperdriveDrive(Feed.Open(new FeedFiles(folder.Folder("metadata")), readOnly), key => Feed.Open(new FeedFiles(folder.Folder("content")), readOnly with { Key = key }), null);
    }
}
