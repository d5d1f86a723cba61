using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// A feed in a folder that another program writes, as it was found last; opened anew when the program has gone on. Readers finish with
/// the one they began with before it is closed.
/// </summary>
internal sealed class FolderFeed : IDisposable
{
    private readonly ReaderWriterLockSlim _lock = new();
    private Feed? _feed;
    private bool _disposed;

    /// <summary>Asks the feed; the default where there is none, or where the folder is in no state to answer.</summary>
    public T? Ask<T>(Func<Feed, T> question)
    {
        _lock.EnterReadLock();
        try
        {
            return _feed is { } feed ? question(feed) : default;
        }
        catch (DatException unusable) when (unusable.Error is DatError.Corrupt or DatError.Io)
        {
            return default;
        }
        finally
        {
            _lock.ExitReadLock();
        }
    }

    /// <summary>Puts a feed in the place of the one before, which is closed.</summary>
    public async ValueTask ReplaceAsync(Feed? feed)
    {
        Feed? old;
        _lock.EnterWriteLock();
        try
        {
            (old, _feed) = _disposed && feed is not null ? (feed, _feed) : (_feed, feed);
        }
        finally
        {
            _lock.ExitWriteLock();
        }

        if (old is not null) await old.DisposeAsync();
    }

    /// <summary>Closes the feed and takes no other. One that is only read has nothing to wait for.</summary>
    public void Dispose()
    {
        _lock.EnterWriteLock();
        _disposed = true;
        _lock.ExitWriteLock();
        ReplaceAsync(null).AsTask().GetAwaiter().GetResult();
        _lock.Dispose();
    }
}
