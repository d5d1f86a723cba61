namespace DatFs.Feeds;

/// <summary>
/// Making fetched blocks durable, lazily (hypercore.md §16): bits may be lost in a crash, never wrong, so what they speak of is synchronised
/// before their pages are written.
/// </summary>
public sealed partial class Feed
{
    /// <summary>Fetched bytes after which the bits are written at once.</summary>
    public const long MaxUnflushedBytes = 64L << 20;

    /// <summary>How long after the first fetched block the bits are written at the latest.</summary>
    public static readonly TimeSpan FlushDelay = TimeSpan.FromSeconds(5);

    private readonly ITimer _flushTimer;
    private long _unflushedBytes;
    private int _flushScheduled;

    /// <summary>Writes what is only in memory (bitfield pages, after data and tree).</summary>
    /// <exception cref="DatException">Io.</exception>
    public async ValueTask FlushAsync(CancellationToken ct)
    {
        await _flushTurn.WaitAsync(ct);
        try
        {
            CheckChangeable();
            Write();
        }
        finally
        {
            _flushTurn.Release();
        }
    }

    /// <summary>Writes all changed pages. The caller has the flush turn.</summary>
    private void Write()
    {
        if (_tree.Store.ReadOnly) return;
        Interlocked.Exchange(ref _flushScheduled, 0);
        List<(long Page, byte[] Entry)> entries;
        lock (_commit)
        {
            entries = _bits.TakeDirty();
            _unflushedBytes = 0;
        }

        if (entries.Count == 0) return;
        Durable(() =>
        {
            _tree.Store.SyncContents();
            _tree.Store.WriteBits(_bits, entries);
        });
    }

    private void ScheduleFlush(long bytes)
    {
        if (_tree.Store.ReadOnly) return;
        bool first = Interlocked.Exchange(ref _flushScheduled, 1) == 0;
        if (Interlocked.Add(ref _unflushedBytes, bytes) >= MaxUnflushedBytes)
        {
            Interlocked.Exchange(ref _unflushedBytes, 0);
            _ = _options.Time.Run(FlushInBackground);
        }
        else if (first)
        {
            _flushTimer.Change(FlushDelay, Timeout.InfiniteTimeSpan);
        }
    }

    private async Task FlushInBackground()
    {
        try
        {
            await FlushAsync(CancellationToken.None);
        }
        catch (Exception e) when (e is DatException or ObjectDisposedException)
        {
            // Remembered: the next change is refused with it.
            _failure ??= e as DatException;
        }
    }
}
