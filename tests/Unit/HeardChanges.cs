using DatFs.Feeds;

namespace DatFs.Unit;

/// <summary>Writes down what a feed announces, and that it is already true.</summary>
internal sealed class HeardChanges : IFeedObserver
{
    public List<string> Events { get; } = [];

    public void LengthChanged(Feed feed, long oldLength, long newLength)
    {
        if (feed.Length != newLength) throw new InvalidOperationException("announced before it was true");
        Events.Add($"length {oldLength} {newLength}");
    }

    public void BlocksAdded(Feed feed, long start, long count)
    {
        if (feed.FirstMissing(start, start + count) != start + count) throw new InvalidOperationException("announced before it was true");
        Events.Add($"added {start} {count}");
    }

    public void BlocksCleared(Feed feed, long start, long count)
    {
        if (feed.FirstHeld(start, start + count) != start + count) throw new InvalidOperationException("announced before it was true");
        Events.Add($"cleared {start} {count}");
    }
}
