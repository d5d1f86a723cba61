using System.Collections.Concurrent;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using DatFs.Storage;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>How a drive goes from version to version while it is open, and what it tells of that.</summary>
public sealed class HyperdriveLiveTests
{
    [Fact]
    public async Task Every_step_is_heard_in_order_and_the_newest_head_becomes_live_while_many_read()
    {
        const int versions = 400;
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await using HyperdriveDrive drive = made.Open();
        ConcurrentQueue<DriveChange> heard = new();
        TaskCompletionSource last = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable observing = drive.Observe(change =>
        {
            heard.Enqueue(change);
            if (change.After.Version == versions) last.TrySetResult();
        });
        Task[] readers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            while (!last.Task.IsCompleted)
            {
                IDriveView view = await drive.ReadyAsync(Token);
                (await view.ListAsync(DrivePath.From("/d"), Token) ?? []).Count.Should().Be((int)view.Version);
            }
        }, Token))];
        for (int i = 1; i <= versions; i++) await made.PutAsync($"/d/{i}");
        await last.Task.WaitAsync(TimeSpan.FromSeconds(30), Token);
        await Task.WhenAll(readers);
        drive.Live.Version.Should().Be(versions);
        DriveChange[] steps = [.. heard];
        steps.Zip(steps.Skip(1)).Should().OnlyContain(pair => pair.First.After == pair.Second.Before);
        steps.SelectMany(step => step.Paths!).Distinct().Should().HaveCount(versions + 1);
    }

    [Fact]
    public async Task A_head_that_is_missing_is_waited_for_and_what_is_held_is_shown_meanwhile()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/a");
        await using HyperdriveDrive drive = made.Clone(out CraftedDrive.GivingNetwork network, answers: false);
        network.Metadata.Ranges.Should().ContainSingle().Which.Should().Be((0, 1, FetchPriority.Interactive));
        await network.Metadata.GiveAsync(0);
        await Until(() => network.Metadata.Ranges.Contains((1, 2, FetchPriority.Interactive)));
        drive.Live.Version.Should().Be(0);
        await network.Metadata.GiveAsync(1);
        (await drive.ReadyAsync(Token)).Version.Should().Be(1);

        await made.PutAsync("/b");
        await made.PutAsync("/c");
        await made.PutAsync("/d");
        await network.Metadata.GiveAsync(3);
        await Until(() => drive.Live.Version == 3);
        await Until(() => network.Metadata.Ranges.Contains((4, 5, FetchPriority.Interactive)));
        Task<IDriveView> ready = drive.ReadyAsync(Token).AsTask();
        ready.IsCompleted.Should().BeFalse();
        await network.Metadata.AnswerAsync(4);
        (await ready).Version.Should().Be(4);
        await Until(() => network.Metadata.Ranges.All(range => range == (0, long.MaxValue, FetchPriority.Metadata)));
        network.Metadata.Ranges.Should().ContainSingle("little metadata is fetched whole");
    }

    [Fact]
    public async Task A_step_names_the_paths_that_changed_and_those_above_them()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await using HyperdriveDrive drive = made.Open();
        Steps steps = new(drive);
        await made.PutAsync("/a/b/c");
        (await steps.NextAsync()).Should().BeEquivalentTo(["/a", "/a/b", "/a/b/c"]);
        await made.PutAsync("/a/d");
        (await steps.NextAsync()).Should().BeEquivalentTo(["/a", "/a/d"]);
        await made.DeleteAsync("/a/b/c");
        (await steps.NextAsync()).Should().BeEquivalentTo(["/a", "/a/b", "/a/b/c"], "the directory went with its last entry");
        await made.PutAsync("/a/../x");
        (await steps.NextAsync()).Should().BeEquivalentTo(["/a"], "what is hidden is told by nobody");
        await made.PutAsync("/a/d/e");
        (await steps.NextAsync()).Should().BeEquivalentTo(["/a", "/a/d", "/a/d (file)", "/a/d/e"], "the file moved beside the directory");
        await made.DeleteAsync("/a/d/e");
        (await steps.NextAsync()).Should().BeEquivalentTo(["/a", "/a/d", "/a/d (file)", "/a/d/e"]);
    }

    [Fact]
    public async Task A_deletion_that_cuts_other_files_off_changes_everything()
    {
        // As append-tree does it (hyperdrive.md §2.5): /a/e/f goes with /a/b/d.
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/a/e/f");
        await made.PutAsync("/a/e/g");
        await made.PutAsync("/a/b/d");
        await made.DeleteAsync("/a/e/g");
        await made.PutAsync("/z");
        await using HyperdriveDrive drive = made.Open();
        Steps steps = new(drive);
        await made.NodeAsync("/a/b/d", null, [5]);
        (await steps.NextAsync()).Should().BeNull();
        (await drive.Live.FindAsync(DrivePath.From("/a"), Token)).Should().BeNull();
    }

    [Fact]
    public async Task Nodes_that_are_not_held_make_a_step_into_the_unknown()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/a");
        await using HyperdriveDrive drive = made.Clone(out CraftedDrive.GivingNetwork network, answers: false);
        await network.Metadata.GiveAsync(0);
        await network.Metadata.GiveAsync(1);
        await drive.ReadyAsync(Token);
        Steps steps = new(drive);
        await made.PutAsync("/b");
        await made.PutAsync("/c");
        await network.Metadata.GiveAsync(3);
        (await steps.NextAsync()).Should().BeNull();
    }

    [Fact]
    public async Task An_observer_that_fails_keeps_the_news_from_nobody()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await using HyperdriveDrive drive = made.Open();
        using IDisposable failing = drive.Observe(_ => throw new InvalidOperationException("on purpose"));
        Steps steps = new(drive);
        await made.PutAsync("/a");
        (await steps.NextAsync()).Should().Equal("/a");
        await made.PutAsync("/b");
        (await steps.NextAsync()).Should().Equal("/b");
    }

    [Fact]
    public async Task A_head_that_is_broken_is_passed_over()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/a");
        await using HyperdriveDrive drive = made.Open();
        await made.Metadata.AppendAsync([new byte[] { 0x0a, 0x05 }], Token);
        drive.Live.Version.Should().Be(1);
        (await FluentActions.Awaiting(async () => await drive.ReadyAsync(Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Corrupt);
        await made.NodeAsync("/b", CraftedDrive.Bytes(CraftedDrive.Stat()), [1, 3], [3]);
        (await drive.ReadyAsync(Token)).Version.Should().Be(3);
        (await drive.Live.ListAsync(DrivePath.Root, Token)).Should().HaveCount(2);
    }

    [Fact]
    public async Task A_time_means_the_last_version_that_is_not_newer()
    {
        FakeTimeProvider clock = new(DateTimeOffset.FromUnixTimeMilliseconds(10_000));
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.PutAsync("/a", CraftedDrive.Stat(time: 1000));
        await made.PutAsync("/b", CraftedDrive.Stat(time: 3000));
        await made.PutAsync("/c", CraftedDrive.Stat(time: 2000));
        await made.DeleteAsync("/c");
        await made.PutAsync("/future", CraftedDrive.Stat(time: 99_000));
        await made.PutAsync("/d", CraftedDrive.Stat(time: 5000) with { Ctime = 0 });
        await made.PutAsync("/e", CraftedDrive.Stat(time: 4000) with { Mtime = 9000 });
        await using HyperdriveDrive drive = made.Open(clock);
        foreach ((long time, long version) in ((long, long)[])[(0, 0), (999, 0), (1000, 1), (2999, 1), (3000, 5), (4999, 5), (5000, 7), (50_000, 7), (100_000, 7)])
            (await drive.VersionAtAsync(DateTimeOffset.FromUnixTimeMilliseconds(time), Token)).Should().Be(version, "at {0}", time);
    }

    [Fact]
    public async Task Versions_that_do_not_exist_or_cannot_be_had_are_told_apart()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await using HyperdriveDrive drive = made.Open();
        (await drive.CheckoutAsync(0, Token)).Version.Should().Be(0);
        (await FailureAsync(() => drive.CheckoutAsync(1, Token))).Should().Be((DatError.NotFound, "there is no version 1: no change is known yet"));
        await made.PutAsync("/a");
        await made.PutAsync("/b");
        (await FailureAsync(() => drive.CheckoutAsync(3, Token))).Should().Be((DatError.NotFound, "there is no version 3; the newest is 2"));
        (await FailureAsync(() => drive.CheckoutAsync(-1, Token))).Error.Should().Be(DatError.NotFound);
        (await (await drive.CheckoutAsync(1, Token)).ListAsync(DrivePath.Root, Token)).Should().ContainSingle();

        Feed alone = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = made.Metadata.Key });
        GivingSource source = new(made.Metadata, alone);
        await source.GiveAsync(0);
        await source.GiveAsync(2);
        await using HyperdriveDrive offline = new(alone, key => Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = key }), null);
        (DatError error, string message) = await FailureAsync(() => offline.CheckoutAsync(1, Token));
        error.Should().Be(DatError.Offline);
        message.Should().StartWith("version 1 is not stored here");
    }

    [Fact]
    public async Task Nothing_stored_and_nobody_to_ask_is_told_at_once()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        Feed metadata = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = made.Metadata.Key });
        await using HyperdriveDrive drive = new(metadata, _ => throw new InvalidOperationException("no header named it"), null);
        (await FailureAsync(() => drive.ReadyAsync(Token))).Error.Should().Be(DatError.Offline);
        (await drive.Live.ListAsync(DrivePath.Root, Token)).Should().BeEmpty();
    }

    [Theory]
    [InlineData("0a07687970657264621220", true, DatError.Unsupported, "hyperdb")]
    [InlineData("0a047468656d", false, DatError.Unsupported, "'them'")]
    [InlineData("0a061b5b33316d0a", false, DatError.Unsupported, @"'\u001B[31m\n'")]
    [InlineData("ffff", false, DatError.Unsupported, "not the header")]
    [InlineData("0a0a68797065726472697665", false, DatError.Corrupt, "content feed")]
    public async Task A_feed_that_is_no_hyperdrive_is_refused_with_what_was_found(string header, bool withKey, DatError error, string said)
    {
        await using Feed feed = Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { CreateKeyPair = true });
        await feed.AppendAsync([(byte[])[.. Convert.FromHexString(header), .. withKey ? new byte[32] : []]], Token);
        await using HyperdriveDrive drive = new(feed, _ => throw new InvalidOperationException("never opened"), null);
        drive.Failure!.Error.Should().Be(error);
        (DatError found, string message) = await FailureAsync(() => drive.ReadyAsync(Token));
        found.Should().Be(error);
        message.Should().Contain(said);
    }

    [Fact]
    public async Task Another_content_feed_in_the_place_of_the_named_one_is_refused()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        MemoryFolder folder = new();
        await Feed.Open(new FeedFiles(folder), new FeedOptions { CreateKeyPair = true }).DisposeAsync();
        await using HyperdriveDrive drive = new(made.Metadata, key => Feed.Open(new FeedFiles(folder), new FeedOptions { Key = key }), null);
        (await FailureAsync(() => drive.ReadyAsync(Token))).Error.Should().Be(DatError.KeyMismatch);
    }

    [Fact]
    public async Task Reading_ahead_makes_one_range_for_each_window_and_ends_it_when_it_is_here()
    {
        await using CraftedDrive made = await CraftedDrive.CreateAsync();
        await made.WriteAsync("/f", new byte[40 * HyperdriveWriter.BlockSize]);
        await using HyperdriveDrive drive = made.Clone(out CraftedDrive.GivingNetwork network);
        await network.Metadata.GiveAsync(0);
        await network.Metadata.GiveAsync(1);
        IDriveView live = await drive.ReadyAsync(Token);
        IFileContent content = live.OpenContent((await live.FindAsync(DrivePath.From("/f"), Token))!);
        for (int i = 0; i < 100; i++) content.Prefetch(0, 4 * HyperdriveWriter.BlockSize, FetchPriority.ReadAhead);
        network.Content!.Ranges.Should().ContainSingle().Which.Should().Be((0, 4, FetchPriority.ReadAhead));
        content.Prefetch(4 * HyperdriveWriter.BlockSize, 4 * HyperdriveWriter.BlockSize, FetchPriority.ReadAhead);
        network.Content.Ranges.Should().HaveCount(2);
        for (long block = 0; block < 4; block++) await network.Content.GiveAsync(block);
        network.Content.Ranges.Should().ContainSingle().Which.Should().Be((4, 8, FetchPriority.ReadAhead));
        content.LocalBytes().Should().Be(4 * HyperdriveWriter.BlockSize);
        for (int i = 0; i < 200; i++) drive.Prefetch(10 + (i % 30), 11 + (i % 30) + (i / 30), FetchPriority.ReadAhead);
        network.Content.Ranges.Count.Should().BeLessThanOrEqualTo(ReadAheadRanges.MaxRanges);
        await drive.DisposeAsync();
        network.Content.Ranges.Should().BeEmpty();
        network.Metadata.Ranges.Should().BeEmpty();
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<(DatError Error, string Message)> FailureAsync<T>(Func<ValueTask<T>> call)
    {
        DatException failure = (await FluentActions.Awaiting(async () => await call()).Should().ThrowAsync<DatException>()).Which;
        return (failure.Error, failure.Message);
    }

    private static async Task Until(Func<bool> condition)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(Token);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while (!condition())
        {
            patience.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    private sealed class Steps
    {
        private readonly System.Threading.Channels.Channel<DriveChange> _heard = System.Threading.Channels.Channel.CreateUnbounded<DriveChange>();

        public Steps(HyperdriveDrive drive) => drive.Observe(change => _heard.Writer.TryWrite(change));

        public async Task<string[]?> NextAsync() => (await _heard.Reader.ReadAsync(Token)).Paths?.Select(path => path.Text).ToArray();
    }
}
