using System.Text.Json;

namespace DatFs.Evidence;

/// <summary>The block contents of the feed vectors, which are computed instead of stored (vectors/hypercore/README.md).</summary>
public static class FormulaBlocks
{
    /// <summary>Byte j of block i is (tag·17 + i·31 + j·7 + floor(j/256)·13) mod 256.</summary>
    public static byte[] Bytes(int tag, long block, int size)
    {
        byte[] bytes = new byte[size];
        for (int j = 0; j < size; j++) bytes[j] = (byte)(tag * 17 + block * 31 + j * 7L + j / 256 * 13L);
        return bytes;
    }

    /// <summary>Size of a block by the name of its series.</summary>
    public static int SizeOf(string sizes, long block) => sizes switch
    {
        "ten" => 10,
        "vary" => (int)((block * 37 + 5) % 61),
        "one" => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(sizes), sizes, "unknown series of block sizes"),
    };

    /// <summary>A block of a feed that names its <c>blocks: {tag, sizes}</c>.</summary>
    public static byte[] Of(JsonElement blocks, long block) =>
        Bytes(blocks.GetProperty("tag").GetInt32(), block, SizeOf(blocks.GetProperty("sizes").GetString()!, block));
}
