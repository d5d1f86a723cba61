using DatFs.Wire;

namespace DatFs.Replication;

/// <summary>
/// Tells the peers of a feed what was added and removed (wire-protocol.md §5.7, §8.3 point 10): own appends at once, downloaded blocks
/// collected into runs, and never back to where a block came from.
/// </summary>
internal sealed class Announcements(FeedReplication feed)
{
    /// <summary>Blocks collected at most.</summary>
    public const int MaxPending = 64;
    /// <summary>Longest wait of a collected block.</summary>
    public const double MaxDelayMs = 50;
    /// <summary>Longest run in one Have: the reference sets such a run bit by bit.</summary>
    public const long MaxRun = 65_535;

    private readonly List<(long Index, PeerChannel Source)> _pending = [];
    private double _oldest;

    public bool Pending => _pending.Count > 0;

    /// <summary>Collects a block that came from a peer.</summary>
    public void Downloaded(long index, PeerChannel source, double nowMs)
    {
        if (feed.Channels.Count < 2) return;
        if (_pending.Count == 0) _oldest = nowMs;
        _pending.Add((index, source));
        if (_pending.Count >= MaxPending) Flush();
    }

    /// <summary>Announces what has waited long enough.</summary>
    public void Tick(double nowMs)
    {
        if (_pending.Count > 0 && nowMs - _oldest >= MaxDelayMs) Flush();
    }

    /// <summary>Announces own blocks.</summary>
    public void Appended(long start, long count)
    {
        foreach (PeerChannel channel in feed.Channels) SendRun(channel, start, count);
    }

    /// <summary>Takes blocks back.</summary>
    public void Cleared(long start, long count)
    {
        if (count == 0) return;
        foreach (PeerChannel channel in feed.Channels)
        {
            if (channel.RemoteWant && !channel.Ended) channel.Wire.Send(new UnhaveMessage(start, count));
        }
    }

    private void Flush()
    {
        _pending.Sort(static (a, b) => a.Index.CompareTo(b.Index));
        foreach (PeerChannel channel in feed.Channels)
        {
            long start = -1;
            long end = -1;
            foreach ((long index, PeerChannel source) in _pending)
            {
                if (source == channel) continue;
                if (index != end)
                {
                    SendRun(channel, start, end - start);
                    start = index;
                }

                end = index + 1;
            }

            SendRun(channel, start, end - start);
        }

        _pending.Clear();
    }

    private static void SendRun(PeerChannel channel, long start, long count)
    {
        if (!channel.RemoteWant || channel.Ended) return;
        for (; count > 0; start += MaxRun, count -= MaxRun)
            channel.Wire.Send(new HaveMessage(start, count == 1 ? null : Math.Min(count, MaxRun), null, false));
    }
}
