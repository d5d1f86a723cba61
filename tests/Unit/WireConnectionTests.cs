using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Two connections of ours, talking (wire-protocol.md §3).</summary>
public sealed class WireConnectionTests
{
    private static readonly FeedKey s_metadata = Key("metadata"), s_content = Key("content"), s_other = Key("other");

    public static TheoryData<int?> Cuts => new() { (int?)null, 11, 12 };

    [Theory]
    [MemberData(nameof(Cuts))]
    public async Task Every_message_arrives_as_it_was_sent(int? fragmentSeed)
    {
        await using Pair pair = new(MemoryTransport.CreatePair(fragmentSeed), extensions: ["zeta", "session-data", "alpha"], others: ["session-data", "beta"]);
        WireChannel channel = pair.A.Open(s_metadata);
        pair.Start();
        (await pair.AtA.NextAsync()).Should().Be("handshake");
        (await pair.AtA.NextAsync()).Should().Be($"open {channel.DiscoveryKey}");
        (await pair.AtB.NextAsync()).Should().Be("handshake");
        (await pair.AtB.NextAsync()).Should().Be($"open {channel.DiscoveryKey}");
        channel.RemoteOpen.Should().BeTrue();

        byte[] block = new byte[300_000];
        new Random(5).NextBytes(block);
        TreeNode[] nodes = [new(2, Hash("two"), 5), new(1L << 52, Hash("far"), 1L << 40)];
        Proof[] proofs =
        [
            new(7, block, nodes, SHA512.HashData(block)),
            new(8, ReadOnlyMemory<byte>.Empty, [], null),
            new(9, null, nodes, null),
        ];
        InfoMessage info = new(true, false);
        HaveMessage have = new(8192, 1048576, new byte[] { 0x02, 0xe0 }, true);
        HaveMessage one = new(5, null, null, false);
        UnhaveMessage unhave = new(3, 1), unhaves = new(3, 10);
        WantMessage want = new(0, 1048576), openEnded = new(0, null);
        UnwantMessage unwant = new(8192, 8192);
        RequestMessage request = new(1L << 40, 50, true, (1UL << 53) - 1);
        CancelMessage cancel = new(4, 0, true);

        WireChannel back = pair.AtB.Channels.Single();
        back.Send(new RequestMessage(7, 0, false, 0));
        (await pair.AtA.NextAsync()).Should().StartWith("request 7 ");
        channel.Send(info);
        channel.Send(have);
        channel.Send(one);
        channel.Send(unhave);
        channel.Send(unhaves);
        channel.Send(want);
        channel.Send(openEnded);
        channel.Send(unwant);
        channel.Send(request);
        channel.Send(cancel);
        foreach (Proof proof in proofs) channel.Send(proof);
        channel.SendExtension("session-data", "hello"u8).Should().BeTrue();
        channel.SendExtension("alpha", "nobody"u8).Should().BeFalse("the other side does not have the name");

        string[] expected =
        [
            WireRecorder.Format(info), WireRecorder.Format(have), WireRecorder.Format(one), WireRecorder.Format(unhave), WireRecorder.Format(unhaves),
            WireRecorder.Format(want), WireRecorder.Format(openEnded), WireRecorder.Format(unwant), WireRecorder.Format(request),
            WireRecorder.Format(cancel), .. proofs.Select(WireRecorder.Format), "extension session-data " + Convert.ToHexStringLower("hello"u8),
        ];
        foreach (string line in expected) (await pair.AtB.NextAsync()).Should().Be(line);

        pair.A.End();
        (await pair.AtB.ClosedAsync()).Should().BeNull();
        (await pair.AtA.ClosedAsync()).Should().BeNull();
        pair.A.Traffic.Sent.Should().Be(pair.B.Traffic.Received);
        pair.B.Traffic.Sent.Should().Be(pair.A.Traffic.Received);
    }

    [Fact]
    public async Task Handshakes_carry_the_options()
    {
        await using Pair pair = new(
            MemoryTransport.CreatePair(),
            a: o => o with { Live = false, Ack = true, UserData = new byte[] { 1, 2 } },
            extensions: ["b", "a", "b"]);
        pair.Start();
        (await pair.AtB.NextAsync()).Should().Be("handshake");
        HandshakeMessage handshake = pair.B.RemoteHandshake!;
        handshake.Live.Should().BeFalse();
        handshake.Ack.Should().BeTrue();
        handshake.UserData!.Value.ToArray().Should().Equal(1, 2);
        handshake.Extensions.Should().Equal("a", "b");
        handshake.Id.ToArray().Should().Equal(Id("a"));
        pair.TransportB.Authenticated.Should().BeTrue();
    }

    [Fact]
    public async Task The_first_flight_is_one_write_with_all_that_was_opened_and_asked()
    {
        (MemoryTransport local, MemoryTransport remote) = MemoryTransport.CreatePair();
        await using WireConnection connection = new(local, new WireRecorder(), Options("a"), s_metadata);
        WireChannel metadata = connection.Open(s_metadata), content = connection.Open(s_content);
        metadata.Send(new WantMessage(0, 1048576));
        content.Send(new WantMessage(0, 1048576));
        remote.Input.TryRead(out _).Should().BeFalse("nothing leaves before the connection runs");
        _ = connection.RunAsync(CancellationToken.None);
        var read = await remote.Input.ReadAsync();
        read.Buffer.Length.Should().Be(62 + 40 + 36 + 8 + 8);
    }

    [Fact]
    public async Task An_acceptor_chooses_the_feed_that_the_remote_names()
    {
        await using Pair pair = new(MemoryTransport.CreatePair(3), acceptor: true, choose: key => key == s_metadata.ToDiscoveryKey() ? s_metadata : null);
        FluentActions.Invoking(() => pair.B.Open(s_content)).Should().Throw<DatException>("the first feed is not known yet");
        pair.Start();
        (await pair.AtB.NextAsync()).Should().Be($"choose {s_metadata}");
        (await pair.AtB.NextAsync()).Should().Be("handshake");
        (await pair.AtA.NextAsync()).Should().Be("handshake");
        pair.B.Open(s_metadata).RemoteOpen.Should().BeTrue();
    }

    [Fact]
    public async Task An_acceptor_without_the_feed_closes()
    {
        await using Pair pair = new(MemoryTransport.CreatePair(), acceptor: true);
        pair.Start();
        (await pair.AtB.ClosedAsync()).Should().BeOfType<ProtocolViolationException>();
        (await pair.AtA.ClosedAsync()).Should().NotBeNull();
        pair.TransportB.Authenticated.Should().BeFalse();
    }

    [Fact]
    public async Task Opening_a_feed_twice_answers_the_same_channel()
    {
        await using Pair pair = new(MemoryTransport.CreatePair());
        pair.A.Open(s_content).Should().BeSameAs(pair.A.Open(s_content));
        pair.A.Open(s_content).Should().NotBeSameAs(pair.A.Open(s_metadata));
    }

    [Theory]
    [MemberData(nameof(Cuts))]
    public async Task Each_side_numbers_its_own_channels(int? fragmentSeed)
    {
        await using Pair pair = new(MemoryTransport.CreatePair(fragmentSeed));
        WireChannel contentAtA = pair.A.Open(s_content), otherAtA = pair.A.Open(s_other);
        WireChannel otherAtB = pair.B.Open(s_other), contentAtB = pair.B.Open(s_content);
        pair.Start();
        contentAtA.Number.Should().Be(otherAtB.Number);
        contentAtA.Send(new WantMessage(8192, 8192));
        otherAtA.Send(new WantMessage(0, 8192));
        List<string> lines = [];
        while (lines.Count < 6) lines.Add(await pair.AtB.NextAsync());
        lines.Should().ContainInOrder($"open {s_content}", "want 8192 8192").And.ContainInOrder($"open {s_other}", "want 0 8192");
        contentAtB.RemoteOpen.Should().BeTrue();
    }

    [Theory]
    [MemberData(nameof(Cuts))]
    public async Task Messages_for_a_feed_that_opens_later_are_replayed_in_order_from_any_thread(int? fragmentSeed)
    {
        await using Pair pair = new(MemoryTransport.CreatePair(fragmentSeed));
        WireChannel content = pair.A.Open(s_content);
        for (int i = 0; i < WireConnection.MaxEarlySent; i++) content.Send(new WantMessage(i * 8192L, 8192));
        pair.Start();
        string line;
        do line = await pair.AtB.NextAsync();
        while (line != $"feed {s_content}");
        // Not from the handler: the read loop sits in its read, and must be woken.
        WireChannel opened = pair.B.Open(s_content);
        opened.RemoteOpen.Should().BeTrue();
        (await pair.AtB.NextAsync()).Should().Be($"open {s_content}");
        for (int i = 0; i < WireConnection.MaxEarlySent; i++) (await pair.AtB.NextAsync()).Should().Be($"want {i * 8192L} 8192");
        content.Send(new InfoMessage(true, true));
        (await pair.AtB.NextAsync()).Should().Be("info True True");
    }

    [Fact]
    public async Task A_feed_opened_inside_the_callback_gets_its_messages_before_later_ones()
    {
        await using Pair pair = new(MemoryTransport.CreatePair(), remoteFeedAtB: (connection, _) => connection.Open(s_content));
        WireChannel content = pair.A.Open(s_content);
        content.Send(new WantMessage(0, 8192));
        pair.A.Open(s_metadata).Send(new WantMessage(8192, 8192));
        pair.Start();
        List<string> lines = [];
        while (lines.Count < 6) lines.Add(await pair.AtB.NextAsync());
        lines.Should().Equal("handshake", $"open {s_metadata}", $"feed {s_content}", $"open {s_content}", "want 0 8192", "want 8192 8192");
    }

    [Fact]
    public async Task Little_leaves_before_the_remote_opens_the_feed_and_no_have()
    {
        await using Pair pair = new(MemoryTransport.CreatePair());
        WireChannel content = pair.A.Open(s_content);
        for (int i = 0; i < 12; i++) content.Send(new WantMessage(i * 8192L, 8192));
        WireChannel other = pair.A.Open(s_other);
        other.Send(new WantMessage(0, 8192));
        other.Send(new HaveMessage(1, null, null, false));
        other.Send(new WantMessage(8192, 8192));
        // A message on the open channel shows that everything before it has been sent.
        pair.A.Open(s_metadata).Send(new InfoMessage(true, true));
        pair.Start();
        List<string> lines = [];
        do lines.Add(await pair.AtB.NextAsync());
        while (!lines[^1].StartsWith("info", StringComparison.Ordinal));
        pair.B.DroppedFrames.Should().Be(0);

        pair.B.Open(s_content);
        (await pair.AtB.NextAsync()).Should().Be($"open {s_content}");
        for (int i = 0; i < 12; i++) (await pair.AtB.NextAsync()).Should().Be($"want {i * 8192L} 8192");
        pair.B.Open(s_other);
        (await pair.AtB.NextAsync()).Should().Be($"open {s_other}");
        (await pair.AtB.NextAsync()).Should().Be("want 0 8192");
        (await pair.AtB.NextAsync()).Should().Be("have 1 - - False");
        (await pair.AtB.NextAsync()).Should().Be("want 8192 8192");
    }

    [Fact]
    public async Task Many_senders_never_garble_the_stream()
    {
        await using Pair pair = new(MemoryTransport.CreatePair(21));
        WireChannel channel = pair.A.Open(s_metadata);
        pair.Start();
        const int senders = 4, each = 200;
        await Task.WhenAll(Enumerable.Range(0, senders).Select(sender => Task.Run(() =>
        {
            byte[] block = new byte[40 * sender];
            for (int i = 0; i < each; i++)
            {
                using (pair.A.Cork())
                {
                    channel.Send(new HaveMessage(sender, i + 2, null, false));
                    channel.Send(new Proof(sender, block, [], null));
                }
            }
        })));
        int[] seen = new int[senders];
        for (int lines = 0; lines < 2 + 2 * senders * each; lines++)
        {
            string[] words = (await pair.AtB.NextAsync()).Split(' ');
            if (words[0] == "have") int.Parse(words[2]).Should().Be(2 + seen[int.Parse(words[1])]++);
        }

        seen.Should().OnlyContain(count => count == each);
        pair.B.DroppedFrames.Should().Be(0);
    }

    [Fact]
    public async Task A_sender_waits_while_the_remote_does_not_read()
    {
        TaskCompletionSource unblock = new();
        await using Pair pair = new(
            MemoryTransport.CreatePair(),
            messageAtB: (_, line) => line.StartsWith("info", StringComparison.Ordinal) ? new ValueTask(unblock.Task) : default);
        WireChannel channel = pair.A.Open(s_metadata);
        pair.Start();
        (await pair.AtB.NextAsync()).Should().Be("handshake");
        // Before the remote's Feed most messages are held back, and do not wait to be read.
        (await pair.AtA.NextAsync()).Should().Be("handshake");
        (await pair.AtA.NextAsync()).Should().Be($"open {s_metadata}");
        await pair.A.DrainAsync(CancellationToken.None);
        channel.Send(new InfoMessage(true, true));
        byte[] block = new byte[4000];
        for (int sent = 0; sent < 2 * WireConnection.HighWater; sent += block.Length) channel.Send(new Proof(1, block, [], null));
        Task drained = pair.A.DrainAsync(CancellationToken.None).AsTask();
        drained.IsCompleted.Should().BeFalse();
        unblock.SetResult();
        await drained.WaitAsync(TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task A_failing_handler_closes_the_connection_with_its_reason()
    {
        InvalidOperationException failure = new("the disk is gone");
        await using Pair pair = new(MemoryTransport.CreatePair(), messageAtB: (_, _) => throw failure);
        pair.A.Open(s_metadata).Send(new WantMessage(0, 8192));
        pair.Start();
        (await pair.AtB.ClosedAsync()).Should().BeSameAs(failure);
        (await pair.AtA.ClosedAsync()).Should().NotBeNull();
    }

    [Fact]
    public async Task Closing_and_cancelling_end_the_run_with_their_reason()
    {
        await using Pair closed = new(MemoryTransport.CreatePair());
        closed.Start();
        (await closed.AtA.NextAsync()).Should().Be("handshake");
        IOException reason = new("enough");
        closed.A.Close(reason);
        closed.A.Close(null);
        (await closed.AtA.ClosedAsync()).Should().BeSameAs(reason);
        closed.A.Open(s_metadata).Send(new InfoMessage(true, true));
        await closed.A.DrainAsync(CancellationToken.None);

        using CancellationTokenSource stop = new();
        await using Pair cancelled = new(MemoryTransport.CreatePair());
        cancelled.Start(stop.Token);
        (await cancelled.AtA.NextAsync()).Should().Be("handshake");
        await stop.CancelAsync();
        (await cancelled.AtA.ClosedAsync()).Should().BeAssignableTo<OperationCanceledException>();
    }

    [Fact]
    public async Task A_feed_opened_after_the_end_takes_messages_and_sends_nothing()
    {
        await using Pair pair = new(MemoryTransport.CreatePair());
        pair.A.Open(s_content);
        pair.Start();
        string line;
        do line = await pair.AtB.NextAsync();
        while (line != $"feed {s_content}");
        pair.A.End();
        (await pair.AtB.ClosedAsync()).Should().BeNull();
        long sent = pair.B.Traffic.Sent;
        WireChannel late = pair.B.Open(s_content);
        late.RemoteOpen.Should().BeFalse();
        late.Send(new WantMessage(0, 8192));
        pair.B.Traffic.Sent.Should().Be(sent);
    }

    [Fact]
    public async Task An_end_inside_a_frame_is_not_in_order()
    {
        (MemoryTransport local, MemoryTransport remote) = MemoryTransport.CreatePair();
        WireRecorder recorder = new();
        await using WireConnection connection = new(local, recorder, Options("a"), s_metadata);
        _ = connection.RunAsync(CancellationToken.None);
        using RawPeer peer = new(remote, s_metadata);
        await peer.GreetAsync();
        await peer.SendAsync([0x07, 0x05, 0x08]);
        await remote.Output.CompleteAsync();
        (await recorder.ClosedAsync()).Should().BeOfType<EndOfStreamException>();
    }

    [Fact]
    public void Options_that_peers_refuse_are_refused()
    {
        (MemoryTransport local, _) = MemoryTransport.CreatePair();
        WireOptions[] wrong =
        [
            Options("a") with { Id = new byte[31] },
            Options("a") with { UserData = new byte[MessageCodec.MaxUserData + 1] },
            Options("a") with { Extensions = [new string('x', MessageCodec.MaxExtensionName + 1)] },
            Options("a") with { Extensions = [.. Enumerable.Range(0, MessageCodec.MaxExtensions + 1).Select(i => $"x{i}")] },
        ];
        foreach (WireOptions options in wrong)
            FluentActions.Invoking(() => new WireConnection(local, new WireRecorder(), options, s_metadata)).Should().Throw<DatException>();
    }

    internal static FeedKey Key(string name) => FeedKey.From(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(name)));

    internal static byte[] Id(string name) => SHA256.HashData(System.Text.Encoding.UTF8.GetBytes("id of " + name));

    internal static WireOptions Options(string name) => new() { Id = Id(name) };

    private static NodeHash Hash(string name) => NodeHash.From(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(name)));

    /// <summary>Two connections on the metadata feed over one stream.</summary>
    private sealed class Pair : IAsyncDisposable
    {
        public Pair(
            (MemoryTransport Initiator, MemoryTransport Acceptor) transports,
            Func<WireOptions, WireOptions>? a = null,
            IReadOnlyList<string>? extensions = null,
            IReadOnlyList<string>? others = null,
            bool acceptor = false,
            Func<DiscoveryKey, FeedKey?>? choose = null,
            Action<WireConnection, DiscoveryKey>? remoteFeedAtB = null,
            Func<WireChannel, string, ValueTask>? messageAtB = null)
        {
            TransportB = transports.Acceptor;
            AtA = new WireRecorder();
            AtB = new WireRecorder { Choose = choose ?? (_ => null), RemoteFeed = remoteFeedAtB, Message = messageAtB };
            WireOptions optionsA = Options("a") with { Extensions = extensions ?? [] };
            A = new WireConnection(transports.Initiator, AtA, a?.Invoke(optionsA) ?? optionsA, s_metadata);
            B = new WireConnection(TransportB, AtB, Options("b") with { Extensions = others ?? [] }, acceptor ? null : s_metadata);
        }

        public WireConnection A { get; }
        public WireConnection B { get; }
        public WireRecorder AtA { get; }
        public WireRecorder AtB { get; }
        public MemoryTransport TransportB { get; }

        public void Start(CancellationToken ct = default)
        {
            _ = A.RunAsync(ct);
            _ = B.RunAsync(ct);
        }

        public async ValueTask DisposeAsync()
        {
            await A.DisposeAsync();
            await B.DisposeAsync();
        }
    }
}
