using System.Diagnostics.CodeAnalysis;

namespace DatFs.Wire;

/// <summary>One method for each rule of the wire that a remote can break. Each closes that remote's connection and nothing else.</summary>
internal static class ProtocolViolation
{
    [DoesNotReturn]
    public static void ThrowFirstFrame() =>
        Throw("the first frame is not a Feed with a discovery key and a 24-byte nonce", "first-frame");

    [DoesNotReturn]
    public static void ThrowFirstFeedDiffers() => Throw("the remote's first feed is not ours");

    [DoesNotReturn]
    public static void ThrowFirstFeedUnknown() => Throw("the remote asked for a feed that is not served here");

    [DoesNotReturn]
    public static void ThrowReflected() => Throw("our own bytes came back: the remote's nonce equals ours");

    [DoesNotReturn]
    public static void ThrowNoHandshake() =>
        Throw("the first encrypted frame is not a Handshake: the remote does not have the key");

    [DoesNotReturn]
    public static void ThrowHandshakeBounds() =>
        Throw("a Handshake beyond 4 KiB of user data, 64 extensions, or 255 bytes for a name", "handshake");

    [DoesNotReturn]
    public static void ThrowMalformedFeed() => Throw("malformed Feed");

    [DoesNotReturn]
    public static void ThrowMalformedData() => Throw("an answer that cannot be read");

    [DoesNotReturn]
    public static void ThrowFrameLength() => Throw("a frame length above 8 MiB, or one that does not end", "frame");

    [DoesNotReturn]
    public static void ThrowFrameHeader() => Throw("a frame header that does not end inside its frame", "frame");

    [DoesNotReturn]
    public static void ThrowChannelNumber() => Throw("a channel number of 256 or more", "channels");

    [DoesNotReturn]
    public static void ThrowUnopenedChannel() => Throw("a message on a channel that no Feed opened");

    [DoesNotReturn]
    public static void ThrowFrameTooLong(FrameType type, int length, int limit) =>
        Throw($"a frame of {length} bytes and type {type}, where {limit} are allowed", "frame");

    [DoesNotReturn]
    public static void ThrowRangedHaveTooLong() => Throw("a Have above 160 KiB that is not of the legacy form", "have-size");

    [DoesNotReturn]
    public static void ThrowProofBounds() =>
        Throw("a proof with more than 106 nodes, or a hash or signature of a wrong length", "proof-nodes");

    [DoesNotReturn]
    public static void ThrowTooManyUnopened() => Throw("more than 17 messages on a feed that is not open here", "early-messages");

    [DoesNotReturn]
    public static void ThrowUnopenedMemory() => Throw("more than 1 MiB of messages on feeds that are not open here", "early-bytes");

    [DoesNotReturn]
    public static void ThrowTooManyUnknown() => Throw("too many feeds that are unknown here", "unknown-channels");

    [DoesNotReturn]
    public static void ThrowJunkFlood() => Throw("more than 100 keep-alives or frames without meaning in a second", "junk");

    // What a clock or a sender notices is handed to WireConnection.Close instead of being thrown where nobody reads.
    public static ProtocolViolationException LateHandshake() => new("no Feed and Handshake within 10 s", "handshake-time");
    public static ProtocolViolationException SlowFrame() => new("a frame that arrives at less than 1 KiB/s", "frame-rate");
    public static ProtocolViolationException Silent() => new("nothing received for 20 s", "silence");
    public static ProtocolViolationException NotReading() => new("32 MiB are waiting and the remote does not read them", "output");

    [DoesNotReturn]
    private static void Throw(string message, string bound = ProtocolViolationException.NoBound) => throw new ProtocolViolationException(message, bound);
}
