using System.IO.Pipelines;
using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Feeds;
using Google.Protobuf;

namespace DatFs.Wire;

// Frames out: encoded and encrypted under the lock, written by one loop that exists while there is something to write.
public sealed partial class WireConnection
{
    /// <summary>Above this many queued bytes <see cref="DrainAsync"/> waits, and a cork no longer holds anything back.</summary>
    public const int HighWater = 1024 * 1024;

    /// <summary>A remote that lets this much wait does not read (§9.1 has no number; a request queue may hold 16 MiB of answers).</summary>
    internal const int MaxQueued = 32 * 1024 * 1024;

    /// <summary>Of 17 that the reference buffers for a feed that it has not opened (§3.4).</summary>
    internal const int MaxEarlySent = 8;

    internal const int MaxExtensionPayload = 64 * 1024;

    private const int TypeBits = 4;

    private readonly OutputQueue _output = new();
    private XSalsa20Stream? _sendCipher;
    private byte[] _nonce = [];
    private TaskCompletionSource? _drained;
    private Task _writer = Task.CompletedTask;
    private bool _writing;
    private bool _ending;
    private bool _completing;
    private bool _completed;
    private int _corks = 1; // until RunAsync
    private long _held;
    private long _lastSent;
    private long _sent;

    /// <summary>
    /// Holds frames back until disposed and then writes them in one piece (corking). Nested calls count.
    /// </summary>
    public Cork Cork()
    {
        lock (_gate) _corks++;
        return new Cork(this);
    }

    /// <summary>
    /// Completes when what was queued is below <see cref="HighWater"/>, or the connection closed. Await it where answers are produced, not
    /// inside the handler: two sides that stop reading until the other reads would wait for ever.
    /// </summary>
    public ValueTask DrainAsync(CancellationToken ct)
    {
        Task drained;
        lock (_gate)
        {
            if (_closed || _output.Queued < HighWater) return ValueTask.CompletedTask;
            _drained ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            drained = _drained.Task;
        }

        return new ValueTask(_time.WaitAsync(drained, ct));
    }

    internal void Uncork()
    {
        lock (_gate)
        {
            _corks--;
            StartWriter();
        }
    }

    internal void Send(WireChannel channel, FrameType type, IMessage message)
    {
        bool notReading;
        lock (_gate)
        {
            if (_closed || _ending) return;
            if (MustHold(channel, type))
            {
                byte[] frame = new byte[SizeOf(channel.Number, type, message)];
                Encode(frame, channel.Number, type, message, null);
                Hold(channel, frame);
            }
            else
            {
                Append(channel.Number, type, message);
            }

            notReading = IsBacklogged();
        }

        if (notReading) Close(ProtocolViolation.NotReading());
    }

    internal void Send(WireChannel channel, Proof proof)
    {
        int header = HeaderOf(channel.Number, FrameType.Data);
        int length = checked(Varint.SizeOf((ulong)header) + DataCodec.HeadSize(proof) + (proof.Value?.Length ?? 0) + DataCodec.TailSize(proof));
        if (length > FrameReader.MaxFrameLength) throw new DatException(DatError.Invalid, "the block and its proof are too long for one frame");
        int size = Varint.SizeOf((ulong)length) + length;
        bool notReading;
        lock (_gate)
        {
            if (_closed || _ending) return;
            if (MustHold(channel, FrameType.Data))
            {
                byte[] frame = new byte[size];
                Encode(frame, header, length, proof, null);
                Hold(channel, frame);
            }
            else
            {
                Encode(Reserve(size), header, length, proof, _sendCipher);
            }

            notReading = IsBacklogged();
        }

        if (notReading) Close(ProtocolViolation.NotReading());
    }

    internal bool SendExtension(WireChannel channel, string name, ReadOnlySpan<byte> payload)
    {
        int number = IndexOfExtension(name);
        if (number < 0) throw new DatException(DatError.Invalid, $"the extension {name} is not in this side's list");
        if (payload.Length > MaxExtensionPayload) throw new DatException(DatError.Invalid, "an extension message holds at most 64 KiB");
        if (RemoteHandshake is not { } remote || !remote.Extensions.Contains(name, StringComparer.Ordinal)) return false;
        int header = HeaderOf(channel.Number, FrameType.Extension);
        int length = Varint.SizeOf((ulong)header) + Varint.SizeOf((ulong)number) + payload.Length;
        int size = Varint.SizeOf((ulong)length) + length;
        bool notReading;
        lock (_gate)
        {
            if (_closed || _ending) return true;
            bool hold = MustHold(channel, FrameType.Extension);
            byte[] held = hold ? new byte[size] : [];
            Span<byte> frame = hold ? held : Reserve(size);
            int at = Varint.Write(frame, (ulong)length);
            at += Varint.Write(frame[at..], (ulong)header);
            at += Varint.Write(frame[at..], (ulong)number);
            payload.CopyTo(frame[at..]);
            if (hold) Hold(channel, held);
            else _sendCipher!.Apply(frame);
            notReading = IsBacklogged();
        }

        if (notReading) Close(ProtocolViolation.NotReading());
        return true;
    }

    private int IndexOfExtension(string name)
    {
        for (int i = 0; i < _handshake.Extensions.Count; i++)
        {
            if (string.Equals(_handshake.Extensions[i], name, StringComparison.Ordinal)) return i;
        }

        return -1;
    }

    private static int HeaderOf(int channel, FrameType type) => channel << TypeBits | (int)type;

    private static int SizeOf(int channel, FrameType type, IMessage message)
    {
        int length = Varint.SizeOf((ulong)HeaderOf(channel, type)) + message.CalculateSize();
        return Varint.SizeOf((ulong)length) + length;
    }

    private static void Encode(Span<byte> frame, int channel, FrameType type, IMessage message, XSalsa20Stream? cipher)
    {
        int header = HeaderOf(channel, type);
        int body = message.CalculateSize();
        int at = Varint.Write(frame, (ulong)(Varint.SizeOf((ulong)header) + body));
        at += Varint.Write(frame[at..], (ulong)header);
        message.WriteTo(frame.Slice(at, body));
        cipher?.Apply(frame);
    }

    private static void Encode(Span<byte> frame, int header, int length, Proof proof, XSalsa20Stream? cipher)
    {
        int at = Varint.Write(frame, (ulong)length);
        at += Varint.Write(frame[at..], (ulong)header);
        DataCodec.WriteHead(frame[at..], proof);
        at += DataCodec.HeadSize(proof);
        cipher?.Apply(frame[..at]);
        if (proof.Value is { } value)
        {
            if (cipher is null) value.Span.CopyTo(frame[at..]);
            else cipher.Apply(value.Span, frame[at..]);
            at += value.Length;
        }

        DataCodec.WriteTail(frame[at..], proof);
        cipher?.Apply(frame[at..]);
    }

    // Everything below runs under the lock.

    private void Append(int channel, FrameType type, IMessage message) =>
        Encode(Reserve(SizeOf(channel, type, message)), channel, type, message, _sendCipher);

    private Span<byte> Reserve(int size)
    {
        Span<byte> room = _output.Reserve(size);
        _lastSent = _time.GetTimestamp();
        StartWriter();
        return room;
    }

    private static bool MustHold(WireChannel channel, FrameType type)
    {
        if (channel.RemoteOpen) return false;
        if (channel.Held.Count > 0 || channel.EarlySent >= MaxEarlySent || type is FrameType.Have or FrameType.Extension) return true;
        channel.EarlySent++;
        return false;
    }

    private void Hold(WireChannel channel, byte[] frame)
    {
        channel.Held.Enqueue(frame);
        _held += frame.Length;
    }

    private void ReleaseHeld(WireChannel channel)
    {
        while (channel.Held.TryDequeue(out byte[]? frame))
        {
            _held -= frame.Length;
            if (!_closed && !_ending) _sendCipher!.Apply(frame, Reserve(frame.Length));
        }
    }

    private bool IsBacklogged() => _output.Queued + _held > MaxQueued;

    private void StartWriter()
    {
        bool corked = _corks > 0 && _output.Queued < HighWater && !_ending;
        if (_writing || corked || _closed || (_output.Queued == 0 && !_ending)) return;
        _writing = true;
        _writer = _time.Run(WriteAsync);
    }

    private Task WriterAsync()
    {
        lock (_gate) return _writer;
    }

    private async Task WriteAsync()
    {
        try
        {
            while (TryTake(out byte[] bytes, out int count))
            {
                FlushResult flushed = default;
                try
                {
                    flushed = await _transport.Output.WriteAsync(bytes.AsMemory(0, count), _closing.Token);
                    Interlocked.Add(ref _sent, count);
                }
                finally
                {
                    Written(bytes, count);
                }

                if (flushed.IsCompleted) throw new IOException("the remote stopped reading");
            }

            if (_completing) await _transport.Output.CompleteAsync();
        }
        catch (Exception e)
        {
            Close(e);
        }
    }

    private bool TryTake(out byte[] bytes, out int count)
    {
        lock (_gate)
        {
            (bytes, count) = ([], 0);
            bool corked = _corks > 0 && _output.Queued < HighWater && !_ending;
            if (!_closed && !corked && _output.TryTake(out bytes, out count)) return true;
            _completing = _ending && !_closed && !_completed;
            if (_completing) _endedAt = _time.GetTimestamp();
            _completed |= _completing;
            _writing = false;
            return false;
        }
    }

    private void Written(byte[] bytes, int count)
    {
        TaskCompletionSource? drained = null;
        lock (_gate)
        {
            _output.Written(bytes, count);
            if (_output.Queued < HighWater) (drained, _drained) = (_drained, null);
        }

        drained?.TrySetResult();
    }
}
