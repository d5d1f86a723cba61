namespace DatMount.Simulation;

/// <summary>
/// A file as programs see it, as the disk has it, and what lies between: calls that were not synchronised. When the power fails, any of these
/// may have reached the disk, torn at sectors, and any may not.
/// </summary>
internal sealed class SimFile
{
    public const int SmallSector = 512;
    public const int LargeSector = 4096;

    private readonly Image _seen = new();
    private readonly Image _durable = new();
    private readonly List<Change> _unsynced = [];

    public int Handles { get; set; }

    public bool Exclusive { get; set; }

    public long Length => _seen.Length;

    public int Read(long offset, Span<byte> into) => _seen.Read(offset, into);

    public void Write(long offset, ReadOnlySpan<byte> bytes) => Apply(new Change(ChangeKind.Write, offset, bytes.Length, bytes.ToArray()));

    public void SetLength(long length) => Apply(new Change(ChangeKind.SetLength, length, 0, []));

    public void PunchHole(long offset, long length) => Apply(new Change(ChangeKind.Punch, offset, length, []));

    public void Sync()
    {
        foreach (Change change in _unsynced) _durable.Apply(change);
        _unsynced.Clear();
    }

    /// <summary>A synchronisation failed: what it was about is still seen and never written (as Linux does).</summary>
    public void Forget() => _unsynced.Clear();

    /// <summary>The power failed: nothing of what was not synchronised survives, or a beginning, or any part, each whole or torn.</summary>
    public void LosePower(Rng rng, World world)
    {
        double kept = rng.Pick<double>([0, 0.5, 0.9, 1]);
        bool inOrder = rng.Chance(0.3);
        double torn = rng.Chance(0.5) ? 0.3 : 0;
        int sector = rng.Chance(0.5) ? SmallSector : LargeSector;
        if (_unsynced.Count > 0) world.Count(kept == 0 ? "survives nothing" : inOrder ? "survives a beginning" : "survives any part");
        foreach (Change change in _unsynced)
        {
            bool keeps = rng.Chance(kept);
            if (!keeps && inOrder) break;
            if (!keeps) continue;
            if (torn == 0 || !rng.Chance(torn))
            {
                _durable.Apply(change);
                continue;
            }

            world.Count($"survives torn at {sector}");
            _durable.Apply(change.Torn(rng, sector));
        }

        _unsynced.Clear();
        _seen.CopyFrom(_durable);
        (Handles, Exclusive) = (0, false);
    }

    /// <summary>The process died and the computer lives on.</summary>
    public void CloseAll() => (Handles, Exclusive) = (0, false);

    /// <summary>A bit of the disk turned over; false when there is none.</summary>
    public bool Flip(Rng rng)
    {
        if (_seen.Length == 0) return false;
        long at = rng.Between(0, _seen.Length - 1);
        byte mask = (byte)(1 << rng.Below(8));
        _seen.Flip(at, mask);
        _durable.Flip(at, mask);
        return true;
    }

    /// <summary>The disk lost the end of the file.</summary>
    public void Cut(long length)
    {
        Change change = new(ChangeKind.SetLength, length, 0, []);
        _seen.Apply(change);
        if (length < _durable.Length) _durable.Apply(change);
    }

    private void Apply(Change change)
    {
        _seen.Apply(change);
        _unsynced.Add(change);
    }

    internal enum ChangeKind
    {
        Write,
        SetLength,
        Punch,
    }

    internal readonly record struct Change(ChangeKind Kind, long Offset, long Length, byte[] Bytes)
    {
        /// <summary>Only the first, or only the last sectors of a write.</summary>
        public Change Torn(Rng rng, int sector)
        {
            if (Kind != ChangeKind.Write) return this;
            long cut = Math.Clamp((Offset / sector + 1 + rng.Below((int)(Length / sector) + 1)) * sector - Offset, 0, Length);
            return rng.Chance(0.7)
                ? this with { Length = cut, Bytes = Bytes[..(int)cut] }
                : this with { Offset = Offset + cut, Length = Length - cut, Bytes = Bytes[(int)cut..] };
        }
    }

    private sealed class Image
    {
        private byte[] _bytes = [];

        public long Length { get; private set; }

        public int Read(long offset, Span<byte> into)
        {
            int count = (int)Math.Clamp(Length - offset, 0, into.Length);
            if (count > 0) _bytes.AsSpan((int)offset, count).CopyTo(into);
            return count;
        }

        public void Apply(in Change change)
        {
            switch (change.Kind)
            {
                case ChangeKind.Write:
                    if (change.Length == 0) break;
                    Grow(change.Offset + change.Length);
                    change.Bytes.CopyTo(_bytes, change.Offset);
                    break;
                case ChangeKind.SetLength:
                    if (change.Offset < Length) _bytes.AsSpan((int)change.Offset, (int)(Length - change.Offset)).Clear();
                    Grow(change.Offset);
                    Length = change.Offset;
                    break;
                default:
                    long end = Math.Min(Length, change.Offset + change.Length);
                    if (end > change.Offset) _bytes.AsSpan((int)change.Offset, (int)(end - change.Offset)).Clear();
                    break;
            }
        }

        public void Flip(long at, byte mask)
        {
            if (at < Length) _bytes[at] ^= mask;
        }

        public void CopyFrom(Image other)
        {
            _bytes = other._bytes.AsSpan(0, (int)other.Length).ToArray();
            Length = other.Length;
        }

        private void Grow(long length)
        {
            if (length > _bytes.Length) Array.Resize(ref _bytes, checked((int)Math.Max(length, 2L * _bytes.Length)));
            Length = Math.Max(Length, length);
        }
    }
}
