using System.Buffers;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Google.Protobuf;
using Xunit;

namespace DatFs.Unit;

/// <summary>The bounds of wire-protocol.md §9.1 that end one connection: what a remote may send, and how much.</summary>
public sealed class WireBoundsTests
{
    private const int KiB = 1024;

    [Theory]
    [InlineData("3d01", "another type")]
    [InlineData("3d10", "another channel")]
    [InlineData("8101", "129 bytes")]
    [InlineData("ffffffff", "a length without end")]
    [InlineData("00", "a keep-alive")]
    [InlineData("0100", "an empty body")]
    [InlineData("04000a0101", "a discovery key of one byte")]
    public async Task A_first_frame_that_is_no_feed_closes(string bytes, string because)
    {
        await using WireSite site = new();
        await site.Peer.SendClearAsync(Convert.FromHexString(bytes));
        await site.ShouldRefuseAsync("the first frame is not a Feed*", because);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(23)]
    [InlineData(32)]
    public async Task A_first_nonce_of_another_length_closes(int length)
    {
        await using WireSite site = new();
        await site.Peer.SendClearAsync(RawPeer.Frame(0, FrameType.Feed, MessageCodec.Encode(WireSite.Feed.ToDiscoveryKey(), new byte[length]).ToByteArray()));
        await site.ShouldRefuseAsync("the first frame is not a Feed*");
    }

    [Fact]
    public async Task A_first_frame_may_have_fields_we_do_not_know()
    {
        await using WireSite site = new();
        await site.Peer.GreetAsync(padding: 65);
        (await site.Recorder.NextAsync()).Should().Be("handshake");
    }

    [Fact]
    public async Task Another_first_feed_closes()
    {
        await using WireSite site = new();
        await site.Peer.SendFeedAsync(WireConnectionTests.Key("another"));
        await site.ShouldRefuseAsync("the remote's first feed is not ours");
    }

    [Fact]
    public async Task Our_own_bytes_sent_back_close()
    {
        await using WireSite site = new();
        byte[] ours = await site.Peer.ReadAsync(102);
        await site.Peer.SendClearAsync(ours);
        await site.ShouldRefuseAsync("our own bytes came back*");
    }

    [Fact]
    public async Task A_remote_without_the_key_is_found_out()
    {
        await using WireSite site = new();
        await site.Peer.SendFeedAsync();
        await site.Peer.SendClearAsync([.. Enumerable.Repeat((byte)0x5a, 200)]);
        (await site.Recorder.ClosedAsync()).Should().BeOfType<ProtocolViolationException>();
        site.Recorder.Rest().Should().BeEmpty("nobody was told of a peer");
    }

    [Theory]
    [InlineData("00", "a keep-alive")]
    [InlineData("03050800", "a Want")]
    [InlineData("0101", "a Handshake without a body")]
    [InlineData("0301080a", "a malformed Handshake")]
    public async Task Anything_but_a_handshake_first_closes(string frame, string because)
    {
        await using WireSite site = new();
        await site.Peer.SendFeedAsync();
        await site.Peer.SendAsync(Convert.FromHexString(frame));
        (await site.Recorder.ClosedAsync()).Should().BeOfType<ProtocolViolationException>(because);
        site.Recorder.Rest().Should().NotContain("handshake");
    }

    [Fact]
    public async Task A_second_handshake_is_ignored()
    {
        await using WireSite site = new();
        await site.GreetAsync();
        await site.Peer.SendHandshakeAsync(WireConnectionTests.Id("someone else"));
        await site.ShouldLiveAsync();
        site.Connection.RemoteHandshake!.Id.ToArray().Should().Equal(WireConnectionTests.Id("raw"));
    }

    [Theory]
    [InlineData("ffffffff", "it does not end within four bytes")]
    [InlineData("81808004", "it is one byte above 8 MiB")]
    public async Task A_frame_length_beyond_8_MiB_closes(string length, string because)
    {
        await using WireSite site = new();
        await site.GreetAsync();
        await site.Peer.SendAsync(Convert.FromHexString(length));
        await site.ShouldRefuseAsync("a frame length above 8 MiB*", because);
    }

    [Fact]
    public async Task A_header_that_does_not_end_in_its_frame_closes()
    {
        await using WireSite site = new();
        await site.GreetAsync();
        await site.Peer.SendAsync([0x02, 0x85, 0x80]);
        await site.ShouldRefuseAsync("a frame header*");
    }

    [Fact]
    public async Task Channel_256_closes_and_255_does_not()
    {
        await using WireSite site = new();
        await site.GreetAsync();
        await site.Peer.OpenAsync(255, WireConnectionTests.Key("the last"));
        await site.ShouldLiveAsync();
        await site.Peer.SendHeaderAsync(256, FrameType.Feed, 36);
        await site.ShouldRefuseAsync("a channel number*");
    }

    [Theory]
    [InlineData(5)]
    [InlineData(12)]
    [InlineData(15)]
    public async Task A_message_on_a_channel_that_no_feed_opened_closes(byte type)
    {
        await using WireSite site = new();
        await site.GreetAsync();
        await site.Peer.SendAsync(1, (FrameType)type, "0800");
        await site.ShouldRefuseAsync("a message on a channel that no Feed opened");
    }

    [Theory]
    [InlineData(0, 4 * KiB)]
    [InlineData(1, 64 * KiB + 16)]
    [InlineData(2, 4 * KiB)]
    [InlineData(4, 4 * KiB)]
    [InlineData(5, 4 * KiB)]
    [InlineData(6, 4 * KiB)]
    [InlineData(7, 4 * KiB)]
    [InlineData(8, 4 * KiB)]
    [InlineData(9, 4 * KiB)]
    [InlineData(10, 4 * KiB)]
    [InlineData(15, 64 * KiB + 16)]
    public async Task A_length_above_the_bound_of_its_type_closes_before_the_body_comes(byte type, int bound)
    {
        await using (WireSite allowed = new())
        {
            await allowed.GreetAsync();
            await allowed.Peer.SendHeaderAsync(0, (FrameType)type, bound);
            allowed.WaitUntilHandled(104);
            allowed.Connection.IsClosed.Should().BeFalse();
        }

        await using WireSite site = new();
        await site.GreetAsync();
        await site.Peer.SendHeaderAsync(0, (FrameType)type, bound + 1);
        await site.ShouldRefuseAsync($"a frame of {bound + 1} bytes*");
    }

    [Fact]
    public async Task Blocks_are_received_only_where_one_was_asked_for()
    {
        await using WireSite site = new();
        WireChannel channel = await site.GreetAsync();
        channel.Send(new RequestMessage(1, 0, false, 0));
        byte[] block = new byte[100 * KiB];
        await site.Peer.SendAsync(RawPeer.Frame(0, FrameType.Data, RawPeer.Body(new Proof(1, block, [], null))));
        (await site.Recorder.NextAsync()).Should().StartWith("data 1 ");
        channel.RequestsInFlight.Should().Be(0);
        await site.Peer.SendHeaderAsync(0, FrameType.Data, block.Length);
        await site.ShouldRefuseAsync("a frame of*");
    }

    [Fact]
    public async Task A_long_have_is_the_first_with_a_bitfield_and_of_the_legacy_form()
    {
        byte[] bitfield = new byte[200 * KiB];
        byte[] legacy = MessageCodec.Encode(new HaveMessage(0, null, bitfield, false)).ToByteArray();
        byte[] ranged = MessageCodec.Encode(new HaveMessage(0, 1048576, bitfield, false)).ToByteArray();

        await using WireSite site = new();
        await site.GreetAsync();
        await site.Peer.SendAsync(0, FrameType.Have, "08ff01");
        await site.Peer.SendAsync(RawPeer.Frame(0, FrameType.Have, legacy));
        (await site.Recorder.NextAsync()).Should().StartWith("have 255 ");
        (await site.Recorder.NextAsync()).Should().StartWith("have 0 - 00");
        await site.Peer.SendHeaderAsync(0, FrameType.Have, 160 * KiB + 1);
        await site.ShouldRefuseAsync("a frame of*");

        await using WireSite other = new();
        await other.GreetAsync();
        await other.Peer.SendAsync(RawPeer.Frame(0, FrameType.Have, ranged));
        await other.ShouldRefuseAsync("a Have above 160 KiB*");
    }

    [Fact]
    public async Task Seventeen_messages_wait_for_a_feed_and_the_next_closes()
    {
        await using WireSite site = new();
        await site.GreetAsync("session-data");
        await site.Peer.OpenAsync(1, WireConnectionTests.Key("later"));
        for (int i = 0; i < RemoteChannel.MaxEarlyMessages; i++) await site.Peer.SendAsync(1, FrameType.Want, "0800");
        await site.Peer.SendAsync(1, FrameType.Extension, "00aa");
        await site.ShouldLiveAsync();
        await site.Peer.SendAsync(1, FrameType.Want, "0800");
        await site.ShouldRefuseAsync("more than 17 messages*");
    }

    [Fact]
    public async Task Messages_that_wait_share_one_MiB()
    {
        await using WireSite site = new();
        await site.GreetAsync();
        byte[] have = RawPeer.Frame(1, FrameType.Have, MessageCodec.Encode(new HaveMessage(0, null, new byte[900 * KiB], false)).ToByteArray());
        await site.Peer.OpenAsync(1, WireConnectionTests.Key("later"));
        await site.Peer.SendAsync(have);
        await site.ShouldLiveAsync();
        await site.Peer.OpenAsync(1, WireConnectionTests.Key("another on the same number gives the room back"));
        await site.Peer.SendAsync(have);
        await site.ShouldLiveAsync();
        await site.Peer.OpenAsync(2, WireConnectionTests.Key("even later"));
        await site.Peer.SendAsync(RawPeer.Frame(2, FrameType.Have, MessageCodec.Encode(new HaveMessage(0, null, new byte[150 * KiB], false)).ToByteArray()));
        await site.ShouldRefuseAsync("more than 1 MiB*");
    }

    [Theory]
    [InlineData(32)]
    [InlineData(255)]
    public async Task Feeds_that_are_unknown_here_are_counted(int bound)
    {
        await using WireSite site = new(options: o => o with { MaxUnknownChannels = Math.Min(bound, 256) });
        await site.GreetAsync();
        for (int i = 1; i <= bound; i++) await site.Peer.OpenAsync(i, WireConnectionTests.Key($"unknown {i}"));
        await site.ShouldLiveAsync();
        if (bound == 255) return;
        await site.Peer.OpenAsync(bound + 1, WireConnectionTests.Key("one more"));
        await site.ShouldRefuseAsync("too many feeds*");
    }

    [Fact]
    public async Task A_feed_on_a_used_number_closes_the_old_channel_and_opens_the_new()
    {
        FeedKey content = WireConnectionTests.Key("content");
        await using WireSite site = new();
        WireChannel first = await site.GreetAsync();
        WireChannel second = site.Connection.Open(content);
        await site.Peer.OpenAsync(0, content);
        (await site.Recorder.NextAsync()).Should().Be($"closed {first.DiscoveryKey}");
        (await site.Recorder.NextAsync()).Should().Be($"open {second.DiscoveryKey}");
        first.RemoteOpen.Should().BeFalse();
        second.RemoteOpen.Should().BeTrue();
        await site.Peer.SendAsync(0, FrameType.Want, "0800");
        (await site.Recorder.NextAsync()).Should().Be("want 0 -");
    }

    [Fact]
    public async Task A_feed_opened_again_under_another_number_moves_there()
    {
        await using WireSite site = new();
        WireChannel channel = await site.GreetAsync();
        await site.Peer.OpenAsync(1, WireSite.Feed);
        (await site.Recorder.NextAsync()).Should().Be($"closed {channel.DiscoveryKey}");
        (await site.Recorder.NextAsync()).Should().Be($"open {channel.DiscoveryKey}");
        await site.Peer.SendAsync(0, FrameType.Want, "0800");
        await site.Peer.SendAsync(1, FrameType.Want, "0801");
        (await site.Recorder.NextAsync()).Should().Be("want 1 -", "the old number means nothing any more");
    }

    [Fact]
    public async Task A_malformed_message_is_dropped_and_counted()
    {
        await using WireSite site = new();
        await site.GreetAsync();
        for (byte type = (byte)FrameType.Info; type <= (byte)FrameType.Data; type++) await site.Peer.SendAsync(0, (FrameType)type, "0b");
        await site.ShouldLiveAsync();
        site.Connection.DroppedFrames.Should().Be(8);
    }

    [Fact]
    public async Task A_malformed_answer_closes_where_one_is_awaited()
    {
        await using WireSite site = new();
        WireChannel channel = await site.GreetAsync();
        await site.Peer.SendAsync(0, FrameType.Data, "1205");
        await site.ShouldLiveAsync();
        channel.Send(new RequestMessage(1, 0, false, 0));
        await site.Peer.SendAsync(0, FrameType.Data, "1205");
        await site.ShouldRefuseAsync("an answer that cannot be read");
    }

    [Fact]
    public async Task A_malformed_feed_closes()
    {
        await using WireSite site = new();
        await site.GreetAsync();
        await site.Peer.SendAsync(1, FrameType.Feed, "0a03010203");
        await site.ShouldRefuseAsync("malformed Feed");
    }

    [Theory]
    [InlineData("00", "keep-alives")]
    [InlineData("0105", "empty frames")]
    [InlineData("020a00", "an unassigned type")]
    [InlineData("03051005", "malformed messages")]
    [InlineData("020f05", "extensions without a name")]
    public async Task A_hundred_frames_without_meaning_in_a_second_are_enough(string frame, string because)
    {
        byte[] bytes = Convert.FromHexString(frame);
        await using WireSite site = new();
        await site.GreetAsync();
        long received = 102;
        for (int second = 0; second < 3; second++)
        {
            for (int i = 0; i < WireConnection.MaxJunkPerSecond; i++) await site.Peer.SendAsync(bytes);
            site.WaitUntilHandled(received += WireConnection.MaxJunkPerSecond * bytes.Length);
            site.Time.Advance(TimeSpan.FromSeconds(1));
        }

        site.Connection.IsClosed.Should().BeFalse(because);
        for (int i = 0; i <= WireConnection.MaxJunkPerSecond; i++) await site.Peer.SendAsync(bytes);
        await site.ShouldRefuseAsync("more than 100 keep-alives*");
    }

    [Fact]
    public async Task Extensions_are_numbered_by_the_list_of_their_sender()
    {
        await using WireSite site = new(options: o => o with { Extensions = ["session-data", "beta"] });
        WireChannel channel = await site.GreetAsync("alpha", "session-data", "zeta");
        await site.Peer.SendAsync(0, FrameType.Extension, "00aa");
        await site.Peer.SendAsync(0, FrameType.Extension, "01bb");
        await site.Peer.SendAsync(0, FrameType.Extension, "01");
        await site.Peer.SendAsync(0, FrameType.Extension, "02cc");
        (await site.Recorder.NextAsync()).Should().Be("extension session-data bb");
        (await site.Recorder.NextAsync()).Should().Be("extension session-data ");
        await site.ShouldLiveAsync();
        byte[] largest = new byte[WireConnection.MaxExtensionPayload];
        await site.Peer.SendAsync(RawPeer.Frame(0, FrameType.Extension, [1, .. largest]));
        (await site.Recorder.NextAsync()).Should().HaveLength("extension session-data ".Length + 2 * largest.Length);
        await site.Peer.SendAsync(RawPeer.Frame(0, FrameType.Extension, [1, 0, .. largest]));
        await site.ShouldLiveAsync();
        FluentActions.Invoking(() => channel.SendExtension("beta", [.. largest, 0])).Should().Throw<DatException>();
        FluentActions.Invoking(() => channel.SendExtension("never declared", largest)).Should().Throw<DatException>();
    }

    [Fact]
    public void Memory_grows_with_what_was_received_and_not_with_what_was_claimed()
    {
        byte[] stream = new byte[3 * 1024 * KiB];
        using XSalsa20Stream cipher = new(WireSite.Feed, new byte[XSalsa20Stream.NonceSize]);
        byte[] head = [0x80, 0x80, 0x80, 0x04, 0x09];
        head.CopyTo(stream, 0);
        cipher.Apply(stream);
        using FrameReader reader = new(new XSalsa20Stream(WireSite.Feed, new byte[XSalsa20Stream.NonceSize]), new Unbounded());
        for (int at = 0; at < stream.Length; at += KiB)
        {
            reader.Fill(new ReadOnlySequence<byte>(stream, at, KiB));
            reader.TryRead(out _).Should().BeFalse();
            reader.Capacity.Should().BeLessThanOrEqualTo(Math.Max(16 * KiB, 4 * (at + KiB)));
        }
    }

    [Fact]
    public async Task A_remote_that_never_reads_does_not_fill_our_memory()
    {
        await using WireSite site = new();
        WireChannel channel = await site.GreetAsync();
        byte[] block = new byte[4 * 1024 * KiB];
        for (int i = 0; i < WireConnection.MaxQueued / block.Length; i++)
        {
            site.Connection.IsClosed.Should().BeFalse();
            channel.Send(new Proof(i, block, [], null));
        }

        await site.ShouldRefuseAsync("32 MiB are waiting*");
    }

    [Fact]
    public async Task A_block_too_long_for_a_frame_is_the_callers_mistake()
    {
        await using WireSite site = new();
        WireChannel channel = await site.GreetAsync();
        FluentActions.Invoking(() => channel.Send(new Proof(0, new byte[FrameReader.MaxFrameLength], [], null))).Should().Throw<DatException>();
        FluentActions.Invoking(() => channel.Send(new Proof(-1, null, [], null))).Should().Throw<ArgumentOutOfRangeException>();
        await site.ShouldLiveAsync();
    }

    private sealed class Unbounded : IFrameRules
    {
        public int MaxLength(int channel, FrameType type) => FrameReader.MaxFrameLength;
    }
}
