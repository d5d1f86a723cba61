using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Wire;

// The messages of wire-protocol.md §4, as the rest of the library sees them: decoded, defaults filled in.
// A nullable member is one whose absence on the wire means something.

/// <summary>§4.1.</summary>
public sealed record HandshakeMessage(ReadOnlyMemory<byte> Id, bool Live, ReadOnlyMemory<byte>? UserData, IReadOnlyList<string> Extensions, bool Ack);

/// <summary>§4.2. A field missing on the wire counts as false.</summary>
public readonly record struct InfoMessage(bool Uploading, bool Downloading);

/// <summary>§4.3. <paramref name="Length"/> null = not on the wire (means 1, or the legacy form beside a bitfield).</summary>
public readonly record struct HaveMessage(long Start, long? Length, ReadOnlyMemory<byte>? Bitfield, bool Ack);

/// <summary>§4.4.</summary>
public readonly record struct UnhaveMessage(long Start, long Length);

/// <summary>§4.5. <paramref name="Length"/> null = open-ended, from a legacy reader.</summary>
public readonly record struct WantMessage(long Start, long? Length);

/// <summary>§4.6.</summary>
public readonly record struct UnwantMessage(long Start, long? Length);

/// <summary>§4.7. <paramref name="Nodes"/> is the digest.</summary>
public readonly record struct RequestMessage(long Index, long Bytes, bool Hash, ulong Nodes);

/// <summary>§4.8.</summary>
public readonly record struct CancelMessage(long Index, long Bytes, bool Hash);

/// <summary>§4.10. The name is resolved through the list of the side that sent it.</summary>
public readonly record struct ExtensionMessage(string Name, ReadOnlyMemory<byte> Payload);

/// <summary>
/// Receives what a connection decodes, in order, one call at a time. Memory handed over is valid only until the returned
/// task completes; while it is pending nothing more is read from the socket, which is how back-pressure works.
/// A <see cref="ProtocolViolationException"/> thrown here closes the connection, nothing else.
/// </summary>
public interface IWireHandler
{
    /// <summary>Acceptor only: the remote named its first feed and we have not opened one. Answer the key, or null to close.</summary>
    FeedKey? ChooseFirstFeed(WireConnection connection, DiscoveryKey discoveryKey);

    /// <summary>The first decrypted frame: the peer has the key.</summary>
    void OnHandshake(WireConnection connection, HandshakeMessage handshake);

    /// <summary>The remote opened a channel for a feed that we have not opened on this connection. Call <see cref="WireConnection.Open"/> now, later or never.</summary>
    void OnRemoteFeed(WireConnection connection, DiscoveryKey discoveryKey);

    /// <summary>Both sides have opened the feed; messages flow.</summary>
    void OnChannelOpen(WireChannel channel);

    /// <summary>The remote replaced the feed of this channel number: no further message comes on it.</summary>
    void OnChannelClosed(WireChannel channel);

    /// <summary>Info.</summary>
    ValueTask OnInfoAsync(WireChannel channel, InfoMessage message);
    /// <summary>Have.</summary>
    ValueTask OnHaveAsync(WireChannel channel, HaveMessage message);
    /// <summary>Unhave.</summary>
    ValueTask OnUnhaveAsync(WireChannel channel, UnhaveMessage message);
    /// <summary>Want.</summary>
    ValueTask OnWantAsync(WireChannel channel, WantMessage message);
    /// <summary>Unwant.</summary>
    ValueTask OnUnwantAsync(WireChannel channel, UnwantMessage message);
    /// <summary>Request.</summary>
    ValueTask OnRequestAsync(WireChannel channel, RequestMessage message);
    /// <summary>Cancel.</summary>
    ValueTask OnCancelAsync(WireChannel channel, CancelMessage message);
    /// <summary>Data; the proof's memory is valid until the task completes.</summary>
    ValueTask OnDataAsync(WireChannel channel, Proof proof);
    /// <summary>Extension.</summary>
    ValueTask OnExtensionAsync(WireChannel channel, ExtensionMessage message);

    /// <summary>Called once, last. <paramref name="reason"/> null = the remote ended the stream in order.</summary>
    void OnClosed(WireConnection connection, Exception? reason);
}

/// <summary>The remote broke the protocol or a bound of wire-protocol.md §9.1; its connection is closed and nobody else notices.</summary>
public sealed class ProtocolViolationException : Exception
{
    /// <summary>What is broken where no bound is.</summary>
    internal const string NoBound = "protocol";

    /// <summary>Creates the exception; <paramref name="message"/> says what was done, <paramref name="bound"/> which bound of the budget it exceeds, if one.</summary>
    public ProtocolViolationException(string message, string bound = NoBound) : base(message) => Bound = bound;

    /// <summary>Name of the bound in the budget, or "protocol".</summary>
    public string Bound { get; }
}
