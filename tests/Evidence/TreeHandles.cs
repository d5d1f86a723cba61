using System.Buffers;
using DatFs.FileSystem;

namespace DatFs.Evidence;

/// <summary>An open file of a <see cref="TreeFs"/>.</summary>
internal sealed class TreeFileHandle : IFileHandle
{
    private readonly TreeFs _fs;
    private readonly TreeFsNode _node;
    private bool _disposed;

    public TreeFileHandle(TreeFs fs, TreeFsNode node)
    {
        _fs = fs;
        _node = node;
        fs.HandleOpened();
    }

    public NodeId Node => _node.Id;

    public bool DirectIo => _node.DirectIo;

    public async ValueTask<Result<ReadLease>> ReadAsync(long offset, int length, CancellationToken ct)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        await _fs.Gate("read", _node, ct);
        byte[] data = _node.Data;
        int from = (int)Math.Min(offset, data.Length);
        int count = Math.Min(length, data.Length - from);
        _fs.LeaseGiven();
        return new ReadLease(Pieces(data.AsMemory(from, count), _fs.Segment), new Lease(_fs));
    }

    public ValueTask<Result<int>> WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken ct)
    {
        if (_fs.Capabilities.ReadOnly) return new(FsError.ReadOnly);
        if (offset > _fs.MaxFileSize - data.Length) return new(FsError.TooBig);
        lock (_node)
        {
            int at = offset < 0 ? _node.Data.Length : (int)offset;
            byte[] grown = new byte[Math.Max(_node.Data.Length, at + data.Length)];
            _node.Data.CopyTo(grown, 0);
            data.CopyTo(grown.AsMemory(at));
            _node.Data = grown;
            return new(data.Length);
        }
    }

    public ValueTask<FsError> FlushAsync(CancellationToken ct) => new(FsError.None);

    public ValueTask DisposeAsync()
    {
        if (_disposed) throw new InvalidOperationException("disposed twice");
        _disposed = true;
        _fs.HandleClosed();
        return ValueTask.CompletedTask;
    }

    private static ReadOnlySequence<byte> Pieces(ReadOnlyMemory<byte> data, int size)
    {
        if (data.Length <= size) return new ReadOnlySequence<byte>(data);
        Piece? first = null;
        Piece? last = null;
        for (int at = 0; at < data.Length; at += size)
        {
            last = new Piece(data.Slice(at, Math.Min(size, data.Length - at)), last);
            first ??= last;
        }

        return new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length);
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, Piece? before)
        {
            Memory = memory;
            if (before is null) return;
            RunningIndex = before.RunningIndex + before.Memory.Length;
            before.Next = this;
        }
    }

    private sealed class Lease(TreeFs fs) : IDisposable
    {
        public void Dispose() => fs.LeaseBack();
    }
}

/// <summary>An open folder: its names when opened.</summary>
internal sealed class TreeDirHandle(TreeFs fs, TreeFsNode node, KeyValuePair<string, TreeFsNode>[] entries) : IDirHandle
{
    public bool Immutable => fs.Capabilities is { ReadOnly: true, LiveChanges: false };

    public async ValueTask<Result<bool>> ReadAsync(ulong position, DirAdd add, bool withInfo, CancellationToken ct)
    {
        await fs.Gate("readdir", node, ct);
        for (; position < (ulong)entries.Length + 2; position++)
        {
            NodeInfo info;
            bool taken;
            if (position < 2)
            {
                info = position == 0 ? node.Info : (node.Parent ?? node).Info;
                taken = add(position == 0 ? "."u8 : ".."u8, info, position + 1);
            }
            else
            {
                (string key, TreeFsNode child) = entries[position - 2];
                info = child.Info;
                taken = add(TreeFsNode.Bytes(key), info, position + 1);
                if (taken && withInfo) fs.AddReference(child);
            }

            if (!taken) return false;
        }

        return true;
    }

    public ulong PositionAfter(ReadOnlySpan<byte> utf8Name) => throw new NotSupportedException("only adapters for Windows ask by name");

    public ValueTask DisposeAsync()
    {
        fs.HandleClosed();
        return ValueTask.CompletedTask;
    }
}
