namespace DatFs.Feeds;

/// <summary>The verified bytes of one block, valid until disposed. Dispose exactly once.</summary>
public readonly struct BlockLease : IDisposable
{
    private readonly IDisposable? _owner;

    internal BlockLease(ReadOnlyMemory<byte> memory, IDisposable? owner)
    {
        Memory = memory;
        _owner = owner;
    }

    /// <summary>The block's bytes.</summary>
    public ReadOnlyMemory<byte> Memory { get; }

    /// <summary>Gives the memory back.</summary>
    public void Dispose() => _owner?.Dispose();
}
