using DatFs.Evidence;
using DatFs.FileSystem;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>Waiting for what is not here: it ends with the timeout, with the caller, or with an answer (platform.md §3, reliability.md §2.7).</summary>
public sealed class TimeoutTests : FakeDriveTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);
    private readonly FakeTimeProvider _time = new();
    private readonly TaskCompletionSource _arrival = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _progress;
    private bool _connected = true;

    public static TheoryData<FakeAsk> Waits => [FakeAsk.Ready, FakeAsk.Find, FakeAsk.List, FakeAsk.Read];

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_call_for_which_nothing_arrives_times_out(FakeAsk waiting)
    {
        await using DatFileSystem fs = Mount(waiting);
        Task<FsError> call = CallAsync(fs, waiting, default);
        _time.Advance(s_timeout - TimeSpan.FromSeconds(1));
        call.IsCompleted.Should().BeFalse();
        _time.Advance(s_timeout / 4);
        (await Ended(call)).Should().Be(FsError.TimedOut);
        Drive.Delay = null;
        (await CallAsync(fs, waiting, default)).Should().Be(FsError.None, "the next call starts anew");
    }

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task Without_a_peer_the_reason_is_that_nobody_is_there(FakeAsk waiting)
    {
        _connected = false;
        await using DatFileSystem fs = Mount(waiting);
        Task<FsError> call = CallAsync(fs, waiting, default);
        _time.Advance(s_timeout);
        (await Ended(call)).Should().Be(FsError.Offline);
    }

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_slow_link_that_makes_progress_never_times_out(FakeAsk waiting)
    {
        await using DatFileSystem fs = Mount(waiting);
        Task<FsError> call = CallAsync(fs, waiting, default);
        for (int minute = 0; minute < 60; minute++)
        {
            _progress++;
            _time.Advance(s_timeout / 2);
        }

        call.IsCompleted.Should().BeFalse();
        _arrival.SetResult();
        (await Ended(call)).Should().Be(FsError.None);
    }

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task Progress_that_stops_ends_the_wait_one_timeout_later(FakeAsk waiting)
    {
        await using DatFileSystem fs = Mount(waiting);
        Task<FsError> call = CallAsync(fs, waiting, default);
        Pass(s_timeout / 2);
        _progress++;
        Pass(s_timeout * 0.9);
        call.IsCompleted.Should().BeFalse();
        Pass(s_timeout / 2);
        (await Ended(call)).Should().Be(FsError.TimedOut);
    }

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_timeout_of_zero_waits_for_ever(FakeAsk waiting)
    {
        await using DatFileSystem fs = Mount(waiting, TimeSpan.Zero);
        Task<FsError> call = CallAsync(fs, waiting, default);
        _time.Advance(TimeSpan.FromDays(365));
        call.IsCompleted.Should().BeFalse();
        _arrival.SetResult();
        (await Ended(call)).Should().Be(FsError.None);
    }

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_caller_that_gives_up_is_interrupted(FakeAsk waiting)
    {
        await using DatFileSystem fs = Mount(waiting);
        using CancellationTokenSource caller = new();
        Task<FsError> call = CallAsync(fs, waiting, caller.Token);
        call.IsCompleted.Should().BeFalse();
        await caller.CancelAsync();
        (await Ended(call)).Should().Be(FsError.Interrupted);
        (await CallAsync(fs, waiting, caller.Token)).Should().Be(FsError.Interrupted, "it had given up before it asked");
    }

    [Fact]
    public async Task The_root_answers_at_once_while_nothing_is_here()
    {
        await using DatFileSystem fs = Mount(FakeAsk.Ready);
        NodeInfo root = AtOnce(fs.GetAsync(NodeId.Root, null, default)).Value;
        (root.Kind, root.Mode, root.Links, root.AttrTtl).Should().Be((NodeKind.Directory, 0x16Du, 2u, TimeSpan.Zero));
        AtOnce(fs.LookupAsync(NodeId.Root, ".dat")).Ok.Should().BeTrue();
        AtOnce(fs.StatAsync(default)).Ok.Should().BeTrue();
        _arrival.SetResult();
        (await CallAsync(fs, FakeAsk.Ready, default)).Should().Be(FsError.None);
        AtOnce(fs.GetAsync(NodeId.Root, null, default)).Value.AttrTtl.Should().BeNull();
    }

    [Fact]
    public async Task The_root_answers_from_what_was_known_while_its_newest_entry_is_not_here()
    {
        await using DatFileSystem fs = Mount(FakeAsk.Read);
        NodeInfo before = AtOnce(fs.GetAsync(NodeId.Root, null, default)).Value;
        Drive.Delay = call => call.Path.IsRoot ? _arrival.Task : null;
        Drive.Publish(("/new", FakeEntry.File("") with { MtimeMs = 1_600_000_000_000 }));
        NodeInfo meanwhile = AtOnce(fs.GetAsync(NodeId.Root, null, default)).Value;
        meanwhile.MtimeNs.Should().Be(before.MtimeNs);
        meanwhile.AttrTtl.Should().Be(TimeSpan.Zero);
    }

    [Fact]
    public async Task Readers_of_what_is_here_do_not_wait_for_one_that_hangs()
    {
        await using DatFileSystem fs = Mount(FakeAsk.Read);
        Task<FsError> hanging = CallAsync(fs, FakeAsk.Read, default);
        Drive.Delay = null;
        (await fs.ReadAsync("/d/f")).Should().Be("content");
        (await fs.ListAsync("/d")).Should().Equal("f");
        hanging.IsCompleted.Should().BeFalse();
        _arrival.SetResult();
        await hanging;
    }

    [Theory]
    [MemberData(nameof(Waits))]
    public async Task A_drive_that_does_not_listen_to_who_gives_up_does_not_hold_them(FakeAsk waiting)
    {
        Drive.IgnoreCallers = true;
        await using DatFileSystem fs = Mount(waiting);
        Task<FsError> call = CallAsync(fs, waiting, default);
        _time.Advance(s_timeout);
        (await Ended(call)).Should().Be(FsError.TimedOut);
    }

    [Fact]
    public async Task Bytes_that_come_after_their_reader_left_are_given_back()
    {
        await using DatFileSystem fs = Mount(FakeAsk.Read);
        Drive.IgnoreCallers = true;
        Task<FsError> call = CallAsync(fs, FakeAsk.Read, default);
        _time.Advance(s_timeout);
        (await Ended(call)).Should().Be(FsError.TimedOut);
        _arrival.SetResult();
        await Drive.LeaseReturned;
    }

    [Theory]
    [InlineData(DatError.Offline, FsError.Offline)]
    [InlineData(DatError.TimedOut, FsError.TimedOut)]
    [InlineData(DatError.Corrupt, FsError.Corrupt)]
    [InlineData(DatError.Io, FsError.Io)]
    [InlineData(DatError.NotFound, FsError.NotFound)]
    [InlineData(DatError.Locked, FsError.Busy)]
    [InlineData(DatError.KeyMismatch, FsError.Corrupt)]
    [InlineData(DatError.Forked, FsError.Corrupt)]
    [InlineData(DatError.NotWritable, FsError.ReadOnly)]
    [InlineData(DatError.Invalid, FsError.Invalid)]
    [InlineData(DatError.Unsupported, FsError.NotSupported)]
    public async Task What_the_drive_says_reaches_the_caller(DatError error, FsError expected)
    {
        await using DatFileSystem fs = Mount(FakeAsk.Read);
        Drive.Delay = call => call.Ask == FakeAsk.Read ? Task.FromException(new DatException(error, "it is so")) : null;
        (await CallAsync(fs, FakeAsk.Read, default)).Should().Be(expected);
        Drive.Delay = call => call.Ask == FakeAsk.Read ? throw new DatException(error, "it is so") : null;
        (await CallAsync(fs, FakeAsk.Read, default)).Should().Be(expected);
    }

    [Fact]
    public void Every_error_of_the_layers_below_has_its_outcome() =>
        Enum.GetValues<DatError>().Select(FsErrors.From).Should().NotContain(FsError.None);

    /// <summary>Lets time pass in steps, as a timer that looks at the clock sees it.</summary>
    private void Pass(TimeSpan time)
    {
        TimeSpan step = TimeSpan.FromSeconds(1);
        for (; time > step; time -= step) _time.Advance(step);
        _time.Advance(time);
    }

    /// <summary>A call that must end now; the limit only keeps a broken one from hanging the run.</summary>
    private static Task<FsError> Ended(Task<FsError> call) => call.WaitAsync(TimeSpan.FromSeconds(20));

    private DatFileSystem Mount(FakeAsk waiting, TimeSpan? timeout = null)
    {
        Drive.Publish(("/d/f", FakeEntry.File("content")));
        Drive.Delay = call => call.Ask == waiting && (waiting != FakeAsk.Find || !call.Path.IsRoot) ? _arrival.Task : null;
        return new DatFileSystem(Drive, new MountFsOptions
        {
            Time = _time,
            IoTimeout = timeout ?? s_timeout,
            Progress = () => _progress,
            Connected = () => _connected,
        });
    }

    /// <summary>A call that needs the answer to one kind of question.</summary>
    private static async Task<FsError> CallAsync(DatFileSystem fs, FakeAsk waiting, CancellationToken ct)
    {
        if (waiting is FakeAsk.Ready or FakeAsk.Find)
        {
            Result<NodeInfo> found = await fs.LookupAsync(NodeId.Root, "d", ct);
            return found.Error;
        }

        if (waiting == FakeAsk.List)
        {
            Result<IDirHandle> opened = await fs.OpenDirAsync(NodeId.Root, ct);
            if (opened.Ok) await opened.Value.DisposeAsync();
            return opened.Error;
        }

        await using IFileHandle handle = await fs.OpenAsync((await fs.NodeAsync("/d/f")).Id);
        Result<ReadLease> read = await handle.ReadAsync(0, 7, ct);
        if (read.Ok) read.Value.Dispose();
        return read.Error;
    }
}
