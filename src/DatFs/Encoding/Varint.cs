using System.Buffers;
using System.Numerics;

namespace DatFs.Encoding;

/// <summary>
/// Little-endian base 128 numbers, as protobuf has them, never above 2^53-1 because peers hold them in doubles
/// (hypercore.md §15, wire-protocol.md §2.1). Frames and fields may pad to ten bytes, run-length coding may not exceed eight.
/// </summary>
internal static class Varint
{
    /// <summary>2^53-1: the largest number that may be sent, and the largest accepted.</summary>
    public const ulong MaxValue = (1UL << 53) - 1;

    /// <summary>Longest encoding accepted on frames and in protobuf fields.</summary>
    public const int MaxBytes = 10;

    /// <summary>Longest encoding accepted inside run-length coding; also the longest one written.</summary>
    public const int MaxBytesStrict = 8;

    private const int LastShift = 49;
    private const int BitsAtLastShift = 4;

    /// <summary>Bytes needed for the value.</summary>
    public static int SizeOf(ulong value) => (BitOperations.Log2(value | 1) + 7) / 7;

    /// <summary>Writes the minimal encoding and returns its size.</summary>
    public static int Write(Span<byte> into, ulong value)
    {
        if (value > MaxValue) throw new ArgumentOutOfRangeException(nameof(value), value, "peers cannot represent numbers above 2^53-1");
        int size = 0;
        for (; value >= 0x80; value >>= 7) into[size++] = (byte)(value | 0x80);
        into[size++] = (byte)value;
        return size;
    }

    /// <summary>Reads a number and moves <paramref name="input"/> behind it; false, and nothing moved, when truncated, too long or above 2^53-1.</summary>
    public static bool TryRead(ref ReadOnlySpan<byte> input, out ulong value, int maxBytes = MaxBytes)
    {
        if (Read(input, out value, out int consumed, maxBytes) != OperationStatus.Done) return false;
        input = input[consumed..];
        return true;
    }

    /// <summary>
    /// Reads a number from the start of the input. <see cref="OperationStatus.NeedMoreData"/> when the input ends inside a number that is
    /// still acceptable; <see cref="OperationStatus.InvalidData"/> when no continuation could make it acceptable.
    /// </summary>
    public static OperationStatus Read(ReadOnlySpan<byte> input, out ulong value, out int consumed, int maxBytes = MaxBytes)
    {
        value = 0;
        consumed = 0;
        ulong sum = 0;
        int available = Math.Min(input.Length, maxBytes);
        for (int i = 0; i < available; i++)
        {
            ulong bits = input[i] & 0x7FUL;
            int shift = 7 * i;
            if (bits != 0 && shift >= LastShift && (shift > LastShift || bits >> BitsAtLastShift != 0)) return OperationStatus.InvalidData;
            if (bits != 0) sum |= bits << shift;
            if (input[i] >= 0x80) continue;
            value = sum;
            consumed = i + 1;
            return OperationStatus.Done;
        }

        return available == maxBytes ? OperationStatus.InvalidData : OperationStatus.NeedMoreData;
    }
}
