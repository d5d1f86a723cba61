using System.Net;
using DatFs.Discovery.Dns;

namespace DatFs.Discovery.Server;

/// <summary>
/// Tells subscribers of new peers, from the port they subscribed at, and once more after 0.5 and 1.5 s until they say they heard
/// it (discovery.md §5.3). Used by one thread at a time.
/// </summary>
internal sealed class ServerPushes(IReadOnlyList<IDatagramSocket> sockets, DiscoveryServerOptions options)
{
    /// <summary>Pushes nobody has acknowledged yet; more are sent once and forgotten.</summary>
    public const int MaxOpen = 16_384;

    private const int FirstId = 0x8000;
    private static readonly TimeSpan[] s_again = [TimeSpan.FromSeconds(0.5), TimeSpan.FromSeconds(1.5)];

    private readonly Dictionary<ushort, Push> _open = [];
    private readonly Queue<(Push Push, long Due)>[] _due = [new(), new()];

    public long Sent { get; private set; }

    public long Resent { get; private set; }

    public long Acknowledged { get; private set; }

    public long Bytes { get; private set; }

    public void Send(string dnsName, Ipv4Peer peer, NamedEntry subscriber)
    {
        Push push = new() { To = subscriber.Peer.ToEndPoint(), Socket = subscriber.Tag < sockets.Count ? sockets[subscriber.Tag] : sockets[0] };
        ushort id = 0;
        if (_open.Count < MaxOpen)
        {
            do id = (ushort)(FirstId | (int)(options.Random() * FirstId));
            while (!_open.TryAdd(id, push));
        }

        push.Message = new DnsMessage { Id = id == 0 ? ushort.MaxValue : id, Flags = DnsMessage.QueryFlags, Additionals = [new DnsService(dnsName, peer.Host, peer.Port)] }.ToBytes();
        Sent++;
        Write(push);
        if (id == 0) return;
        long now = options.Time.GetTimestamp();
        for (int i = 0; i < s_again.Length; i++) _due[i].Enqueue((push, now + (long)(s_again[i].TotalSeconds * options.Time.TimestampFrequency)));
    }

    public void Heard(ushort id, IPEndPoint from)
    {
        if (!_open.TryGetValue(id, out Push? push) || !push.To.Equals(from)) return;
        _open.Remove(id);
        push.Over = true;
        Acknowledged++;
    }

    /// <summary>Sends again what is due.</summary>
    public void Tick()
    {
        long now = options.Time.GetTimestamp();
        for (int i = 0; i < s_again.Length; i++)
        {
            while (_due[i].TryPeek(out (Push Push, long Due) next) && next.Due <= now)
            {
                _due[i].Dequeue();
                if (next.Push.Over) continue;
                Resent++;
                Write(next.Push);
                if (i < s_again.Length - 1) continue;
                next.Push.Over = true;
                _open.Remove((ushort)(next.Push.Message[0] << 8 | next.Push.Message[1]));
            }
        }
    }

    private void Write(Push push)
    {
        Bytes += push.Message.Length;
        push.Socket.Send(push.Message, push.To);
    }

    private sealed class Push
    {
        public byte[] Message { get; set; } = [];
        public required IPEndPoint To { get; init; }
        public required IDatagramSocket Socket { get; init; }
        public bool Over { get; set; }
    }
}
