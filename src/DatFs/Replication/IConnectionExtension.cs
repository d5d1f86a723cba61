namespace DatFs.Replication;

/// <summary>
/// Something beside replication that talks to the peers of a drive, by extension messages of a name that both sides list in their
/// handshakes. Called outside the replicator's lock; must return soon and throw nothing.
/// </summary>
internal interface IConnectionExtension
{
    /// <summary>As in the handshake.</summary>
    string Name { get; }

    /// <summary>A peer has shown that it has the key; whether it knows the extension shows when something is sent.</summary>
    void Opened(PeerConnection peer);

    /// <summary>A message came; its bytes are valid only during the call.</summary>
    void Received(PeerConnection peer, ReadOnlySpan<byte> payload);

    /// <summary>A peer that was opened is gone.</summary>
    void Closed(PeerConnection peer);
}
