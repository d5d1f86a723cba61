using DatFs.Drives;
using DatFs.Merging;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using static DatFs.Unit.MergeFixture;

namespace DatFs.Unit;

/// <summary>Who writes a merge when nobody asks for it (hyperdb-multiwriter.md §16).</summary>
public sealed class AutocommitTests
{
    private static readonly DrivePath s_path = DrivePath.From("f");
    private static readonly MergeSide[] s_sides = [Side(5, "a"), Side(2, "b"), Side(9, "c")];
    private static readonly MergeOutcome s_clean = MergeOutcome.Merged("abc"u8.ToArray(), isClean: true);

    private readonly FakeTimeProvider _time = new();
    private readonly Autocommit _autocommit;

    public AutocommitTests() => _autocommit = new Autocommit(_time, new Random(1));

    [Fact]
    public void The_smallest_key_of_those_who_take_part_writes_at_once() => Look(2).Should().Be(AutocommitVerdict.Now);

    [Theory]
    [InlineData(5)]
    [InlineData(9)]
    [InlineData(1)]
    public void All_others_wait_a_minute_and_a_random_time_and_then_write(byte own)
    {
        AutocommitVerdict first = Look(own);
        first.MayCommit.Should().BeTrue();
        first.Wait.Should().BeGreaterThanOrEqualTo(Autocommit.Patience).And.BeLessThanOrEqualTo(Autocommit.Patience + Autocommit.Spread);
        _time.Advance(TimeSpan.FromSeconds(10));
        Look(own).Wait.Should().Be(first.Wait - TimeSpan.FromSeconds(10), "looking again does not begin anew");
        _time.Advance(first.Wait);
        Look(own).Should().Be(AutocommitVerdict.Now);
    }

    [Fact]
    public void Another_version_begins_the_wait_anew()
    {
        AutocommitVerdict first = Look(9);
        _time.Advance(first.Wait);
        _autocommit.Look(s_path, [.. s_sides, Side(3, "new")], s_clean, Key(9), true).Wait.Should().BeGreaterThanOrEqualTo(Autocommit.Patience);
        _autocommit.Forget(s_path);
        Look(9).Wait.Should().BeGreaterThanOrEqualTo(Autocommit.Patience);
    }

    [Fact]
    public void Only_clean_bytes_are_written_and_only_by_whom_others_let()
    {
        _autocommit.Look(s_path, s_sides, s_clean, Key(2), isAuthorized: false).Should().Be(AutocommitVerdict.Never);
        _autocommit.Look(s_path, s_sides, s_clean, null, isAuthorized: true).Should().Be(AutocommitVerdict.Never);
        _autocommit.Look(s_path, s_sides[..1], s_clean, Key(2), isAuthorized: true).Should().Be(AutocommitVerdict.Never, "there is no conflict any more");
        foreach (MergeOutcome outcome in (MergeOutcome[])[MergeOutcome.Merged("x"u8.ToArray(), isClean: false), MergeOutcome.Pick(s_sides[0]), MergeOutcome.None(), MergeOutcome.Failure("x")])
            _autocommit.Look(s_path, s_sides, outcome, Key(2), isAuthorized: true).Should().Be(AutocommitVerdict.Never);
    }

    [Fact]
    public void One_seed_gives_the_same_waits_and_machines_differ()
    {
        TimeSpan Wait(int seed) => new Autocommit(_time, new Random(seed)).Look(s_path, s_sides, s_clean, Key(9), true).Wait;
        Wait(7).Should().Be(Wait(7));
        Enumerable.Range(0, 20).Select(Wait).Distinct().Should().HaveCountGreaterThan(10);
    }

    [Fact]
    public void What_waits_is_bounded()
    {
        AutocommitVerdict first = Look(9);
        _time.Advance(first.Wait);
        for (int i = 0; i < Autocommit.MaxWaiting; i++) _autocommit.Look(DrivePath.From($"other{i}"), s_sides, s_clean, Key(9), true);
        Look(9).Wait.Should().BeGreaterThanOrEqualTo(Autocommit.Patience, "it was the oldest, and forgotten");
    }

    private AutocommitVerdict Look(byte own) => _autocommit.Look(s_path, s_sides, s_clean, Key(own), isAuthorized: true);
}
