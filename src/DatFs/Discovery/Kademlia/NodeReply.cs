namespace DatFs.Discovery.Kademlia;

/// <summary>What a node answered, in either network. Who sent it was checked; what it says was not.</summary>
internal sealed record NodeReply
{
    /// <summary>Who answered.</summary>
    public required Contact From { get; init; }

    /// <summary>Nodes it knows near the place asked for.</summary>
    public IReadOnlyList<Contact> Closer { get; init; } = [];

    /// <summary>What it wants to see again before it stores anything for us.</summary>
    public byte[]? Token { get; init; }

    /// <summary>Peers it knows (mainline).</summary>
    public IReadOnlyList<Ipv4Peer> Peers { get; init; } = [];

    /// <summary>What the command answers (dht-rpc).</summary>
    public byte[]? Value { get; init; }

    /// <summary>Why it did not do what it was asked for; null = it did.</summary>
    public string? Error { get; init; }

    /// <summary>Time from the first send to the answer.</summary>
    public TimeSpan RoundTrip { get; init; }
}
