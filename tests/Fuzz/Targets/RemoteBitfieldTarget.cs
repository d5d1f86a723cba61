using DatFs.Encoding;
using DatFs.Evidence;
using DatFs.Replication;
using DatFs.Wire;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>What a peer claims to have, as a row of claims, beside a plain list of ranges.</summary>
internal sealed class RemoteBitfieldTarget : IFuzzTarget
{
    private const int MostSteps = 64;

    public string Name => "claims";

    public int MaxLength => 1024;

    public long AllocationLimit(int inputLength) => 8 * 1024 * 1024;

    public IEnumerable<byte[]> Corpus()
    {
        yield return new InputWriter().Byte(0).Number(0).Number(100).Byte(1).Number(50).Number(10).Byte(3).Number(0).Number(200).ToArray();
        yield return new InputWriter().Byte(0).Number(0).Number(RemoteBitfield.MaxBlocks).Byte(1).Number(1 << 20).Number(1).Byte(4).Number(1 << 21).Number(5).ToArray();
        foreach (var row in Vectors.Json("hypercore/rle.json").GetProperty("cases").EnumerateArray())
        {
            if (row.Hex("encoded") is { Length: < 200 } encoded)
                yield return new InputWriter().Byte(2).Number(32768).Number(65536).Chunk(encoded).Byte(3).Number(0).Number(1 << 30).ToArray();
        }
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        RemoteBitfield claims = new();
        Ranges plain = new();
        try
        {
            for (int step = 0; step < MostSteps && !reader.IsEmpty; step++) Step(ref reader, claims, plain);
        }
        catch (ProtocolViolationException)
        {
            // More memory than one peer gets.
            Oracle.That(claims.Bytes > RemoteBitfield.MaxBytes / 2, "only a large set costs too much");
        }

        Oracle.That(claims.Bytes is >= 0 and <= RemoteBitfield.MaxBytes, "memory within its bound");
    }

    private static void Step(ref InputReader reader, RemoteBitfield claims, Ranges plain)
    {
        int kind = reader.Byte() % 5;
        long start = reader.Number(), count = reader.Number(), end = start + count;
        switch (kind)
        {
            case 0:
            case 1:
                claims.Set(start, end, kind == 0);
                plain.Set(start, Math.Min(end, RemoteBitfield.MaxBlocks), kind == 0);
                break;
            case 2:
                Replace(reader.Chunk(), claims, plain, start, end);
                break;
            case 3:
                Oracle.Equal(claims.NextSet(start, end), plain.Next(start, Math.Min(end, RemoteBitfield.MaxBlocks)), "the next one");
                break;
            default:
                Oracle.Equal(claims.PrevSet(end, start), plain.Previous(Math.Min(end, RemoteBitfield.MaxBlocks - 1), start), "the one before");
                break;
        }

        Oracle.Equal(claims.Contains(start), plain.Next(start, start + 1) == start, "one block");
        Oracle.Equal(claims.NextSet(0, long.MaxValue), plain.Next(0, RemoteBitfield.MaxBlocks), "the first");
        Oracle.Equal(claims.PrevSet(long.MaxValue, 0), plain.Previous(RemoteBitfield.MaxBlocks, 0), "the last");
    }

    // Begins at a multiple of eight, as replication makes sure before.
    private static void Replace(ReadOnlySpan<byte> encoded, RemoteBitfield claims, Ranges plain, long start, long end)
    {
        start &= ~7L;
        if (!BitfieldRle.TryRead(encoded, (end - start + 7) / 8, out BitfieldRle.Reader runs)) return;
        long last = claims.Replace(start, end, runs);
        long stop = Math.Min(end, RemoteBitfield.MaxBlocks);
        plain.Set(start, stop, false);
        BitfieldRle.TryRead(encoded, long.MaxValue, out BitfieldRle.Reader again);
        while (again.Next(out BitfieldRle.Run run))
        {
            long from = start + run.Offset * 8;
            if (run.Kind == BitfieldRle.RunKind.Ones) plain.Set(from, Math.Min(stop, from + run.Count * 8), true);
            for (int i = 0; i < 8 * run.Literal.Length; i++)
                if ((run.Literal[i / 8] & (0x80 >> (i % 8))) != 0) plain.Set(from + i, Math.Min(stop, from + i + 1), true);
        }

        Oracle.Equal(last, plain.Previous(stop - 1, start) + 1, "the end of what was claimed");
    }

    /// <summary>A set as sorted ranges that neither touch nor overlap.</summary>
    private sealed class Ranges
    {
        private readonly List<(long Start, long End)> _ranges = [];

        public void Set(long start, long end, bool present)
        {
            if (start >= end) return;
            List<(long Start, long End)> kept = [];
            foreach ((long from, long to) in _ranges)
            {
                if (to < start || from > end || (!present && (to <= start || from >= end)))
                {
                    kept.Add((from, to));
                }
                else if (present)
                {
                    (start, end) = (Math.Min(start, from), Math.Max(end, to));
                }
                else
                {
                    if (from < start) kept.Add((from, start));
                    if (to > end) kept.Add((end, to));
                }
            }

            if (present) kept.Add((start, end));
            kept.Sort();
            _ranges.Clear();
            _ranges.AddRange(kept);
        }

        public long Next(long from, long end)
        {
            foreach ((long start, long stop) in _ranges)
                if (stop > from) return Math.Max(start, from) < end ? Math.Max(start, from) : -1;
            return -1;
        }

        public long Previous(long from, long start)
        {
            for (int i = _ranges.Count - 1; i >= 0; i--)
                if (_ranges[i].Start <= from) return Math.Min(_ranges[i].End - 1, from) >= start ? Math.Min(_ranges[i].End - 1, from) : -1;
            return -1;
        }
    }
}
