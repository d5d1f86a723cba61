using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;
using CsCheck;
using DatFs.Drives;
using DatFs.Merging;
using FluentAssertions;
using Xunit;
using static DatFs.Unit.MergeFixture;

namespace DatFs.Unit;

/// <summary>Which strategy a path has: this machine's settings over the archive's ".datmerge" (hyperdb-multiwriter.md §16).</summary>
public sealed class MergeRulesTests(ITestOutputHelper output)
{
    private static readonly Dictionary<string, IMergeStrategy> s_commands = new() { ["join"] = MergeStrategies.Command("join", new MergeCommand("/bin/true", [])) };

    [Fact]
    public void The_last_line_that_matches_counts_and_this_machine_comes_before_the_archive()
    {
        MergeRules rules = MergeRules.Read("*.md union\n*.log manual", "# what we agreed on\n\n*.txt text\r\n  docs/draft.txt   first\n*.md larger\n"u8, s_commands);
        rules.Problems.Should().BeEmpty();
        Name(rules, "/a/b.txt").Should().Be("text");
        Name(rules, "/docs/draft.txt").Should().Be("first");
        Name(rules, "/a.md").Should().Be("union");
        Name(rules, "/x.log").Should().Be("manual");
        Name(rules, "/else").Should().Be("latest");
        Name(MergeRules.None, "/a.txt").Should().Be("latest");
    }

    [Fact]
    public void A_command_counts_only_from_this_machines_own_settings()
    {
        MergeRules rules = MergeRules.Read("*.bib command:join", "*.txt command:join\n*.txt command:rm -rf\n* text\n"u8, s_commands);
        Name(rules, "/a.bib").Should().Be("command:join");
        Name(rules, "/a.txt").Should().Be("text");
        rules.Problems.Should().HaveCount(2).And.OnlyContain(problem => !problem.Contains("rm", StringComparison.Ordinal));
        rules.Problems[0].Should().StartWith("line 1:").And.Contain("command");
    }

    [Theory]
    [InlineData("*.txt")]
    [InlineData("*.txt newest")]
    [InlineData("*.txt command:unknown")]
    [InlineData("*.txt writer:abc")]
    public void A_line_of_this_machines_that_cannot_be_used_is_an_error_at_once(string line) =>
        FluentActions.Invoking(() => MergeRules.Read("# comment\n" + line, [], s_commands)).Should().Throw<DatException>().Which.Message.Should().Contain("line 2");

    [Fact]
    public void What_an_archive_brings_is_bounded()
    {
        byte[] Text(string text) => System.Text.Encoding.UTF8.GetBytes(text);
        MergeRules many = MergeRules.Read("", Text(string.Concat(Enumerable.Range(0, MergeRules.MaxRules + 1).Select(i => $"f{i} text\n"))), s_commands);
        Name(many, $"/f{MergeRules.MaxRules - 1}").Should().Be("text");
        Name(many, $"/f{MergeRules.MaxRules}").Should().Be("latest");
        many.Problems.Should().ContainSingle();

        MergeRules wide = MergeRules.Read("", Text($"a{new string(' ', MergeRules.MaxLine)} text\n{new string('g', Glob.MaxLength + 1)} text\nb text\n{new string('g', Glob.MaxLength)} union"), s_commands);
        wide.Problems.Should().HaveCount(2);
        (Name(wide, "/b"), Name(wide, "/" + new string('g', Glob.MaxLength))).Should().Be(("text", "union"));

        MergeRules.Read("", Text("a text\n".PadRight(MergeRules.MaxFileSize, '\n')), s_commands).Problems.Should().BeEmpty();
        foreach (byte[] refused in (byte[][])[Text("a text\n".PadRight(MergeRules.MaxFileSize + 1, '\n')), [0x61, 0xFF], Text("a text\0")])
        {
            MergeRules rules = MergeRules.Read("", refused, s_commands);
            rules.Problems.Should().ContainSingle();
            Name(rules, "/a").Should().Be("latest");
        }

        MergeRules.Read("", Text(string.Concat(Enumerable.Repeat("nonsense\n", 1000))), s_commands).Problems.Should().HaveCount(MergeRules.MaxProblems);
    }

    [Theory]
    [InlineData("*.txt", "a.txt b/a.txt b/.txt", "a.txt/b a.txtx atxt a.TXT")]
    [InlineData("a", "a x/a x/y/a", "b ab ba a/x")]
    [InlineData("/a", "a", "x/a a/b")]
    [InlineData("a/b", "a/b", "x/a/b a/x/b ab")]
    [InlineData("a/*", "a/b a/.b", "a/b/c a xa/b")]
    [InlineData("a/**", "a/b a/b/c", "a x/a/b")]
    [InlineData("a/", "a/b a/b/c x/a/b", "a ba/c")]
    [InlineData("/a/", "a/b a/b/c", "x/a/b")]
    [InlineData("**/a", "a x/a x/y/a", "xa x/ya a/x")]
    [InlineData("a/**/b", "a/b a/x/b a/x/y/b", "ab a/xb a/b/c axb a/x/yb")]
    [InlineData("a/**/b/**/c", "a/b/c a/x/b/y/z/c a/b/b/c", "a/c a/b a/b/cc")]
    [InlineData("**", "a a/b .datmerge", "")]
    [InlineData("*", "a a/b", "")]
    [InlineData("?", "a x/b", "ab")]
    [InlineData("a?c", "abc", "ac a/c abbc")]
    [InlineData("a*b*c", "abc axbxc aXbYcZc", "ab acb a/b/c")]
    [InlineData("with\\*star", "with*star", "withxstar")]
    [InlineData("\\#a", "#a", "a")]
    [InlineData("a**b", "ab axb axxb", "a/b")]
    [InlineData("[a-c](x)", "[a-c](x)", "a b")]
    public void Patterns_mean_what_attributes_files_mean(string pattern, string matching, string others)
    {
        Glob glob = Glob.Parse(pattern)!;
        foreach (string path in matching.Split(' ', StringSplitOptions.RemoveEmptyEntries)) glob.Matches(DrivePath.From(path)).Should().BeTrue($"{pattern} and {path}");
        foreach (string path in others.Split(' ', StringSplitOptions.RemoveEmptyEntries)) glob.Matches(DrivePath.From(path)).Should().BeFalse($"{pattern} and {path}");
    }

    [Fact]
    public void Patterns_match_what_an_expression_made_of_them_does()
    {
        Gen<string> name = Gen.String[Gen.Char['a', 'b'], 1, 4];
        Gen<string> part = Gen.OneOf(Gen.Const("*"), Gen.Const("?"), Gen.Const("a"), Gen.Const("b"));
        Gen<string> piece = Gen.OneOf(Gen.Const("**"), part.Array[1, 4].Select(string.Concat).Where(text => !text.Contains("**", StringComparison.Ordinal)));
        Gen.Select(piece.Array[1, 4], name.Array[1, 5]).Where(t => t.Item1[^1] != "**").Sample(
            (pieces, names) =>
            {
                StringBuilder expression = new("^");
                if (pieces.Length == 1) expression.Append("(?:[^/]+/)*");
                for (int i = 0; i < pieces.Length; i++)
                {
                    if (pieces[i] == "**") expression.Append("(?:[^/]+/)*");
                    else expression.Append(pieces[i].Replace("*", "[^/]*", StringComparison.Ordinal).Replace("?", "[^/]", StringComparison.Ordinal)).Append(i < pieces.Length - 1 ? "/" : "");
                }

                string path = string.Join('/', names);
                Glob.Parse(string.Join('/', pieces))!.Matches(DrivePath.From(path)).Should().Be(Regex.IsMatch(path, expression + "$"));
            },
            print: t => $"{string.Join('/', t.Item1)} {string.Join('/', t.Item2)}", writeLine: output.WriteLine, iter: 20_000);
    }

    [Fact]
    public void Rules_made_to_be_slow_are_not()
    {
        string hostile = string.Concat(Enumerable.Range(0, MergeRules.MaxRules).Select(i => (i % 2 == 0 ? string.Concat(Enumerable.Repeat("*a", 40)) : string.Concat(Enumerable.Repeat("**/", 30))) + "b text\n"));
        MergeRules rules = MergeRules.Read("", System.Text.Encoding.UTF8.GetBytes(hostile), s_commands);
        rules.Problems.Should().BeEmpty();
        Stopwatch taken = Stopwatch.StartNew();
        Name(rules, "/" + new string('a', 4000)).Should().Be("latest");
        Name(rules, string.Concat(Enumerable.Repeat("/a", 2000))).Should().Be("latest");
        output.WriteLine($"{taken.ElapsedMilliseconds} ms");
        taken.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void A_drive_gets_the_picks_and_shows_the_default_where_bytes_are_merged()
    {
        MergeRules rules = MergeRules.Read("a first\nb ours\nc text\nd manual", [], s_commands);
        IConflictChoice choice = rules.AsChoice(Key(3));
        DriveSide[] sides = [Side(1, "x", mtime: 1).Facts, Side(2, "y", mtime: 2).Facts, Side(3, "z", mtime: 1).Facts];
        choice.Choose(DrivePath.From("a"), sides).Should().BeSameAs(sides[0]);
        choice.Choose(DrivePath.From("b"), sides).Should().BeSameAs(sides[2]);
        choice.Choose(DrivePath.From("c"), sides).Should().BeNull();
        choice.Choose(DrivePath.From("d"), sides).Should().BeNull();
        choice.Choose(DrivePath.From("else"), sides).Should().BeSameAs(sides[1]);
    }

    private static string Name(MergeRules rules, string path) => rules.StrategyFor(DrivePath.From(path)).Name;
}
