namespace DatFs.Wire;

/// <summary>Held-back frames; see <see cref="WireConnection.Cork"/>. Dispose exactly once.</summary>
public readonly struct Cork : IDisposable
{
    private readonly WireConnection? _connection;

    internal Cork(WireConnection connection) => _connection = connection;

    /// <inheritdoc/>
    public void Dispose() => _connection?.Uncork();
}
