using System.Buffers;

namespace DatFs.Wire;

/// <summary>
/// Encrypted bytes on their way to the socket, in pooled chunks: small frames share one, a large one has its own. Its owner serialises.
/// </summary>
internal sealed class OutputQueue
{
    private const int ChunkSize = 64 * 1024;

    private readonly Queue<(byte[] Bytes, int Count)> _full = new();
    private byte[] _open = [];
    private int _openCount;

    /// <summary>Bytes reserved and not yet written, including the chunk that is being written.</summary>
    public long Queued { get; private set; }

    /// <summary>The most there have been.</summary>
    public long Peak { get; private set; }

    /// <summary>The next <paramref name="count"/> bytes of the stream, to be filled before anything else is reserved.</summary>
    public Span<byte> Reserve(int count)
    {
        if (count > _open.Length - _openCount)
        {
            Seal();
            _open = ArrayPool<byte>.Shared.Rent(Math.Max(count, ChunkSize));
        }

        Span<byte> room = _open.AsSpan(_openCount, count);
        _openCount += count;
        Queued += count;
        Peak = Math.Max(Peak, Queued);
        return room;
    }

    /// <summary>Takes the oldest chunk; <see cref="Written"/> gives it back.</summary>
    public bool TryTake(out byte[] bytes, out int count)
    {
        if (_full.Count == 0) Seal();
        bool any = _full.TryDequeue(out (byte[] Bytes, int Count) chunk);
        (bytes, count) = any ? chunk : ([], 0);
        return any;
    }

    /// <summary>The chunk left for the socket, or never will.</summary>
    public void Written(byte[] bytes, int count)
    {
        Queued -= count;
        ArrayPool<byte>.Shared.Return(bytes);
    }

    /// <summary>Drops what is queued.</summary>
    public void Clear()
    {
        while (TryTake(out byte[] bytes, out int count)) Written(bytes, count);
    }

    private void Seal()
    {
        if (_openCount > 0) _full.Enqueue((_open, _openCount));
        else if (_open.Length > 0) ArrayPool<byte>.Shared.Return(_open);
        _open = [];
        _openCount = 0;
    }
}
