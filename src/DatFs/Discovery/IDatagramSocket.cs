using System.Net;

namespace DatFs.Discovery;

/// <summary>Takes a datagram; the bytes are only valid during the call. Must return soon and throw nothing.</summary>
public delegate void DatagramHandler(ReadOnlySpan<byte> datagram, IPEndPoint from);

/// <summary>A UDP socket, or one in a simulation. Sending never waits and never throws for the network's sake: datagrams get lost anyway.</summary>
public interface IDatagramSocket : IAsyncDisposable
{
    /// <summary>Where it is bound.</summary>
    IPEndPoint Local { get; }

    /// <summary>Datagrams that could not even be sent, and why the last one could not; null = none.</summary>
    (long Count, string? Last) Unsent { get; }

    /// <summary>Sends one datagram.</summary>
    void Send(ReadOnlySpan<byte> datagram, IPEndPoint to);

    /// <summary>Names who takes what arrives. Once, before anything is sent.</summary>
    void Receive(DatagramHandler handler);
}
