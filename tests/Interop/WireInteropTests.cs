using System.Threading.Channels;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Xunit;

namespace DatFs.Interop;

/// <summary>One connection of ours to the reference itself (wire-protocol.md §10 point 7), below anything that verifies or stores.</summary>
public sealed class WireInteropTests
{
    public static TheoryData<string> Versions => new(FeedPeer.Versions);

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task The_reference_answers_a_first_flight_with_its_wants_inside(string version)
    {
        byte[] small = "small"u8.ToArray(), large = new byte[100_000];
        new Random(3).NextBytes(large);
        await using FeedPeer source = await FeedPeer.StartAsync(version);
        await source.AppendAsync(small, large);
        FeedKey key = FeedKey.From(Convert.FromHexString(source.Info.Key));

        Reader reader = new();
        ITransport transport = await TcpTransport.ConnectAsync("127.0.0.1", await source.ListenAsync(), CancellationToken.None);
        await using WireConnection connection = new(transport, reader, new WireOptions { Id = new byte[32] }, key);
        WireChannel channel = connection.Open(key);
        channel.Send(new WantMessage(0, 1048576));
        Task run = connection.RunAsync(CancellationToken.None);

        HaveMessage have;
        do have = await reader.NextAsync<HaveMessage>();
        while (have.Bitfield is null);
        have.Start.Should().Be(0);
        // 6.9.2 dies of a Request from a peer that never said what it has (§5.2).
        channel.Send(new HaveMessage(0, 1048576, ReadOnlyMemory<byte>.Empty, false));
        channel.Send(new RequestMessage(0, 0, false, 0));
        channel.Send(new RequestMessage(1, 0, false, 0));
        Proof[] proofs = [await reader.NextAsync<Proof>(), await reader.NextAsync<Proof>()];
        proofs.Single(p => p.Index == 0).Value!.Value.ToArray().Should().Equal(small);
        proofs.Single(p => p.Index == 1).Value!.Value.ToArray().Should().Equal(large);
        proofs.Should().OnlyContain(p => p.Signature != null && p.Nodes.Count > 0);

        await source.AppendAsync("live"u8.ToArray());
        (await reader.NextAsync<HaveMessage>()).Start.Should().Be(2);
        connection.DroppedFrames.Should().Be(0);
        connection.Close(null);
        await run;
    }

    [Theory]
    [MemberData(nameof(Versions))]
    public async Task The_reference_opens_a_feed_with_an_acceptor_of_ours(string version)
    {
        await using FeedPeer source = await FeedPeer.StartAsync(version);
        await using FeedPeer copy = await FeedPeer.StartAsync(version, key: source.Info.Key);
        FeedKey key = FeedKey.From(Convert.FromHexString(source.Info.Key));
        using TcpAcceptor acceptor = TcpAcceptor.Listen(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0), new StrangerLimits());
        await copy.ConnectAsync(acceptor.LocalEndPoint.Port);

        Reader reader = new() { Key = key };
        ITransport transport = await acceptor.AcceptAsync(CancellationToken.None);
        await using WireConnection connection = new(transport, reader, new WireOptions { Id = new byte[32] }, null);
        Task run = connection.RunAsync(CancellationToken.None);
        (await reader.NextAsync<WantMessage>()).Start.Should().Be(0);
        reader.Opened!.Send(new HaveMessage(0, 1048576, new byte[] { 0x02, 0x80 }, false));
        RequestMessage request = await reader.NextAsync<RequestMessage>();
        request.Index.Should().Be(0);
        connection.Close(null);
        await run;
    }

    [Fact]
    public async Task An_idle_connection_outlives_the_patience_of_the_reference()
    {
        const int keepAlives = 3; // one each 5 s; it drops a peer that is silent for 7.5 s
        await using FeedPeer source = await FeedPeer.StartAsync("7.7.1");
        await source.AppendAsync("block"u8.ToArray());
        FeedKey key = FeedKey.From(Convert.FromHexString(source.Info.Key));
        Reader reader = new();
        ITransport transport = await TcpTransport.ConnectAsync("127.0.0.1", await source.ListenAsync(), CancellationToken.None);
        await using WireConnection connection = new(transport, reader, new WireOptions { Id = new byte[32] }, key);
        Task run = connection.RunAsync(CancellationToken.None);
        await reader.NextAsync<HandshakeMessage>();

        long received = connection.Traffic.Received;
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(60));
        using PeriodicTimer look = new(TimeSpan.FromMilliseconds(100));
        while (connection.Traffic.Received < received + keepAlives && !run.IsCompleted) await look.WaitForNextTickAsync(patience.Token);

        connection.Open(key).Send(new WantMessage(0, 1048576));
        (await reader.NextAsync<HaveMessage>()).Start.Should().Be(0);
        connection.Close(null);
        await run;
    }

    private sealed class Reader : IWireHandler
    {
        private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

        private readonly Channel<object> _messages = Channel.CreateUnbounded<object>();

        public FeedKey? Key { get; init; }

        public WireChannel? Opened { get; private set; }

        public async Task<T> NextAsync<T>()
        {
            using CancellationTokenSource patience = new(s_patience);
            while (true)
            {
                if (await _messages.Reader.ReadAsync(patience.Token) is T message) return message;
            }
        }

        public FeedKey? ChooseFirstFeed(WireConnection connection, DiscoveryKey discoveryKey) => Key;

        public void OnHandshake(WireConnection connection, HandshakeMessage handshake) => _messages.Writer.TryWrite(handshake);

        public void OnRemoteFeed(WireConnection connection, DiscoveryKey discoveryKey) => _messages.Writer.TryWrite(discoveryKey);

        public void OnChannelOpen(WireChannel channel) => Opened = channel;

        public void OnChannelClosed(WireChannel channel) => Opened = null;

        public ValueTask OnInfoAsync(WireChannel channel, InfoMessage message) => Keep(message);
        public ValueTask OnHaveAsync(WireChannel channel, HaveMessage message) => Keep(message);
        public ValueTask OnUnhaveAsync(WireChannel channel, UnhaveMessage message) => Keep(message);
        public ValueTask OnWantAsync(WireChannel channel, WantMessage message) => Keep(message);
        public ValueTask OnUnwantAsync(WireChannel channel, UnwantMessage message) => Keep(message);
        public ValueTask OnRequestAsync(WireChannel channel, RequestMessage message) => Keep(message);
        public ValueTask OnCancelAsync(WireChannel channel, CancelMessage message) => Keep(message);
        public ValueTask OnExtensionAsync(WireChannel channel, ExtensionMessage message) => Keep(message);

        // The proof's memory is the connection's own.
        public ValueTask OnDataAsync(WireChannel channel, Proof proof) =>
            Keep(proof with { Value = proof.Value?.ToArray(), Signature = proof.Signature?.ToArray() });

        public void OnClosed(WireConnection connection, Exception? reason) => _messages.Writer.Complete(reason);

        private ValueTask Keep(object message)
        {
            _messages.Writer.TryWrite(message);
            return ValueTask.CompletedTask;
        }
    }
}
