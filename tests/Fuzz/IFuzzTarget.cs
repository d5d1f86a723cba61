namespace DatMount.Fuzz;

/// <summary>
/// One decoder that takes bytes from somebody else. An instance serves one thread; a case leaves nothing behind that the next one could
/// notice, so that every failing input fails alone.
/// </summary>
public interface IFuzzTarget
{
    /// <summary>Short, in lower case; also the folder of its inputs under Found.</summary>
    string Name { get; }

    /// <summary>What mutation starts from: real inputs, most of them from the vectors.</summary>
    IEnumerable<byte[]> Corpus();

    /// <summary>Pieces that mutation puts anywhere: tags, magic numbers, words.</summary>
    IReadOnlyList<byte[]> Dictionary => [];

    /// <summary>Longest input made.</summary>
    int MaxLength => 16 * 1024;

    /// <summary>Most bytes of managed memory that an input of this length may cost, the oracles' own included.</summary>
    long AllocationLimit(int inputLength) => 32 * 1024 + 64L * inputLength;

    /// <summary>Decodes; whatever is thrown is a defect. What a decoder may throw, the target catches.</summary>
    void Run(ReadOnlySpan<byte> input);
}
