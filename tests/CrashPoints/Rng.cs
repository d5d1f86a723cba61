namespace DatFs.CrashPoints;

/// <summary>Numbers that are the same again for the same seed (SplitMix64).</summary>
internal sealed class Rng(ulong seed)
{
    private ulong _state = seed;

    /// <summary>A generator for one of many things that belong to a seed.</summary>
    public static Rng For(ulong seed, params ReadOnlySpan<ulong> path)
    {
        Rng rng = new(seed);
        foreach (ulong step in path) rng = new Rng(rng.Next() ^ (step * 0x9E3779B97F4A7C15));
        return rng;
    }

    public ulong Next()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        return z ^ z >> 31;
    }

    /// <summary>From 0 to below the bound.</summary>
    public int Below(int bound) => (int)(Next() % (ulong)bound);

    public bool Chance(double share) => Next() >> 11 < share * (1UL << 53);

    public T Pick<T>(ReadOnlySpan<T> from) => from[Below(from.Length)];
}
