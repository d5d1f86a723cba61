using System.Buffers;

namespace DatFs.Drives;

/// <summary>Verified bytes of a file, as slices of blocks, valid until disposed. Dispose exactly once.</summary>
public readonly struct ContentLease : IDisposable
{
    private readonly IDisposable? _owner;

    /// <summary>Creates a lease over <paramref name="data"/>; <paramref name="owner"/> is disposed with it.</summary>
    public ContentLease(ReadOnlySequence<byte> data, IDisposable? owner)
    {
        Data = data;
        _owner = owner;
    }

    /// <summary>The bytes.</summary>
    public ReadOnlySequence<byte> Data { get; }

    /// <summary>What keeps the bytes; for handing the lease on without a copy of it.</summary>
    internal IDisposable? Owner => _owner;

    /// <inheritdoc/>
    public void Dispose() => _owner?.Dispose();
}
