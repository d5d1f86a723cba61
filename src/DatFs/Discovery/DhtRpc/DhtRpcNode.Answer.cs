using System.Buffers.Binary;
using System.Security.Cryptography;
using DatFs.Discovery.Kademlia;
using DatFs.Discovery.Server;

namespace DatFs.Discovery.DhtRpc;

internal sealed partial class DhtRpcNode
{
    /// <summary>What a node answers that does not know a command.</summary>
    public const string Unsupported = "Unsupported command";

    /// <summary>Bytes of a token.</summary>
    public const int TokenSize = 32;

    /// <summary>Longest answer, so that it is never cut in two on its way.</summary>
    private const int MaxAnswer = 1200;

    /// <summary>Bytes that the tags and lengths of the lists in an answer take at most.</summary>
    private const int Overhead = 16;

    /// <summary>Local peers of an answer.</summary>
    private const int MaxLocal = 32;

    /// <summary>Answers a query; false when it is not answered: its sender asks too much, shows no valid token, or asks for nothing.</summary>
    private bool Answer(DhtRpcMessage query, Ipv4Peer from, int length)
    {
        IDhtCommand? own = Array.Find(_commands, command => command.Name == query.Command);
        bool proven = own is not null && query.Target is not null && own.IsProven(query);
        bool local = AddressRange.IsPrivate(from.Address);
        bool verified;
        DhtRpcMessage answer;
        lock (_overlay.Gate)
        {
            bool taken = proven ? _provenBuckets.TryTake(from.Address, _options.ProvenRate) : _buckets.TryTake(from.Address, local ? _options.PrivateRate : _options.Rate);
            if (!taken) return false;
            if (query.Kind == DhtRpcKind.Update)
            {
                if (query.Token is null || !_tokens.IsValid(query.Token, from.Address)) return false;
                _overlay.Verified(from);
            }

            verified = _overlay.IsVerified(from);
            answer = new DhtRpcMessage { Kind = DhtRpcKind.Response, Request = query.Request, To = from, Id = Id, Token = _tokens.For(from.Address) };
        }

        // No lock is held while a command of somebody else's runs.
        DhtAnswer? told = proven ? own!.Answer(new DhtRequest(query, from, verified)) : null;
        int room = verified ? MaxAnswer : Math.Min(MaxAnswer, length * MaxGain);
        lock (_overlay.Gate)
        {
            DhtRpcMessage? whole = told is not null ? WithNodes(answer with { Value = told.Value }, query.Target!.Value, room, told.Closer) : AnswerTo(query, from, local, answer, room, verified);
            if (whole is null) return false;
            answer = whole;
        }

        _socket.Send(Fitting(answer, room).ToBytes(), from.ToEndPoint());
        return true;
    }

    private DhtRpcMessage? AnswerTo(DhtRpcMessage query, Ipv4Peer from, bool local, DhtRpcMessage answer, int room, bool verified)
    {
        switch (query.Command)
        {
            case PingCommand:
                return query.Value is { } meant && !IsOurs(meant) ? null : answer with { Value = Bytes(from) };
            case FindNodeCommand:
                return query.Target is { } place ? WithNodes(answer, place, room, []) : null;
            case HolepunchCommand:
                return Holepunch(query, from, answer, verified);
            case PeersCommand when query.Target is { } target:
                return PeersRequest.TryDecode(query.Value, out PeersRequest request) ? Peers(query.Kind, request, target, from, local, answer, room) : null;
            default:
                return query.Target is { } any ? WithNodes(answer with { Token = null, Error = Unsupported }, any, room, []) : null;
        }
    }

    /// <summary>
    /// Tells another node that the asker wants to reach it, or answers one of whom we were told. Both only when the other is a node that
    /// we know: a stranger could else have us send to whomever he likes.
    /// </summary>
    private DhtRpcMessage? Holepunch(DhtRpcMessage query, Ipv4Peer from, DhtRpcMessage answer, bool verified)
    {
        if (!HolepunchValue.TryDecode(query.Value, out HolepunchValue holepunch)) return null;
        if (holepunch is { From: null, To: null }) return answer with { Id = null, Value = null };
        Ipv4Peer other = holepunch.To ?? holepunch.From!.Value;
        if (!verified || other == from || !_overlay.IsVerified(other) || !Contact.IsWorthAsking(other, from)) return null;
        byte[] message = holepunch.To is not null
            ? new DhtRpcMessage { Kind = DhtRpcKind.Query, Request = query.Request, To = other, Id = Id, Command = HolepunchCommand, Value = new HolepunchValue(from, null).ToBytes() }.ToBytes()
            : (answer with { To = other, Token = _tokens.For(other.Address) }).ToBytes();
        _socket.Send(message, other.ToEndPoint());
        return null;
    }

    private DhtRpcMessage? Peers(DhtRpcKind kind, PeersRequest request, NodeId target, Ipv4Peer from, bool local, DhtRpcMessage answer, int room)
    {
        Ipv4Peer peer = new(from.Address, (ushort)(request.Port ?? from.Port));
        if (peer.Port == 0) return null;
        Name20 name = NameOf(target);
        Name20? localName = request.LocalAddress is { } own ? LocalNameOf(target, own.Address) : null;
        _records.Expire(Now);
        _localRecords.Expire(Now);
        if (kind == DhtRpcKind.Query) return WithPeers(answer, target, peer, request.LocalAddress, localName, room);
        if (request.Unannounce)
        {
            _records.Remove(name, peer);
            if (localName is { } gone) _localRecords.Remove(gone, request.LocalAddress!.Value);
        }
        else
        {
            // What is refused for a bound is told as taken: there is nothing its sender could do about it.
            AddressLimits limits = local ? _options.PerPrivateAddress : _options.PerAddress;
            _records.Add(new NamedEntry(name, peer, Now, 0), Now, limits);
            if (localName is { } known && request.LocalAddress!.Value.Port != 0) _localRecords.Add(new NamedEntry(known, request.LocalAddress.Value, Now, 0), Now, limits);
        }

        return WithNodes(answer, target, room, []);
    }

    /// <summary>Peers first, but not the asker himself; nodes for what room is left.</summary>
    private DhtRpcMessage WithPeers(DhtRpcMessage answer, NodeId target, Ipv4Peer asker, Ipv4Peer? local, Name20? localName, int room)
    {
        int most = Math.Max(0, room - answer.ToBytes().Length - Overhead);
        Ipv4Peer[] near = localName is { } name ? Choose(_localRecords, name, local!.Value, Math.Min(MaxLocal, most / PeersAnswer.LocalSize)) : [];
        most = Math.Max(0, most - near.Length * PeersAnswer.LocalSize);
        Ipv4Peer[] peers = Choose(_records, NameOf(target), asker, Math.Min(PeersAnswer.MaxPeers - near.Length, most / Ipv4Peer.Size));
        return WithNodes(answer with { Value = new PeersAnswer(peers, near).ToBytes() }, target, room, []);
    }

    private Ipv4Peer[] Choose(NamedTable table, Name20 name, Ipv4Peer except, int most)
    {
        NamedEntry[] entries = new NamedEntry[most + 1];
        int count = table.Choose(name, Now, _options.World.Random, entries);
        return [.. entries.Take(count).Select(entry => entry.Peer).Where(peer => peer != except).Take(most)];
    }

    private DhtRpcMessage WithNodes(DhtRpcMessage answer, NodeId target, int room, IReadOnlyList<Contact> first)
    {
        int most = Math.Clamp((room - answer.ToBytes().Length - Overhead) / Contact.SizeOf(NodeId.Size), 0, RoutingTable.BucketSize);
        IEnumerable<Contact> nodes = first.Concat(_overlay.Table.Closest(target, most).Select(node => node.Contact));
        return answer with { Closer = [.. nodes.DistinctBy(node => node.Address).Take(most)] };
    }

    /// <summary>What a short question from an address that may be forged is answered: without what the asker can do without.</summary>
    private static DhtRpcMessage Fitting(DhtRpcMessage answer, int room)
    {
        if (answer.ToBytes().Length > room && answer.Closer is { Count: 0 }) answer = answer with { Closer = null };
        if (answer.ToBytes().Length > room) answer = answer with { Value = null };
        if (answer.ToBytes().Length > room) answer = answer with { Token = null };
        return answer.ToBytes().Length > room ? answer with { Id = null } : answer;
    }

    private int Now => (int)_options.World.Time.GetUtcNow().ToUnixTimeSeconds();

    private bool IsOurs(byte[] id) => id.Length == NodeId.Size && NodeId.Read(id) == Id;

    private static byte[] Bytes(Ipv4Peer peer)
    {
        byte[] bytes = new byte[Ipv4Peer.Size];
        peer.Write(bytes);
        return bytes;
    }

    private static Name20 NameOf(NodeId target)
    {
        Span<byte> bytes = stackalloc byte[NodeId.Size];
        target.Write(bytes);
        return Name20.Read(bytes);
    }

    /// <summary>Local peers are told to those only whose own address begins with the same two bytes.</summary>
    private static Name20 LocalNameOf(NodeId target, uint address)
    {
        Span<byte> bytes = stackalloc byte[NodeId.Size + sizeof(ushort)], hash = stackalloc byte[SHA256.HashSizeInBytes];
        target.Write(bytes);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[NodeId.Size..], (ushort)(address >> 16));
        SHA256.HashData(bytes, hash);
        return Name20.Read(hash);
    }
}
