using DatFs.Merging;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace DatFs.Unit;

/// <summary>A drive that is merged while it is open: by the archive's rules and this machine's, and written where that is wanted (hyperdb-multiwriter.md §16).</summary>
public sealed class DriveMergerTests
{
    private readonly FakeTimeProvider _time = new(DateTimeOffset.FromUnixTimeMilliseconds(1_515_000_000_000));
    private readonly FuseLogLines _log = new();

    [Fact]
    public async Task The_archives_rules_are_followed_as_they_change_and_give_way_to_this_machines()
    {
        await using MergingMachines machines = await ConflictAsync("earlier\n", "later\n");
        await using DriveMerger merger = Start(machines, 0);
        await machines.WriteAsync(0, MergeRules.FileName, "*.txt first\n*.md command:evil\n");
        await UntilAsync(async () => await machines.ReadAsync(0, "f.txt") == "earlier\n");
        _log.Lines.Should().ContainSingle(line => line.Contains("commands are never taken from an archive", StringComparison.Ordinal));
        (await machines.ReadAsync(1, "f.txt")).Should().Be("later\n", "the other machine does not ask for the rules");

        await using (DriveMerger own = Start(machines, 0, new MergerOptions { Rules = "*.txt latest" }))
        {
            await own.RefreshAsync(Token);
            (await machines.ReadAsync(0, "f.txt")).Should().Be("later\n");
        }

        await machines.DeleteAsync(0, MergeRules.FileName);
        await merger.RefreshAsync(Token);
        (await machines.ReadAsync(0, "f.txt")).Should().Be("later\n");
    }

    [Fact]
    public async Task A_clean_merge_is_written_at_once_by_whoever_has_the_smallest_key()
    {
        await using MergingMachines machines = await ConflictAsync("A\nb\nc\n", "a\nb\nC\n");
        int smallest = Smallest(machines);
        await using DriveMerger merger = Start(machines, smallest, Writing);
        await UntilAsync(async () => await machines.ReadAsync(smallest, "f.txt") == "A\nb\nC\n");
        await machines.MeetAsync();
        (await machines.NamesAsync(1 - smallest, "/")).Should().Equal("f.txt");
    }

    [Fact]
    public async Task Another_writes_it_only_after_its_patience_and_one_that_came_later_too()
    {
        await using MergingMachines machines = await ConflictAsync("A\nb\nc\n", "a\nb\nC\n");
        int other = 1 - Smallest(machines);
        await using DriveMerger merger = Start(machines, other, Writing);
        await merger.IdleAsync(Token);
        _time.Advance(Autocommit.Patience - TimeSpan.FromMilliseconds(1));
        await merger.IdleAsync(Token);
        (await machines.NamesAsync(other, "/")).Should().HaveCount(2, "the other one, whose turn it is, may be on its way");
        _time.Advance(Autocommit.Spread + TimeSpan.FromMilliseconds(1));
        await UntilAsync(async () => await machines.ReadAsync(other, "f.txt") == "A\nb\nC\n");

        await machines.MeetAsync();
        await machines.WriteAsync(0, "f.txt", "A\nb\nD\n", mtime: 3000);
        await machines.WriteAsync(1, "f.txt", "E\nb\nC\n", mtime: 4000);
        await machines.MeetAsync();
        await merger.IdleAsync(Token);
        (await machines.NamesAsync(other, "/")).Should().HaveCount(2);
        _time.Advance(Autocommit.Patience + Autocommit.Spread);
        await UntilAsync(async () => await machines.ReadAsync(other, "f.txt") == "E\nb\nD\n");
    }

    [Fact]
    public async Task Without_autocommit_or_with_contradictions_nothing_is_written()
    {
        await using MergingMachines machines = await ConflictAsync("A\nb\nc\n", "B\nb\nc\n");
        int smallest = Smallest(machines);
        await using (DriveMerger merger = Start(machines, smallest, Writing)) await merger.IdleAsync(Token);
        (await machines.NamesAsync(smallest, "/")).Should().HaveCount(2);
        await using (DriveMerger merger = Start(machines, smallest, new MergerOptions { Rules = "* union" })) await merger.IdleAsync(Token);
        (await machines.NamesAsync(smallest, "/")).Should().HaveCount(2);
    }

    [Fact]
    public async Task A_winner_of_the_future_is_told_once()
    {
        await using MergingMachines machines = await ConflictAsync("one\n", "two\n");
        await using DriveMerger merger = Start(machines, 0);
        await merger.IdleAsync(Token);
        long tomorrow = (_time.GetUtcNow() + TimeSpan.FromDays(2)).ToUnixTimeMilliseconds();
        for (int i = 0; i < 2; i++)
        {
            await machines.WriteAsync(0, "g", $"{i}", mtime: 1);
            await machines.WriteAsync(1, "g", $"not {i}", mtime: tomorrow + i);
            await machines.MeetAsync();
            await merger.IdleAsync(Token);
        }

        _log.Lines.Should().ContainSingle(line => line.Contains("a clock is wrong", StringComparison.Ordinal)).Which.Should().Contain(machines.Key8(1));
    }

    [Fact]
    public async Task Rules_of_this_machine_that_cannot_be_used_are_an_error()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(1);
        FluentActions.Invoking(() => Start(machines, 0, new MergerOptions { Rules = "* nonsense" })).Should().Throw<DatException>().Which.Error.Should().Be(DatError.Invalid);
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static MergerOptions Writing => new() { Rules = "*.txt text", Autocommit = true };

    private DriveMerger Start(MergingMachines machines, int machine, MergerOptions? options = null) =>
        DriveMerger.Start(machines[machine], (options ?? new MergerOptions()) with { Log = _log, Time = _time, Random = new Random(1) });

    private static int Smallest(MergingMachines machines) => string.CompareOrdinal(machines[0].OwnKey!.Value.ToHex(), machines[1].OwnKey!.Value.ToHex()) < 0 ? 0 : 1;

    private static async Task<MergingMachines> ConflictAsync(string first, string second)
    {
        MergingMachines machines = await MergingMachines.StartAsync(2);
        await machines.WriteAsync(0, "f.txt", "a\nb\nc\n");
        await machines.MeetAsync();
        await machines.WriteAsync(0, "f.txt", first, mtime: 1000);
        await machines.WriteAsync(1, "f.txt", second, mtime: 2000);
        await machines.MeetAsync();
        return machines;
    }

    private static async Task UntilAsync(Func<Task<bool>> isSo)
    {
        while (!await isSo())
        {
            Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
