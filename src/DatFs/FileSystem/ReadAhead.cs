using DatFs.Drives;
using DatFs.Feeds;

namespace DatFs.FileSystem;

/// <summary>
/// Fetches ahead of a reader that goes through a file in order: a window that doubles while it does, nothing for one that jumps
/// (hyperdrive.md §5.2). The kernel may issue neighbouring reads out of order, so "in order" allows for a few of them.
/// </summary>
internal sealed class ReadAhead(IFileContent content)
{
    /// <summary>First window, in bytes.</summary>
    public const long MinWindow = 256 << 10;

    /// <summary>Largest window, in bytes.</summary>
    public const long MaxWindow = 4 << 20;

    /// <summary>A read this far from where the last one ended still counts as the next one.</summary>
    public const long Slack = 1 << 20;

    private readonly Lock _gate = new();
    private long _end = -1;
    private long _window;
    private long _fetchedTo;

    public void Reading(long offset, int length)
    {
        long from;
        long to;
        lock (_gate)
        {
            long end = Math.Min(content.Size, offset + Math.Min(length, content.Size - offset));
            bool first = _end < 0;
            bool inOrder = !first && offset >= _end - Slack && offset <= _end + Slack;
            // Neighbours that arrive swapped must not turn the reader back.
            _end = inOrder ? Math.Max(_end, end) : end;
            if (!inOrder)
            {
                _window = 0;
                _fetchedTo = 0;
                return;
            }

            if (_fetchedTo - _end > _window / 2 && _window > 0) return;
            _window = Math.Clamp(_window * 2, MinWindow, MaxWindow);
            from = Math.Max(_end, _fetchedTo);
            to = Math.Min(content.Size, _end + _window);
            if (to <= from) return;
            _fetchedTo = to;
        }

        content.Prefetch(from, to - from, FetchPriority.ReadAhead);
    }
}
