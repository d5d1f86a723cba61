using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// An unknown key is opened as a hyperdrive's. When block 0 shows that it is a multi-writer drive's, that drive takes the feed over and answers
/// from behind this one (hypercore.md §20).
/// </summary>
internal sealed partial class HyperdriveDrive
{
    private readonly TaskCompletionSource _known = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile IDrive? _successor;
    private IDriveView? _forwarded;

    public ValueTask<long?> VersionOfAsync(string text, CancellationToken ct) => _successor?.VersionOfAsync(text, ct) ?? ValueTask.FromResult<long?>(null);

    // Until the kind of the drive is known, or why it cannot be.
    private async ValueTask KnownAsync(CancellationToken ct)
    {
        if (_content is not null || _successor is not null) return;
        ThrowIfFailed();
        (await _metadata.ReadAsync(0, FetchPriority.Interactive, ct)).Dispose();
        Poke();
        await _time.WaitAsync(_known.Task, ct);
    }

    private bool IsDatabase()
    {
        if (!_metadata.TryRead(0, out BlockLease block)) return false;
        using (block) return HyperCodec.DecodeHeader(block.Memory.Span)?.Type == Hyperdb.EntryCodec.Protocol;
    }

    private void Succeed(IDrive successor)
    {
        IDriveView before = _live;
        foreach (IDisposable range in _wanted.Values) range.Dispose();
        _wanted.Clear();
        _successor = successor;
        successor.Observe(Forward);
        Forward(new DriveChange(before, successor.Live, null));
        _known.TrySetResult();
    }

    private void Forward(DriveChange change)
    {
        Action<DriveChange>[] observers;
        lock (_lock)
        {
            if (ReferenceEquals(change.After, _forwarded)) return;
            _forwarded = change.After;
            observers = [.. _observers];
        }

        foreach (Action<DriveChange> observer in observers) Call(observer, change);
    }
}
