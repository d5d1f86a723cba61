using System.Numerics;
using System.Runtime.InteropServices;
using SharpFuzz.Common;

namespace DatMount.Fuzz.Engine;

/// <summary>
/// Which pairs of branches of the instrumented assemblies a case took, and about how often: the map that SharpFuzz shares with afl-fuzz, here inside the
/// process. Cases run one at a time; what threads of the library do beside them blurs the map a little.
/// </summary>
internal sealed unsafe class Coverage
{
    private const int Size = 1 << 16;

    // Counts that differ only a little tell nothing: 1, 2, 3, 4 to 7, 8 to 15, 16 to 31, 32 to 127, and more.
    private static readonly byte[] s_class = Classes();

    // Never freed: threads of the library may report to the end.
    private readonly byte* _taken = (byte*)NativeMemory.AllocZeroed(Size);
    private readonly byte[] _seen = new byte[Size];

    public Coverage() => Trace.SharedMem = _taken;

    /// <summary>True when the library was instrumented.</summary>
    public static bool IsThere { get; } =
        typeof(DatFs.DatException).Assembly.GetReferencedAssemblies().Any(reference => reference.Name == typeof(Trace).Assembly.GetName().Name);

    /// <summary>Different branches so far.</summary>
    public int Reached { get; private set; }

    /// <summary>Before a case.</summary>
    public void Begin()
    {
        new Span<byte>(_taken, Size).Clear();
        Trace.PrevLocation = 0;
    }

    /// <summary>After a case: true when it went where none went before.</summary>
    public bool IsNew()
    {
        bool fresh = false;
        Vector<byte> none = Vector<byte>.Zero;
        for (int at = 0; at < Size; at += Vector<byte>.Count)
        {
            if (Vector.Load(_taken + at) == none) continue;
            for (int i = at; i < at + Vector<byte>.Count; i++)
            {
                byte bit = s_class[_taken[i]];
                if ((bit & ~_seen[i]) == 0) continue;
                if (_seen[i] == 0) Reached++;
                _seen[i] |= bit;
                fresh = true;
            }
        }

        return fresh;
    }

    private static byte[] Classes()
    {
        byte[] classes = new byte[256];
        for (int count = 1; count < 256; count++)
            classes[count] = count switch { 1 => 1, 2 => 2, 3 => 4, < 8 => 8, < 16 => 16, < 32 => 32, < 128 => 64, _ => 128 };
        return classes;
    }
}
