using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Wire;

/// <summary>
/// One feed on one connection. Send methods queue and never block; they are safe from any thread. Until the remote has opened the
/// feed too, at most 8 messages leave and no Have; the rest follows by itself, in order, when it opens (wire-protocol.md §3.4).
/// </summary>
public sealed class WireChannel
{
    private int _requestsInFlight;

    internal WireChannel(WireConnection connection, int number, FeedKey key, DiscoveryKey discoveryKey)
    {
        Connection = connection;
        Number = number;
        Key = key;
        DiscoveryKey = discoveryKey;
    }

    /// <summary>The connection.</summary>
    public WireConnection Connection { get; }
    /// <summary>The feed's key.</summary>
    public FeedKey Key { get; }
    /// <summary>The feed's public name.</summary>
    public DiscoveryKey DiscoveryKey { get; }
    /// <summary>True once the remote opened it too.</summary>
    public bool RemoteOpen => Remote is not null;
    /// <summary>Free for the owner of the channel's replication state.</summary>
    public object? State { get; set; }

    /// <summary>Our number for it, in the header of what we send.</summary>
    internal int Number { get; }
    /// <summary>The remote's side, guarded by the connection's lock for writing.</summary>
    internal RemoteChannel? Remote { get; set; }
    /// <summary>Messages that left before the remote opened the feed.</summary>
    internal int EarlySent { get; set; }
    /// <summary>Whole frames in clear that wait for the remote to open the feed.</summary>
    internal Queue<byte[]> Held { get; } = new();
    /// <summary>Requests whose Data has not come: only then may a frame be as long as a block (§9.1).</summary>
    internal int RequestsInFlight => Volatile.Read(ref _requestsInFlight);

    /// <summary>Sends Info.</summary>
    public void Send(InfoMessage message) => Connection.Send(this, FrameType.Info, MessageCodec.Encode(message));
    /// <summary>Sends Have.</summary>
    public void Send(HaveMessage message) => Connection.Send(this, FrameType.Have, MessageCodec.Encode(message));
    /// <summary>Sends Unhave; Length 1 is left out.</summary>
    public void Send(UnhaveMessage message) => Connection.Send(this, FrameType.Unhave, MessageCodec.Encode(message));
    /// <summary>Sends Want.</summary>
    public void Send(WantMessage message) => Connection.Send(this, FrameType.Want, MessageCodec.Encode(message));
    /// <summary>Sends Unwant.</summary>
    public void Send(UnwantMessage message) => Connection.Send(this, FrameType.Unwant, MessageCodec.Encode(message));
    /// <summary>Sends Request.</summary>
    public void Send(RequestMessage message)
    {
        var request = MessageCodec.Encode(message);
        Interlocked.Increment(ref _requestsInFlight);
        Connection.Send(this, FrameType.Request, request);
    }

    /// <summary>Sends Cancel.</summary>
    public void Send(CancelMessage message) => Connection.Send(this, FrameType.Cancel, MessageCodec.Encode(message));
    /// <summary>Sends Data; the value is copied (and encrypted) before the call returns.</summary>
    public void Send(Proof proof) => Connection.Send(this, proof);
    /// <summary>Sends an extension message of at most 64 KiB; false when the remote does not know the name.</summary>
    public bool SendExtension(string name, ReadOnlySpan<byte> payload) => Connection.SendExtension(this, name, payload);

    /// <summary>One answer came.</summary>
    internal void CountData()
    {
        if (RequestsInFlight > 0) Interlocked.Decrement(ref _requestsInFlight);
    }
}
