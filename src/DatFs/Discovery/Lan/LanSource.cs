using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using DatFs.Discovery.Dns;

namespace DatFs.Discovery.Lan;

/// <summary>
/// Peers on the same link, by mDNS (discovery.md §4). Nothing is announced: whoever has a drive answers who asks for it, so both sides ask
/// when they join and once a minute. Only questions and answers from addresses of our links count. There is no server that could be
/// down, so there is no breaker: the source is well while the group is heard.
/// </summary>
internal sealed class LanSource : IPeerSource
{
    /// <summary>Port of mDNS.</summary>
    public const int Port = 5353;

    /// <summary>Answers sent in a second; more questions than that are a flood.</summary>
    public const int MaxAnswersPerSecond = 200;

    /// <summary>Questions of one packet that are answered.</summary>
    public const int MaxQuestions = 8;

    /// <summary>Peers of one packet that are told.</summary>
    public const int MaxTold = 64;

    /// <summary>Shortest time between two questions for a topic; up to a sixth more by chance.</summary>
    public static readonly TimeSpan Refresh = TimeSpan.FromSeconds(60);

    /// <summary>How often the interfaces are looked at.</summary>
    public static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(5);

    private readonly IMulticastSocket _socket;
    private readonly ILocalNetwork _network;
    private readonly LanSourceOptions _options;
    private readonly byte[] _secret = RandomNumberGenerator.GetBytes(32);
    private readonly Lock _gate = new();
    private readonly Dictionary<string, List<LanSearch>> _searches = [];
    private readonly ITimer _look;
    private DateTimeOffset? _lastAnswer;
    private long _second;
    private int _answers;
    private bool _disposed;

    /// <summary>Takes the socket over, opens it and begins to answer for what is joined.</summary>
    public LanSource(IMulticastSocket socket, ILocalNetwork network, LanSourceOptions? options = null)
    {
        (_socket, _network, _options) = (socket, network, options ?? new LanSourceOptions());
        socket.Receive(Take);
        socket.Refresh();
        network.Changed += socket.Refresh;
        _look = _options.Time.CreateTimer(static self => ((LanSource)self!)._socket.Refresh(), this, LookEvery, LookEvery);
    }

    /// <inheritdoc/>
    public SourceKind Kind => SourceKind.Lan;

    /// <inheritdoc/>
    public string Name => "lan";

    /// <inheritdoc/>
    public SourceStatus Status
    {
        get
        {
            string? problem = _socket.Problem;
            DateTimeOffset? last;
            lock (_gate) last = _lastAnswer;
            SourceHealth health = _socket.Links == 0 ? SourceHealth.Unavailable : problem is not null ? SourceHealth.Failing : last is null ? SourceHealth.Unknown : SourceHealth.Up;
            return new SourceStatus(health, health == SourceHealth.Failing ? 1 : 0, last, null, problem, problem is null ? null : "check that an interface with multicast is up and that the firewall lets UDP port 5353 through; other sources do without");
        }
    }

    /// <summary>The clock and the dice.</summary>
    internal LanSourceOptions Options => _options;

    /// <inheritdoc/>
    public IPeerSearch Join(SwarmTopic topic, int port, Action<PeerSighting> found)
    {
        LanSearch search = new(this, $"{topic.Name}.{_options.Domain}", port, found);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            ref List<LanSearch>? same = ref CollectionsMarshal.GetValueRefOrAddDefault(_searches, search.DnsName, out _);
            (same ??= []).Add(search);
        }

        search.Ask();
        return search;
    }

    /// <inheritdoc/>
    public void Wake()
    {
        _socket.Refresh();
        foreach (LanSearch search in All()) search.Ask();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
        }

        _network.Changed -= _socket.Refresh;
        await _look.DisposeAsync();
        foreach (LanSearch search in All()) await search.DisposeAsync();
        await _socket.DisposeAsync();
    }

    /// <summary>Asks everybody on every link for a name.</summary>
    internal void Ask(string dnsName) =>
        _socket.Send(new DnsMessage { Questions = [new DnsQuestion(dnsName, DnsType.Txt)] }.ToBytes(), Port, IMulticastSocket.AllLinks);

    /// <summary>True while somebody could hear an answer of ours.</summary>
    internal bool Heard => _socket.Links > 0;

    internal void Leave(LanSearch search)
    {
        lock (_gate)
        {
            if (!_searches.TryGetValue(search.DnsName, out List<LanSearch>? same)) return;
            same.Remove(search);
            if (same.Count == 0) _searches.Remove(search.DnsName);
        }
    }

    private LanSearch[] All()
    {
        lock (_gate) return [.. _searches.Values.SelectMany(same => same)];
    }

    private LanSearch[] Of(string dnsName)
    {
        lock (_gate) return _searches.TryGetValue(dnsName, out List<LanSearch>? same) ? [.. same] : [];
    }

    private void Take(ReadOnlySpan<byte> datagram, IPEndPoint from, int link)
    {
        // The port is open to whoever reaches this machine; the group is only for its links.
        if (from.Port == 0 || !_network.IsOnLink(from.Address) || !DnsMessage.TryDecode(datagram, out DnsMessage message)) return;
        if (message.IsResponse) TakeAnswers(message, from);
        else Answer(message, from, link);
    }

    private void Answer(DnsMessage message, IPEndPoint from, int link)
    {
        foreach (DnsQuestion question in message.Questions.Take(MaxQuestions))
        {
            if (question.Type != DnsType.Txt) continue;
            Ipv4Peer[] held = [.. Of(question.Name).Where(search => search.Port > 0).Select(search => new Ipv4Peer(0, (ushort)search.Port)).Distinct().Take(PeersText.MaxPeers)];
            if (held.Length == 0 || !MayAnswer()) continue;
            DnsMessage answer = new()
            {
                Flags = DnsMessage.MulticastResponseFlags,
                Questions = [question],
                Answers = [new DnsText(question.Name, [$"token={Token(from.Address)}", $"peers={PeersText.Write(held)}"])],
            };
            _socket.Send(answer.ToBytes(), from.Port, link);
        }
    }

    private void TakeAnswers(DnsMessage message, IPEndPoint from)
    {
        string own = Token(from.Address);
        int told = 0;
        foreach (DnsRecord record in message.Answers.Concat(message.Additionals))
        {
            LanSearch[] searches = Of(record.Name);
            if (searches.Length == 0) continue;
            // Our own answer to our own question carries the token that we would give its sender.
            if (record is DnsText echo && echo["token"] == own) return;
            IReadOnlyList<Ipv4Peer> peers = record switch
            {
                DnsText text => text.Peers,
                DnsService { Peer: { } peer } => [peer with { Port = peer.Port == 0 ? (ushort)from.Port : peer.Port }],
                _ => [],
            };
            foreach (Ipv4Peer peer in peers)
            {
                if (++told > MaxTold) return;
                IPEndPoint named = new(peer.Address == 0 ? AddressRules.Plain(from.Address) : peer.ToEndPoint().Address, peer.Port);
                // What we answered others comes back to us too.
                bool ours = _network.IsOurs(named.Address);
                foreach (LanSearch search in searches)
                {
                    if (named.Port == 0 || (ours && named.Port == search.Port)) continue;
                    lock (_gate) _lastAnswer = _options.Time.GetUtcNow();
                    search.Tell(named);
                }
            }
        }
    }

    private bool MayAnswer()
    {
        long second = _options.Time.GetTimestamp() / _options.Time.TimestampFrequency;
        lock (_gate)
        {
            if (second != _second) (_second, _answers) = (second, 0);
            return ++_answers <= MaxAnswersPerSecond;
        }
    }

    private string Token(IPAddress asker)
    {
        Span<byte> text = stackalloc byte[_secret.Length + 15];
        _secret.CopyTo(text);
        _ = AddressRules.Plain(asker).TryFormat(text[_secret.Length..], out int length);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(text[..(_secret.Length + length)], hash);
        return Convert.ToBase64String(hash);
    }
}
