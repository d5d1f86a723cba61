using System.Buffers;
using DatFs.Discovery.Kademlia;

namespace DatFs.Discovery.Mainline;

/// <summary>What a message is.</summary>
internal enum KrpcKind : byte
{
    Query = (byte)'q',
    Response = (byte)'r',
    Error = (byte)'e',
}

/// <summary>What is asked for.</summary>
internal enum KrpcMethod
{
    /// <summary>Nothing: the message is no query.</summary>
    None,

    /// <summary>Something that we do not know.</summary>
    Other,
    Ping,
    FindNode,
    GetPeers,
    AnnouncePeer,
}

/// <summary>
/// A message of the mainline network (BEP 5, discovery.md §6.1): one bencoded dictionary. Arguments of a query and values of a response have
/// the same names where they mean the same, so they share their fields. What is unknown is passed over.
/// </summary>
internal sealed record KrpcMessage
{
    /// <summary>Bytes of a request's name; ours have two.</summary>
    public const int MaxTransaction = 32;

    /// <summary>Bytes of a token; the reference's have 20.</summary>
    public const int MaxToken = 128;

    /// <summary>Token refused, as BEP 5 numbers it.</summary>
    public const int ProtocolError = 203;

    /// <summary>Method unknown.</summary>
    public const int MethodUnknown = 204;

    /// <summary>Name of the request, chosen by whoever asks.</summary>
    public required byte[] Transaction { get; init; }

    public required KrpcKind Kind { get; init; }

    public KrpcMethod Method { get; init; }

    /// <summary>The sender's place; null = not said.</summary>
    public NodeId? Id { get; init; }

    /// <summary>What find_node looks for.</summary>
    public NodeId? Target { get; init; }

    /// <summary>What get_peers and announce_peer are about.</summary>
    public NodeId? InfoHash { get; init; }

    /// <summary>The announced port.</summary>
    public int? Port { get; init; }

    /// <summary>Whether the port the packet came from counts instead.</summary>
    public bool? ImpliedPort { get; init; }

    public byte[]? Token { get; init; }

    /// <summary>Nodes near what was asked for; null = not said.</summary>
    public IReadOnlyList<Contact>? Nodes { get; init; }

    /// <summary>Peers; null = not said.</summary>
    public IReadOnlyList<Ipv4Peer>? Values { get; init; }

    /// <summary>Number and text of an error.</summary>
    public (int Code, string Text)? Error { get; init; }

    /// <summary>The sender answers no queries (BEP 43).</summary>
    public bool ReadOnly { get; init; }

    public static bool TryDecode(ReadOnlySpan<byte> datagram, out KrpcMessage message)
    {
        message = null!;
        BencodeReader reader = new(datagram);
        if (!reader.IsDictionary || !reader.Enter()) return false;
        KrpcMessage read = new() { Transaction = [], Kind = 0 };
        int bodies = 0;
        while (reader.NextKey(out ReadOnlySpan<byte> key))
        {
            if (key.SequenceEqual("t"u8)) read = Bytes(ref reader, 1, MaxTransaction) is { } name ? read with { Transaction = name } : read;
            else if (key.SequenceEqual("y"u8)) read = Bytes(ref reader, 1, 1) is { } kind ? read with { Kind = (KrpcKind)kind[0] } : read;
            else if (key.SequenceEqual("q"u8)) read = reader.ReadBytes(out ReadOnlySpan<byte> method) ? read with { Method = MethodOf(method) } : read;
            else if (key.SequenceEqual("ro"u8)) read = reader.ReadNumber(out long readOnly) ? read with { ReadOnly = readOnly == 1 } : read;
            else if (key.SequenceEqual("a"u8) || key.SequenceEqual("r"u8))
            {
                bodies++;
                read = ReadBody(ref reader, read);
            }
            else if (key.SequenceEqual("e"u8)) read = ReadError(ref reader, read);
            else reader.Skip();

            if (reader.Malformed) return false;
        }

        bool whole = !reader.Malformed && reader.IsEmpty && bodies <= 1 && read.Transaction.Length > 0;
        if (!whole || read.Kind is not (KrpcKind.Query or KrpcKind.Response or KrpcKind.Error)) return false;
        if (read.Kind == KrpcKind.Query && (read.Method == KrpcMethod.None || read.Id is null)) return false;
        if (read.Kind == KrpcKind.Response && read.Id is null) return false;
        if (read.Kind == KrpcKind.Error && read.Error is null) return false;
        message = read;
        return true;
    }

    public byte[] ToBytes()
    {
        ArrayBufferWriter<byte> bytes = new(256);
        BencodeWriter writer = new(bytes);
        writer.BeginDictionary();
        if (Kind == KrpcKind.Query) WriteBody(writer, "a"u8);
        if (Kind == KrpcKind.Error && Error is { } error)
        {
            writer.Bytes("e"u8);
            writer.BeginList();
            writer.Number(error.Code);
            writer.Bytes(System.Text.Encoding.UTF8.GetBytes(error.Text));
            writer.End();
        }

        if (Kind == KrpcKind.Query)
        {
            writer.Bytes("q"u8);
            writer.Bytes(NameOf(Method));
        }

        if (Kind == KrpcKind.Response) WriteBody(writer, "r"u8);
        if (ReadOnly)
        {
            writer.Bytes("ro"u8);
            writer.Number(1);
        }

        writer.Bytes("t"u8);
        writer.Bytes(Transaction);
        writer.Bytes("y"u8);
        writer.Bytes([(byte)Kind]);
        writer.End();
        return bytes.WrittenSpan.ToArray();
    }

    private static KrpcMessage ReadBody(ref BencodeReader reader, KrpcMessage read)
    {
        if (!reader.IsDictionary || !reader.Enter()) return Malformed(ref reader, read);
        while (reader.NextKey(out ReadOnlySpan<byte> key))
        {
            if (key.SequenceEqual("id"u8)) read = read with { Id = Place(ref reader) };
            else if (key.SequenceEqual("target"u8)) read = read with { Target = Place(ref reader) };
            else if (key.SequenceEqual("info_hash"u8)) read = read with { InfoHash = Place(ref reader) };
            else if (key.SequenceEqual("token"u8)) read = read with { Token = Bytes(ref reader, 0, MaxToken) };
            else if (key.SequenceEqual("port"u8)) read = reader.ReadNumber(out long port) && port is >= 0 and <= ushort.MaxValue ? read with { Port = (int)port } : Malformed(ref reader, read);
            else if (key.SequenceEqual("implied_port"u8)) read = reader.ReadNumber(out long implied) ? read with { ImpliedPort = implied != 0 } : read;
            else if (key.SequenceEqual("nodes"u8)) read = reader.ReadBytes(out ReadOnlySpan<byte> nodes) ? read with { Nodes = Contact.ReadAll(nodes, NodeId.ShortSize) } : read;
            else if (key.SequenceEqual("values"u8) && reader.IsList) read = ReadValues(ref reader, read);
            else reader.Skip();
        }

        return read;
    }

    private static KrpcMessage ReadValues(ref BencodeReader reader, KrpcMessage read)
    {
        List<Ipv4Peer> peers = [];
        reader.Enter();
        while (!reader.Malformed && !reader.TryLeave())
        {
            // Others than IPv4 ones have other lengths.
            if (!reader.IsBytes) reader.Skip();
            else if (reader.ReadBytes(out ReadOnlySpan<byte> peer) && peer.Length == Ipv4Peer.Size) peers.Add(Ipv4Peer.Read(peer));
        }

        return read with { Values = peers };
    }

    private static KrpcMessage ReadError(ref BencodeReader reader, KrpcMessage read)
    {
        (int Code, string Text) error = (0, "");
        if (!reader.IsList || !reader.Enter()) return Malformed(ref reader, read);
        while (!reader.Malformed && !reader.TryLeave())
        {
            if (reader.IsNumber && reader.ReadNumber(out long code)) error.Code = (int)Math.Clamp(code, 0, int.MaxValue);
            else if (reader.IsBytes && reader.ReadBytes(out ReadOnlySpan<byte> text)) error.Text = Printable(text);
            else reader.Skip();
        }

        return read with { Error = error };
    }

    /// <summary>A stranger's words, fit to be shown.</summary>
    private static string Printable(ReadOnlySpan<byte> text)
    {
        const int longest = 100;
        Span<char> chars = stackalloc char[Math.Min(text.Length, longest)];
        for (int i = 0; i < chars.Length; i++) chars[i] = text[i] is >= 0x20 and < 0x7f ? (char)text[i] : '?';
        return new string(chars);
    }

    private static NodeId? Place(ref BencodeReader reader)
    {
        if (reader.ReadBytes(out ReadOnlySpan<byte> bytes) && bytes.Length == NodeId.ShortSize) return NodeId.Read(bytes);
        reader.Refuse();
        return null;
    }

    private static byte[]? Bytes(ref BencodeReader reader, int least, int most)
    {
        if (reader.ReadBytes(out ReadOnlySpan<byte> bytes) && bytes.Length >= least && bytes.Length <= most) return bytes.ToArray();
        reader.Refuse();
        return null;
    }

    private static KrpcMessage Malformed(ref BencodeReader reader, KrpcMessage read)
    {
        reader.Refuse();
        return read;
    }

    private void WriteBody(BencodeWriter writer, ReadOnlySpan<byte> name)
    {
        writer.Bytes(name);
        writer.BeginDictionary();
        Place(writer, "id"u8, Id);
        if (ImpliedPort is { } implied)
        {
            writer.Bytes("implied_port"u8);
            writer.Number(implied ? 1 : 0);
        }

        Place(writer, "info_hash"u8, InfoHash);
        if (Nodes is not null)
        {
            writer.Bytes("nodes"u8);
            int size = Contact.SizeOf(NodeId.ShortSize);
            Span<byte> space = writer.Bytes(Nodes.Count * size);
            for (int i = 0; i < Nodes.Count; i++) Nodes[i].Write(space.Slice(i * size, size), NodeId.ShortSize);
        }

        if (Port is { } port)
        {
            writer.Bytes("port"u8);
            writer.Number(port);
        }

        Place(writer, "target"u8, Target);
        if (Token is not null)
        {
            writer.Bytes("token"u8);
            writer.Bytes(Token);
        }

        if (Values is not null)
        {
            writer.Bytes("values"u8);
            writer.BeginList();
            foreach (Ipv4Peer peer in Values) peer.Write(writer.Bytes(Ipv4Peer.Size));
            writer.End();
        }

        writer.End();
    }

    private static void Place(BencodeWriter writer, ReadOnlySpan<byte> name, NodeId? place)
    {
        if (place is not { } known) return;
        writer.Bytes(name);
        known.Write(writer.Bytes(NodeId.ShortSize));
    }

    private static KrpcMethod MethodOf(ReadOnlySpan<byte> name) => name switch
    {
        _ when name.SequenceEqual("ping"u8) => KrpcMethod.Ping,
        _ when name.SequenceEqual("find_node"u8) => KrpcMethod.FindNode,
        _ when name.SequenceEqual("get_peers"u8) => KrpcMethod.GetPeers,
        _ when name.SequenceEqual("announce_peer"u8) => KrpcMethod.AnnouncePeer,
        _ => KrpcMethod.Other,
    };

    private static ReadOnlySpan<byte> NameOf(KrpcMethod method) => method switch
    {
        KrpcMethod.Ping => "ping"u8,
        KrpcMethod.FindNode => "find_node"u8,
        KrpcMethod.GetPeers => "get_peers"u8,
        KrpcMethod.AnnouncePeer => "announce_peer"u8,
        _ => "other"u8,
    };
}
