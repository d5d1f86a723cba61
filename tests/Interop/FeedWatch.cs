using DatFs.Evidence;
using DatFs.Feeds;

namespace DatFs.Interop;

/// <summary>Waits for a condition on a feed, which is looked at after each change.</summary>
internal static class FeedWatch
{
    public static async Task UntilAsync(Feed feed, Func<Feed, bool> wanted)
    {
        Observer observer = new(wanted);
        using IDisposable observing = feed.Observe(observer);
        observer.Look(feed);
        try
        {
            await observer.Done.Task.WaitAsync(NodePeer.DefaultPatience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"the feed stayed at length {feed.Length}, {feed.HeldBlocks} blocks held");
        }
    }

    private sealed class Observer(Func<Feed, bool> wanted) : IFeedObserver
    {
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Look(Feed feed)
        {
            if (wanted(feed)) Done.TrySetResult();
        }

        public void LengthChanged(Feed feed, long oldLength, long newLength) => Look(feed);

        public void BlocksAdded(Feed feed, long start, long count) => Look(feed);

        public void BlocksCleared(Feed feed, long start, long count) => Look(feed);
    }
}
