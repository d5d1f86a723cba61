using System.Threading.Channels;
using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Storage;
using Microsoft.Extensions.Logging;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// A folder of the dat tool beside the drive's peers (hyperdrive.md §6.2). Its metadata is copied into our own storage and its content lent
/// from where it lies, both verified; what only peers have goes to our own storage too. The dat tool may go on writing: the folder is looked
/// at again every <see cref="PollPeriod"/>. Invariants: nothing is written into the folder; one task takes from it.
/// </summary>
internal sealed class DatFolderNetwork : IFeedNetwork, IDisposable
{
    /// <summary>How soon it is noticed that the dat tool has added something.</summary>
    public static readonly TimeSpan PollPeriod = TimeSpan.FromSeconds(1);

    private readonly DatFolder _folder;
    private readonly FeedKey _key;
    private readonly IFeedNetwork? _peers;
    private readonly ILogger _log;
    private readonly IDisposable _held;
    private readonly FolderFeed _metadata = new();
    private readonly FolderFeed _content = new();
    private readonly CancellationTokenSource _end = new();
    private readonly Channel<bool> _poked = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly ITimer _poll;
    private Task _following = Task.CompletedTask;
    private IRandomAccessFile? _bytes;
    private volatile FolderSource[] _sources = [];
    private volatile bool _hasMore;
    private bool _settling = true;
    private string _stamp = "";
    private string? _trouble;

    private DatFolderNetwork(DatFolder folder, FeedKey key, IFeedNetwork? peers, TimeProvider time, ILogger log, IDisposable held)
    {
        _folder = folder;
        _key = key;
        _peers = peers;
        _log = log;
        _held = held;
        _poll = time.CreateTimer(_ => Poke(), null, PollPeriod, PollPeriod);
    }

    /// <summary>Opens the folder's feeds. <paramref name="held"/> is disposed with the network.</summary>
    /// <exception cref="DatException">Corrupt, Io: the folder cannot be read.</exception>
    public static async ValueTask<DatFolderNetwork> OpenAsync(DatFolder folder, FeedKey key, IFeedNetwork? peers, TimeProvider time, ILogger log, IDisposable held)
    {
        DatFolderNetwork network = new(folder, key, peers, time, log, held);
        try
        {
            await network.OpenFeedsAsync();
            network._following = Task.Run(network.FollowAsync);
            return network;
        }
        catch
        {
            network.Close();
            throw;
        }
    }

    /// <inheritdoc/>
    public IDisposable Join(Feed feed)
    {
        IDisposable? joined = _peers?.Join(feed);
        bool isMetadata = feed.Key == _key;
        FolderSource source = isMetadata ? new CopyingSource(feed, _metadata, feed.Source) : new LendingSource(feed, _content, _folder, feed.Source);
        feed.Source = source;
        if (!isMetadata) feed.Lender = new Bytes(this);
        _sources = [.. _sources, source];
        _hasMore = true;
        Poke();
        return new Membership(feed, joined);
    }

    /// <summary>Takes so much from the folder that the drive can be shown: its first and its newest block.</summary>
    public async ValueTask ShowAsync(CancellationToken ct)
    {
        if (_sources is not [{ } metadata, ..]) return;
        await metadata.TakeAsync(0, ct);
        await metadata.CatchUpAsync(ct);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Close();
        _held.Dispose();
    }

    private void Close()
    {
        _end.Cancel();
        _poll.Dispose();
        _following.GetAwaiter().GetResult();
        _content.Dispose();
        _metadata.Dispose();
        _bytes?.Dispose();
        _end.Dispose();
    }

    private void Poke() => _poked.Writer.TryWrite(true);

    private async Task FollowAsync()
    {
        try
        {
            while (true)
            {
                await _poked.Reader.ReadAsync(_end.Token);
                await LookAsync();
            }
        }
        catch (OperationCanceledException)
        {
            // Closed.
        }
    }

    private async ValueTask LookAsync()
    {
        try
        {
            // A change may end within the tick of the clock in which it was seen: after the last one the folder is read once more.
            bool changed = _folder.Stamp() != _stamp;
            if (changed || _settling)
            {
                await OpenFeedsAsync();
                _hasMore = true;
            }

            _settling = changed;

            if (!_hasMore) return;
            _hasMore = false;
            foreach (FolderSource source in _sources) await source.TakeAllAsync(_end.Token);
            _trouble = null;
        }
        catch (Exception unfinished) when (unfinished is DatException or IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            // Caught in the middle of a change, or taken away: what was opened before stays, and the next look tries again.
            _stamp = "";
            if (_trouble != unfinished.Message) HyperdriveLog.FolderUnreadable(_log, _key.ToDiscoveryKey(), _trouble = unfinished.Message);
        }
    }

    // Looked at before the feeds are opened: what changes in between is noticed the next time.
    private async ValueTask OpenFeedsAsync()
    {
        string stamp = _folder.Stamp();
        Feed metadata = _folder.OpenMetadata(_key);
        try
        {
            if (_folder.OpenContent() is { } content) await _content.ReplaceAsync(content);
            if (_bytes is null) Volatile.Write(ref _bytes, _folder.OpenBytes());
        }
        finally
        {
            await _metadata.ReplaceAsync(metadata);
        }

        _stamp = stamp;
    }

    private sealed class Membership(Feed feed, IDisposable? joined) : IDisposable
    {
        public void Dispose()
        {
            feed.Source = null;
            joined?.Dispose();
        }
    }

    /// <summary>The content's bytes, which dat-node begins to write when there is the first of them.</summary>
    private sealed class Bytes(DatFolderNetwork network) : IRandomAccessFile
    {
        public long Length => Volatile.Read(ref network._bytes)?.Length ?? 0;

        public int Read(long offset, Span<byte> into) => Volatile.Read(ref network._bytes)?.Read(offset, into) ?? 0;

        public void Write(long offset, ReadOnlySpan<byte> data) => throw ReadOnly();

        public void SetLength(long length) => throw ReadOnly();

        public void PunchHole(long offset, long length) => throw ReadOnly();

        public void Sync()
        {
        }

        public void Dispose()
        {
        }

        private static DatException ReadOnly() => new(DatError.NotWritable, "a folder of the dat tool is only read");
    }
}
