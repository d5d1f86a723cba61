using System.Buffers.Binary;

namespace DatMount.Simulation;

/// <summary>The only source of chance: SplitMix64, so that a seed means the same on every machine and runtime.</summary>
internal sealed class Rng(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        ulong z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>A source of its own for a part of the world, so that what happens there does not move chance elsewhere.</summary>
    public Rng Fork() => new(Next());

    /// <summary>0 to <paramref name="end"/> - 1.</summary>
    public int Below(int end) => (int)(Next() % (ulong)Math.Max(1, end));

    /// <summary>Both ends included.</summary>
    public long Between(long first, long last) => first + (long)(Next() % (ulong)(last - first + 1));

    /// <summary>0 to 1, without 1.</summary>
    public double Unit() => (Next() >> 11) * (1.0 / (1UL << 53));

    public bool Chance(double probability) => Unit() < probability;

    /// <summary>Small values as often as large ones, by orders of magnitude; <paramref name="first"/> is above zero.</summary>
    public double Scaled(double first, double last) => first * Math.Pow(last / first, Unit());

    /// <summary>A time span between two, by orders of magnitude.</summary>
    public TimeSpan Span(double firstMs, double lastMs) => TimeSpan.FromTicks((long)(Scaled(firstMs, lastMs) * TimeSpan.TicksPerMillisecond));

    public T Pick<T>(IReadOnlyList<T> of) => of[Below(of.Count)];

    public void Shuffle<T>(IList<T> list)
    {
        for (int i = list.Count - 1; i > 0; i--)
        {
            int j = Below(i + 1);
            (list[i], list[j]) = (list[j], list[i]);
        }
    }

    public void Fill(Span<byte> into)
    {
        while (into.Length >= 8)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(into, Next());
            into = into[8..];
        }

        ulong last = Next();
        for (int i = 0; i < into.Length; i++) into[i] = (byte)(last >> (8 * i));
    }

    public byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        Fill(bytes);
        return bytes;
    }
}
