using DatFs.Wire;

namespace DatFs.Replication;

/// <summary>A request or a Want to be answered, and about how long the answer is.</summary>
internal sealed record ServeItem(PeerChannel Channel, RequestMessage Request, long Bytes)
{
    public ServeItem(PeerChannel channel, WantMessage want, long bytes)
        : this(channel, default(RequestMessage), bytes) => Want = want;

    /// <summary>Set when it is not a request.</summary>
    public WantMessage? Want { get; }
}

/// <summary>
/// The requests of one connection that wait for their answer, in order. Full at 512 entries or 16 MiB of answers (wire-protocol.md §9.1):
/// then adding waits, which stops reading from that peer.
/// </summary>
internal sealed class ServeQueue
{
    /// <summary>Most entries.</summary>
    public const int MaxItems = 512;
    /// <summary>Most bytes of answers.</summary>
    public const long MaxBytes = 16 * 1024 * 1024;

    private readonly Lock _gate = new();
    private readonly LinkedList<ServeItem> _items = new();
    private TaskCompletionSource? _filled;
    private TaskCompletionSource? _emptied;
    private long _bytes;
    private (long Items, long Bytes) _peak;
    private bool _closed;

    /// <summary>Entries and bytes of answers that wait, and the most there have been.</summary>
    public (long Items, long Bytes, long PeakItems, long PeakBytes) Use
    {
        get
        {
            lock (_gate) return (_items.Count, _bytes, _peak.Items, _peak.Bytes);
        }
    }

    /// <summary>Adds a request once there is room. One caller at a time.</summary>
    public async ValueTask AddAsync(ServeItem item)
    {
        while (true)
        {
            Task room;
            lock (_gate)
            {
                if (_closed) return;
                if (_items.Count < MaxItems && (_bytes < MaxBytes || _items.Count == 0))
                {
                    _items.AddLast(item);
                    _bytes += item.Bytes;
                    _peak = (Math.Max(_peak.Items, _items.Count), Math.Max(_peak.Bytes, _bytes));
                    _filled?.TrySetResult();
                    return;
                }

                _emptied = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                room = _emptied.Task;
            }

            await room;
        }
    }

    /// <summary>The oldest request, or null once closed. One caller at a time.</summary>
    public async ValueTask<ServeItem?> TakeAsync()
    {
        while (true)
        {
            Task filled;
            lock (_gate)
            {
                if (_closed) return null;
                if (_items.First is { } first)
                {
                    Remove(first);
                    return first.Value;
                }

                _filled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                filled = _filled.Task;
            }

            await filled;
        }
    }

    /// <summary>Forgets the newest request that a Cancel names.</summary>
    public bool Cancel(PeerChannel channel, CancelMessage cancel)
    {
        lock (_gate)
        {
            for (LinkedListNode<ServeItem>? node = _items.Last; node is not null; node = node.Previous)
            {
                RequestMessage request = node.Value.Request;
                if (node.Value.Channel != channel || node.Value.Want is not null || request.Index != cancel.Index || request.Bytes != cancel.Bytes || request.Hash != cancel.Hash) continue;
                Remove(node);
                return true;
            }
        }

        return false;
    }

    /// <summary>Drops everything; adding and taking end.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            _items.Clear();
            _filled?.TrySetResult();
            _emptied?.TrySetResult();
        }
    }

    private void Remove(LinkedListNode<ServeItem> node)
    {
        _items.Remove(node);
        _bytes -= node.Value.Bytes;
        _emptied?.TrySetResult();
    }
}
