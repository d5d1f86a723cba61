using System.Diagnostics.CodeAnalysis;
using DatFs.Crypto;
using Google.Protobuf;
using Schemas = DatFs.Encoding.Schemas.Wire;

namespace DatFs.Wire;

/// <summary>
/// Between the messages as the library sees them and the generated schema, types 0 to 8 (wire-protocol.md §4). Reading answers
/// false for a malformed body; writing produces exactly the fields that the reference writes.
/// </summary>
internal static class MessageCodec
{
    public const int MaxUserData = 4096;
    public const int MaxExtensions = 64;
    public const int MaxExtensionName = 255;

    private const int MaxIdLength = 64;

    private static readonly MessageParser<Schemas.Feed> s_feed = Schemas.Feed.Parser.WithDiscardUnknownFields(true);
    private static readonly MessageParser<Schemas.Handshake> s_handshake = Schemas.Handshake.Parser.WithDiscardUnknownFields(true);
    private static readonly MessageParser<Schemas.Info> s_info = Schemas.Info.Parser.WithDiscardUnknownFields(true);
    private static readonly MessageParser<Schemas.Have> s_have = Schemas.Have.Parser.WithDiscardUnknownFields(true);
    private static readonly MessageParser<Schemas.Unhave> s_unhave = Schemas.Unhave.Parser.WithDiscardUnknownFields(true);
    private static readonly MessageParser<Schemas.Want> s_want = Schemas.Want.Parser.WithDiscardUnknownFields(true);
    private static readonly MessageParser<Schemas.Unwant> s_unwant = Schemas.Unwant.Parser.WithDiscardUnknownFields(true);
    private static readonly MessageParser<Schemas.Request> s_request = Schemas.Request.Parser.WithDiscardUnknownFields(true);
    private static readonly MessageParser<Schemas.Cancel> s_cancel = Schemas.Cancel.Parser.WithDiscardUnknownFields(true);

    /// <summary>The nonce is empty when absent; its length is the caller's to judge.</summary>
    public static bool TryDecodeFeed(ReadOnlySpan<byte> body, out DiscoveryKey discoveryKey, out ReadOnlyMemory<byte> nonce)
    {
        discoveryKey = default;
        nonce = default;
        if (!TryParse(FrameType.Feed, s_feed, body, out Schemas.Feed? feed) || feed.DiscoveryKey.Length != DiscoveryKey.Size) return false;
        discoveryKey = DiscoveryKey.From(feed.DiscoveryKey.Span);
        nonce = feed.Nonce.Memory;
        return true;
    }

    /// <summary>An id of a length outside 1..64 counts as missing and is answered empty (§4.1).</summary>
    public static bool TryDecode(ReadOnlySpan<byte> body, out HandshakeMessage? message)
    {
        message = null;
        if (!TryParse(FrameType.Handshake, s_handshake, body, out Schemas.Handshake? m)) return false;
        if (m.UserData.Length > MaxUserData || m.Extensions.Count > MaxExtensions) ProtocolViolation.ThrowHandshakeBounds();
        foreach (string name in m.Extensions)
        {
            if (System.Text.Encoding.UTF8.GetByteCount(name) > MaxExtensionName) ProtocolViolation.ThrowHandshakeBounds();
        }

        ReadOnlyMemory<byte> id = m.Id.Length <= MaxIdLength ? m.Id.Memory : default;
        message = new HandshakeMessage(id, m.Live, OrAbsent(m.HasUserData, m.UserData), [.. m.Extensions], m.Ack);
        return true;
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, out InfoMessage message)
    {
        bool ok = TryParse(FrameType.Info, s_info, body, out Schemas.Info? m);
        message = ok ? new InfoMessage(m!.Uploading, m.Downloading) : default;
        return ok;
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, out HaveMessage message)
    {
        bool ok = TryParse(FrameType.Have, s_have, body, out Schemas.Have? m);
        message = ok
            ? new HaveMessage((long)m!.Start, m.HasLength ? (long)m.Length : null, OrAbsent(m.HasBitfield, m.Bitfield), m.Ack)
            : default;
        return ok;
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, out UnhaveMessage message)
    {
        bool ok = TryParse(FrameType.Unhave, s_unhave, body, out Schemas.Unhave? m);
        message = ok ? new UnhaveMessage((long)m!.Start, (long)m.Length) : default;
        return ok;
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, out WantMessage message)
    {
        bool ok = TryParse(FrameType.Want, s_want, body, out Schemas.Want? m);
        message = ok ? new WantMessage((long)m!.Start, m.HasLength ? (long)m.Length : null) : default;
        return ok;
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, out UnwantMessage message)
    {
        bool ok = TryParse(FrameType.Unwant, s_unwant, body, out Schemas.Unwant? m);
        message = ok ? new UnwantMessage((long)m!.Start, m.HasLength ? (long)m.Length : null) : default;
        return ok;
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, out RequestMessage message)
    {
        bool ok = TryParse(FrameType.Request, s_request, body, out Schemas.Request? m);
        message = ok ? new RequestMessage((long)m!.Index, (long)m.Bytes, m.Hash, m.Nodes) : default;
        return ok;
    }

    public static bool TryDecode(ReadOnlySpan<byte> body, out CancelMessage message)
    {
        bool ok = TryParse(FrameType.Cancel, s_cancel, body, out Schemas.Cancel? m);
        message = ok ? new CancelMessage((long)m!.Index, (long)m.Bytes, m.Hash) : default;
        return ok;
    }

    public static Schemas.Feed Encode(DiscoveryKey discoveryKey, ReadOnlyMemory<byte> nonce)
    {
        byte[] key = new byte[DiscoveryKey.Size];
        discoveryKey.CopyTo(key);
        Schemas.Feed feed = new() { DiscoveryKey = UnsafeByteOperations.UnsafeWrap(key) };
        if (!nonce.IsEmpty) feed.Nonce = UnsafeByteOperations.UnsafeWrap(nonce);
        return feed;
    }

    public static Schemas.Handshake Encode(HandshakeMessage message)
    {
        Schemas.Handshake handshake = new()
        {
            Id = UnsafeByteOperations.UnsafeWrap(message.Id),
            Live = message.Live,
            Ack = message.Ack,
        };
        if (message.UserData is { } userData) handshake.UserData = UnsafeByteOperations.UnsafeWrap(userData);
        handshake.Extensions.AddRange(message.Extensions);
        return handshake;
    }

    public static Schemas.Info Encode(InfoMessage message) => new() { Uploading = message.Uploading, Downloading = message.Downloading };

    public static Schemas.Have Encode(HaveMessage message)
    {
        Schemas.Have have = new() { Start = Number(message.Start) };
        if (message.Length is { } length) have.Length = Number(length);
        if (message.Bitfield is { } bitfield) have.Bitfield = UnsafeByteOperations.UnsafeWrap(bitfield);
        if (message.Ack) have.Ack = true;
        return have;
    }

    public static Schemas.Unhave Encode(UnhaveMessage message)
    {
        Schemas.Unhave unhave = new() { Start = Number(message.Start) };
        if (message.Length != 1) unhave.Length = Number(message.Length);
        return unhave;
    }

    public static Schemas.Want Encode(WantMessage message)
    {
        Schemas.Want want = new() { Start = Number(message.Start) };
        if (message.Length is { } length) want.Length = Number(length);
        return want;
    }

    public static Schemas.Unwant Encode(UnwantMessage message)
    {
        Schemas.Unwant unwant = new() { Start = Number(message.Start) };
        if (message.Length is { } length) unwant.Length = Number(length);
        return unwant;
    }

    public static Schemas.Request Encode(RequestMessage message) => new()
    {
        Index = Number(message.Index),
        Bytes = Number(message.Bytes),
        Hash = message.Hash,
        Nodes = Number(checked((long)message.Nodes)),
    };

    public static Schemas.Cancel Encode(CancelMessage message)
    {
        Schemas.Cancel cancel = new() { Index = Number(message.Index) };
        if (message.Bytes != 0) cancel.Bytes = Number(message.Bytes);
        if (message.Hash) cancel.Hash = true;
        return cancel;
    }

    private static bool TryParse<T>(FrameType type, MessageParser<T> parser, ReadOnlySpan<byte> body, [NotNullWhen(true)] out T? message)
        where T : IMessage<T>
    {
        message = default;
        if (!MessageShape.Fits(type, body)) return false;
        try
        {
            message = parser.ParseFrom(body);
            return true;
        }
        catch (InvalidProtocolBufferException)
        {
            // The shape is stricter than the parser in all that is known; what only the parser refuses is malformed too.
            return false;
        }
    }

    // A conditional with a null literal would turn what is absent into an empty memory.
    private static ReadOnlyMemory<byte>? OrAbsent(bool present, ByteString bytes)
    {
        if (present) return bytes.Memory;
        return null;
    }

    private static ulong Number(long value)
    {
        if (value < 0 || (ulong)value > Encoding.Varint.MaxValue)
            throw new ArgumentOutOfRangeException(nameof(value), value, "peers cannot represent numbers above 2^53-1");
        return (ulong)value;
    }
}
