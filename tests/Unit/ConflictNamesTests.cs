using CsCheck;
using DatFs.Drives;
using DatFs.Drives.Hyperdb;
using DatFs.Merging;
using FluentAssertions;
using Xunit;
using static DatFs.Unit.MergeFixture;

namespace DatFs.Unit;

/// <summary>What is shown of several versions, and the names of those that lost (hyperdb-multiwriter.md §16).</summary>
public sealed class ConflictNamesTests(ITestOutputHelper output)
{
    private const long Time = 1_515_000_000_000;

    [Theory]
    [InlineData("name.ext", null, "name (conflict 02020202 2018-01-03 172000).ext")]
    [InlineData("name", null, "name (conflict 02020202 2018-01-03 172000)")]
    [InlineData(".hidden", null, ".hidden (conflict 02020202 2018-01-03 172000)")]
    [InlineData("a.tar.gz", "laptop", "a.tar (conflict laptop 2018-01-03 172000).gz")]
    [InlineData("a", "Bob: \"x\"|<y>/z\\?*", "a (conflict Bob_ _x___y__z___ 2018-01-03 172000)")]
    [InlineData("wh:y?.tx|t", null, "wh_y_ (conflict 02020202 2018-01-03 172000).tx_t")]
    [InlineData("ends.", null, "ends (conflict 02020202 2018-01-03 172000)")]
    [InlineData("ends. ", null, "ends (conflict 02020202 2018-01-03 172000)")]
    [InlineData("con.tar.gz", null, "_con.tar (conflict 02020202 2018-01-03 172000).gz")]
    [InlineData("COM1.x.y", null, "_COM1.x (conflict 02020202 2018-01-03 172000).y")]
    [InlineData("control\u0001.x", null, "control_ (conflict 02020202 2018-01-03 172000).x")]
    public void A_copy_tells_who_wrote_it_and_when_under_a_name_that_every_machine_can_have(string name, string? label, string expected) =>
        ConflictNames.Take(name, Key(2), 7, Time, label, ConflictNames.Taken([])).Should().Be(expected);

    [Fact]
    public void A_name_that_is_taken_gets_the_number_of_the_entry_and_a_real_file_keeps_its_own()
    {
        HashSet<string> taken = ConflictNames.Taken(["F (conflict 02020202 2018-01-03 172000).TXT"]);
        ConflictNames.Take("f.txt", Key(2), 7, Time, null, taken).Should().Be("f (conflict 02020202 2018-01-03 172000) seq7.txt");
        ConflictNames.Take("f.txt", Key(2), 7, Time, null, taken).Should().BeNull();
        ConflictNames.Take("f.txt", Key(2), 8, Time + 999, null, taken).Should().Be("f (conflict 02020202 2018-01-03 172000) seq8.txt");
    }

    [Fact]
    public void A_label_or_an_extension_that_leaves_no_room_gives_way()
    {
        string label = new('\u4E16', ConflictNames.MaxPart / 3), extension = "." + new string('x', ConflictNames.MaxPart - 1);
        ConflictNames.Take("f" + extension, Key(2), 1, Time, label, ConflictNames.Taken([])).Should().Be($"f (conflict {label} 2018-01-03 172000){extension}");
        ConflictNames.Take("f" + extension + "x", Key(2), 1, Time, label + "ab", ConflictNames.Taken([])).Should().Be($"f{extension}x (conflict 02020202 2018-01-03 172000)");
    }

    [Theory]
    [InlineData(long.MinValue, "1970-01-01 000000")]
    [InlineData(long.MaxValue, "9999-12-31 235959")]
    public void A_time_that_no_calendar_has_is_held_in_range(long mtime, string time) =>
        ConflictNames.Take("f", Key(2), 1, mtime, null, ConflictNames.Taken([])).Should().Be($"f (conflict 02020202 {time})");

    [Fact]
    public void Any_name_gives_a_name_that_fits()
    {
        Gen<string> part = Gen.OneOf(Gen.String[Gen.Char['a', 'f'], 0, 300], Gen.Const("\u00E9\u4E16\U0001F600").Select(Gen.Int[0, 60], (text, count) => string.Concat(Enumerable.Repeat(text, count))), Gen.Const("."), Gen.Const(":?. "));
        Gen.Select(part, part, part).Where(t => (t.Item1 + t.Item2 + t.Item3).Length > 0).Sample(
            (a, b, c) =>
            {
                HashSet<string> taken = ConflictNames.Taken([]);
                foreach (long seq in (long[])[1, 2])
                {
                    string name = ConflictNames.Take(a + b + c, Key(2), seq, Time, "a label of twenty...", taken)!;
                    System.Text.Encoding.UTF8.GetByteCount(name).Should().BeLessThanOrEqualTo(255);
                    name.Should().NotContainAny("<", ">", ":", "\"", "/", "\\", "|", "?", "*").And.Contain(" (conflict a label of twenty... 2018-01-03 172000)");
                    name.Should().NotEndWith(".").And.NotEndWith(" ");
                    System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(name)).Should().Be(name, "no character is cut in two");
                    (seq == 2).Should().Be(name.Contains(") seq2", StringComparison.Ordinal));
                }

                taken.Should().HaveCount(2);
            },
            writeLine: output.WriteLine, iter: 2000);
    }

    [Fact]
    public void The_winner_and_the_names_do_not_depend_on_the_order_of_arrival()
    {
        Gen<MergeSide> side = Gen.Select(Gen.Byte[1, 5], Gen.Long[1, 3], Gen.Int[0, 6]).Select((key, time, kind) => kind switch
        {
            0 => Deletion(key),
            1 => Directory(key, time),
            2 => Link(key, time),
            _ => Side(key, $"{key}", time),
        });
        Gen.Select(side.Array[1, 5].Select(sides => sides.DistinctBy(one => one.Writer).ToArray()), Gen.Int[0, 1000], Gen.Bool).Sample(
            (sides, shuffle, hasChildren) =>
            {
                MergeSide[] other = [.. sides];
                new Random(shuffle).Shuffle(other);
                ConflictSetOptions options = new() { HasChildren = hasChildren };
                ConflictSet one = ConflictSet.Of("f", sides, null, options), two = ConflictSet.Of("f", other, null, options);
                two.Winner.Should().BeSameAs(one.Winner);
                two.Losers.Should().Equal(one.Losers);
                if (one.Winner is { } winner && !one.IsDirectory) sides.Where(each => !each.Deleted).Should().OnlyContain(each => each.MtimeMs <= winner.MtimeMs);
                if (sides.All(each => each.Deleted)) one.Losers.Should().BeEmpty();
                int live = sides.Count(each => !each.Deleted && each.Kind != EntryKind.Directory);
                one.Losers.Count(each => each.Name is not null).Should().Be(Math.Max(0, one.IsDirectory ? live : live - 1));
                one.Losers.Select(each => each.Name).OfType<string>().Should().OnlyHaveUniqueItems();
            },
            print: t => $"{string.Join(", ", t.Item1.Select(each => $"{each} {each.Kind} {each.MtimeMs} {each.Deleted}"))} {t.Item2} {t.Item3}", writeLine: output.WriteLine, iter: 5000);
    }

    [Fact]
    public void The_same_bytes_are_no_conflict_and_stand_once()
    {
        MergeSide a = Side(1, "x", 1), b = Side(2, "x", 2), c = Side(3, "y", 0), d = Side(4, "y", 0);
        ConflictSetOptions options = new() { IsSameContent = (one, other) => one.Size == other.Size && (one.Writer == Key(1) || one.Writer == Key(2)) == (other.Writer == Key(1) || other.Writer == Key(2)) };
        ConflictSet same = ConflictSet.Of("f", [a, b], null, options);
        (same.Winner, same.Losers.Count).Should().Be((b, 0));
        ConflictSet.Of("f", [a, b, c, d], null, options).Losers.Select(loser => loser.Side).Should().Equal(d);
    }

    [Fact]
    public void A_strategys_choice_wins_over_the_default_but_not_over_a_directory()
    {
        MergeSide a = Side(1, "x", 1), b = Side(2, "y", 2);
        ConflictSet chosen = ConflictSet.Of("f", [a, b], a, new ConflictSetOptions());
        (chosen.Winner, chosen.Losers.Single().Side).Should().Be((a, b));
        ConflictSet.Of("f", [a, b], Side(3, "not there"), new ConflictSetOptions()).Winner.Should().BeSameAs(b);
        MergeSide directory = Directory(3, 0);
        ConflictSet both = ConflictSet.Of("f", [a, b, directory], a, new ConflictSetOptions());
        (both.Winner, both.IsDirectory, both.Losers.Count).Should().Be((directory, true, 2));
    }

    [Fact]
    public void A_winner_more_than_a_day_ahead_is_told()
    {
        DateTimeOffset now = DateTimeOffset.UnixEpoch.AddMilliseconds(Time);
        long day = (long)ConflictSet.WrongClock.TotalMilliseconds;
        ConflictSet.Of("f", [Side(1, "x", Time + day)], null, new ConflictSetOptions()).HasWrongClock(now).Should().BeFalse();
        ConflictSet.Of("f", [Side(1, "x", Time + day + 1)], null, new ConflictSetOptions()).HasWrongClock(now).Should().BeTrue();
    }
}
