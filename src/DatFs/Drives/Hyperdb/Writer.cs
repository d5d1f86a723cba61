using DatFs.Crypto;
using DatFs.Feeds;

namespace DatFs.Drives.Hyperdb;

/// <summary>
/// One writer of a database: its feeds and its list of writers, which only ever grows at its end, so the newest list reads all older entries
/// too (hyperdb-multiwriter.md §6). The list is replaced as a whole; the database sees to it that one thread does so at a time.
/// </summary>
internal sealed class Writer(int number, Feed feed)
{
    private volatile WriterList? _list;
    private volatile Feed? _content;
    private bool _awaited;
    private IDisposable? _want;
    private long _wanted = -1;

    /// <summary>Its number on this machine: 0 = the source, 1 = our own where that is not the source, then as found.</summary>
    public int Number => number;

    public Feed Feed => feed;

    public FeedKey Key => feed.Key;

    /// <summary>Its content feed, once known and if it has one.</summary>
    public Feed? Content
    {
        get => _content;
        set => _content = value;
    }

    /// <summary>Reachable from the source's list: it is replicated, and what it wrote is shown.</summary>
    public bool Authorized { get; set; }

    /// <summary>The newest list of writers met in the feed so far.</summary>
    public WriterList? List
    {
        get => _list;
        set => _list = value;
    }

    /// <summary>Keeps all blocks coming while the feed is replicated; null = only the newest ones are.</summary>
    public IDisposable? Following { get; set; }

    /// <summary>True once: who waits for a first sign of the writer.</summary>
    public bool TryAwait() => !Interlocked.Exchange(ref _awaited, true);

    /// <summary>Asks for one block, the only one, until it is here or another is wanted.</summary>
    public void Want(IBlockSource source, long seq)
    {
        if (_wanted == seq) return;
        _want?.Dispose();
        _wanted = seq;
        _want = feed.HasBlock(seq) ? null : source.Download(seq, seq + 1, DownloadOrder.NewestFirst, FetchPriority.Interactive);
    }

    /// <summary>Asks for nothing more.</summary>
    public void StopFollowing()
    {
        _want?.Dispose();
        Following?.Dispose();
    }
}

/// <summary>A list of writers as it stands in block <paramref name="Seq"/>, and our number for each of them.</summary>
internal sealed record WriterList(long Seq, FeedKey[] Keys, int[] Numbers, FeedKey? ContentFeed);
