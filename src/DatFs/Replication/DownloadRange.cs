using DatFs.Feeds;

namespace DatFs.Replication;

/// <summary>Blocks [Start, End) that are to be downloaded as peers announce them, until disposed.</summary>
internal sealed class DownloadRange(FeedReplication feed, long start, long end, DownloadOrder order, FetchPriority priority) : IDisposable
{
    public long Start { get; } = start;
    public long End { get; } = end;
    public DownloadOrder Order { get; } = order;
    public FetchPriority Priority { get; } = priority;

    public void Dispose() => feed.Remove(this);
}

/// <summary>
/// Where the scan of one range stands with one peer: the intervals not yet looked at. What was assigned elsewhere comes back through
/// <see cref="Add"/> when that fails, so a scan never begins anew.
/// </summary>
internal sealed class RangeCursor(DownloadRange range)
{
    /// <summary>More intervals than this are joined into one; the scan then passes over what it saw before.</summary>
    public const int MaxIntervals = 64;

    /// <summary>Steps of one search for a rare block: what a peer announces here and there must not keep the others waiting.</summary>
    public const int MaxRareSteps = 256;

    private readonly List<(long Start, long End)> _todo = [(range.Start, range.End)];
    private int _owners;
    private long _rareAt = range.Start;

    public DownloadRange Range { get; } = range;

    /// <summary>Intervals not yet looked at.</summary>
    public int Intervals => _todo.Count;

    /// <summary>True when nothing is left to look at.</summary>
    public bool Exhausted => _todo.Count == 0;

    /// <summary>Looks at [start, end) again.</summary>
    public void Add(long start, long end)
    {
        start = Math.Max(start, Range.Start);
        end = Math.Min(end, Range.End);
        if (start >= end) return;
        Recount();
        for (int i = 0; i < _todo.Count; i++)
        {
            (long s, long e) = _todo[i];
            if (start > e || end < s) continue;
            _todo[i] = (Math.Min(s, start), Math.Max(e, end));
            return;
        }

        if (_todo.Count < MaxIntervals) _todo.Add((start, end));
        else Join(start, end);
    }

    /// <summary>The next block that the peer has, that is not held and not asked of anybody. What it answers is not answered again.</summary>
    public bool TryNext(RemoteBitfield remote, Feed feed, Dictionary<long, PendingRequest> reserved, out long index)
    {
        bool ascending = Range.Order == DownloadOrder.Ascending;
        while (_todo.Count > 0)
        {
            int at = Pick(ascending);
            (long start, long end) = _todo[at];
            index = ascending ? remote.NextSet(start, end) : remote.PrevSet(end - 1, start);
            if (index < 0)
            {
                _todo.RemoveAt(at);
                continue;
            }

            bool held = feed.HasBlock(index);
            if (ascending) start = held ? feed.FirstMissing(index, end) : index + 1;
            else end = index;
            if (start < end) _todo[at] = (start, end);
            else _todo.RemoveAt(at);
            if (!held && !reserved.ContainsKey(index)) return true;
        }

        index = -1;
        return false;
    }

    /// <summary>Who has what changed: the search for rare blocks begins anew.</summary>
    public void Recount() => (_owners, _rareAt) = (0, Range.Start);

    /// <summary>
    /// The next block of those that fewest of the others have too, not held and not asked of anybody: what is rare leaves with the one peer
    /// that has it (wire-protocol.md §8.3 point 7). False when all others have what is left, or the search took too long for now.
    /// </summary>
    public bool TryNextRare(RemoteBitfield remote, ReadOnlySpan<RemoteBitfield> others, Feed feed, Dictionary<long, PendingRequest> reserved, out long index)
    {
        index = -1;
        for (int steps = 0; steps < MaxRareSteps && _owners < others.Length; steps++)
        {
            long found = remote.NextSet(_rareAt, Range.End);
            if (found < 0)
            {
                (_owners, _rareAt) = (_owners + 1, Range.Start);
                continue;
            }

            if (feed.HasBlock(found))
            {
                _rareAt = feed.FirstMissing(found, Range.End);
                continue;
            }

            int owners = 0;
            long changes = long.MaxValue;
            foreach (RemoteBitfield other in others)
            {
                long clear = other.NextClear(found, Range.End);
                if (clear == found) continue;
                owners++;
                changes = Math.Min(changes, clear);
            }

            if (owners > _owners)
            {
                _rareAt = changes;
                continue;
            }

            _rareAt = found + 1;
            if (reserved.ContainsKey(found)) continue;
            index = found;
            return true;
        }

        return false;
    }

    private int Pick(bool lowest)
    {
        int best = 0;
        for (int i = 1; i < _todo.Count; i++)
        {
            if (lowest ? _todo[i].Start < _todo[best].Start : _todo[i].End > _todo[best].End) best = i;
        }

        return best;
    }

    private void Join(long start, long end)
    {
        foreach ((long s, long e) in _todo)
        {
            start = Math.Min(start, s);
            end = Math.Max(end, e);
        }

        _todo.Clear();
        _todo.Add((start, end));
    }
}
