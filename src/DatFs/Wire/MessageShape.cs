using DatFs.Encoding;

namespace DatFs.Wire;

/// <summary>
/// Decides whether a body may be handed to the generated parser. That parser takes a known field of another wire type for an unknown
/// one and knows no bound of 2^53; here both make the message malformed (wire-protocol.md §2.4).
/// </summary>
internal static class MessageShape
{
    private enum Kind : byte
    {
        None,
        Number,
        Bool,
        Bytes,
    }

    public static bool Fits(FrameType type, ReadOnlySpan<byte> body)
    {
        ReadOnlySpan<Kind> kinds = KindsOf(type);
        bool first = false;
        FieldReader fields = new(body);
        while (fields.Next())
        {
            first |= fields.Field == 1;
            Kind kind = fields.Field <= kinds.Length ? kinds[fields.Field - 1] : Kind.None;
            bool ok = kind switch
            {
                Kind.Number => fields.ReadNumber(out _),
                Kind.Bool => fields.ReadBool(out _),
                Kind.Bytes => fields.ReadBytes(out _),
                _ => fields.Skip(),
            };
            if (!ok) return false;
        }

        // Field 1 is the only required field of any message, and of all but these two.
        return !fields.Malformed && (first || type is FrameType.Handshake or FrameType.Info);
    }

    private static ReadOnlySpan<Kind> KindsOf(FrameType type) => type switch
    {
        FrameType.Feed => [Kind.Bytes, Kind.Bytes],
        FrameType.Handshake => [Kind.Bytes, Kind.Bool, Kind.Bytes, Kind.Bytes, Kind.Bool],
        FrameType.Info => [Kind.Bool, Kind.Bool],
        FrameType.Have => [Kind.Number, Kind.Number, Kind.Bytes, Kind.Bool],
        FrameType.Unhave or FrameType.Want or FrameType.Unwant => [Kind.Number, Kind.Number],
        FrameType.Request => [Kind.Number, Kind.Number, Kind.Bool, Kind.Number],
        FrameType.Cancel => [Kind.Number, Kind.Number, Kind.Bool],
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "not a message of the generated schema"),
    };
}
