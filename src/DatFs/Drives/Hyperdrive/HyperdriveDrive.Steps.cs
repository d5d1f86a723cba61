using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// How the live view goes forward. One task makes all steps: it is poked whenever a feed grew, never waits for a peer, and asks for what is
/// missing to go on by ranges of one block, which wait for a peer that has it for as long as it takes.
/// </summary>
internal sealed partial class HyperdriveDrive
{
    /// <summary>Different troubles that are told.</summary>
    public const int MaxReasons = 256;

    private readonly IFeedNetwork? _network;
    private readonly TaskCompletionSource<Feed> _adopted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Dictionary<long, IDisposable> _wanted = [];
    private readonly HashSet<string> _told = [];
    private volatile Feed? _content;
    private volatile DatException? _failure;
    private volatile ReadAheadRanges? _ahead;
    private IDisposable? _bulk;
    private bool _settled;

    /// <summary>The content feed; null until metadata block 0 named it.</summary>
    public Feed? Content => _content;

    /// <summary>Why the drive can't be used, when its first block or its storage told so.</summary>
    public DatException? Failure => _failure;

    /// <summary>The content feed, once metadata block 0 named it.</summary>
    /// <exception cref="DatException">Offline, TimedOut; Unsupported, Corrupt, KeyMismatch: see <see cref="Failure"/>.</exception>
    public async ValueTask<Feed> ContentAsync(CancellationToken ct)
    {
        if (_content is { } known) return known;
        ThrowIfFailed();
        (await _metadata.ReadAsync(0, FetchPriority.Interactive, ct)).Dispose();
        Poke();
        return await _time.WaitAsync(_adopted.Task, ct);
    }

    /// <summary>Fetches blocks of the content feed ahead of a reader, without waiting.</summary>
    public void Prefetch(long start, long end, FetchPriority priority) => _ahead?.Add(start, end, priority);

    private void Poke() => _poked.Writer.TryWrite(true);

    private void ThrowIfFailed()
    {
        if (_failure is { } failure) throw new DatException(failure.Error, failure.Message, failure);
    }

    private async Task StepsAsync()
    {
        try
        {
            while (_failure is null && _successor is null)
            {
                await _poked.Reader.ReadAsync(_closing.Token);
                if (!_settled && _metadata.HasBlock(0)) await SettleAsync();
                if (_successor is null) Step();
            }
        }
        catch (Exception over) when (over is ObjectDisposedException || (over is OperationCanceledException && _closing.IsCancellationRequested))
        {
            // Closed, or the network was: no step can follow.
        }
    }

    private async ValueTask SettleAsync()
    {
        try
        {
            if (_parts.Becomes is { } becomes && IsDatabase())
            {
                Succeed(await becomes(_metadata, _closing.Token));
                return;
            }

            CheckHeader();
            await _parts.Settle!(_closing.Token);
            _settled = true;
        }
        catch (DatException failure)
        {
            Fail(failure);
        }
    }

    // As far as what is held leads. Runs in the constructor and then in the one task only.
    private void Step()
    {
        try
        {
            if (_content is null && _failure is null && _settled && _metadata.HasBlock(0)) Adopt();
            if (_failure is not null) return;
            Publish();
            WantWhatIsMissing();
        }
        catch (DatException failure) when (_content is null)
        {
            Fail(failure);
        }
        catch (DatException failure)
        {
            Tell(failure);
        }
    }

    private FeedKey CheckHeader()
    {
        if (!_metadata.TryRead(0, out BlockLease block)) throw new DatException(DatError.Io, "the drive's first block cannot be read back");
        using (block)
        {
            HyperHeader? header = HyperCodec.DecodeHeader(block.Memory.Span);
            return header switch
            {
                { Type: HyperCodec.DriveType, Content.Length: FeedKey.Size } => FeedKey.From(header.Content),
                { Type: HyperCodec.DriveType } => throw new DatException(DatError.Corrupt, "the drive's header does not name its content feed"),
                { Type: "hyperdb" } => throw new DatException(DatError.Unsupported, "this is a multi-writer drive (hyperdb), which this version cannot read yet"),
                null => throw new DatException(DatError.Unsupported, "this key names no drive: its first block is not the header of one"),
                _ => throw new DatException(DatError.Unsupported, $"this key names no drive that can be opened: its first block says it is '{Printable(header.Type)}'"),
            };
        }
    }

    private void Adopt()
    {
        Feed content = _parts.OpenContent(CheckHeader());
        _ahead = new ReadAheadRanges(content);
        _joined.Add(content.Observe(this));
        if (_network is not null) _joined.Add(_network.Join(content));
        _content = content;
        _adopted.TrySetResult(content);
        _known.TrySetResult();
    }

    private void Publish()
    {
        HyperdriveView before = _live;
        if (NewestHeld(before.Version) is not (> 0 and long version)) return;
        HyperdriveView after = new(this, _nodes, version);
        Volatile.Write(ref _live, after);
        Action<DriveChange>[] observers;
        lock (_lock) observers = [.. _observers];
        if (observers.Length > 0)
        {
            DriveChange change = new(before, after, TreeChanges.Between(_nodes, before, after));
            foreach (Action<DriveChange> observer in observers) Call(observer, change);
        }

        Interlocked.Exchange(ref _stepped, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    // A head that cannot be decoded is passed over: what lies before it can still be shown.
    private long NewestHeld(long above)
    {
        long newest = _metadata.Length - 1;
        for (long seq = newest; seq > above && seq > newest - MaxHeadsTried; seq--)
        {
            try
            {
                if (_metadata.HasBlock(seq) && _nodes.TryGet(seq, out _)) return seq;
            }
            catch (DatException broken) when (broken.Error == DatError.Corrupt)
            {
                Tell(broken);
            }
        }

        return 0;
    }

    private void Call(Action<DriveChange> observer, DriveChange change)
    {
        try
        {
            observer(change);
        }
        catch (Exception failure)
        {
            // One observer's fault must not keep the news from the others.
            HyperdriveLog.ObserverFailed(_log, _metadata.DiscoveryKey, failure);
        }
    }

    private void WantWhatIsMissing()
    {
        if (_metadata.Source is not { } source) return;
        long head = Math.Max(0, _metadata.Length - 1);
        foreach ((long seq, IDisposable range) in _wanted.ToArray())
        {
            if (!_metadata.HasBlock(seq) && (seq == 0 || seq == head)) continue;
            range.Dispose();
            _wanted.Remove(seq);
        }

        Want(source, 0);
        Want(source, head);
        if (_bulk is null && _content is not null && !Writable && MissingBytes() <= BulkMetadataBytes)
            _bulk = source.Download(0, long.MaxValue, DownloadOrder.NewestFirst, FetchPriority.Metadata);
    }

    private void Want(IBlockSource source, long seq)
    {
        if (!_metadata.HasBlock(seq) && !_wanted.ContainsKey(seq)) _wanted.Add(seq, source.Download(seq, seq + 1, DownloadOrder.NewestFirst, FetchPriority.Interactive));
    }

    private double MissingBytes() => _metadata.Length == 0 ? 0 : (double)_metadata.ByteLength / _metadata.Length * (_metadata.Length - _metadata.HeldBlocks);

    private void Fail(DatException failure)
    {
        _failure = failure;
        HyperdriveLog.Unusable(_log, _metadata.DiscoveryKey, failure.Message);
        _adopted.TrySetException(failure);
        _ = _adopted.Task.Exception;
        _known.TrySetException(failure);
        _ = _known.Task.Exception;
    }

    // Each reason once: what is asked again and again fails again and again.
    private void Tell(DatException failure)
    {
        lock (_lock)
        {
            if (_told.Count >= MaxReasons || !_told.Add(failure.Message)) return;
        }

        HyperdriveLog.Stuck(_log, _metadata.DiscoveryKey, failure.Message);
    }

    private static string Printable(string text) => System.Text.Encodings.Web.JavaScriptEncoder.Default.Encode(text.Length > 40 ? text[..40] + "…" : text);
}
