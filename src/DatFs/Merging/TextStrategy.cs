using System.Text.Unicode;
using DatFs.Drives;

namespace DatFs.Merging;

/// <summary>Three-way merge by lines of files that are text. More than two sides are folded in order of writer's key, so every machine gets the same bytes.</summary>
internal sealed class TextStrategy(string name, bool union) : IMergeStrategy
{
    /// <summary>Largest file merged, in bytes.</summary>
    public const int MaxSize = 1 << 20;

    /// <summary>Sides merged; where more take part the default picks one.</summary>
    public const int MaxSides = 8;

    public string Name => name;

    public async ValueTask<MergeOutcome> ResolveAsync(DrivePath path, MergeBase ancestor, IReadOnlyList<MergeSide> sides, CancellationToken ct)
    {
        MergeSide[] files = MergeOrder.Files(sides);
        if (files.Length == 0) return MergeOutcome.None();
        if (files.Length is 1 or > MaxSides || Array.Exists(files, side => side.Kind != EntryKind.File)) return Latest(files);
        if (await TextAsync(ancestor.ReadAsync(MaxSize, ct)) is not { } before) return Latest(files);
        string[] texts = new string[files.Length];
        for (int i = 0; i < files.Length; i++)
        {
            if (await TextAsync(files[i].ReadAsync(MaxSize, ct)) is not { } text) return Latest(files);
            texts[i] = text;
        }

        string merged = texts[0];
        foreach (string text in texts[1..])
        {
            ct.ThrowIfCancellationRequested();
            if (TextMerge.Merge(before, merged, text, union) is not { } both) return MergeOutcome.None("writers changed the same lines");
            merged = both;
        }

        // Where somebody deleted the file, or nobody knows what it was before, its writers have to say what they want.
        return MergeOutcome.Merged(System.Text.Encoding.UTF8.GetBytes(merged), ancestor.IsKnown && !sides.Any(side => side.Deleted));
    }

    private static MergeOutcome Latest(MergeSide[] files) => MergeOutcome.Pick(files.Min(MergeOrder.WinnerFirst)!);

    private static async ValueTask<string?> TextAsync(ValueTask<byte[]?> read) =>
        await read is { } bytes && !bytes.AsSpan().Contains((byte)0) && Utf8.IsValid(bytes) ? System.Text.Encoding.UTF8.GetString(bytes) : null;
}
