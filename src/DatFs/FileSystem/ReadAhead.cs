using DatFs.Drives;
using DatFs.Feeds;

namespace DatFs.FileSystem;

/// <summary>
/// Fetches ahead of one open file's reader (hyperdrive.md §5.2). One that goes through in order gets a window that doubles whenever it had
/// to wait for what was asked ahead of it, so that it becomes as large as what is under way on the path, and no larger; one that takes
/// pieces at even distances gets the next pieces; one that jumps gets nothing. The kernel may issue neighbouring reads out of order, so
/// "in order" allows for a few of them.
/// </summary>
internal sealed class ReadAhead(IFileContent content)
{
    /// <summary>First window, in bytes; for a reader of large pieces it is two of them.</summary>
    public const long MinWindow = 256 << 10;

    /// <summary>Largest window, in bytes: what one connection has under way at most.</summary>
    public const long MaxWindow = 8 << 20;

    /// <summary>A read this far from where the last one ended still counts as the next one.</summary>
    public const long Slack = 1 << 20;

    /// <summary>Equal distances in a row after which the next is expected to be the same.</summary>
    public const int EqualStrides = 2;

    /// <summary>Pieces fetched ahead of a reader that takes one at every so many bytes.</summary>
    public const int MaxPieces = 16;

    private readonly Lock _gate = new();
    private long _last = -1;
    private long _end = -1;
    private long _window;
    private long _fetchedTo;
    private long _growsFrom;
    private long _stride;
    private int _equalStrides;
    private int _piecesAhead;

    /// <summary>A read began; <paramref name="waits"/> when its bytes are not here.</summary>
    public void Reading(long offset, int length, bool waits)
    {
        length = (int)Math.Min(length, content.Size - offset);
        Pieces ahead;
        lock (_gate)
        {
            ahead = IsInOrder(offset) ? Onwards(offset, length, waits) : Jump(offset, length);
            _last = offset;
        }

        for (int i = 0; i < ahead.Count; i++)
        {
            long from = ahead.From + (i * ahead.Stride);
            if (from >= 0 && from < content.Size) content.Prefetch(from, Math.Min(ahead.Length, content.Size - from), FetchPriority.ReadAhead);
        }
    }

    private bool IsInOrder(long offset) => _end >= 0 && offset >= _end - Slack && offset <= _end + Slack;

    private Pieces Onwards(long offset, int length, bool waits)
    {
        // Neighbours that arrive swapped must not turn the reader back.
        _end = Math.Max(_end, offset + length);
        bool late = waits && offset < _fetchedTo && offset >= _growsFrom;
        if (late)
        {
            // Once for each window: the reads that wait together wait for the same reason.
            _window = Math.Min(_window * 2, MaxWindow);
            _growsFrom = _fetchedTo;
        }
        else if (_fetchedTo - _end > _window / 2)
        {
            return default;
        }

        _window = Math.Max(_window, Math.Clamp(2L * length, MinWindow, MaxWindow));
        long from = Math.Max(_end, _fetchedTo);
        long to = Math.Min(content.Size, _end + _window);
        if (to <= from) return default;
        _fetchedTo = to;
        return new Pieces(from, to - from, 0, 1);
    }

    private Pieces Jump(long offset, int length)
    {
        (_end, _window, _fetchedTo, _growsFrom) = (offset + length, 0, 0, 0);
        long stride = _last < 0 ? 0 : offset - _last;
        if (stride == 0 || stride != _stride)
        {
            (_stride, _equalStrides, _piecesAhead) = (stride, 0, 0);
            return default;
        }

        if (++_equalStrides < EqualStrides) return default;
        // The reader took one of the pieces asked for; the number doubles while it goes on so.
        int asked = Math.Max(0, _piecesAhead - 1);
        _piecesAhead = (int)Math.Clamp(2L * _piecesAhead, 1, Math.Clamp(MaxWindow / Math.Max(1, length), 1, MaxPieces));
        return new Pieces(offset + ((asked + 1) * stride), length, stride, _piecesAhead - asked);
    }

    private readonly record struct Pieces(long From, long Length, long Stride, int Count);
}
