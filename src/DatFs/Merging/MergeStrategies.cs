using DatFs.Crypto;
using DatFs.Drives;

namespace DatFs.Merging;

/// <summary>The built-in strategies (hyperdb-multiwriter.md §16). None of them ever shows a deletion where an edit is left: that is the table's, not a strategy's, to say.</summary>
public static class MergeStrategies
{
    /// <summary>Writers that one "writer:" may list.</summary>
    public const int MaxListedWriters = 16;

    private const string WriterPrefix = "writer:";
    private const string CommandPrefix = "command:";

    /// <summary>The later version, then that of the larger key: the default.</summary>
    public static IMergeStrategy Latest { get; } = new PickStrategy("latest", static sides => sides.Min(MergeOrder.WinnerFirst));

    /// <summary>The earlier version, then that of the smaller key.</summary>
    public static IMergeStrategy First { get; } = new PickStrategy("first", static sides => sides.Max(MergeOrder.WinnerFirst));

    /// <summary>This machine's own version where it has one, then <see cref="Latest"/>; each machine shows another one, so it is a view only.</summary>
    public static IMergeStrategy Ours { get; } = new PickStrategy("ours", static sides => Array.Find(sides, side => side.IsOwn) ?? sides.Min(MergeOrder.WinnerFirst));

    /// <summary>The larger version, then <see cref="Latest"/>.</summary>
    public static IMergeStrategy Larger { get; } = new PickStrategy("larger", static sides => sides.Where(side => side.Size == sides.Max(one => one.Size)).Min(MergeOrder.WinnerFirst));

    /// <summary>Three-way merge by lines; where lines contradict there is no result. What is no text, or too large, is picked by <see cref="Latest"/>.</summary>
    public static IMergeStrategy Text { get; } = new TextStrategy("text", union: false);

    /// <summary>Three-way merge by lines; where lines contradict, both sides' stand one after the other in order of writer's key.</summary>
    public static IMergeStrategy Union { get; } = new TextStrategy("union", union: true);

    /// <summary>Nothing is decided: the default shows, until somebody chooses.</summary>
    public static IMergeStrategy Manual { get; } = new PickStrategy("manual", static _ => null);

    /// <summary>The first of the listed writers that takes part, then <see cref="Latest"/>.</summary>
    public static IMergeStrategy Writer(IReadOnlyList<FeedKey> keys) => new PickStrategy(
        WriterPrefix + string.Join(',', keys.Select(key => key.ToHex())),
        sides => keys.Select(key => Array.Find(sides, side => side.Writer == key)).FirstOrDefault(side => side is not null) ?? sides.Min(MergeOrder.WinnerFirst));

    /// <summary>A program of this machine's user.</summary>
    /// <param name="name">What rules call it.</param>
    /// <param name="command">What is run.</param>
    /// <param name="time">Clock.</param>
    public static IMergeStrategy Command(string name, MergeCommand command, TimeProvider? time = null) => new CommandStrategy(CommandPrefix + name, command, time ?? TimeProvider.System);

    /// <summary>The strategy that a text names; null when it names none, and then <paramref name="why"/> says so.</summary>
    /// <param name="text">As rules write it.</param>
    /// <param name="commands">This machine's commands by name; null where commands may not be named, as in what an archive brings.</param>
    /// <param name="why">A sentence, empty where there is a strategy.</param>
    public static IMergeStrategy? Parse(string text, IReadOnlyDictionary<string, IMergeStrategy>? commands, out string why)
    {
        why = "";
        if (Named(text) is { } named) return named;
        if (text.StartsWith(WriterPrefix, StringComparison.Ordinal)) return Writers(text[WriterPrefix.Length..], out why);
        if (text.StartsWith(CommandPrefix, StringComparison.Ordinal))
        {
            string name = text[CommandPrefix.Length..];
            if (commands is null) why = "commands are never taken from an archive, only from this machine's own configuration";
            else if (commands.TryGetValue(name, out IMergeStrategy? command)) return command;
            else why = "there is no command of this name";
            return null;
        }

        why = "there is no such strategy; known are latest, first, writer:KEY,KEY, ours, larger, text, union, manual, command:NAME";
        return null;
    }

    private static IMergeStrategy? Named(string text) => text switch
    {
        "latest" => Latest,
        "first" => First,
        "ours" => Ours,
        "larger" => Larger,
        "text" => Text,
        "union" => Union,
        "manual" => Manual,
        _ => null,
    };

    private static IMergeStrategy? Writers(string list, out string why)
    {
        List<FeedKey> keys = [];
        why = "";
        foreach (Range part in list.AsSpan().Split(','))
        {
            if (keys.Count < MaxListedWriters && FeedKey.TryParseHex(list.AsSpan(part), out FeedKey key))
            {
                keys.Add(key);
                continue;
            }

            why = $"writer: is followed by 1 to {MaxListedWriters} keys of 64 hexadecimal digits, with commas between them";
            return null;
        }

        return Writer(keys);
    }

    /// <summary>Chooses without reading.</summary>
    internal sealed class PickStrategy(string name, Func<MergeSide[], MergeSide?> choose) : IMergeStrategy
    {
        public string Name => name;

        /// <summary>The side to be shown; null = whatever the default says.</summary>
        public MergeSide? Choose(IEnumerable<MergeSide> sides) => MergeOrder.Files(sides) is { Length: > 0 } files ? choose(files) : null;

        public ValueTask<MergeOutcome> ResolveAsync(DrivePath path, MergeBase ancestor, IReadOnlyList<MergeSide> sides, CancellationToken ct) =>
            ValueTask.FromResult(Choose(sides) is { } chosen ? MergeOutcome.Pick(chosen) : MergeOutcome.None());
    }
}
