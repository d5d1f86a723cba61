using System.Net;
using DatFs.Discovery.Lan;

namespace DatFs.Evidence;

/// <summary>A cable with several machines on it, for multicast: what one sends all hear, the sender too, after <see cref="Latency"/> of its clock.</summary>
internal sealed class MulticastLink(TimeProvider time)
{
    /// <summary>Index of the only interface of each machine.</summary>
    public const int Interface = 2;

    private readonly List<Member> _members = [];

    /// <summary>Everything sent, with who sent it and the port it went to.</summary>
    public List<(string From, int Port, byte[] Bytes)> Sent { get; } = [];

    public static TimeSpan Latency { get; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Loses what it says to lose.</summary>
    public Func<int, bool> Loses { get; set; } = _ => false;

    public IMulticastSocket Plug(string address, int port = LanSource.Port)
    {
        Member member = new(this, new IPEndPoint(IPAddress.Parse(address), port));
        _members.Add(member);
        return member;
    }

    /// <summary>Something arrives at every machine from an address that need not be on the cable.</summary>
    public void Inject(byte[] datagram, string from)
    {
        foreach (Member member in _members.ToArray()) member.Handler?.Invoke(datagram, IPEndPoint.Parse(from), Interface);
    }

    private void Send(byte[] datagram, IPEndPoint from, int port)
    {
        Sent.Add((from.ToString(), port, datagram));
        if (Loses(Sent.Count)) return;
        ITimer? timer = null;
        timer = time.CreateTimer(_ =>
        {
            foreach (Member member in _members.ToArray())
                if (member.Up && member.Address.Port == port) member.Handler?.Invoke(datagram, from, Interface);
            timer?.Dispose();
        }, null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        timer.Change(Latency, Timeout.InfiniteTimeSpan);
    }

    /// <summary>One machine.</summary>
    internal sealed class Member(MulticastLink link, IPEndPoint address) : IMulticastSocket
    {
        public IPEndPoint Address => address;

        /// <summary>False = its interface takes no multicast.</summary>
        public bool Up { get; set; } = true;

        public LinkDatagramHandler? Handler { get; private set; }

        public int Links => Up ? 1 : 0;

        public string? Problem => Up ? null : "no interface takes multicast";

        public void Send(ReadOnlySpan<byte> datagram, int port, int to)
        {
            if (Up && to is IMulticastSocket.AllLinks or Interface) link.Send(datagram.ToArray(), address, port);
        }

        public void Receive(LinkDatagramHandler handler) => Handler = handler;

        public void Refresh()
        {
        }

        public ValueTask DisposeAsync()
        {
            link._members.Remove(this);
            return ValueTask.CompletedTask;
        }
    }
}
