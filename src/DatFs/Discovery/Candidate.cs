using System.Net;
using DatFs.Replication;

namespace DatFs.Discovery;

/// <summary>An address of one drive: who named it and how dialling it went. Guarded by the swarm's lock.</summary>
internal sealed class Candidate(PeerAddress address, SourceLane broughtBy)
{
    public PeerAddress Address { get; } = address;

    /// <summary>Counted among what this lane keeps.</summary>
    public SourceLane BroughtBy { get; set; } = broughtBy;

    public List<SourceLane> Lanes { get; } = [];
    public bool Static => Lanes.Exists(static lane => lane.Source is null);
    public bool ToldPrivately { get; set; }
    public DialState State { get; set; }
    public int Attempts { get; set; }

    /// <summary>Since it last worked.</summary>
    public int Failures { get; set; }

    /// <summary>It once showed that it has the key.</summary>
    public bool Worked { get; set; }

    public string? LastError { get; set; }

    /// <summary>The pause it is in.</summary>
    public TimeSpan? Rest { get; set; }

    /// <summary>Timestamp of the pause's end; an older entry in the queue of pauses means nothing.</summary>
    public long DueAt { get; set; }

    /// <summary>Given up because of what it said rather than because it was away: not brought back before this.</summary>
    public long ShunnedUntil { get; set; } = long.MinValue;

    /// <summary>It was refused for wrong data: neither a change of the network nor a source shortens the pause.</summary>
    public bool Banned { get; set; }

    /// <summary>Who answered last.</summary>
    public string LastPeer { get; set; } = "";

    /// <summary>Where the last connection led; null while none was open.</summary>
    public IPEndPoint? EndPoint { get; set; }

    /// <summary>Programs on one machine share its loopback address: no limit for each host there.</summary>
    public bool OnLoopback { get; } = address.Host == "localhost" || (IPAddress.TryParse(address.Host, out IPAddress? ip) && IPAddress.IsLoopback(ip));
}
