using DatFs.Drives;
using DatFs.Merging;
using FluentAssertions;
using Xunit;
using static DatFs.Unit.MergeFixture;

namespace DatFs.Unit;

/// <summary>Each built-in strategy by its line of the table (hyperdb-multiwriter.md §16).</summary>
public sealed class MergeStrategyTests
{
    private static readonly MergeSide s_early = Side(3, "early", mtime: 10), s_late = Side(2, "late", mtime: 20), s_alsoLate = Side(4, "large of late", mtime: 20);

    [Fact]
    public async Task Latest_takes_the_larger_time_then_the_larger_key() =>
        (await ResolveAsync("latest", s_early, s_late, s_alsoLate)).Side.Should().BeSameAs(s_alsoLate);

    [Fact]
    public async Task First_takes_the_smaller_time_then_the_smaller_key()
    {
        (await ResolveAsync("first", s_early, s_late, s_alsoLate)).Side.Should().BeSameAs(s_early);
        (await ResolveAsync("first", s_late, s_alsoLate)).Side.Should().BeSameAs(s_late);
    }

    [Fact]
    public async Task A_listed_writer_wins_if_he_takes_part_and_else_the_next()
    {
        string list = $"writer:{Key(9).ToHex()},{Key(3).ToHex()},{Key(4).ToHex()}";
        (await ResolveAsync(list, s_early, s_late, s_alsoLate)).Side.Should().BeSameAs(s_early);
        (await ResolveAsync(list, s_late, s_alsoLate)).Side.Should().BeSameAs(s_alsoLate);
        (await ResolveAsync(list, s_late, Side(5, "x", mtime: 5))).Side.Should().BeSameAs(s_late, "none of the listed takes part");
    }

    [Fact]
    public async Task Ours_is_what_this_machine_wrote_and_else_the_latest()
    {
        MergeSide own = Side(1, "mine", mtime: 1, own: true);
        (await ResolveAsync("ours", s_late, own)).Side.Should().BeSameAs(own);
        (await ResolveAsync("ours", s_early, s_late)).Side.Should().BeSameAs(s_late);
    }

    [Fact]
    public async Task Larger_takes_the_larger_then_the_latest()
    {
        (await ResolveAsync("larger", s_early, s_late, s_alsoLate)).Side.Should().BeSameAs(s_alsoLate);
        MergeSide same = Side(1, "12345", mtime: 50);
        (await ResolveAsync("larger", s_early, s_late, same)).Side.Should().BeSameAs(same);
    }

    [Theory]
    [InlineData("latest")]
    [InlineData("first")]
    [InlineData("ours")]
    [InlineData("larger")]
    [InlineData("text")]
    [InlineData("union")]
    public async Task A_deletion_never_beats_an_edit_and_a_directory_is_no_file(string strategy)
    {
        MergeSide edit = Side(1, "edited", mtime: 1);
        MergeOutcome outcome = await ResolveAsync(strategy, Deletion(9), edit, Directory(8, mtime: 99));
        outcome.Side.Should().BeSameAs(edit);
        outcome.IsClean.Should().BeFalse();
        (await ResolveAsync(strategy, Deletion(9), Deletion(1))).Should().Be(MergeOutcome.None());
    }

    [Fact]
    public async Task Manual_decides_nothing()
    {
        MergeOutcome outcome = await ResolveAsync("manual", s_early, s_late);
        (outcome.Side, outcome.Bytes, outcome.IsClean, outcome.Failed).Should().Be((null, null, false, false));
    }

    [Fact]
    public async Task Text_merges_changes_of_different_lines_and_says_so_when_they_contradict()
    {
        MergeOutcome clean = await ResolveAsync("text", Base("a\nb\nc\nd\n"), Side(1, "A\nb\nc\nd\n"), Side(2, "a\nb\nc\nD\n"));
        (TextOf(clean), clean.IsClean).Should().Be(("A\nb\nc\nD\n", true));
        MergeOutcome contradicting = await ResolveAsync("text", Base("a\n"), Side(1, "b\n"), Side(2, "c\n"));
        (contradicting.Bytes, contradicting.Side, contradicting.IsClean, contradicting.Failed).Should().Be((null, null, false, false));
        contradicting.Why.Should().NotBeEmpty();
    }

    [Fact]
    public async Task Text_folds_more_than_two_sides_in_order_of_key()
    {
        MergeSide[] sides = [Side(3, "a\nb\nc\nd\nE\n"), Side(1, "A\nb\nc\nd\ne\n"), Side(2, "a\nb\nC\nd\ne\n")];
        foreach (MergeSide[] order in (MergeSide[][])[sides, [.. sides.Reverse()], [sides[1], sides[2], sides[0]]])
        {
            MergeOutcome outcome = await ResolveAsync("text", Base("a\nb\nc\nd\ne\n"), order);
            (TextOf(outcome), outcome.IsClean).Should().Be(("A\nb\nC\nd\nE\n", true));
        }
    }

    [Fact]
    public async Task Union_keeps_the_lines_of_both_in_order_of_key()
    {
        MergeOutcome outcome = await ResolveAsync("union", Base("start\nend\n"), Side(2, "start\nfrom two\nend\n"), Side(1, "start\nfrom one\nend\n"));
        (TextOf(outcome), outcome.IsClean).Should().Be(("start\nfrom one\nfrom two\nend\n", true));
        MergeOutcome made = await ResolveAsync("union", MergeBase.Empty, Side(2, "same\ntwo"), Side(1, "same\none"));
        (TextOf(made), made.IsClean).Should().Be(("same\none\ntwo", true), "each made the file, and what both have stands once");
        MergeOutcome three = await ResolveAsync("union", Base(""), Side(3, "3\n"), Side(2, "2\n"), Side(1, "1\n"));
        TextOf(three).Should().Be("1\n2\n3\n");
    }

    [Fact]
    public async Task Without_a_common_ancestor_or_with_a_deletion_no_result_is_clean()
    {
        MergeOutcome outcome = await ResolveAsync("union", MergeBase.Unknown, Side(1, "a\nb\n"), Side(2, "a\nc\n"));
        (TextOf(outcome), outcome.IsClean).Should().Be(("a\nb\nc\n", false));
        MergeOutcome deleted = await ResolveAsync("text", Base("a\nb\nc\n"), Side(1, "A\nb\nc\n"), Side(2, "a\nb\nC\n"), Deletion(3));
        (TextOf(deleted), deleted.IsClean).Should().Be(("A\nb\nC\n", false));
        (await ResolveAsync("text", MergeBase.Unknown, Side(1, "a\nb\n"), Side(2, "a\nc\n"))).Bytes.Should().BeNull();
    }

    public static TheoryData<string, byte[]> NotText => new()
    {
        { "a NUL", "a\0b\n"u8.ToArray() },
        { "no UTF-8", [0x61, 0xFF, 0x0A] },
        { "too large", new byte[TextStrategy.MaxSize + 1] },
    };

    [Theory]
    [MemberData(nameof(NotText))]
    public async Task What_is_no_text_is_picked_by_time(string why, byte[] bytes)
    {
        MergeSide late = Side(1, bytes, mtime: 9), early = Side(2, "text\n", mtime: 3);
        foreach (string strategy in (string[])["text", "union"])
        {
            (await ResolveAsync(strategy, Base("text"), early, late)).Side.Should().BeSameAs(late, why);
            (await ResolveAsync(strategy, MergeBase.Of(new MemoryContent(bytes)), early, Side(1, "x", mtime: 9))).Side!.Writer.Should().Be(Key(1), $"the ancestor: {why}");
        }
    }

    [Fact]
    public async Task Links_and_too_many_sides_are_picked_by_time()
    {
        MergeSide link = Link(1, mtime: 50);
        (await ResolveAsync("text", Base("a"), link, s_late)).Side.Should().BeSameAs(link);
        MergeSide[] many = [.. Enumerable.Range(1, TextStrategy.MaxSides + 1).Select(i => Side((byte)i, $"{i}\n", mtime: i))];
        (await ResolveAsync("union", Base(""), many)).Side.Should().BeSameAs(many[^1]);
        (await ResolveAsync("union", Base(""), many[..^1])).Bytes.Should().NotBeNull();
    }

    [Fact]
    public async Task The_largest_text_is_merged_and_nothing_of_a_larger_one_is_fetched()
    {
        byte[] largest = new byte[TextStrategy.MaxSize];
        largest.AsSpan().Fill((byte)'\n');
        (await ResolveAsync("text", Base(""), Side(1, largest), Side(2, largest))).Bytes!.Value.Length.Should().Be(TextStrategy.MaxSize);
        MemoryContent huge = new([], claimed: 1L << 40);
        MergeSide lying = new(new DriveSide(Key(1), 1, false, 1L << 40, 99), EntryKind.File, 0x1A4, huge);
        (await ResolveAsync("text", Base(""), lying, s_late)).Side.Should().BeSameAs(lying);
        huge.Reads.Should().Be(0);
    }

    [Fact]
    public async Task A_side_that_is_shorter_than_it_says_is_an_error()
    {
        MergeSide lying = new(new DriveSide(Key(1), 1, false, 100, 99), EntryKind.File, 0x1A4, new MemoryContent([1], claimed: 100));
        (await FluentActions.Awaiting(async () => await ResolveAsync("text", Base(""), lying, s_late)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Corrupt);
    }

    [Theory]
    [InlineData("newest")]
    [InlineData("writer:")]
    [InlineData("writer:12")]
    [InlineData("command:made-up")]
    [InlineData("")]
    public void What_is_no_strategy_is_told(string text)
    {
        MergeStrategies.Parse(text, new Dictionary<string, IMergeStrategy>(), out string why).Should().BeNull();
        why.Should().NotBeEmpty();
    }

    [Fact]
    public void A_list_of_writers_is_bounded()
    {
        string List(int count) => "writer:" + string.Join(',', Enumerable.Range(1, count).Select(i => Key((byte)i).ToHex()));
        MergeStrategies.Parse(List(MergeStrategies.MaxListedWriters), null, out _)!.Name.Should().Be(List(MergeStrategies.MaxListedWriters));
        MergeStrategies.Parse(List(MergeStrategies.MaxListedWriters + 1), null, out _).Should().BeNull();
    }

    private static ValueTask<MergeOutcome> ResolveAsync(string strategy, params MergeSide[] sides) => ResolveAsync(strategy, MergeBase.Empty, sides);

    private static ValueTask<MergeOutcome> ResolveAsync(string strategy, MergeBase ancestor, params MergeSide[] sides) =>
        MergeStrategies.Parse(strategy, null, out _)!.ResolveAsync(DrivePath.From("file.txt"), ancestor, sides, TestContext.Current.CancellationToken);
}
