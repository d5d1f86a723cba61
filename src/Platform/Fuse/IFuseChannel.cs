namespace DatMount.Platform.Fuse;

/// <summary>One piece of a vectored write: the kernel's <c>struct iovec</c>.</summary>
internal readonly struct IoVec(nint start, int length)
{
    public readonly nint Start = start;
    public readonly nint Length = length;
}

/// <summary>
/// Where requests come from and replies go: /dev/fuse, or bytes in a test. One read is one request, one write one reply.
/// Both answer a byte count or minus an errno; any number of threads may call.
/// </summary>
internal interface IFuseChannel : IDisposable
{
    /// <summary>Waits for one request. ENODEV = unmounted.</summary>
    int Read(Span<byte> into);

    /// <summary>Sends one reply or notification. ENOENT = nobody waits for it (any more).</summary>
    int Write(ReadOnlySpan<IoVec> parts);
}
