using DatFs.Replication;

namespace DatFs.Discovery;

/// <summary>How an address fares.</summary>
public enum DialState
{
    /// <summary>Its turn has not come.</summary>
    Waiting,

    /// <summary>It is being dialled, or has not shown yet that it has the key.</summary>
    Dialling,

    /// <summary>A connection is open.</summary>
    Connected,

    /// <summary>It failed and is dialled again after a pause.</summary>
    Resting,

    /// <summary>The same peer is connected another way.</summary>
    Duplicate,

    /// <summary>It failed so often that it is dialled again only when a source names it again.</summary>
    Forgotten,

    /// <summary>It is our own address.</summary>
    Ourselves,
}

/// <summary>How one address fares.</summary>
/// <param name="Address">As it was given.</param>
/// <param name="NamedBy">Sources that named it; "static" for the user.</param>
/// <param name="State">How far it is.</param>
/// <param name="Attempts">Dials so far.</param>
/// <param name="LastError">Why there is no connection; null while there is one, or before the first attempt ended.</param>
/// <param name="Rest">The pause that it is in before the next dial; null when it is in none.</param>
public sealed record DialStatus(PeerAddress Address, IReadOnlyList<string> NamedBy, DialState State, int Attempts, string? LastError, TimeSpan? Rest)
{
    /// <summary>A connection is open now.</summary>
    public bool Connected => State == DialState.Connected;
}

/// <summary>One source, as one drive sees it.</summary>
/// <param name="Kind">What kind of source this is.</param>
/// <param name="Name">How users call it.</param>
/// <param name="Status">How it fares.</param>
/// <param name="Announced">It is known to have told our address to others.</param>
/// <param name="Named">Different peers it named lately.</param>
public sealed record SourceReport(SourceKind Kind, string Name, SourceStatus Status, bool Announced, int Named);
