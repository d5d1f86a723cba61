using System.Globalization;
using System.Text.Unicode;
using DatFs.Drives;

namespace DatFs.Merging;

/// <summary>
/// Which strategy a path has (hyperdb-multiwriter.md §16): lines "GLOB STRATEGY" of this machine's settings and, below these, of the archive's own
/// ".datmerge", in which no command counts. In each the last line that matches counts; what no line matches has <see cref="MergeStrategies.Latest"/>.
/// Empty lines and those that begin with "#" say nothing. Immutable.
/// </summary>
public sealed class MergeRules
{
    /// <summary>Where an archive says how it wants to be merged.</summary>
    public const string FileName = ".datmerge";

    /// <summary>Largest such file, in bytes; a larger one is ignored as a whole.</summary>
    public const int MaxFileSize = 64 * 1024;

    /// <summary>Longest line, in characters; a longer one is ignored.</summary>
    public const int MaxLine = 2048;

    /// <summary>Rules taken from one place; more are ignored.</summary>
    public const int MaxRules = 128;

    /// <summary>Troubles that are told one by one.</summary>
    public const int MaxProblems = 16;

    private readonly Rule[] _rules;

    private MergeRules(Rule[] rules, string[] problems) => (_rules, Problems) = (rules, problems);

    /// <summary>No rules: every path has the default.</summary>
    public static MergeRules None { get; } = new([], []);

    /// <summary>What of the archive's file is ignored, and why: sentences for the user, none with a word of the archive's choice in it.</summary>
    public IReadOnlyList<string> Problems { get; }

    /// <summary>Reads rules.</summary>
    /// <param name="local">This machine's lines.</param>
    /// <param name="archive">The archive's file, empty for none.</param>
    /// <param name="commands">This machine's commands by name.</param>
    /// <exception cref="DatException">Invalid: a line of this machine's cannot be used.</exception>
    public static MergeRules Read(string local, ReadOnlySpan<byte> archive, IReadOnlyDictionary<string, IMergeStrategy> commands)
    {
        List<string> problems = [];
        List<Rule> own = Rules(local, commands, problems);
        if (problems.Count > 0) throw new DatException(DatError.Invalid, $"the rules for merging, {problems[0]}");
        List<Rule> theirs = [];
        if (archive.Length > MaxFileSize || !Utf8.IsValid(archive) || archive.Contains((byte)0)) problems.Add($"{FileName} is ignored: it is no text of at most {MaxFileSize / 1024} KiB");
        else theirs = Rules(System.Text.Encoding.UTF8.GetString(archive), null, problems);
        return own.Count + theirs.Count + problems.Count == 0 ? None : new MergeRules([.. theirs, .. own], [.. problems.Take(MaxProblems)]);
    }

    /// <summary>The strategy of a path.</summary>
    public IMergeStrategy StrategyFor(DrivePath path)
    {
        for (int i = _rules.Length - 1; i >= 0; i--)
            if (_rules[i].Glob.Matches(path)) return _rules[i].Strategy;
        return MergeStrategies.Latest;
    }

    /// <summary>The strategy by which a path's bytes are merged; null where its rule only picks one of the versions.</summary>
    public IMergeStrategy? MergerFor(DrivePath path) => StrategyFor(path) is var strategy and not MergeStrategies.PickStrategy ? strategy : null;

    /// <summary>The rules as a drive asks for them: those that pick one of the versions. What merges bytes shows the default there.</summary>
    /// <param name="own">This machine's key.</param>
    public IConflictChoice AsChoice(Crypto.FeedKey? own) => new Choice(this, own);

    private static List<Rule> Rules(string text, IReadOnlyDictionary<string, IMergeStrategy>? commands, List<string> problems)
    {
        List<Rule> rules = [];
        int number = 0;
        foreach (ReadOnlySpan<char> each in text.AsSpan().EnumerateLines())
        {
            number++;
            ReadOnlySpan<char> line = each.Trim();
            if (line.IsEmpty || line[0] == '#') continue;
            if (rules.Count == MaxRules)
            {
                problems.Add(string.Create(CultureInfo.InvariantCulture, $"line {number} and what follows: there are more than {MaxRules} rules"));
                break;
            }

            if (Parse(line, commands, out string why) is { } rule) rules.Add(rule);
            else if (problems.Count < MaxProblems) problems.Add(string.Create(CultureInfo.InvariantCulture, $"line {number}: {why}"));
        }

        return rules;
    }

    // Names have spaces, strategies have none: the last one parts them.
    private static Rule? Parse(ReadOnlySpan<char> line, IReadOnlyDictionary<string, IMergeStrategy>? commands, out string why)
    {
        int space = line.LastIndexOfAny(' ', '\t');
        if (line.Length > MaxLine || space < 0)
        {
            why = line.Length > MaxLine ? $"it has more than {MaxLine} characters" : "a pattern for paths, a space, and a strategy are needed";
            return null;
        }

        if (MergeStrategies.Parse(line[(space + 1)..].ToString(), commands, out why) is not { } strategy) return null;
        if (Glob.Parse(line[..space].TrimEnd().ToString()) is { } glob) return new Rule(glob, strategy);
        why = $"a pattern has 1 to {Glob.MaxLength} characters";
        return null;
    }

    private sealed record Rule(Glob Glob, IMergeStrategy Strategy);

    private sealed class Choice(MergeRules rules, Crypto.FeedKey? own) : IConflictChoice
    {
        public DriveSide? Choose(DrivePath path, IReadOnlyList<DriveSide> sides) =>
            rules.StrategyFor(path) is MergeStrategies.PickStrategy strategy
                ? strategy.Choose(sides.Select(side => new MergeSide(side, EntryKind.File, 0, null) { IsOwn = side.Writer == own }))?.Facts
                : null;
    }
}
