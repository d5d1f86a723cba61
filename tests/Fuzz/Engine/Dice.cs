namespace DatMount.Fuzz.Engine;

/// <summary>The source of every random choice: the same seed gives the same choices, in this and in any later version of the runtime.</summary>
internal sealed class Dice
{
    private ulong _state;

    public Dice(ulong seed, string name, int worker)
    {
        _state = seed ^ (0x9E3779B97F4A7C15 * (ulong)(worker + 1));
        foreach (char c in name) _state = (_state ^ c) * 0x100000001B3;
    }

    /// <summary>All 64 bits (splitmix64).</summary>
    public ulong Next()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>From 0 up to but without the bound.</summary>
    public int Below(int bound) => (int)(((Next() >> 32) * (ulong)bound) >> 32);

    public bool OneIn(int times) => Below(times) == 0;

    public T Pick<T>(IReadOnlyList<T> from) => from[Below(from.Count)];

    public T Pick<T>(ReadOnlySpan<T> from) => from[Below(from.Length)];

    /// <summary>Mostly small, now and then up to the bound.</summary>
    public int Length(int bound) => 1 + Below(Math.Max(1, bound >> Below(8)));
}
