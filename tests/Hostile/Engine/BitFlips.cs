using System.Diagnostics.CodeAnalysis;

namespace DatMount.Hostile;

/// <summary>Somebody on the line who flips one bit in some of the pieces that pass, from both sides at once.</summary>
/// <param name="smallest">Leaves shorter pieces alone.</param>
/// <param name="every">Changes one piece in so many.</param>
internal sealed class BitFlips(int smallest, int every)
{
    private readonly Lock _gate = new();
    private readonly Random _random = new(2018);
    private readonly TaskCompletionSource _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _seen;

    /// <summary>Completes when a bit was flipped.</summary>
    public Task FirstAsync => _first.Task;

    [SuppressMessage("Security", "CA5394", Justification = "a test that is to be the same each time")]
    public void Apply(byte[] piece, bool toTarget)
    {
        lock (_gate)
        {
            if (piece.Length < smallest || ++_seen % every != 0) return;
            piece[_random.Next(piece.Length)] ^= (byte)(1 << _random.Next(8));
            _first.TrySetResult();
        }
    }
}
