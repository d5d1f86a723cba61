using DatFs.Discovery.Kademlia;
using DatFs.Encoding;

namespace DatFs.Discovery.DhtRpc;

/// <summary>What a message is.</summary>
internal enum DhtRpcKind : byte
{
    Query = 1,

    /// <summary>A query that changes something, and so carries the token its sender was given.</summary>
    Update = 2,
    Response = 3,
}

/// <summary>
/// A message of the dht-rpc 4 network, which @hyperswarm/dht speaks (discovery.md §6.2): one protobuf message a datagram. What is unknown is passed
/// over; what is known must have its right type, and ids and places their length.
/// </summary>
internal sealed record DhtRpcMessage
{
    /// <summary>Version we send. Ids in messages without one do not count: their senders are too old to be nodes.</summary>
    public const ulong CurrentVersion = 1;

    /// <summary>Bytes of a token; the reference's have 32.</summary>
    public const int MaxToken = 64;

    /// <summary>Letters of a command.</summary>
    public const int MaxCommand = 64;

    /// <summary>Bytes of a value; the reference stores 1000 at most.</summary>
    public const int MaxValue = 2048;

    /// <summary>Nodes taken from a message.</summary>
    public const int MaxCloser = RoutingTable.BucketSize;

    /// <summary>Letters of an error that are kept.</summary>
    public const int MaxError = 100;

    private const int KindField = 1, RequestField = 2, IdField = 3, TargetField = 4, CloserField = 5, TokenField = 6;
    private const int CommandField = 7, ErrorField = 8, ValueField = 9, ToField = 10, VersionField = 11;

    public required DhtRpcKind Kind { get; init; }

    /// <summary>Name of the request, chosen by whoever asks.</summary>
    public required ulong Request { get; init; }

    public ulong Version { get; init; } = CurrentVersion;

    /// <summary>The receiver's address as the sender sees it; null = not said.</summary>
    public Ipv4Peer? To { get; init; }

    /// <summary>The sender's place; null = it is a client and takes no part.</summary>
    public NodeId? Id { get; init; }

    public NodeId? Target { get; init; }

    /// <summary>Nodes near the target; null = not said.</summary>
    public IReadOnlyList<Contact>? Closer { get; init; }

    public byte[]? Token { get; init; }

    /// <summary>What is asked for; null = not said.</summary>
    public string? Command { get; init; }

    /// <summary>Why it was not done, in letters fit to be shown. Null and empty = it was.</summary>
    public string? Error { get; init; }

    public byte[]? Value { get; init; }

    public static bool TryDecode(ReadOnlySpan<byte> datagram, out DhtRpcMessage message)
    {
        message = null!;
        DhtRpcMessage read = new() { Kind = 0, Request = 0, Version = 0 };
        bool named = false;
        FieldReader fields = new(datagram);
        while (fields.Next())
        {
            DhtRpcMessage? next = fields.Field switch
            {
                KindField => fields.ReadNumber(out ulong kind) && kind is >= 1 and <= 3 ? read with { Kind = (DhtRpcKind)kind } : null,
                RequestField => fields.ReadNumber(out ulong request) ? read with { Request = request } : null,
                VersionField => fields.ReadNumber(out ulong version) ? read with { Version = version } : null,
                IdField => fields.ReadBytes(out ReadOnlySpan<byte> id) && id.Length == NodeId.Size ? read with { Id = NodeId.Read(id) } : null,
                TargetField => fields.ReadBytes(out ReadOnlySpan<byte> target) && target.Length == NodeId.Size ? read with { Target = NodeId.Read(target) } : null,
                CloserField => fields.ReadBytes(out ReadOnlySpan<byte> closer) ? read with { Closer = ReadCloser(closer) } : null,
                TokenField => fields.ReadBytes(out ReadOnlySpan<byte> token) && token.Length <= MaxToken ? read with { Token = token.ToArray() } : null,
                CommandField => fields.ReadBytes(out ReadOnlySpan<byte> command) && IsWord(command) ? read with { Command = System.Text.Encoding.ASCII.GetString(command) } : null,
                ErrorField => fields.ReadBytes(out ReadOnlySpan<byte> error) ? read with { Error = Printable(error) } : null,
                ValueField => fields.ReadBytes(out ReadOnlySpan<byte> value) && value.Length <= MaxValue ? read with { Value = value.ToArray() } : null,
                ToField => fields.ReadBytes(out ReadOnlySpan<byte> to) ? read with { To = to.Length == Ipv4Peer.Size ? Ipv4Peer.Read(to) : null } : null,
                _ => fields.Skip() ? read : null,
            };
            if (next is null) return false;
            named |= fields.Field == RequestField;
            read = next;
        }

        if (fields.Malformed || read.Kind == 0 || !named) return false;
        message = read;
        return true;
    }

    /// <summary>In the order in which the reference writes the fields.</summary>
    public byte[] ToBytes()
    {
        FieldWriter fields = new();
        if (Version != 0) fields.Number(VersionField, Version);
        fields.Number(KindField, (ulong)Kind);
        fields.Number(RequestField, Request);
        To?.Write(fields.Bytes(ToField, Ipv4Peer.Size));
        Id?.Write(fields.Bytes(IdField, NodeId.Size));
        Target?.Write(fields.Bytes(TargetField, NodeId.Size));
        if (Closer is not null)
        {
            int size = Contact.SizeOf(NodeId.Size);
            Span<byte> space = fields.Bytes(CloserField, Closer.Count * size);
            for (int i = 0; i < Closer.Count; i++) Closer[i].Write(space.Slice(i * size, size), NodeId.Size);
        }

        if (Token is not null) fields.Bytes(TokenField, Token);
        if (Command is not null) fields.Bytes(CommandField, System.Text.Encoding.ASCII.GetBytes(Command));
        if (Error is not null) fields.Bytes(ErrorField, System.Text.Encoding.ASCII.GetBytes(Error));
        if (Value is not null) fields.Bytes(ValueField, Value);
        return fields.ToBytes();
    }

    private static Contact[] ReadCloser(ReadOnlySpan<byte> bytes) =>
        Contact.ReadAll(bytes[..Math.Min(bytes.Length, MaxCloser * Contact.SizeOf(NodeId.Size))], NodeId.Size);

    private static bool IsWord(ReadOnlySpan<byte> command) => command.Length <= MaxCommand && !command.ContainsAnyExceptInRange((byte)' ', (byte)'~');

    /// <summary>A stranger's words, fit to be shown.</summary>
    private static string Printable(ReadOnlySpan<byte> text)
    {
        Span<char> chars = stackalloc char[Math.Min(text.Length, MaxError)];
        for (int i = 0; i < chars.Length; i++) chars[i] = text[i] is >= 0x20 and < 0x7f ? (char)text[i] : '?';
        return new string(chars);
    }
}
