using DatFs.Discovery.Kademlia;
using DatFs.Discovery.Server;

namespace DatFs.Discovery.Mainline;

internal sealed partial class MainlineNode
{
    private const int TokenSize = 20;

    /// <summary>Bytes a peer takes in a list of values.</summary>
    private const int ValueSize = 2 + Ipv4Peer.Size;

    /// <summary>Bytes that the names and lengths of the lists in an answer take at most.</summary>
    private const int Overhead = 32;

    /// <summary>Longest answer, so that it is never cut in two on its way.</summary>
    private const int MaxAnswer = 1200;

    /// <summary>Answers a query; false when it is not answered for its sender asks too much.</summary>
    private bool Answer(KrpcMessage query, Ipv4Peer from, int length)
    {
        bool local = AddressRange.IsPrivate(from.Address);
        KrpcMessage answer;
        lock (_overlay.Gate)
        {
            if (!_buckets.TryTake(from.Address, local ? _options.PrivateRate : _options.Rate)) return false;
            answer = query.Method switch
            {
                KrpcMethod.Ping => Response(query),
                KrpcMethod.FindNode when query.Target is { } target => WithNodes(Response(query), target, Room(from, length)),
                KrpcMethod.GetPeers when query.InfoHash is { } infoHash => WithPeers(Response(query) with { Token = _tokens.For(from.Address) }, infoHash, Room(from, length)),
                KrpcMethod.AnnouncePeer when query.InfoHash is { } infoHash => Store(query, infoHash, from, local),
                KrpcMethod.Other => Refusal(query, KrpcMessage.MethodUnknown, "method unknown"),
                _ => Refusal(query, KrpcMessage.ProtocolError, "argument missing"),
            };
        }

        _socket.Send(answer.ToBytes(), from.ToEndPoint());
        return true;
    }

    /// <summary>How long an answer may be.</summary>
    private int Room(Ipv4Peer from, int length) => _overlay.IsVerified(from) ? MaxAnswer : Math.Min(MaxAnswer, length * MaxGain);

    private KrpcMessage WithNodes(KrpcMessage answer, NodeId target, int room)
    {
        int most = Math.Clamp((room - answer.ToBytes().Length - Overhead) / Contact.SizeOf(NodeId.ShortSize), 0, RoutingTable.BucketSize);
        return answer with { Nodes = [.. _overlay.Table.Closest(target, most).Select(node => node.Contact)] };
    }

    /// <summary>Peers first; nodes for what room is left. Who asks needs both: the peers may be gone.</summary>
    private KrpcMessage WithPeers(KrpcMessage answer, NodeId infoHash, int room)
    {
        int most = Math.Clamp((room - answer.ToBytes().Length - Overhead) / ValueSize, 0, MaxValues);
        NamedEntry[] entries = new NamedEntry[most];
        int count = _records.Choose(NameOf(infoHash), Now, _options.World.Random, entries);
        if (count > 0) answer = answer with { Values = [.. entries.Take(count).Select(entry => entry.Peer)] };
        return WithNodes(answer, infoHash, room);
    }

    private KrpcMessage Store(KrpcMessage query, NodeId infoHash, Ipv4Peer from, bool local)
    {
        if (query.Token is null || !_tokens.IsValid(query.Token, from.Address)) return Refusal(query, KrpcMessage.ProtocolError, "token refused");
        _overlay.Verified(from);
        int port = query.ImpliedPort == true || query.Port is null ? from.Port : query.Port.Value;
        if (port == 0) return Refusal(query, KrpcMessage.ProtocolError, "no port");
        _records.Expire(Now);
        NamedEntry entry = new(NameOf(infoHash), new Ipv4Peer(from.Address, (ushort)port), Now, 0);
        // What is refused for a bound is told as taken: there is nothing its sender could do about it.
        _records.Add(entry, Now, local ? _options.PerPrivateAddress : _options.PerAddress);
        return Response(query);
    }

    private int Now => (int)_options.World.Time.GetUtcNow().ToUnixTimeSeconds();

    private KrpcMessage Response(KrpcMessage query) => new() { Transaction = query.Transaction, Kind = KrpcKind.Response, Id = Id };

    private static KrpcMessage Refusal(KrpcMessage query, int code, string text) => new() { Transaction = query.Transaction, Kind = KrpcKind.Error, Error = (code, text) };

    private static Name20 NameOf(NodeId place)
    {
        Span<byte> bytes = stackalloc byte[NodeId.ShortSize];
        place.Write(bytes);
        return Name20.Read(bytes);
    }
}
