using System.Threading.Tasks.Sources;

namespace DatMount.Simulation;

/// <summary>
/// One end of a simulated TCP connection, as a stream that behaves like a socket's: short reads, a send buffer, half closing, resets. What
/// completes a read or write is an item of the machine's own, never a call from outside.
/// </summary>
internal sealed class SimSocket : Stream
{
    private readonly Flow _outgoing;
    private readonly Flow _incoming;
    private readonly Queue<ReadOnlyMemory<byte>> _received = new();
    private readonly Waiting _reading;
    private readonly Waiting _writing;
    private bool _ended;
    private bool _shut;
    private bool _disposed;
    private string? _broken;

    public SimSocket(Machine machine, Flow outgoing, Flow incoming)
    {
        _outgoing = outgoing;
        _incoming = incoming;
        Machine = machine;
        _reading = new Waiting(this, self => self.TryRead);
        _writing = new Waiting(this, self => self.TryWrite);
        machine.Sockets++;
        machine.Died += Die;
    }

    public Machine Machine { get; }

    /// <summary>Bytes that the program has not read.</summary>
    public int Buffered { get; private set; }

    /// <summary>Share of the pieces sent in which a bit is turned over: the wire has no check of its own (reliability.md §4).</summary>
    public double Garble { get; set; }

    /// <summary>Nobody will ever read here.</summary>
    public bool IsGone => _disposed || _broken is not null || !Machine.Alive;

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken ct = default)
    {
        try
        {
            return _reading.Begin(buffer, ct, out int count) ? ValueTask.FromResult(count) : _reading.Pending;
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            return ValueTask.FromException<int>(e);
        }
    }

    // Neither is an async method: what pipes await without context would leave the machine's thread when such a method ends.
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken ct = default)
    {
        try
        {
            ct.ThrowIfCancellationRequested();
            ThrowIfBroken();
            if (_shut) throw new IOException("this half was ended");
            _outgoing.Send(Garble > 0 && Machine.Rng.Chance(Garble) ? Garbled(buffer.Span) : buffer.Span);
            return _writing.BeginWithoutResult(ct);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            return ValueTask.FromException(e);
        }
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    public override void Flush() { }
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <summary>Ends this half.</summary>
    public void Shutdown()
    {
        if (_shut || _broken is not null) return;
        _shut = true;
        _outgoing.Finish();
    }

    /// <summary>Ends both halves at once; the other end learns of it by a reset.</summary>
    public void Abort()
    {
        if (_disposed) return;
        if (_broken is null) _outgoing.Reset();
        BreakHere("the socket was closed");
    }

    /// <summary>The connection is no more, as far as this end is concerned.</summary>
    public void BreakHere(string why)
    {
        if (_broken is not null) return;
        _broken = why;
        _outgoing.Stop();
        _received.Clear();
        Buffered = 0;
        _reading.Look();
        _writing.Look();
    }

    public void Receive(ReadOnlyMemory<byte> bytes)
    {
        _received.Enqueue(bytes);
        Buffered += bytes.Length;
        _reading.Look();
    }

    public void ReceiveEnd()
    {
        _ended = true;
        _reading.Look();
    }

    public void ReceiveReset() => BreakHere("connection reset by peer");

    /// <summary>Bytes came for a program that is gone.</summary>
    public void RefuseData()
    {
        if (Machine.Alive || !Machine.LostPower) _outgoing.Reset();
    }

    public void RoomAgain() => _writing.Look();

    protected override void Dispose(bool disposing)
    {
        if (!_disposed)
        {
            if (_broken is null && Buffered > 0) _outgoing.Reset();
            else Shutdown();
            _disposed = true;
            Machine.Died -= Die;
            Machine.Sockets--;
            _incoming.Close();
            _reading.Look();
        }

        base.Dispose(disposing);
    }

    // A kernel that lives on resets the connections of a process that does not.
    private void Die()
    {
        _incoming.Close();
        if (_broken is not null) return;
        if (Machine.LostPower) _outgoing.Stop();
        else _outgoing.Reset();
    }

    private void ThrowIfBroken()
    {
        if (_broken is { } why) throw new IOException(why);
        if (_disposed) throw new IOException("the socket was closed");
    }

    private bool TryRead(Memory<byte> into, out int count)
    {
        count = 0;
        ThrowIfBroken();
        while (count < into.Length && _received.TryPeek(out ReadOnlyMemory<byte> piece))
        {
            int part = Math.Min(piece.Length, into.Length - count);
            piece[..part].CopyTo(into[count..]);
            count += part;
            _received.Dequeue();
            if (part == piece.Length) continue;
            PutBack(piece[part..]);
            break;
        }

        Buffered -= count;
        if (count > 0) _incoming.Taken();
        return count > 0 || _ended;
    }

    private byte[] Garbled(ReadOnlySpan<byte> bytes)
    {
        byte[] copy = bytes.ToArray();
        if (copy.Length > 0) copy[Machine.Rng.Below(copy.Length)] ^= (byte)(1 << Machine.Rng.Below(8));
        return copy;
    }

    private void PutBack(ReadOnlyMemory<byte> rest)
    {
        int others = _received.Count;
        _received.Enqueue(rest);
        for (; others > 0; others--) _received.Enqueue(_received.Dequeue());
    }

    private bool TryWrite(Memory<byte> nothing, out int count)
    {
        count = 0;
        ThrowIfBroken();
        return _outgoing.HasRoom;
    }

    private delegate bool Attempt(Memory<byte> buffer, out int count);

    /// <summary>A read or write that waits; there is at most one of each.</summary>
    private sealed class Waiting(SimSocket socket, Func<SimSocket, Attempt> attempt) : IValueTaskSource<int>, IValueTaskSource
    {
        private readonly Attempt _attempt = attempt(socket);
        private ManualResetValueTaskSourceCore<int> _core;
        private CancellationTokenRegistration _cancel;
        private CancellationToken _ct;
        private Memory<byte> _buffer;
        private bool _waits;
        private bool _looking;

        public ValueTask<int> Pending => new(this, _core.Version);

        public ValueTask BeginWithoutResult(CancellationToken ct) => Begin(default, ct, out _) ? ValueTask.CompletedTask : new ValueTask(this, _core.Version);

        /// <summary>True when there is nothing to wait for.</summary>
        public bool Begin(Memory<byte> buffer, CancellationToken ct, out int count)
        {
            count = 0;
            if (_waits) throw new InvalidOperationException("one at a time");
            ct.ThrowIfCancellationRequested();

            // Now and then even what could be had at once is not.
            if (!socket.Machine.Rng.Chance(0.2) && _attempt(buffer, out count)) return true;
            (_waits, _buffer, _ct) = (true, buffer, ct);
            _core.Reset();
            _cancel = ct.UnsafeRegister(static self => ((Waiting)self!).Look(), this);
            Look();
            return false;
        }

        /// <summary>Something changed: what waits is tried again, soon.</summary>
        public void Look()
        {
            if (!_waits || _looking) return;
            _looking = true;
            socket.Machine.Post(static self => ((Waiting)self!).Try(), this);
        }

        public int GetResult(short token) => _core.GetResult(token);

        void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

        public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

        public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _core.OnCompleted(continuation, state, token, flags);

        private void Try()
        {
            _looking = false;
            if (!_waits) return;
            int count = 0;
            Exception? error = null;
            try
            {
                if (_ct.IsCancellationRequested) error = new OperationCanceledException(_ct);
                else if (!_attempt(_buffer, out count)) return;
            }
            catch (IOException e)
            {
                error = e;
            }

            _waits = false;
            _buffer = default;
            _cancel.Dispose();
            if (error is null) _core.SetResult(count);
            else _core.SetException(error);
        }
    }
}
