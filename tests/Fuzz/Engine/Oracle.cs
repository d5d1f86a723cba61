using System.Diagnostics.CodeAnalysis;

namespace DatMount.Fuzz.Engine;

/// <summary>A promise that a decoder broke without throwing.</summary>
public sealed class BrokenPromiseException(string message) : Exception(message);

/// <summary>What targets say about the outcome of a case.</summary>
internal static class Oracle
{
    public static void That([DoesNotReturnIf(false)] bool held, string promise)
    {
        if (!held) throw new BrokenPromiseException(promise);
    }

    /// <summary>Without making the text where the promise holds, for what is checked millions of times.</summary>
    public static void Equal<T>(T left, T right, string what)
    {
        if (!EqualityComparer<T>.Default.Equals(left, right)) throw new BrokenPromiseException($"{what}: {left} and {right} differ");
    }

    public static void Same(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, string what)
    {
        if (!left.SequenceEqual(right)) throw new BrokenPromiseException($"{what}: {Convert.ToHexStringLower(left)} and {Convert.ToHexStringLower(right)} differ");
    }
}
