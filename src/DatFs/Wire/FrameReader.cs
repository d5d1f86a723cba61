using System.Buffers;
using DatFs.Crypto;
using DatFs.Encoding;

namespace DatFs.Wire;

/// <summary>One frame; the body is valid until the reader is filled again. A keep-alive has no type.</summary>
internal readonly record struct Frame(int Channel, FrameType? Type, ReadOnlyMemory<byte> Body)
{
    public bool IsKeepAlive => Type is null;
}

/// <summary>What a frame may be, decided when its header is there and its body is not (wire-protocol.md §9.1).</summary>
internal interface IFrameRules
{
    /// <summary>The largest length (header and body) allowed now; throws when the frame may not come at all.</summary>
    int MaxLength(int channel, FrameType type);
}

/// <summary>
/// Turns the encrypted bytes of one direction into frames (wire-protocol.md §2). Deciphering is the copy out of the socket's
/// buffer into this one, which grows with what was received, never with what a length claims.
/// </summary>
internal sealed class FrameReader(XSalsa20Stream cipher, IFrameRules rules) : IDisposable
{
    public const int MaxFrameLength = 8 * 1024 * 1024;
    public const int MaxChannel = 255;

    /// <summary>Most that one <see cref="Fill"/> should be given, so that memory follows reception closely.</summary>
    public const int MaxFill = 64 * 1024;

    private const int LengthBytes = 4;
    private const int TypeBits = 4;
    private const int SmallBuffer = 16 * 1024;
    private const int KeptBuffer = 256 * 1024;
    private const int LargestPooled = 2 * 1024 * 1024;
    private const int LargePooled = 4;

    // The shared pool keeps an array of each size for each thread, which adds up where large ones come and go.
    private static readonly ArrayPool<byte> s_large = ArrayPool<byte>.Create(LargestPooled, LargePooled);

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(SmallBuffer);
    private int _start;
    private int _end;
    private int _peak;
    private bool _allowed;

    /// <summary>Some but not all bytes of a frame are here.</summary>
    public bool HasPartial => _end > _start;

    /// <summary>Bytes received and not handed out yet, and the most there have been.</summary>
    public (int Now, int Peak) Held => (_end - _start, _peak);

    /// <summary>Memory held.</summary>
    public int Capacity => _buffer.Length;

    /// <summary>Deciphers the next bytes of the stream; frames handed out before are gone.</summary>
    public void Fill(in ReadOnlySequence<byte> received)
    {
        MakeRoom(checked((int)received.Length));
        foreach (ReadOnlyMemory<byte> piece in received)
        {
            cipher.Apply(piece.Span, _buffer.AsSpan(_end));
            _end += piece.Length;
        }

        _peak = Math.Max(_peak, _end - _start);
    }

    /// <summary>Takes the next whole frame.</summary>
    public bool TryRead(out Frame frame)
    {
        frame = default;
        ReadOnlySpan<byte> bytes = _buffer.AsSpan(_start, _end - _start);
        OperationStatus status = Varint.Read(bytes, out ulong length, out int lengthSize, LengthBytes);
        if (status == OperationStatus.InvalidData || length > MaxFrameLength) ProtocolViolation.ThrowFrameLength();
        if (status == OperationStatus.NeedMoreData) return false;
        if (length == 0)
        {
            _start += lengthSize;
            return true;
        }

        ReadOnlySpan<byte> rest = bytes[lengthSize..];
        bool whole = rest.Length >= (int)length;
        if (whole) rest = rest[..(int)length];
        status = Varint.Read(rest, out ulong header, out int headerSize);
        if (status == OperationStatus.InvalidData || (whole && status != OperationStatus.Done)) ProtocolViolation.ThrowFrameHeader();
        if (status == OperationStatus.NeedMoreData) return false;
        if (header >> TypeBits > MaxChannel) ProtocolViolation.ThrowChannelNumber();
        int channel = (int)(header >> TypeBits);
        FrameType type = (FrameType)(header & ((1 << TypeBits) - 1));
        if (!_allowed)
        {
            int limit = rules.MaxLength(channel, type);
            if ((int)length > limit) ProtocolViolation.ThrowFrameTooLong(type, (int)length, limit);
            _allowed = true;
        }

        if (!whole) return false;
        frame = new Frame(channel, type, _buffer.AsMemory(_start + lengthSize + headerSize, (int)length - headerSize));
        _start += lengthSize + (int)length;
        _allowed = false;
        return true;
    }

    public void Dispose()
    {
        byte[] buffer = Interlocked.Exchange(ref _buffer, []);
        if (buffer.Length > 0) PoolOf(buffer.Length).Return(buffer);
        _start = _end = 0;
        cipher.Dispose();
    }

    private static ArrayPool<byte> PoolOf(int size) => size > KeptBuffer ? s_large : ArrayPool<byte>.Shared;

    private void MakeRoom(int count)
    {
        int held = _end - _start;
        bool tooLarge = _buffer.Length > KeptBuffer && held + count <= SmallBuffer;
        if (!tooLarge && count <= _buffer.Length - _end) return;
        if (!tooLarge && held + count <= _buffer.Length)
        {
            _buffer.AsSpan(_start, held).CopyTo(_buffer);
        }
        else
        {
            int size = Math.Max(tooLarge ? SmallBuffer : 2 * held, held + count);
            byte[] other = PoolOf(size).Rent(size);
            _buffer.AsSpan(_start, held).CopyTo(other);
            PoolOf(_buffer.Length).Return(_buffer);
            _buffer = other;
        }

        _start = 0;
        _end = held;
    }
}
