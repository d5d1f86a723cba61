using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>Keep-alive, silence and slowness (wire-protocol.md §3.6, §9.1), under a clock that only the test moves.</summary>
public sealed class WireDeadlineTests
{
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(250);

    [Fact]
    public async Task A_silent_remote_is_dropped_after_twenty_seconds()
    {
        await using WireSite site = new();
        await site.GreetAsync();
        site.Time.Advance(WireConnection.MaxSilence - s_tick);
        site.Connection.IsClosed.Should().BeFalse();
        await site.Peer.SendAsync([0]);
        site.WaitUntilHandled(103);
        site.Time.Advance(WireConnection.MaxSilence - s_tick);
        site.Connection.IsClosed.Should().BeFalse("any byte counts");
        site.Time.Advance(s_tick);
        await site.ShouldRefuseAsync("nothing received for 20 s");
    }

    [Fact]
    public async Task A_remote_that_never_ends_its_half_is_left_soon_after_we_ended_ours()
    {
        await using WireSite site = new();
        await site.GreetAsync();
        site.Connection.End();
        (await site.Remote.Input.ReadAtLeastAsync(int.MaxValue)).IsCompleted.Should().BeTrue("our half has ended");
        site.Time.Advance(WireConnection.Farewell - s_tick);
        site.Connection.IsClosed.Should().BeFalse();
        await site.Peer.SendAsync([0]);
        site.WaitUntilHandled(103);
        site.Time.Advance(s_tick);
        (await site.Recorder.ClosedAsync()).Should().BeNull("there was nothing wrong");
    }

    [Fact]
    public async Task A_keep_alive_leaves_after_three_seconds_without_sending()
    {
        await using WireSite site = new();
        byte[] firstFlight = await site.Peer.ReadAsync(102);
        using XSalsa20Stream decipher = new(WireSite.Feed, firstFlight.AsSpan(38, XSalsa20Stream.NonceSize));
        decipher.Apply(firstFlight.AsSpan(62));
        WireChannel channel = await site.GreetAsync();

        site.Time.Advance(WireConnection.KeepAliveAfter - s_tick);
        channel.Send(new InfoMessage(true, true));
        byte[] info = await site.Peer.ReadAsync(6);
        decipher.Apply(info);
        Convert.ToHexStringLower(info).Should().Be("050208011001");
        WireSite.WaitUntil(() => site.Connection.Traffic.Sent == 108, "the message left");

        site.Time.Advance(WireConnection.KeepAliveAfter - s_tick);
        site.Connection.Traffic.Sent.Should().Be(108);
        site.Time.Advance(s_tick);
        byte[] keepAlive = await site.Peer.ReadAsync(1);
        decipher.Apply(keepAlive);
        keepAlive.Should().Equal(0);
    }

    [Fact]
    public async Task An_acceptor_says_nothing_before_its_own_feed()
    {
        await using WireSite site = new(acceptor: true);
        WireSite.WaitUntil(() => site.Connection.IsWaiting, "the remote's feed is awaited");
        site.Time.Advance(WireConnection.MaxHandshakeTime - s_tick);
        site.Connection.Traffic.Sent.Should().Be(0);
        site.Connection.IsClosed.Should().BeFalse();
        site.Time.Advance(s_tick);
        await site.ShouldRefuseAsync("no Feed and Handshake*");
    }

    [Fact]
    public async Task An_idle_live_pair_stays_connected()
    {
        FakeTimeProvider time = new();
        (MemoryTransport left, MemoryTransport right) = MemoryTransport.CreatePair();
        WireRecorder atA = new(), atB = new();
        await using WireConnection a = new(left, atA, WireConnectionTests.Options("a") with { Time = time }, WireSite.Feed);
        await using WireConnection b = new(right, atB, WireConnectionTests.Options("b") with { Time = time }, WireSite.Feed);
        _ = a.RunAsync(CancellationToken.None);
        _ = b.RunAsync(CancellationToken.None);
        for (int round = 0; round < 100; round++)
        {
            WireSite.WaitUntil(() => a.Traffic.Received >= 102 + round && b.Traffic.Received >= 102 + round && a.IsWaiting && b.IsWaiting, $"round {round}");
            time.Advance(WireConnection.KeepAliveAfter);
        }

        (a.IsClosed || b.IsClosed).Should().BeFalse();
    }

    [Fact]
    public async Task A_feed_without_a_handshake_is_given_ten_seconds()
    {
        await using WireSite site = new();
        await site.Peer.SendFeedAsync();
        site.WaitUntilHandled(62);
        site.Time.Advance(WireConnection.MaxHandshakeTime - s_tick);
        site.Connection.IsClosed.Should().BeFalse();
        site.Time.Advance(s_tick);
        await site.ShouldRefuseAsync("no Feed and Handshake*");
    }

    [Fact]
    public async Task A_frame_that_trickles_in_closes_after_thirty_seconds()
    {
        await using WireSite site = new();
        await site.GreetAsync();
        await site.Peer.SendAsync([0x40, 0x05]);
        long received = 104;
        for (int i = 0; i < 5; i++)
        {
            site.WaitUntilHandled(received++);
            site.Time.Advance(TimeSpan.FromSeconds(5));
            site.Connection.IsClosed.Should().BeFalse();
            await site.Peer.SendAsync([0x08]);
        }

        site.WaitUntilHandled(received);
        site.Time.Advance(TimeSpan.FromSeconds(5));
        await site.ShouldRefuseAsync("a frame that arrives at less than 1 KiB/s");
    }

    [Fact]
    public async Task A_long_frame_at_an_honest_pace_arrives()
    {
        await using WireSite site = new();
        WireChannel channel = await site.GreetAsync();
        channel.Send(new RequestMessage(3, 0, false, 0));
        Proof proof = new(3, new byte[200 * 1024], [], null);
        byte[] frame = RawPeer.Frame(0, FrameType.Data, RawPeer.Body(proof));
        const int piece = 10 * 1024;
        for (int at = 0; at < frame.Length; at += piece)
        {
            int count = Math.Min(piece, frame.Length - at);
            await site.Peer.SendAsync(frame[at..(at + count)]);
            site.WaitUntilHandled(102 + at + count);
            site.Time.Advance(TimeSpan.FromSeconds(5));
        }

        (await site.Recorder.NextAsync()).Should().Be(WireRecorder.Format(proof));
        site.Connection.IsClosed.Should().BeFalse();
    }

    [Fact]
    public async Task Time_that_our_own_handler_takes_is_not_the_remotes_silence()
    {
        TaskCompletionSource busy = new();
        await using WireSite site = new(recorder: new WireRecorder { Message = (_, _) => new ValueTask(busy.Task) });
        await site.GreetAsync();
        // The second frame is open when the handler begins with the first.
        await site.Peer.SendAsync([0x03, 0x05, 0x08, 0x00, 0x05, 0x05]);
        (await site.Recorder.NextAsync()).Should().Be("want 0 -");
        site.Time.Advance(10 * WireConnection.MaxSilence);
        site.Connection.IsClosed.Should().BeFalse();
        busy.SetResult();
        site.WaitUntilHandled(108);
        site.Time.Advance(WireConnection.MaxSilence - s_tick);
        site.Connection.IsClosed.Should().BeFalse();
        site.Time.Advance(s_tick);
        await site.ShouldRefuseAsync("nothing received for 20 s");
    }
}
