namespace DatFs.Storage;

/// <summary>The content of a file in memory, as pages of which only written ones exist, and who has it open.</summary>
internal sealed class MemoryFile
{
    private const int PageSize = 4096;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, byte[]> _pages = [];
    private long _length;
    private int _handles;
    private bool _exclusive;

    /// <summary>A handle, or null when another one excludes it.</summary>
    public IRandomAccessFile? TryOpen(FileUse use)
    {
        lock (_lock)
        {
            if (_exclusive || (use == FileUse.Exclusive && _handles > 0)) return null;
            _exclusive = use == FileUse.Exclusive;
            _handles++;
            return new Handle(this, use != FileUse.Read);
        }
    }

    /// <summary>A copy of the content that nobody has open.</summary>
    public MemoryFile Clone()
    {
        lock (_lock)
        {
            MemoryFile copy = new() { _length = _length };
            foreach ((long page, byte[] bytes) in _pages) copy._pages.Add(page, (byte[])bytes.Clone());
            return copy;
        }
    }

    private long Length
    {
        get
        {
            lock (_lock) return _length;
        }
    }

    private int Read(long offset, Span<byte> into)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        lock (_lock)
        {
            int count = (int)Math.Clamp(_length - offset, 0, into.Length);
            for (int done = 0; done < count;)
            {
                (long page, long at64) = Math.DivRem(offset + done, PageSize);
                int at = (int)at64;
                int part = Math.Min(PageSize - at, count - done);
                Span<byte> target = into.Slice(done, part);
                if (_pages.TryGetValue(page, out byte[]? bytes)) bytes.AsSpan(at, part).CopyTo(target);
                else target.Clear();
                done += part;
            }

            return count;
        }
    }

    private void Write(long offset, ReadOnlySpan<byte> data)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        lock (_lock)
        {
            for (int done = 0; done < data.Length;)
            {
                (long page, long at64) = Math.DivRem(offset + done, PageSize);
                int at = (int)at64;
                int part = Math.Min(PageSize - at, data.Length - done);
                if (!_pages.TryGetValue(page, out byte[]? bytes)) _pages.Add(page, bytes = new byte[PageSize]);
                data.Slice(done, part).CopyTo(bytes.AsSpan(at, part));
                done += part;
            }

            if (data.Length > 0) _length = Math.Max(_length, checked(offset + data.Length));
        }
    }

    private void SetLength(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        lock (_lock)
        {
            if (length < _length) Zero(length, _length - length);
            _length = length;
        }
    }

    private void PunchHole(long offset, long length)
    {
        lock (_lock) Zero(offset, Math.Max(0, Math.Min(length, _length - offset)));
    }

    private void Zero(long offset, long length)
    {
        long end = offset + length;
        foreach (long page in _pages.Keys.Where(page => page * PageSize < end && (page + 1) * PageSize > offset).ToArray())
        {
            int from = (int)Math.Max(0, offset - page * PageSize);
            int to = (int)Math.Min(PageSize, end - page * PageSize);
            if (from == 0 && to == PageSize) _pages.Remove(page);
            else _pages[page].AsSpan(from..to).Clear();
        }
    }

    private void Close()
    {
        lock (_lock)
        {
            _handles--;
            _exclusive = false;
        }
    }

    private sealed class Handle(MemoryFile file, bool writable) : IRandomAccessFile
    {
        private bool _closed;

        public long Length => file.Length;

        public int Read(long offset, Span<byte> into) => file.Read(offset, into);

        public void Write(long offset, ReadOnlySpan<byte> data) => Writable().Write(offset, data);

        public void SetLength(long length) => Writable().SetLength(length);

        public void PunchHole(long offset, long length) => Writable().PunchHole(offset, length);

        public void Sync()
        {
        }

        public void Dispose()
        {
            if (_closed) return;
            _closed = true;
            file.Close();
        }

        private MemoryFile Writable() => writable ? file : throw new UnauthorizedAccessException("the file was opened for reading");
    }
}
