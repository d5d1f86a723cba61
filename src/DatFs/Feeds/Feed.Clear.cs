namespace DatFs.Feeds;

/// <summary>Giving up bytes that can be fetched again (hypercore.md §13).</summary>
public sealed partial class Feed
{
    /// <summary>Gives up the bytes of blocks [start, end) (§13).</summary>
    /// <remarks>A writer that clears its only copy loses it for good.</remarks>
    /// <exception cref="DatException">NotWritable, Io.</exception>
    public async ValueTask ClearAsync(long start, long end, CancellationToken ct)
    {
        await _turn.WaitAsync(ct);
        try
        {
            CheckChangeable();
            if (_tree.Store.ReadOnly) throw new DatException(DatError.NotWritable, $"The feed in {Files.Folder.DisplayName} is only read.");
            List<ClearedRun> runs = RunsHeld(start, end);
            if (runs.Count == 0) return;
            await _flushTurn.WaitAsync(CancellationToken.None);
            try
            {
                lock (_commit)
                {
                    foreach (ClearedRun run in runs) _bits.SetBlocks(run.Start, run.End, false);
                }

                foreach (ClearedRun run in runs) AnnounceCleared(run.Start, run.End - run.Start);

                // The bits first: a crash in between costs space, the other way round it would leave blocks that are not there.
                Write();
                Free(runs);
            }
            finally
            {
                _flushTurn.Release();
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    private List<ClearedRun> RunsHeld(long start, long end)
    {
        List<ClearedRun> runs = [];
        end = Math.Min(end, Length);
        for (long from = FirstStored(start, end); from < end; from = FirstStored(from, end))
        {
            long to = StoredFrom(from, end);
            bool located = _tree.TryGetOffset(from, out long offset) & _tree.TryGetOffset(to - 1, out long last) & _tree.TryGetSize(to - 1, out long size);
            runs.Add(new ClearedRun(from, to, offset, located ? last + size - offset : 0));
            from = to;
        }

        return runs;
    }

    // What is lent is not ours to give up.
    private long FirstStored(long start, long end)
    {
        for (start = FirstHeld(start, end); start < end && _bits.IsLent(start); start = FirstHeld(start, end)) start++;
        return start;
    }

    private long StoredFrom(long start, long end)
    {
        end = FirstMissing(start, end);
        if (_lender is null) return end;
        while (start < end && !_bits.IsLent(start)) start++;
        return start;
    }

    private void Free(List<ClearedRun> runs)
    {
        Interlocked.Increment(ref _clears);
        if (_tree.Store.HasForeignData || _tree.Store.Data is not { } data) return;
        try
        {
            foreach (ClearedRun run in runs)
            {
                if (run.Bytes > 0) data.PunchHole(run.Offset, run.Bytes);
            }
        }
        catch (Exception e) when (IsDiskError(e))
        {
            throw DiskError("cleared", e);
        }
    }

    private readonly record struct ClearedRun(long Start, long End, long Offset, long Bytes);
}
