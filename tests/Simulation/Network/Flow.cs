using System.Numerics;
using System.Runtime.InteropServices;

namespace DatMount.Simulation;

/// <summary>One direction of a connection: a send buffer, bytes on their way, and the window that keeps them few.</summary>
internal sealed class Flow(SimNetwork network, string name, Way path, Rng rng, int sendBuffer, int window)
{
    private readonly Queue<ReadOnlyMemory<byte>> _unsent = new();
    private readonly Queue<Segment> _stuck = new();
    private int _unsentBytes;
    private int _inFlight;
    private bool _finWaits;
    private bool _over;
    private long _free;
    private long _lastArrival;

    public SimSocket Source { get; set; } = null!;
    public SimSocket Sink { get; set; } = null!;

    /// <summary>There is room for the program to write on.</summary>
    public bool HasRoom => _unsentBytes <= sendBuffer;

    private World World => network.World;

    public void Send(ReadOnlySpan<byte> bytes)
    {
        if (_over) return;
        _unsent.Enqueue(bytes.ToArray());
        _unsentBytes += bytes.Length;
        Transmit();
    }

    public void Finish()
    {
        _finWaits = true;
        Transmit();
    }

    /// <summary>The program took bytes: the window opens.</summary>
    public void Taken() => Transmit();

    /// <summary>Tells the other end that there is no connection any more; what is on its way is lost.</summary>
    public void Reset()
    {
        if (_over) return;
        Stop();
        Depart(new Segment(default, SegmentKind.Reset));
    }

    /// <summary>Nothing is sent any more, and nobody is told.</summary>
    public void Stop()
    {
        _over = true;
        _unsent.Clear();
        _unsentBytes = 0;
    }

    public void Open() => path.Unblocked += Release;

    public void Close() => path.Unblocked -= Release;

    private void Transmit()
    {
        while (!_over && _unsent.TryPeek(out ReadOnlyMemory<byte> next))
        {
            // A window that is nearly full is waited for rather than filled byte by byte (RFC 9293 §3.8.6.2).
            int count = Math.Min(path.PieceOf(next.Length, rng), window);
            if (count > window - _inFlight - Sink.Buffered) break;
            ReadOnlyMemory<byte> piece = next[..count];
            _unsent.Dequeue();
            if (count < next.Length) Prepend(next[count..]);
            _unsentBytes -= count;
            _inFlight += count;
            _free = Math.Max(_free, World.Now) + (long)(count / path.Now.Bandwidth * TimeSpan.TicksPerSecond);
            Depart(new Segment(piece, SegmentKind.Data));
            if (path.Now.Loss > 0 && rng.Chance(path.Now.Loss))
            {
                network.Break(Source, Sink, "by chance");
                World.Count("connection lost by chance");
                return;
            }
        }

        if (HasRoom) Source.RoomAgain();
        if (_over || !_finWaits || _unsent.Count > 0) return;
        _over = true;
        Depart(new Segment(default, SegmentKind.End));
    }

    // A queue cannot be put back at its front; there is at most one such rest.
    private void Prepend(ReadOnlyMemory<byte> rest)
    {
        int others = _unsent.Count;
        _unsent.Enqueue(rest);
        for (; others > 0; others--) _unsent.Enqueue(_unsent.Dequeue());
    }

    private void Depart(Segment segment)
    {
        long leaves = Math.Max(_free, World.Now);
        long arrives = leaves + path.Now.Delay.Ticks + (long)(path.Now.Jitter.Ticks * rng.Unit());
        _lastArrival = Math.Max(_lastArrival, arrives);
        World.At(_lastArrival, () => Arrive(segment));
    }

    private void Arrive(Segment segment)
    {
        if (path.Blocked || _stuck.Count > 0) _stuck.Enqueue(segment);
        else Deliver(segment);
    }

    private void Release()
    {
        World.After(rng.Span(1, 1500), () =>
        {
            while (!path.Blocked && _stuck.TryDequeue(out Segment segment)) Deliver(segment);
        });
    }

    private void Deliver(Segment segment)
    {
        switch (segment.Kind)
        {
            case SegmentKind.Data:
                _inFlight -= segment.Bytes.Length;
                if (Sink.IsGone)
                {
                    Sink.RefuseData();
                    return;
                }

                World.Say(name, $"{segment.Bytes.Length} {SumOf(segment.Bytes.Span):x8}");
                Sink.Receive(segment.Bytes);
                return;
            case SegmentKind.End:
                World.Say(name, "end");
                Sink.ReceiveEnd();
                return;
            default:
                World.Say(name, "reset");
                Sink.ReceiveReset();
                return;
        }
    }

    private static uint SumOf(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        foreach (ulong eight in MemoryMarshal.Cast<byte, ulong>(bytes)) sum = BitOperations.Crc32C(sum, eight);
        foreach (byte one in bytes[(bytes.Length & ~7)..]) sum = BitOperations.Crc32C(sum, one);
        return sum;
    }

    private enum SegmentKind
    {
        Data,
        End,
        Reset,
    }

    private readonly record struct Segment(ReadOnlyMemory<byte> Bytes, SegmentKind Kind);
}
