using DatFs.Crypto;
using DatFs.Storage;

namespace DatFs.Feeds;

/// <summary>The signatures on disk (hypercore.md §5.2): slot n-1 holds that of the tree of length n; zeros mean that there is none.</summary>
internal sealed class SignatureFile : IDisposable
{
    private const int SlotsPerRead = 64;

    private readonly IRandomAccessFile? _file;

    /// <summary>Over an open file; null reads as empty.</summary>
    public SignatureFile(IRandomAccessFile? file) => _file = file;

    /// <summary>Length of the longest tree that has a whole slot.</summary>
    public long Slots => _file is null ? 0 : Math.Max(0, (_file.Length - SleepHeader.Size) / SleepHeader.SignatureEntry);

    /// <summary>Reads the signature of a length; false when there is none.</summary>
    public bool TryRead(long length, Span<byte> into64)
    {
        into64 = into64[..Ed25519.SignatureSize];
        return _file is not null && length > 0 && _file.Read(OffsetOf(length), into64) == into64.Length && into64.ContainsAnyExcept((byte)0);
    }

    /// <summary>Writes the signature of a length.</summary>
    public void Write(long length, ReadOnlySpan<byte> signature64)
    {
        if (signature64.Length != Ed25519.SignatureSize) throw new ArgumentException("exactly 64 bytes are needed", nameof(signature64));
        File.Write(OffsetOf(length), signature64);
    }

    /// <summary>The shortest length above <paramref name="length"/>, and at most <paramref name="last"/>, that has a signature; 0 when none has.</summary>
    public long NextAfter(long length, long last = long.MaxValue)
    {
        last = Math.Min(last, Slots);
        Span<byte> slots = stackalloc byte[SlotsPerRead * SleepHeader.SignatureEntry];
        for (long next = length + 1; next <= last; next += SlotsPerRead)
        {
            Span<byte> part = slots[..(int)(Math.Min(SlotsPerRead, last - next + 1) * SleepHeader.SignatureEntry)];
            int at = part[.._file!.Read(OffsetOf(next), part)].IndexOfAnyExcept((byte)0);
            if (at >= 0) return next + at / SleepHeader.SignatureEntry;
        }

        return 0;
    }

    /// <summary>The longest length up to <paramref name="length"/> that has a signature; 0 when none has.</summary>
    public long LastUpTo(long length)
    {
        Span<byte> slots = stackalloc byte[SlotsPerRead * SleepHeader.SignatureEntry];
        for (long end = Math.Min(length, Slots); end > 0; end -= SlotsPerRead)
        {
            long first = Math.Max(1, end - SlotsPerRead + 1);
            Span<byte> part = slots[..(int)((end - first + 1) * SleepHeader.SignatureEntry)];
            int at = part[.._file!.Read(OffsetOf(first), part)].LastIndexOfAnyExcept((byte)0);
            if (at >= 0) return first + at / SleepHeader.SignatureEntry;
        }

        return 0;
    }

    /// <summary>Gives up all signatures above a length.</summary>
    public void CutAfter(long length)
    {
        long end = OffsetOf(length + 1);
        if (File.Length > end) File.SetLength(end);
    }

    /// <summary>Makes what was written durable.</summary>
    public void Sync() => _file?.Sync();

    /// <inheritdoc/>
    public void Dispose() => _file?.Dispose();

    private IRandomAccessFile File => _file ?? throw new InvalidOperationException("the feed is open for reading only");

    private static long OffsetOf(long length) => SleepHeader.Size + (length - 1) * SleepHeader.SignatureEntry;
}
