using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Wire;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;

namespace DatFs.Unit;

/// <summary>One connection of ours under a clock that only the test moves, and a raw peer at its other end.</summary>
internal sealed class WireSite : IAsyncDisposable
{
    public static readonly FeedKey Feed = WireConnectionTests.Key("bounds");

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    public WireSite(bool acceptor = false, WireRecorder? recorder = null, Func<WireOptions, WireOptions>? options = null)
    {
        (MemoryTransport local, MemoryTransport remote) = MemoryTransport.CreatePair();
        Recorder = recorder ?? new WireRecorder();
        Remote = remote;
        Peer = new RawPeer(remote, Feed);
        WireOptions chosen = WireConnectionTests.Options("ours") with { Time = Time };
        Connection = new WireConnection(local, Recorder, options?.Invoke(chosen) ?? chosen, acceptor ? null : Feed);
        _ = Connection.RunAsync(CancellationToken.None);
    }

    public FakeTimeProvider Time { get; } = new();

    public WireRecorder Recorder { get; }

    public RawPeer Peer { get; }

    public MemoryTransport Remote { get; }

    public WireConnection Connection { get; }

    /// <summary>After Feed and Handshake of the peer; the channel is open on both sides.</summary>
    public async Task<WireChannel> GreetAsync(params string[] extensions)
    {
        await Peer.GreetAsync(0, extensions);
        (await Recorder.NextAsync()).Should().Be("handshake");
        (await Recorder.NextAsync()).Should().Be($"open {Feed}");
        WaitUntilHandled(102);
        return Recorder.Channels.Single();
    }

    /// <summary>All bytes that the peer sent so far are handled.</summary>
    public void WaitUntilHandled(long received) =>
        WaitUntil(() => Connection.Traffic.Received >= received && Connection.IsWaiting, $"{received} bytes are handled");

    public static void WaitUntil(Func<bool> condition, string what) => SpinWait.SpinUntil(condition, s_patience).Should().BeTrue(what);

    /// <summary>The connection ends because the remote broke the rule that the pattern describes.</summary>
    public async Task ShouldRefuseAsync(string rule, string because = "") =>
        (await Recorder.ClosedAsync()).Should().BeOfType<ProtocolViolationException>(because).Which.Message.Should().Match(rule, because);

    /// <summary>Sends a message on the peer's channel 0 and waits until it is heard: what came before did no harm.</summary>
    public async Task ShouldLiveAsync()
    {
        await Peer.SendAsync(0, FrameType.Info, "08011001");
        string line;
        do line = await Recorder.NextAsync();
        while (line != "info True True");
    }

    public async ValueTask DisposeAsync()
    {
        await Connection.DisposeAsync();
        Peer.Dispose();
    }
}
