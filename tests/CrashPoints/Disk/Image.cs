namespace DatFs.CrashPoints;

/// <summary>The bytes of one file.</summary>
internal sealed class Image
{
    private byte[] _bytes = [];

    public long Length { get; private set; }

    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, (int)Length);

    public Image Clone() => new() { _bytes = Bytes.ToArray(), Length = Length };

    public void Apply(in Call call)
    {
        switch (call.Kind)
        {
            case CallKind.Write:
                Write(call.Offset, call.Bytes);
                break;
            case CallKind.SetLength:
                if (call.Offset < Length) _bytes.AsSpan((int)call.Offset, (int)(Length - call.Offset)).Clear();
                Grow(call.Offset);
                Length = call.Offset;
                break;
            case CallKind.Punch:
                long end = Math.Min(Length, call.Offset + call.Length);
                if (end > call.Offset) _bytes.AsSpan((int)call.Offset, (int)(end - call.Offset)).Clear();
                break;
        }
    }

    /// <summary>A write of which only those sectors arrive that <paramref name="keeps"/> says; the length may have arrived without them.</summary>
    public void Tear(in Call write, int sector, bool grows, Func<bool> keeps)
    {
        long end = write.Offset + write.Length;
        if (grows) Grow(end);
        for (long at = write.Offset; at < end;)
        {
            long next = Math.Min(end, (at / sector + 1) * sector);
            if (keeps()) Write(at, write.Bytes.AsSpan((int)(at - write.Offset), (int)(next - at)));
            at = next;
        }
    }

    private void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) return;
        Grow(offset + bytes.Length);
        bytes.CopyTo(_bytes.AsSpan((int)offset));
    }

    private void Grow(long length)
    {
        if (length > _bytes.Length) Array.Resize(ref _bytes, checked((int)Math.Max(length, 2L * _bytes.Length)));
        Length = Math.Max(Length, length);
    }
}
