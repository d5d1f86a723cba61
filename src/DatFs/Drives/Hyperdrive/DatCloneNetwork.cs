using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdrive;

/// <summary>
/// The folder of a dat clone beside the drive's peers: what it holds is taken from there, verified, into our own storage. The dat tool may go
/// on writing; the folder is looked at again every <see cref="PollPeriod"/>.
/// </summary>
internal sealed class DatCloneNetwork : IFeedNetwork, IDisposable
{
    /// <summary>How soon it is noticed that the dat tool fetched more.</summary>
    public static readonly TimeSpan PollPeriod = TimeSpan.FromSeconds(2);

    private readonly DatFolder _folder;
    private readonly FeedKey _key;
    private readonly IFeedNetwork? _peers;
    private readonly FolderFeed _metadata = new();
    private readonly FolderFeed _content = new();
    private readonly SemaphoreSlim _turn = new(1);
    private readonly ITimer _poll;
    private readonly IDisposable _held;
    private FolderSource? _source;
    private string _stamp = "";
    private bool _disposed;

    private DatCloneNetwork(DatFolder folder, FeedKey key, IFeedNetwork? peers, TimeProvider time, IDisposable held)
    {
        _folder = folder;
        _key = key;
        _peers = peers;
        _held = held;
        _poll = time.CreateTimer(_ => _ = PollAsync(), null, PollPeriod, PollPeriod);
    }

    /// <summary>Opens the folder's feeds. <paramref name="held"/> is disposed with the network.</summary>
    /// <exception cref="DatException">Corrupt, Io: the folder cannot be read.</exception>
    public static async ValueTask<DatCloneNetwork> OpenAsync(DatFolder folder, FeedKey key, IFeedNetwork? peers, TimeProvider time, IDisposable held)
    {
        DatCloneNetwork network = new(folder, key, peers, time, held);
        try
        {
            await network.OpenFeedsAsync();
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
        FolderSource source = new(feed, feed.Key == _key ? _metadata : _content, feed.Source);
        if (feed.Key == _key) Volatile.Write(ref _source, source);
        feed.Source = source;
        return new Membership(feed, joined);
    }

    /// <summary>Looks for what the dat tool has added, and tells the drive.</summary>
    internal async Task PollAsync()
    {
        if (!await _turn.WaitAsync(TimeSpan.Zero)) return;
        try
        {
            if (_disposed || _folder.Stamp() == _stamp) return;
            await OpenFeedsAsync();
            if (Volatile.Read(ref _source) is { } source) await source.CatchUpAsync(CancellationToken.None);
        }
        catch (Exception unfinished) when (unfinished is DatException or IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            // Caught in the middle of a change, or taken away: what was opened before stays, and the next look tries again.
            _stamp = "";
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Close();
        _held.Dispose();
    }

    private void Close()
    {
        _poll.Dispose();
        _turn.Wait();
        _disposed = true;
        _turn.Release();
        _content.Dispose();
        _metadata.Dispose();
    }

    // Looked at before the feeds are opened: what changes in between is noticed the next time.
    private async ValueTask OpenFeedsAsync()
    {
        string stamp = _folder.Stamp();
        Feed metadata = _folder.OpenMetadata(_key);
        try
        {
            if (_folder.ContentKey() is { } content) await _content.ReplaceAsync(_folder.OpenContent(content, metadata));
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
}
