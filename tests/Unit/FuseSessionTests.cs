using System.Collections.Concurrent;
using DatFs.Evidence;
using DatMount.Platform.Fuse;
using FluentAssertions;
using Microsoft.Extensions.Logging;
using Xunit;

namespace DatFs.Unit;

/// <summary>How requests live: waiting, interrupted, failing, forgotten (platform.md §3).</summary>
public sealed class FuseSessionTests
{
    [Fact]
    public async Task A_read_that_waits_does_not_hold_up_others_on_one_thread()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode slow = fs.File("slow", "late");
        TreeFsNode fast = fs.File("fast", "now");
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var open = new TaskCompletionSource();
        fs.Gate = async (op, node, ct) =>
        {
            if (op != "read" || node != slow) return;
            arrived.SetResult();
            await open.Task.WaitAsync(ct);
        };
        await using FuseHarness harness = await FuseHarness.StartAsync(fs, threads: 1);
        ulong slowHandle = await harness.OpenAsync(slow);
        ulong fastHandle = await harness.OpenAsync(fast);
        ulong waiting = harness.Post(Opcode.Read, slow.Id.Value, FuseHarness.ReadArguments(slowHandle, 0, 10));
        await arrived.Task.WaitAsync(TimeSpan.FromSeconds(20));

        (await harness.AskAsync(Opcode.Read, fast.Id.Value, FuseHarness.ReadArguments(fastHandle, 0, 10))).Payload().Text().Should().Be("now");
        harness.Session.Counters.InFlight.Should().Be(1);
        open.SetResult();
        byte[] late = await harness.Channel.NextAsync();
        late.Unique().Should().Be(waiting);
        late.Payload().Text().Should().Be("late");
    }

    [Fact]
    public async Task An_interrupt_cancels_the_request_it_means_and_only_that()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "x");
        TreeFsNode other = fs.File("b", "y");
        var arrived = new SemaphoreSlim(0);
        var open = new TaskCompletionSource();
        fs.Gate = async (op, _, ct) =>
        {
            if (op != "get") return;
            arrived.Release();
            await open.Task.WaitAsync(ct);
        };
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        ulong first = harness.Post(Opcode.GetAttr, file.Id.Value, w => w.U64(0).U64(0));
        ulong second = harness.Post(Opcode.GetAttr, other.Id.Value, w => w.U64(0).U64(0));
        await arrived.WaitAsync();
        await arrived.WaitAsync();

        harness.Channel.Send(FuseBytes.Request(Opcode.Interrupt, first | 1, 0, w => w.U64(first)));
        byte[] cancelled = await harness.Channel.NextAsync();
        (cancelled.Unique(), cancelled.Error()).Should().Be((first, -4));
        open.SetResult();
        byte[] answered = await harness.Channel.NextAsync();
        (answered.Unique(), answered.Error()).Should().Be((second, 0));
        harness.Channel.TryNext(out _).Should().BeFalse("an INTERRUPT that found its request has no reply");
    }

    [Fact]
    public async Task An_interrupt_that_overtakes_its_request_is_sent_again()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        harness.Channel.Send(FuseBytes.Request(Opcode.Interrupt, 9001, 0, w => w.U64(9000)));
        byte[] reply = await harness.Channel.NextAsync();
        (reply.Unique(), reply.Error()).Should().Be((9001UL, -11));
    }

    [Fact]
    public async Task A_token_is_fresh_for_each_request_although_requests_are_pooled()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        var tokens = new ConcurrentQueue<bool>();
        bool wait = true;
        fs.Gate = async (op, _, ct) =>
        {
            if (op != "get") return;
            if (wait) await Task.Delay(Timeout.Infinite, ct);
            tokens.Enqueue(ct.IsCancellationRequested);
        };
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        for (int i = 0; i < 50; i++)
        {
            wait = true;
            ulong unique = harness.Post(Opcode.GetAttr, 1, w => w.U64(0).U64(0));
            harness.Channel.Send(FuseBytes.Request(Opcode.Interrupt, unique | 1, 0, w => w.U64(unique)));
            (await harness.Channel.NextAsync()).Error().Should().Be(-4);
            wait = false;
            (await harness.AskAsync(Opcode.GetAttr, 1, w => w.U64(0).U64(0))).Error().Should().Be(0);
        }

        tokens.Should().HaveCount(50).And.OnlyContain(cancelled => !cancelled);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_exception_answers_EIO_and_the_session_lives(bool atOnce)
    {
        var fs = new TreeFs(FuseHarness.Caps());
        fs.Gate = async (op, _, _) =>
        {
            if (op != "get") return;
            if (!atOnce) await Task.Yield();
            throw new InvalidOperationException("a defect");
        };
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        (await harness.AskAsync(Opcode.GetAttr, 1, w => w.U64(0).U64(0))).Error().Should().Be(-5);
        (await harness.AskAsync(Opcode.StatFs, 1)).Error().Should().Be(0);
        harness.Log.Lines.Should().Contain("Error: GetAttr on node 1 failed");
    }

    [Fact]
    public async Task A_cancellation_nobody_asked_for_is_EIO()
    {
        var fs = new TreeFs(FuseHarness.Caps()) { Gate = (op, _, _) => op == "get" ? ValueTask.FromException(new OperationCanceledException()) : default };
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        (await harness.AskAsync(Opcode.GetAttr, 1, w => w.U64(0).U64(0))).Error().Should().Be(-5);
    }

    [Fact]
    public async Task Forgets_have_no_reply_and_bring_the_counts_to_zero()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        foreach (string name in (string[])["a", "b", "c"]) fs.File(name, name);
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        for (int i = 0; i < 3; i++)
            foreach (string name in (string[])["a", "b", "c"]) await harness.LookupAsync(1, name);
        ulong handle = (await harness.AskAsync(Opcode.OpenDir, 1, w => w.U32(0).U32(0))).Payload().U64(0);
        await harness.AskAsync(Opcode.ReadDirPlus, 1, FuseHarness.ReadArguments(handle, 0, 4096));
        fs.References().Should().Be(12);

        harness.Post(Opcode.Forget, fs.At("a").Id.Value, w => w.U64(4));
        harness.Post(Opcode.BatchForget, 0, w => w.U32(2).U32(0).U64(fs.At("b").Id.Value).U64(4).U64(fs.At("c").Id.Value).U64(4));
        (await harness.AskAsync(Opcode.StatFs, 1)).Error().Should().Be(0, "the next reply belongs to the next request");
        fs.References().Should().Be(0);
    }

    [Fact]
    public async Task A_batch_that_claims_more_than_it_holds_forgets_what_is_there()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        fs.File("a", "a");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        ulong node = await harness.LookupAsync(1, "a");
        harness.Post(Opcode.BatchForget, 0, w => w.U32(uint.MaxValue).U32(0).U64(node).U64(1).U64(1));
        (await harness.AskAsync(Opcode.StatFs, 1)).Error().Should().Be(0);
        fs.References().Should().Be(0);
    }

    [Fact]
    public async Task What_a_reply_nobody_takes_would_have_given_is_taken_back()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "a");
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        ulong directory = (await harness.AskAsync(Opcode.OpenDir, 1, w => w.U32(0).U32(0))).Payload().U64(0);
        harness.Channel.Refuse = reply => reply.Error() == 0 && reply.Unique() < 1_000_000 ? Errno.ENOENT : 0;

        harness.Post(Opcode.Lookup, 1, w => w.Name("a"));
        harness.Post(Opcode.MkDir, 1, w => w.U32(0x1FF).U32(0).Name("d"));
        harness.Post(Opcode.Open, file.Id.Value, w => w.U32(0).U32(0));
        harness.Post(Opcode.OpenDir, 1, w => w.U32(0).U32(0));
        harness.Post(Opcode.Create, 1, w => w.U32(2).U32(0x1FF).U32(0).U32(0).Name("new"));
        harness.Post(Opcode.ReadDirPlus, 1, FuseHarness.ReadArguments(directory, 0, 4096));
        harness.Channel.Send(FuseBytes.Request(Opcode.StatFs, 1_000_000, 1));
        (await harness.Channel.NextAsync()).Unique().Should().Be(1_000_000);
        fs.References().Should().Be(0);
        fs.OpenHandles.Should().Be(1, "only the folder whose reply arrived");
        harness.Log.Lines.Should().NotContain(line => line.StartsWith("Error"));
    }

    [Fact]
    public async Task A_reply_the_kernel_finds_wrong_becomes_EIO()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        harness.Channel.Refuse = reply => reply.Error() == 0 ? Errno.EINVAL : 0;
        (await harness.AskAsync(Opcode.StatFs, 1)).Error().Should().Be(-5);
        harness.Log.Lines.Should().ContainSingle(line => line.Contains("refused the reply to StatFs"));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 3)]
    [InlineData(16, 17)]
    [InlineData(17, 2)] // joined
    [InlineData(1000, 2)]
    public async Task Content_goes_out_in_the_pieces_it_lies_in_up_to_sixteen(int pieces, int parts)
    {
        var fs = new TreeFs(FuseHarness.Caps());
        byte[] data = new byte[pieces * 7];
        new Random(3).NextBytes(data);
        TreeFsNode file = fs.File("a", data);
        fs.Segment = 7;
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        ulong handle = await harness.OpenAsync(file);
        byte[] reply = await harness.AskAsync(Opcode.Read, file.Id.Value, FuseHarness.ReadArguments(handle, 0, 1 << 20));
        reply.Payload().Should().Equal(data);
        harness.Channel.MostParts.Should().Be(Math.Max(parts, 2));
        fs.LeasesOut.Should().Be(0);
    }

    [Fact]
    public async Task The_end_cancels_what_waits_and_gives_handles_back()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "x");
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        FuseHarness harness = await FuseHarness.StartAsync(fs, threads: 3);
        await harness.OpenAsync(file);
        ulong handle = await harness.OpenAsync(file);
        fs.Gate = async (_, _, ct) =>
        {
            arrived.SetResult();
            await Task.Delay(Timeout.Infinite, ct);
        };
        harness.Post(Opcode.Read, file.Id.Value, FuseHarness.ReadArguments(handle, 0, 4));
        await arrived.Task;
        harness.Channel.Unmount();
        (await harness.Channel.NextAsync()).Error().Should().Be(-4);
        await harness.Session.Completion.WaitAsync(TimeSpan.FromSeconds(20));
        fs.OpenHandles.Should().Be(0);
    }

    [Fact]
    public async Task The_end_waits_for_work_that_does_not_heed_its_cancellation()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var seen = new TaskCompletionSource();
        var mayEnd = new TaskCompletionSource();
        fs.Gate = async (op, _, ct) =>
        {
            if (op != "get") return;
            arrived.SetResult();
            await using CancellationTokenRegistration registered = ct.Register(seen.SetResult);
            await mayEnd.Task;
        };
        FuseHarness harness = await FuseHarness.StartAsync(fs, threads: 2);
        harness.Post(Opcode.GetAttr, 1, w => w.U64(0).U64(0));
        await arrived.Task;
        harness.Channel.Unmount();
        await seen.Task.WaitAsync(TimeSpan.FromSeconds(20));
        harness.Session.Completion.IsCompleted.Should().BeFalse();
        harness.Channel.Disposed.Should().BeFalse();
        mayEnd.SetResult();
        await harness.Session.Completion.WaitAsync(TimeSpan.FromSeconds(20));
        harness.Channel.Disposed.Should().BeTrue();
        fs.OpenHandles.Should().Be(0);
        fs.Notifier.Should().BeNull("the subscription ended");
    }

    [Fact]
    public async Task Aborted_and_interrupted_reads_of_the_channel_are_read_again()
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()));
        foreach (int errno in (int[])[Errno.ENOENT, Errno.EINTR, Errno.EAGAIN]) harness.Channel.SendError(errno);
        (await harness.AskAsync(Opcode.StatFs, 1)).Error().Should().Be(0);
    }

    [Fact]
    public async Task A_handle_is_disposed_after_its_last_use_although_release_came_first()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        TreeFsNode file = fs.File("a", "x");
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var open = new TaskCompletionSource();
        await using FuseHarness harness = await FuseHarness.StartAsync(fs);
        ulong handle = await harness.OpenAsync(file);
        fs.Gate = async (op, _, _) =>
        {
            if (op != "read") return;
            arrived.SetResult();
            await open.Task;
        };
        harness.Post(Opcode.Read, file.Id.Value, FuseHarness.ReadArguments(handle, 0, 4));
        await arrived.Task;
        (await harness.AskAsync(Opcode.Release, file.Id.Value, w => w.U64(handle).U64(0).U64(0))).Error().Should().Be(0);
        fs.OpenHandles.Should().Be(1);
        open.SetResult();
        (await harness.Channel.NextAsync()).Payload().Text().Should().Be("x");
        SpinWait.SpinUntil(() => fs.OpenHandles == 0, TimeSpan.FromSeconds(20)).Should().BeTrue();
    }

    [Theory]
    [InlineData(1000u, 0)]
    [InlineData(0u, 0)]
    [InlineData(1001u, -13)]
    public async Task With_allow_root_only_the_owner_and_root_get_in(uint uid, int error)
    {
        await using FuseHarness harness = await FuseHarness.StartAsync(new TreeFs(FuseHarness.Caps()), onlyFor: 1000);
        harness.Channel.Send(FuseBytes.Request(Opcode.OpenDir, 900, 1, w => w.U64(0), uid));
        (await harness.Channel.NextAsync()).Error().Should().Be(error);
        harness.Channel.Send(FuseBytes.Request(Opcode.ReleaseDir, 902, 1, w => w.U64(0).U64(0).U64(0), uid));
        (await harness.Channel.NextAsync()).Error().Should().Be(0);
    }

    [Fact]
    public async Task Trace_shows_each_request_and_reply_without_names()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        fs.File("secret-name", "x");
        var log = new FuseLogLines { Lowest = LogLevel.Trace };
        var channel = new FuseChannelFake();
        var session = new FuseSession(fs, channel, new SessionOptions { Threads = 1 }, log);
        session.Start();
        channel.Send(FuseBytes.Init(7, 45, 131072, uint.MaxValue, uint.MaxValue));
        channel.Send(FuseBytes.Request(Opcode.Lookup, 8, 1, w => w.Name("secret-name")));
        await channel.NextAsync();
        await channel.NextAsync();
        channel.Unmount();
        await session.Completion;
        log.Lines.Should().Contain("Trace: request 8 Lookup node 1 52 bytes from pid 77")
            .And.Contain("Trace: reply to 8 Lookup node 1: errno 0, 128 bytes")
            .And.NotContain(line => line.Contains("secret"));
    }

    [Fact]
    public async Task Many_threads_answer_each_request_exactly_once()
    {
        var fs = new TreeFs(FuseHarness.Caps());
        fs.Gate = async (op, _, _) =>
        {
            if (op == "get" && Random.Shared.Next(2) == 0) await Task.Yield();
        };
        await using FuseHarness harness = await FuseHarness.StartAsync(fs, threads: 4);
        var expected = Enumerable.Range(0, 5000).Select(_ => harness.Post(Opcode.GetAttr, 1, w => w.U64(0).U64(0))).ToHashSet();
        for (int i = 0; i < 5000; i++) expected.Remove((await harness.Channel.NextAsync()).Unique()).Should().BeTrue();
        expected.Should().BeEmpty();
        harness.Channel.TryNext(out _).Should().BeFalse();
    }
}
