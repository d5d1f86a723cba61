using System.IO.Pipelines;

namespace DatFs.Wire;

/// <summary>A full-duplex byte stream to a peer: a TCP socket in production, a simulated link in tests.</summary>
public interface ITransport : IAsyncDisposable
{
    /// <summary>Bytes from the peer.</summary>
    PipeReader Input { get; }

    /// <summary>
    /// Bytes to the peer; back-pressure comes from <see cref="PipeWriter.FlushAsync"/>. Completing it ends our half of the stream (FIN)
    /// and leaves <see cref="Input"/> open.
    /// </summary>
    PipeWriter Output { get; }

    /// <summary>Address for messages and per-address limits, "host:port".</summary>
    string RemoteName { get; }

    /// <summary>True when this side opened the connection.</summary>
    bool Initiator { get; }

    /// <summary>Tears the stream down at once, from any thread.</summary>
    void Abort();

    /// <summary>The peer proved that it has the key: limits on strangers no longer count this connection (wire-protocol.md §9.1).</summary>
    void MarkAuthenticated() { }
}
