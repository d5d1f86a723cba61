using System.Globalization;
using System.Net;
using DatFs.Discovery;
using DatFs.Discovery.Dns;

namespace DatFs.Unit;

/// <summary>Answers as a discovery server does, with the peers and the token it was given, and records what it was asked.</summary>
internal sealed class ScriptedDnsServer : IAsyncDisposable
{
    private readonly IDatagramSocket _socket;

    public ScriptedDnsServer(IDatagramSocket socket)
    {
        _socket = socket;
        socket.Receive(Take);
    }

    public string Token { get; set; } = "first";

    public List<Ipv4Peer> Peers { get; } = [];

    public List<DnsMessage> Asked { get; } = [];

    public List<ushort> Acknowledged { get; } = [];

    /// <summary>Replaces the answer; null bytes = stays silent.</summary>
    public Func<DnsMessage, byte[]?>? Instead { get; set; }

    public IEnumerable<string> Verbs => Asked.Select(message => message.Additionals is [DnsText text] ? string.Join(' ', text.Strings) : "bare");

    public void Push(string name, string peer, IPEndPoint to, ushort id = 0x9000)
    {
        IPEndPoint pushed = IPEndPoint.Parse(peer);
        _socket.Send(new DnsMessage { Id = id, Flags = DnsMessage.QueryFlags, Additionals = [new DnsService(name, pushed.Address.ToString(), (ushort)pushed.Port)] }.ToBytes(), to);
    }

    public void Send(byte[] datagram, IPEndPoint to) => _socket.Send(datagram, to);

    public ValueTask DisposeAsync() => _socket.DisposeAsync();

    private void Take(ReadOnlySpan<byte> datagram, IPEndPoint from)
    {
        if (!DnsMessage.TryDecode(datagram, out DnsMessage message)) return;
        if (message.IsResponse)
        {
            Acknowledged.Add(message.Id);
            return;
        }

        Asked.Add(message);
        byte[]? reply = Instead is null ? Answer(message) : Instead(message);
        if (reply is not null) _socket.Send(reply, from);
    }

    public byte[] Answer(DnsMessage message) => new DnsMessage
    {
        Id = message.Id,
        Flags = DnsMessage.ResponseFlags,
        Questions = message.Questions,
        Answers = [new DnsText(message.Questions[0].Name, Peers.Count == 0 ? ["token=" + Token] : ["token=" + Token, "peers=" + PeersText.Write([.. Peers])])],
    }.ToBytes();

    public static Ipv4Peer Peer(string endPoint) => Ipv4Peer.TryFrom(IPEndPoint.Parse(endPoint), out Ipv4Peer peer)
        ? peer
        : throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"{endPoint} is no IPv4 address"));
}
