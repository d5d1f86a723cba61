using System.Diagnostics;
using CsCheck;
using DatFs.Evidence;
using DatFs.Merging;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Merging texts by lines: laws that hold for all texts, and git's answers for random ones.</summary>
public sealed class TextMergeTests(ITestOutputHelper output)
{
    private static readonly Gen<string> s_text = Gen.Select(Gen.Int[0, 4].Array[0, 12], Gen.Bool).Select((lines, ended) => Join([.. lines.Select(line => $"{line}")], ended));

    [Theory]
    [InlineData("a\nb\n", "a\nb\nc\n", "0\na\nb\n", "0\na\nb\nc\n")]
    [InlineData("a\nb\nc\n", "a\nc\n", "a\nb\nc\nd\n", "a\nc\nd\n")]
    [InlineData("a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n", "A\r\nb\r\nC\r\n")]
    [InlineData("a\nb\nc", "A\nb\nc", "a\nb\nC", "A\nb\nC")]
    [InlineData("a\nb\nc", "A\nb\nc", "a\nb\nc\n", "A\nb\nc\n")]
    [InlineData("a\nb\nc\n", "a\nx\nc\n", "a\nx\nc\n", "a\nx\nc\n")]
    [InlineData("a\nb\n", "A\nb\n", "a\nB\n", null)]
    [InlineData("a\n", "b\n", "", null)]
    [InlineData("", "x\n", "y\n", null)]
    [InlineData("", "", "", "")]
    public void Changes_of_one_side_are_taken_and_those_that_touch_contradict(string before, string first, string second, string? merged)
    {
        TextMerge.Merge(before, first, second, union: false).Should().Be(merged);
        TextMerge.Merge(before, second, first, union: false).Should().Be(merged);
    }

    [Theory]
    [InlineData("a\nb\nc\n", "a\nB\nc\n", "a\n2\nc\n", "a\nB\n2\nc\n")]
    [InlineData("a", "a\nb", "a\nc", "a\nb\nc")]
    [InlineData("x\n", "1\nshared\n2\n", "3\nshared\n4\n", "1\n3\nshared\n2\n4\n")]
    [InlineData("a\n", "b\n", "", "b\n")]
    public void A_union_has_the_lines_of_both_where_they_contradict(string before, string first, string second, string merged) =>
        TextMerge.Merge(before, first, second, union: true).Should().Be(merged);

    [Fact]
    public void Merging_obeys_its_laws_for_all_texts() => Gen.Select(s_text, s_text, s_text).Sample(
        (before, first, second) =>
        {
            TextMerge.Merge(before, before, second, union: false).Should().Be(second);
            TextMerge.Merge(before, first, before, union: false).Should().Be(first);
            TextMerge.Merge(before, first, first, union: false).Should().Be(first);
            string? merged = TextMerge.Merge(before, first, second, union: false);
            TextMerge.Merge(before, second, first, union: false).Should().Be(merged);
            string union = TextMerge.Merge(before, first, second, union: true)!;
            if (merged is not null) union.Should().Be(merged, "nothing contradicts");

            // No line of either side that was not there before gets lost, and none comes from nowhere.
            HashSet<string> Set(string text) => [.. Lines.Of(text)[..].ToArray().Select(line => line.TrimEnd('\n'))];
            Set(union).Should().BeSubsetOf([.. Set(first), .. Set(second)]);
            Set(first).Union(Set(second)).Except(Set(before)).Should().BeSubsetOf(Set(union));
        },
        print: t => $"{Show(t.Item1)} | {Show(t.Item2)} | {Show(t.Item3)}", writeLine: output.WriteLine, iter: 20_000);

    [Fact]
    public void A_difference_turns_one_text_into_the_other() => Gen.Select(s_text, s_text).Sample(
        (before, after) =>
        {
            Lines a = Lines.Of(before), b = Lines.Of(after);
            List<string> rebuilt = [];
            (int at, int end) = (0, -1);
            foreach (LineChange change in LineDiff.Of(a, b))
            {
                change.Start.Should().BeGreaterThan(end, "between two changes lies something that did not");
                rebuilt.AddRange(a[at..change.Start].ToArray());
                rebuilt.Count.Should().Be(change.NewStart);
                rebuilt.AddRange(b[change.NewStart..change.NewEnd].ToArray());
                (at, end) = (change.End, change.End);
            }

            rebuilt.AddRange(a[at..].ToArray());
            rebuilt.Should().Equal(b[..].ToArray());
        },
        print: t => $"{Show(t.Item1)} | {Show(t.Item2)}", writeLine: output.WriteLine, iter: 20_000);

    /// <summary>
    /// Lines are all different, or nearly: where several equal ones stand about, one difference has several shortest descriptions, and git and
    /// this may choose another (in at most one of a hundred cases here); the result is a right merge of either choice.
    /// </summary>
    [Theory]
    [InlineData(10_000, 0)]
    [InlineData(25, 4)]
    public void Git_merges_the_same_and_finds_the_same_contradictions(int words, int allowed)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/git"), "git is not here to be asked");
        const int seed = 20180117, cases = 400;
        output.WriteLine($"seed {seed}");
        Random random = new(seed);
        using TempFolder folder = TempFolder.Create();
        int clean = 0, differ = 0;
        for (int i = 0; i < cases; i++)
        {
            string[] before = [.. Enumerable.Range(0, random.Next(0, 25)).Select(_ => $"line {random.Next(words)}")];
            string b = Join(before, random.Next(5) > 0), first = Join(Edited(random, before, words), random.Next(5) > 0), second = Join(Edited(random, before, words), random.Next(5) > 0);
            (bool isClean, string merged) = Git(folder, b, first, second);
            string? ours = TextMerge.Merge(b, first, second, union: false);
            if (isClean) clean++;
            if (ours == (isClean ? merged : null)) continue;
            differ++;
            output.WriteLine($"case {i}, git {(isClean ? Show(merged) : "contradicts")}, here {(ours is null ? "contradicts" : Show(ours))}: {Show(b)} | {Show(first)} | {Show(second)}");
        }

        output.WriteLine($"{clean} of {cases} clean, {differ} differ");
        clean.Should().BeInRange(cases / 10, cases * 9 / 10, "both kinds have to be met");
        differ.Should().BeLessThanOrEqualTo(allowed);
    }

    [Theory]
    [InlineData("shuffled")]
    [InlineData("two words")]
    [InlineData("nothing in common")]
    public void Texts_made_to_be_slow_are_merged_in_time(string kind)
    {
        const int seed = 7, lines = 150_000;
        output.WriteLine($"seed {seed}");
        Random random = new(seed);
        string[] before = [.. Enumerable.Range(0, lines).Select(i => kind == "two words" ? $"{random.Next(2)}" : $"{i:x}")];
        string[] Other(char mark) => kind switch
        {
            "shuffled" => [.. before.OrderBy(_ => random.Next())],
            "two words" => [.. before.Select(_ => $"{random.Next(2)}")],
            _ => [.. before.Select(line => mark + line)],
        };
        (string b, string first, string second) = (Join(before, true), Join(Other('a'), true), Join(Other('b'), true));
        b.Length.Should().BeLessThan(TextStrategy.MaxSize);
        Stopwatch taken = Stopwatch.StartNew();
        TextMerge.Merge(b, first, second, union: true).Should().NotBeNull();
        output.WriteLine($"{taken.ElapsedMilliseconds} ms");
        taken.Elapsed.Should().BeLessThan(TimeSpan.FromSeconds(20), "it would take minutes without a bound");
    }

    [Fact]
    public void Few_changes_in_a_large_text_are_found_exactly()
    {
        string[] before = [.. Enumerable.Range(0, 100_000).Select(i => i % 3 == 0 ? "}" : $"{i:x}")], first = [.. before], second = [.. before];
        (first[10], first[50_001], second[70_000], second[99_998]) = ("A", "B", "C", "D");
        string[] expected = [.. before];
        (expected[10], expected[50_001], expected[70_000], expected[99_998]) = ("A", "B", "C", "D");
        TextMerge.Merge(Join(before, true), Join(first, true), Join(second, true), union: false).Should().Be(Join(expected, true));
    }

    private static string[] Edited(Random random, string[] before, int words)
    {
        List<string> lines = [.. before];
        for (int edits = random.Next(0, 4); edits > 0; edits--)
        {
            int at = random.Next(lines.Count + 1), count = Math.Min(random.Next(1, 4), lines.Count - at);
            if (random.Next(3) > 0) lines.RemoveRange(at, count);
            if (random.Next(3) > 0) lines.InsertRange(at, Enumerable.Range(0, random.Next(1, 4)).Select(_ => $"line {random.Next(words)}"));
        }

        return [.. lines];
    }

    private static (bool IsClean, string Merged) Git(TempFolder folder, string before, string first, string second)
    {
        string Write(string name, string text)
        {
            string path = folder.File(name);
            File.WriteAllText(path, text);
            return path;
        }

        ProcessStartInfo start = new("/usr/bin/git") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["merge-file", "-p", Write("first", first), Write("before", before), Write("second", second)]) start.ArgumentList.Add(argument);
        using Process git = Process.Start(start)!;
        string merged = git.StandardOutput.ReadToEnd();
        git.WaitForExit();
        git.ExitCode.Should().BeInRange(0, 127, git.StandardError.ReadToEnd());
        return (git.ExitCode == 0, merged);
    }

    private static string Join(string[] lines, bool ended) => lines.Length == 0 ? "" : string.Join('\n', lines) + (ended ? "\n" : "");

    private static string Show(string text) => text.Replace("\n", "\\n", StringComparison.Ordinal);
}
