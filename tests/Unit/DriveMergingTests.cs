using DatFs.Drives;
using DatFs.Merging;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>From versions in a drive over a strategy to one entry that settles them everywhere (hyperdb-multiwriter.md §16).</summary>
public sealed class DriveMergingTests
{
    private static readonly DrivePath s_path = DrivePath.From("f.txt");

    [Fact]
    public async Task A_clean_merge_is_written_once_and_settles_the_path_everywhere()
    {
        await using MergingMachines machines = await WithConflictAsync("A\nb\nc\n", "a\nb\nC\n");
        MergeCase found = (await FindAsync(machines, 0))!;
        found.Sides.Should().HaveCount(2).And.OnlyContain(side => side.Mode == 0x1A4 && side.Kind == EntryKind.File);
        found.Sides.Single(side => side.IsOwn).Writer.Should().Be(machines[0].OwnKey!.Value);
        MergeOutcome outcome = await DriveMerging.ResolveAsync(found, MergeStrategies.Text, Token);
        outcome.IsClean.Should().BeTrue();
        (await DriveMerging.CommitAsync(found, outcome, Token)).Should().BeTrue();
        await machines.MeetAsync();
        for (int machine = 0; machine < 2; machine++)
        {
            (await machines.ReadAsync(machine, "f.txt")).Should().Be("A\nb\nC\n");
            (await machines.NamesAsync(machine, "/")).Should().Equal("f.txt");
            (await FindAsync(machines, machine)).Should().BeNull();
        }
    }

    [Fact]
    public async Task The_same_merge_written_by_two_machines_is_no_conflict()
    {
        await using MergingMachines machines = await WithConflictAsync("A\nb\nc\n", "a\nb\nC\n");
        for (int machine = 0; machine < 2; machine++)
        {
            MergeCase found = (await FindAsync(machines, machine))!;
            (await DriveMerging.CommitAsync(found, await DriveMerging.ResolveAsync(found, MergeStrategies.Text, Token), Token)).Should().BeTrue();
        }

        await machines.MeetAsync();
        for (int machine = 0; machine < 2; machine++)
        {
            (await FindAsync(machines, machine)).Should().BeNull();
            (await machines.NamesAsync(machine, "/")).Should().Equal("f.txt");
        }
    }

    [Fact]
    public async Task A_version_that_is_taken_settles_the_path_with_its_time_and_permissions()
    {
        await using MergingMachines machines = await WithConflictAsync("one\n", "two\n");
        MergeCase found = (await FindAsync(machines, 0))!;
        MergeSide theirs = found.Sides.Single(side => !side.IsOwn);
        (await DriveMerging.TakeAsync(found, theirs, Token)).Should().BeTrue();
        (await DriveMerging.TakeAsync(found, theirs, Token)).Should().BeFalse("the path has another version by now");
        await machines.MeetAsync();
        for (int machine = 0; machine < 2; machine++)
        {
            (await machines.ReadAsync(machine, "f.txt")).Should().Be("two\n");
            DriveEntry entry = (await machines[machine].Live.FindAsync(s_path, Token))!;
            (entry.MtimeMs, entry.Mode).Should().Be((theirs.MtimeMs, theirs.Mode));
            (await FindAsync(machines, machine)).Should().BeNull();
        }
    }

    [Fact]
    public async Task A_deletion_that_is_taken_deletes_and_other_bytes_replace_all()
    {
        await using MergingMachines machines = await WithConflictAsync("one\n", null);
        MergeCase found = (await FindAsync(machines, 0))!;
        (await DriveMerging.TakeAsync(found, found.Sides.Single(side => side.Deleted), Token)).Should().BeTrue();
        (await machines.ReadAsync(0, "f.txt")).Should().BeNull();
        (await DriveMerging.ReplaceAsync(found, new MemoryStream([1]), null, Token)).Should().BeFalse();

        await using MergingMachines others = await WithConflictAsync("one\n", "two\n");
        (await DriveMerging.ReplaceAsync((await FindAsync(others, 1))!, new MemoryStream("three\n"u8.ToArray()), null, Token)).Should().BeTrue();
        await others.MeetAsync();
        for (int machine = 0; machine < 2; machine++)
        {
            (await others.ReadAsync(machine, "f.txt")).Should().Be("three\n");
            (await others.NamesAsync(machine, "/")).Should().Equal("f.txt");
        }
    }

    [Fact]
    public async Task Nothing_is_written_over_a_version_that_came_meanwhile()
    {
        await using MergingMachines machines = await WithConflictAsync("A\nb\nc\n", "a\nb\nC\n");
        MergeCase found = (await FindAsync(machines, 0))!;
        MergeOutcome outcome = await DriveMerging.ResolveAsync(found, MergeStrategies.Text, Token);
        await machines.WriteAsync(1, "f.txt", "something newer\n", mtime: 5000);
        await machines.MeetAsync();
        (await DriveMerging.CommitAsync(found, outcome, Token)).Should().BeFalse();
        (await machines.ReadAsync(0, "f.txt")).Should().Be("something newer\n");
        (await machines[0].LogAsync(s_path, Token).ToListAsync(Token)).Should().HaveCount(4, "the old text, two edits, and what came");
    }

    [Fact]
    public async Task Bytes_that_cannot_be_had_are_an_answer()
    {
        await using MergingMachines machines = await WithConflictAsync("A\n", "B\n");
        MergeCase found = (await FindAsync(machines, 0))!;
        MergeOutcome outcome = await DriveMerging.ResolveAsync(found, new Failing(), Token);
        (outcome.Failed, outcome.Bytes).Should().Be((true, null));
        (await FluentActions.Awaiting(async () => await DriveMerging.CommitAsync(found, outcome, Token)).Should().ThrowAsync<DatException>()).Which.Error.Should().Be(DatError.Invalid);
    }

    [Fact]
    public async Task Where_nobody_disagrees_there_is_nothing_to_merge()
    {
        await using MergingMachines machines = await WithConflictAsync("same\n", "same\n");
        for (int machine = 0; machine < 2; machine++)
        {
            (await FindAsync(machines, machine)).Should().BeNull("both wrote the same bytes");
            (await DriveMerging.FindAsync(await machines[machine].ReadyAsync(Token), DrivePath.From("missing"), Token)).Should().BeNull();
            (await DriveMerging.FindAsync(await machines[machine].ReadyAsync(Token), DrivePath.Root, Token)).Should().BeNull();
        }
    }

    [Fact]
    public async Task Rules_choose_what_a_drive_shows()
    {
        await using MergingMachines machines = await WithConflictAsync("earlier\n", "later\n");
        (await machines.ReadAsync(0, "f.txt")).Should().Be("later\n");
        machines[0].Choice = MergeRules.Read("", "*.txt first\n"u8, new Dictionary<string, IMergeStrategy>()).AsChoice(machines[0].OwnKey);
        (await machines.ReadAsync(0, "f.txt")).Should().Be("earlier\n");
        (await machines.ReadAsync(1, "f.txt")).Should().Be("later\n", "each machine has its own rules");
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<MergingMachines> WithConflictAsync(string first, string? second)
    {
        MergingMachines machines = await MergingMachines.StartAsync(2);
        await machines.WriteAsync(0, "f.txt", "a\nb\nc\n");
        await machines.MeetAsync();
        await machines.WriteAsync(0, "f.txt", first, mtime: 1000);
        if (second is null) await machines.DeleteAsync(1, "f.txt");
        else await machines.WriteAsync(1, "f.txt", second, mtime: 2000);
        await machines.MeetAsync();
        return machines;
    }

    private static async Task<MergeCase?> FindAsync(MergingMachines machines, int machine) => await DriveMerging.FindAsync(await machines[machine].ReadyAsync(Token), s_path, Token);

    private sealed class Failing : IMergeStrategy
    {
        public string Name => "failing";

        public ValueTask<MergeOutcome> ResolveAsync(DrivePath path, MergeBase ancestor, IReadOnlyList<MergeSide> sides, CancellationToken ct) =>
            throw new DatException(DatError.Offline, "no peer has it");
    }
}
