using System.Buffers;

namespace DatFs.Encoding;

/// <summary>
/// Run-length coding of bitfields in Have messages (hypercore.md §15, wire-protocol.md §6). Encodes byte for byte as the reference does.
/// Decoding checks every header against a limit before anything is produced, so a claim costs nothing: a few bytes can claim petabytes.
/// </summary>
internal static class BitfieldRle
{
    /// <summary>Most bytes accepted for the open-ended form of old peers, which names no window: 2^27 blocks (wire-protocol.md §6.2).</summary>
    public const long MaxOpenEndedBytes = 16 * 1024 * 1024;

    /// <summary>What a run consists of.</summary>
    public enum RunKind
    {
        /// <summary>Bytes 00.</summary>
        Zeros,
        /// <summary>Bytes FF.</summary>
        Ones,
        /// <summary>The bytes of <see cref="Run.Literal"/>.</summary>
        Literal,
    }

    /// <summary>A stretch of the decoded bytes, never empty.</summary>
    public readonly ref struct Run(long offset, long count, RunKind kind, ReadOnlySpan<byte> literal)
    {
        /// <summary>Byte position in the output.</summary>
        public long Offset { get; } = offset;
        /// <summary>Bytes covered.</summary>
        public long Count { get; } = count;
        /// <summary>Content.</summary>
        public RunKind Kind { get; } = kind;
        /// <summary>The bytes of a literal, within the encoded input; empty for other kinds.</summary>
        public ReadOnlySpan<byte> Literal { get; } = literal;
    }

    /// <summary>Yields the runs of an input that <see cref="TryRead"/> has checked, in ascending order and without gaps.</summary>
    public ref struct Reader
    {
        private ReadOnlySpan<byte> _rest;
        private long _offset;

        internal Reader(ReadOnlySpan<byte> encoded) => _rest = encoded;

        /// <summary>The next run; false at the end.</summary>
        public bool Next(out Run run)
        {
            while (TryHeader(ref _rest, out RunKind kind, out long count))
            {
                ReadOnlySpan<byte> literal = kind == RunKind.Literal ? _rest[..(int)count] : default;
                _rest = _rest[literal.Length..];
                if (count == 0) continue;
                run = new Run(_offset, count, kind, literal);
                _offset += count;
                return true;
            }

            run = default;
            return false;
        }
    }

    /// <summary>Sums what the headers claim; false when the input is malformed or the sum exceeds 2^53-1.</summary>
    public static bool TryDecodedLength(ReadOnlySpan<byte> encoded, out long length)
    {
        length = 0;
        while (!encoded.IsEmpty)
        {
            if (!TryHeader(ref encoded, out RunKind kind, out long count)) return false;
            if (kind == RunKind.Literal)
            {
                if (count > encoded.Length) return false;
                encoded = encoded[(int)count..];
            }

            length += count;
            if (length > (long)Varint.MaxValue) return false;
        }

        return true;
    }

    /// <summary>Checks the whole input; true when it is well formed and decodes to at most <paramref name="maxOutputBytes"/>.</summary>
    public static bool TryRead(ReadOnlySpan<byte> encoded, long maxOutputBytes, out Reader reader)
    {
        reader = default;
        if (!TryDecodedLength(encoded, out long length) || length > maxOutputBytes) return false;
        reader = new Reader(encoded);
        return true;
    }

    /// <summary>Decodes into a new array of exactly the decoded size; false when malformed or larger than <paramref name="maxOutputBytes"/>.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> encoded, long maxOutputBytes, out byte[] bits)
    {
        bits = [];
        if (!TryDecodedLength(encoded, out long length) || length > Math.Min(maxOutputBytes, Array.MaxLength)) return false;
        bits = new byte[length];
        Reader reader = new(encoded);
        while (reader.Next(out Run run))
        {
            Span<byte> target = bits.AsSpan((int)run.Offset, (int)run.Count);
            if (run.Kind == RunKind.Ones) target.Fill(0xFF);
            if (run.Kind == RunKind.Literal) run.Literal.CopyTo(target);
        }

        return true;
    }

    /// <summary>Encodes; zero bytes at the end vanish, so an empty range becomes no bytes at all.</summary>
    public static byte[] Encode(ReadOnlySpan<byte> bits)
    {
        bits = bits[..(bits.LastIndexOfAnyExcept((byte)0) + 1)];
        if (bits.IsEmpty) return [];

        // Each part written is no longer than as a literal: its bytes, and a header of one byte more per factor of 128.
        byte[] buffer = ArrayPool<byte>.Shared.Rent(checked(bits.Length + bits.Length / 32 + 16));
        int size = 0;
        int from = 0;
        for (int at = 0; at < bits.Length;)
        {
            int start = bits[at..].IndexOfAny((byte)0x00, (byte)0xFF);
            if (start < 0) break;
            start += at;
            int end = bits[start..].IndexOfAnyExcept(bits[start]);
            end = end < 0 ? bits.Length : start + end;
            if (RunPays(start - from, end - start))
            {
                size += WriteLiteral(buffer.AsSpan(size), bits[from..start]);
                size += Varint.Write(buffer.AsSpan(size), RunHeader(end - start, bits[start] != 0));
                from = end;
            }

            at = end;
        }

        size += WriteLiteral(buffer.AsSpan(size), bits[from..]);
        byte[] encoded = buffer.AsSpan(0, size).ToArray();
        ArrayPool<byte>.Shared.Return(buffer);
        return encoded;
    }

    private static bool RunPays(int literal, int run) => LiteralCost(literal) + Varint.SizeOf(RunHeader(run, false)) < LiteralCost(literal + run);

    private static int LiteralCost(int bytes) => bytes == 0 ? 0 : Varint.SizeOf(2 * (ulong)bytes) + bytes;

    private static ulong RunHeader(int bytes, bool ones) => 4 * (ulong)bytes + (ones ? 3u : 1u);

    private static int WriteLiteral(Span<byte> into, ReadOnlySpan<byte> literal)
    {
        if (literal.IsEmpty) return 0;
        int header = Varint.Write(into, 2 * (ulong)literal.Length);
        literal.CopyTo(into[header..]);
        return header + literal.Length;
    }

    private static bool TryHeader(ref ReadOnlySpan<byte> input, out RunKind kind, out long count)
    {
        kind = RunKind.Literal;
        count = 0;
        if (!Varint.TryRead(ref input, out ulong header, Varint.MaxBytesStrict)) return false;
        if ((header & 1) == 0)
        {
            count = (long)(header >> 1);
            return true;
        }

        kind = (header & 2) == 0 ? RunKind.Zeros : RunKind.Ones;
        count = (long)(header >> 2);
        return true;
    }
}
