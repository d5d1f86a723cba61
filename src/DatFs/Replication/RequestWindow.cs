using DatFs.Feeds;

namespace DatFs.Replication;

/// <summary>
/// How much may be asked of one connection at a time (wire-protocol.md §8.3 points 2 and 3): bytes and requests together, a quarter of
/// both kept free for interactive reads. Grows while answers stay about as quick as the quickest seen, so that it fills the path and not
/// the queues along it; shrinks while they take much longer, since an interactive read waits behind them; halves when the peer falls silent.
/// </summary>
internal sealed class RequestWindow
{
    /// <summary>Bytes asked of a fresh connection.</summary>
    public const long StartBytes = 1024 * 1024;
    /// <summary>Most bytes in flight to a peer that is near (§8.3).</summary>
    public const long NearBytes = 8 * 1024 * 1024;
    /// <summary>
    /// Most bytes in flight, over a line of 100 ms: the 8 MiB of §8.3 bring no more than 80 MB/s there. They are on their way and not in
    /// the peer's memory, since the window grows only while answers are no later than the line makes them.
    /// </summary>
    public const long MaxBytes = 48 * 1024 * 1024;
    /// <summary>Bytes in flight that are always allowed.</summary>
    public const long MinBytes = 128 * 1024;
    /// <summary>Requests asked of a fresh connection: small blocks, as those of a directory, are asked for in one round trip.</summary>
    public const int StartCount = 256;
    /// <summary>Most requests in flight: enough for <see cref="MaxBytes"/> of blocks of 64 KiB.</summary>
    public const int MaxCount = 1024;
    /// <summary>Fewest requests in flight after silence.</summary>
    public const int MinCount = 8;

    // What a line of 4 Gbit/s holds in each millisecond that an answer takes.
    private const double BytesPerMs = 512 * 1024;

    // In a round trip as many bytes are answered as may be in flight: the window triples in it.
    private const int Growth = 2;

    private const double QueueSlackMs = 50;
    private const double QueueLimitMs = 200;

    private double _quickestMs = double.MaxValue;
    private bool _wasFull;

    /// <summary>Bytes expected.</summary>
    public long Bytes { get; private set; }
    /// <summary>Requests in flight.</summary>
    public int Count { get; private set; }
    /// <summary>The most bytes expected at a time so far.</summary>
    public long PeakBytes { get; private set; }
    /// <summary>The most requests in flight so far.</summary>
    public int PeakCount { get; private set; }
    /// <summary>Bytes allowed.</summary>
    public long ByteLimit { get; private set; } = StartBytes;
    /// <summary>Requests allowed.</summary>
    public int CountLimit { get; private set; } = StartCount;
    /// <summary>Smoothed time from request to answer, in milliseconds; 0 before the first.</summary>
    public double SmoothedMs { get; private set; }

    /// <summary>True when one more request of this priority may leave. An idle connection always has room for one.</summary>
    public bool HasRoom(FetchPriority priority)
    {
        if (Count == 0) return true;
        bool all = priority == FetchPriority.Interactive;
        bool room = Bytes < (all ? ByteLimit : ByteLimit / 4 * 3) && Count < (all ? CountLimit : CountLimit / 4 * 3);
        if (!room) _wasFull = true;
        return room;
    }

    /// <summary>A request left.</summary>
    public void Sent(long bytes)
    {
        Bytes += bytes;
        Count++;
        PeakBytes = Math.Max(PeakBytes, Bytes);
        PeakCount = Math.Max(PeakCount, Count);
    }

    /// <summary>A request ended, whatever way.</summary>
    public void Ended(long bytes)
    {
        Bytes -= bytes;
        Count--;
    }

    /// <summary>An answer of <paramref name="bytes"/> came after <paramref name="ms"/>.</summary>
    public void Answered(long bytes, double ms)
    {
        SmoothedMs = SmoothedMs == 0 ? ms : SmoothedMs + (ms - SmoothedMs) / 8;
        _quickestMs = Math.Min(_quickestMs, ms);
        if (ms > 4 * _quickestMs + QueueLimitMs)
        {
            ByteLimit = Math.Max(MinBytes, ByteLimit - bytes);
            return;
        }

        if (!_wasFull || ms > 2 * _quickestMs + QueueSlackMs) return;
        long most = Math.Min(MaxBytes, Math.Max(NearBytes, (long)(BytesPerMs * Math.Min(_quickestMs, MaxBytes / BytesPerMs))));
        ByteLimit = Math.Min(most, ByteLimit + Growth * bytes);
        CountLimit = Math.Min(MaxCount, CountLimit + 1);
        if (Count < CountLimit / 2) _wasFull = false;
    }

    /// <summary>Another peer was quicker; this one has not answered after <paramref name="ms"/>.</summary>
    public void Outrun(double ms) => SmoothedMs = Math.Max(SmoothedMs, SmoothedMs + (ms - SmoothedMs) / 2);

    /// <summary>The peer did not answer in time.</summary>
    public void TimedOut()
    {
        ByteLimit = Math.Max(MinBytes, ByteLimit / 2);
        CountLimit = Math.Max(MinCount, CountLimit / 2);
        _wasFull = false;
    }
}
