using System.Net;

namespace DatFs.Discovery.Lan;

/// <summary>Takes a datagram and the index of the interface it came by; the bytes are only valid during the call. Must return soon and throw nothing.</summary>
internal delegate void LinkDatagramHandler(ReadOnlySpan<byte> datagram, IPEndPoint from, int link);

/// <summary>A member of the mDNS group on every interface, or on a simulated link. Sending never waits and never throws.</summary>
internal interface IMulticastSocket : IAsyncDisposable
{
    /// <summary>Interfaces on which the group is heard.</summary>
    int Links { get; }

    /// <summary>Why the group is not heard, or not everything reaches it; null = all is well.</summary>
    string? Problem { get; }

    /// <summary>Sends to a port of the group by one interface, or by each (<see cref="AllLinks"/>).</summary>
    void Send(ReadOnlySpan<byte> datagram, int port, int link);

    /// <summary>Names who takes what arrives. Once.</summary>
    void Receive(LinkDatagramHandler handler);

    /// <summary>Looks again which interfaces there are; opens the socket if it could not be opened before.</summary>
    void Refresh();

    /// <summary>Every interface.</summary>
    const int AllLinks = 0;
}
