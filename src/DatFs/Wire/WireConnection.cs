using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Wire;

/// <summary>
/// One encrypted connection to a peer and its channels (wire-protocol.md §2, §3): the public door of this folder.
/// CONTRACT SKELETON, bodies follow.
/// </summary>
public sealed class WireConnection : IAsyncDisposable
{
    /// <summary>Takes over the transport. With <paramref name="firstFeed"/> the first flight (Feed, Handshake) leaves at once; without, the remote's Feed is awaited (§3.2).</summary>
    public WireConnection(ITransport transport, IWireHandler handler, WireOptions options, FeedKey? firstFeed) => throw new NotImplementedException();

    /// <summary>The transport's name for the remote.</summary>
    public string RemoteName => throw new NotImplementedException();
    /// <summary>The remote's handshake, once it came.</summary>
    public HandshakeMessage? RemoteHandshake => throw new NotImplementedException();
    /// <summary>Bytes received and sent.</summary>
    public (long Received, long Sent) Traffic => throw new NotImplementedException();

    /// <summary>Reads and dispatches until the connection ends; never throws, the reason goes to <see cref="IWireHandler.OnClosed"/>.</summary>
    public Task RunAsync(CancellationToken ct) => throw new NotImplementedException();

    /// <summary>Opens a feed on this connection: sends Feed, answers the channel. A second call for the same feed answers the same channel.</summary>
    public WireChannel Open(FeedKey key) => throw new NotImplementedException();

    /// <summary>
    /// Holds frames back until disposed and then writes them in one piece (corking). Nested calls count.
    /// </summary>
    public Cork Cork() => throw new NotImplementedException();

    /// <summary>Completes when what was queued is below the back-pressure limit.</summary>
    public ValueTask DrainAsync(CancellationToken ct) => throw new NotImplementedException();

    /// <summary>Ends our half of the stream after what is queued (FIN).</summary>
    public void End() => throw new NotImplementedException();
    /// <summary>Closes at once; <paramref name="reason"/> reaches the log and OnClosed.</summary>
    public void Close(Exception? reason) => throw new NotImplementedException();
    /// <inheritdoc/>
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}

/// <summary>One feed on one connection. Send methods queue and never block; they are safe from any thread.</summary>
public sealed class WireChannel
{
    internal WireChannel() { }
    /// <summary>The connection.</summary>
    public WireConnection Connection => throw new NotImplementedException();
    /// <summary>The feed's key.</summary>
    public FeedKey Key => throw new NotImplementedException();
    /// <summary>True once the remote opened it too.</summary>
    public bool RemoteOpen => throw new NotImplementedException();
    /// <summary>Free for the owner of the channel's replication state.</summary>
    public object? State { get; set; }

    /// <summary>Sends Info.</summary>
    public void Send(InfoMessage message) => throw new NotImplementedException();
    /// <summary>Sends Have.</summary>
    public void Send(HaveMessage message) => throw new NotImplementedException();
    /// <summary>Sends Unhave; Length 1 is left out as the reference does.</summary>
    public void Send(UnhaveMessage message) => throw new NotImplementedException();
    /// <summary>Sends Want.</summary>
    public void Send(WantMessage message) => throw new NotImplementedException();
    /// <summary>Sends Request.</summary>
    public void Send(RequestMessage message) => throw new NotImplementedException();
    /// <summary>Sends Cancel.</summary>
    public void Send(CancelMessage message) => throw new NotImplementedException();
    /// <summary>Sends Data; the value is copied (and encrypted) before the call returns.</summary>
    public void Send(Proof proof) => throw new NotImplementedException();
    /// <summary>Sends an extension message; false when the remote does not know the name.</summary>
    public bool SendExtension(string name, ReadOnlySpan<byte> payload) => throw new NotImplementedException();
}

/// <summary>Held-back frames; see <see cref="WireConnection.Cork"/>.</summary>
public readonly struct Cork : IDisposable
{
    private readonly WireConnection? _connection;
    internal Cork(WireConnection connection) => _connection = connection;
    /// <inheritdoc/>
    public void Dispose() => _ = _connection;
}

/// <summary>Settings of a connection.</summary>
public sealed record WireOptions
{
    /// <summary>Our handshake id, 32 bytes: one per drive and process.</summary>
    public required ReadOnlyMemory<byte> Id { get; init; }
    /// <summary>Handshake.live.</summary>
    public bool Live { get; init; } = true;
    /// <summary>Handshake.ack: ask the remote to acknowledge blocks.</summary>
    public bool Ack { get; init; }
    /// <summary>Handshake.userData, or null.</summary>
    public ReadOnlyMemory<byte>? UserData { get; init; }
    /// <summary>Extension names; sent sorted.</summary>
    public IReadOnlyList<string> Extensions { get; init; } = [];
    /// <summary>Channels of feeds we never opened that a remote may hold open (§9.1): 32, or 256 while the drive's kind is unknown.</summary>
    public int MaxUnknownChannels { get; init; } = 32;
    /// <summary>Clock: keep-alive and timeouts.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
    /// <summary>Source of the 24-byte nonce; tests of recorded sessions fix it. Null = the operating system's generator.</summary>
    public Action<Memory<byte>>? FillNonce { get; init; }
}
