using System.Globalization;
using System.Net;
using DatFs.Discovery.Dns;

namespace DatFs.Discovery.Server;

public sealed partial class DiscoveryServer
{
    /// <summary>
    /// Answers one message. The answer is computed before what the message announces is done, and pushes leave before it, as the reference does.
    /// One question and one record are heeded: no client sends more, and more would multiply what a forger gets sent to his victim.
    /// </summary>
    private void Answer(DnsMessage message, Ipv4Peer sender, IPEndPoint from, byte socket, AddressLimits own)
    {
        if (message.Questions is not [{ } question, ..])
        {
            _counters = _counters with { Malformed = _counters.Malformed + 1 };
            return;
        }

        string token = _secrets.Token(sender.Address);
        DnsText? text = message.Additionals.OfType<DnsText>().FirstOrDefault();
        bool proven = text?["token"] is { } given && _secrets.Accepts(given, sender.Address, token);
        List<DnsRecord> answers = [];
        if (question.Name == _options.Domain)
        {
            if (question.Type == DnsType.Txt) answers.Add(new DnsText(question.Name, ["token=" + token, "host=" + sender.Host, string.Create(CultureInfo.InvariantCulture, $"port={sender.Port}")]));
            _counters = _counters with { Probes = _counters.Probes + 1 };
        }
        else if (LabelOf(question.Name) is { } label)
        {
            bool named = Name20.TryParse(label, out Name20 name);
            answers.AddRange(AnswersFor(question, named ? name : null, token, proven));
            _counters = _counters with { Lookups = _counters.Lookups + 1, StaleTokens = _counters.StaleTokens + (text is not null && !proven ? 1 : 0) };
            if (proven && named && text!.Name == question.Name) Apply(text, name, sender, socket, own);
        }

        byte[] reply = new DnsMessage { Id = message.Id, Flags = DnsMessage.ResponseFlags, Questions = [question], Answers = answers }.ToBytes();
        _counters = _counters with { Answered = _counters.Answered + 1, BytesOut = _counters.BytesOut + reply.Length };
        _sockets[socket].Send(reply, from);
    }

    /// <summary>What stands before our domain; null when the name is in another one.</summary>
    private string? LabelOf(string name)
    {
        int dot = name.Length - _options.Domain.Length - 1;
        return dot > 0 && name[dot] == '.' && name.EndsWith(_options.Domain, StringComparison.Ordinal) ? name[..dot] : null;
    }

    private IEnumerable<DnsRecord> AnswersFor(DnsQuestion question, Name20? name, string token, bool proven)
    {
        Span<NamedEntry> entries = stackalloc NamedEntry[PeersText.MaxPeers];
        int most = question.Type switch
        {
            DnsType.Txt => proven ? PeersText.MaxPeers : 0,
            DnsType.Srv or DnsType.A => 1,
            _ => 0,
        };
        int count = name is { } known ? _records.Choose(known, Now, _options.Random, entries[..most]) : 0;
        switch (question.Type)
        {
            case DnsType.Txt:
                Span<Ipv4Peer> peers = stackalloc Ipv4Peer[PeersText.MaxPeers];
                for (int i = 0; i < count; i++) peers[i] = entries[i].Peer;
                return [new DnsText(question.Name, count == 0 ? ["token=" + token] : ["token=" + token, "peers=" + PeersText.Write(peers[..count])])];
            case DnsType.Srv when count > 0:
                return [new DnsService(question.Name, entries[0].Peer.Host, entries[0].Peer.Port)];
            case DnsType.A when count > 0:
                return [new DnsAddress(question.Name, entries[0].Peer.Address)];
            default:
                return [];
        }
    }

    /// <summary>Does what a message asks for whose token proved that its sender is where it came from.</summary>
    private void Apply(DnsText text, Name20 name, Ipv4Peer sender, byte socket, AddressLimits own)
    {
        if (text.Port("announce") is { } announced)
        {
            Ipv4Peer peer = sender with { Port = announced == 0 ? sender.Port : announced };
            NamedEntry entry = new(name, peer, Now, 0);
            int? seen = _records.Seen(name, peer);
            Addition became = _records.Add(entry, Now, own);
            _counters = _counters with { Announces = _counters.Announces + 1, Refused = _counters.Refused + (became == Addition.Refused ? 1 : 0) };
            if (became == Addition.New) Push(text.Name, peer, name, sender);
            if (became != Addition.Refused) _gossip?.Announced(entry, became == Addition.New ? null : seen);
        }

        if (text.Port("unannounce") is { } taken)
        {
            Ipv4Peer peer = sender with { Port = taken == 0 ? sender.Port : taken };
            _counters = _counters with { Unannounces = _counters.Unannounces + 1 };
            if (_records.Remove(name, peer)) _gossip?.Unannounced(new NamedEntry(name, peer, Now, 0));
        }

        if (text["subscribe"] is null)
        {
            _subscriptions.Remove(name, sender);
            return;
        }

        if (_subscriptions.Add(new NamedEntry(name, sender, Now, socket), Now, own) == Addition.Refused) _counters = _counters with { Refused = _counters.Refused + 1 };
    }

    /// <summary>Tells subscribers of a new peer, but not the one that announced it.</summary>
    private void Push(string dnsName, Ipv4Peer peer, Name20 name, Ipv4Peer announcer)
    {
        Span<NamedEntry> subscribers = stackalloc NamedEntry[MaxPushed];
        int count = _subscriptions.Choose(name, Now, _options.Random, subscribers);
        foreach (NamedEntry subscriber in subscribers[..count])
            if (subscriber.Peer != announcer) _pushes.Send(dnsName, peer, subscriber);
    }

    /// <summary>Takes over what another server was told. True when it was news that others should hear of too.</summary>
    internal bool TakeOver(NamedEntry entry, bool removed)
    {
        if (entry.Peer.Address == 0 || entry.Peer.Port == 0) return false;
        int now = Now;
        if (removed)
        {
            // Somebody announced it again since: then it is there.
            if (_records.Seen(entry.Name, entry.Peer) is not { } known || known > entry.Seen) return false;
            return _records.Remove(entry.Name, entry.Peer);
        }

        int? before = _records.Seen(entry.Name, entry.Peer);
        AddressLimits own = AddressRange.IsPrivate(entry.Peer.Address) ? _options.PerPrivateAddress : _options.PerAddress;
        Addition became = _records.Add(entry with { Seen = Math.Min(entry.Seen, now) }, now, own);
        if (became == Addition.New) Push($"{entry.Name.ToHex()}.{_options.Domain}", entry.Peer, entry.Name, default);
        return became == Addition.New || (became == Addition.Refreshed && before is { } earlier && Gossip.IsWorthTelling(entry, earlier));
    }

    /// <summary>The records in a range of slots, and how many slots there are.</summary>
    internal int CopyRecords(int start, int count, List<NamedEntry> into)
    {
        _records.Copy(start, count, Now, into);
        return _records.SlotCount;
    }

    internal void Locked(Action action)
    {
        lock (_gate)
        {
            if (!_disposed) action();
        }
    }
}
