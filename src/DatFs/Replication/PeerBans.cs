namespace DatFs.Replication;

/// <summary>
/// Peers that sent wrong proofs: refused by host and id for ten minutes after the second time (wire-protocol.md §9.2). The wire has no
/// integrity check of its own, so one wrong proof may be nobody's fault.
/// </summary>
internal sealed class PeerBans
{
    /// <summary>Wrong proofs that lead to a ban.</summary>
    public const int Strikes = 2;
    /// <summary>Length of a ban, and of the memory for a first strike.</summary>
    public const double BanMs = 10 * 60 * 1000;
    /// <summary>Peers remembered; the oldest is forgotten first.</summary>
    public const int MaxEntries = 1024;

    private readonly Dictionary<string, (int Strikes, double At)> _entries = [];

    /// <summary>Peers remembered.</summary>
    public int Count => _entries.Count;

    /// <summary>Notes a wrong proof.</summary>
    public void Strike(string peer, double nowMs)
    {
        (int strikes, double at) = _entries.GetValueOrDefault(peer);
        if (nowMs - at >= BanMs) strikes = 0;
        if (_entries.Count >= MaxEntries && !_entries.ContainsKey(peer)) _entries.Remove(_entries.MinBy(e => e.Value.At).Key);
        _entries[peer] = (strikes + 1, nowMs);
    }

    /// <summary>True while the peer is remembered for a wrong proof.</summary>
    public bool IsSuspect(string peer, double nowMs) => _entries.TryGetValue(peer, out (int Strikes, double At) entry) && nowMs - entry.At < BanMs;

    /// <summary>True while the peer is refused.</summary>
    public bool IsBanned(string peer, double nowMs) =>
        _entries.TryGetValue(peer, out (int Strikes, double At) entry) && entry.Strikes >= Strikes && nowMs - entry.At < BanMs;
}
