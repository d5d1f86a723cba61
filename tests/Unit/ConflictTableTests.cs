using DatFs.Drives;
using DatFs.Merging;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>"Names, folders, deletes" of hyperdb-multiwriter.md §16, row by row, on drives of two machines that meet afterwards.</summary>
public sealed class ConflictTableTests
{
    [Fact]
    public async Task Deleted_by_both_it_is_gone_without_a_conflict()
    {
        await using MergingMachines machines = await WithAsync("f");
        await machines.DeleteAsync(0, "f");
        await machines.DeleteAsync(1, "f");
        await machines.MeetAsync();
        await ExpectAsync(machines, [], []);
    }

    [Fact]
    public async Task An_edit_outlives_a_deletion_and_the_conflict_is_only_noted()
    {
        await using MergingMachines machines = await WithAsync("f");
        await machines.WriteAsync(0, "f", "edited", mtime: 1);
        await machines.DeleteAsync(1, "f");
        await machines.MeetAsync();
        await ExpectAsync(machines, [("f", "edited")], ["f"]);
    }

    [Fact]
    public async Task Renamed_by_one_and_edited_by_the_other_both_files_are_there()
    {
        await using MergingMachines machines = await WithAsync("f");
        await machines.RenameAsync(0, "f", "g");
        await machines.WriteAsync(1, "f", "edited");
        await machines.MeetAsync();
        await ExpectAsync(machines, [("f", "edited"), ("g", "old")], ["f"]);
    }

    [Fact]
    public async Task Renamed_differently_by_both_it_is_there_under_both_names()
    {
        await using MergingMachines machines = await WithAsync("f");
        await machines.RenameAsync(0, "f", "g");
        await machines.RenameAsync(1, "f", "h");
        await machines.MeetAsync();
        await ExpectAsync(machines, [("g", "old"), ("h", "old")], []);
    }

    [Fact]
    public async Task Two_files_renamed_to_one_name_are_a_conflict_there()
    {
        await using MergingMachines machines = await WithAsync("e", "f");
        await machines.WriteAsync(0, "e", "was e");
        await machines.RenameAsync(0, "e", "g", mtime: 1_515_000_001_000);
        await machines.RenameAsync(1, "f", "g", mtime: 1_515_000_002_000);
        await machines.MeetAsync();
        await ExpectAsync(machines, [("g", "old"), ($"g (conflict {machines.Key8(0)} 2018-01-03 172001)", "was e")], ["g"]);
    }

    [Fact]
    public async Task A_directory_removed_while_a_file_was_made_in_it_stays()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(2);
        await machines.MakeDirectoryAsync(0, "d");
        await machines.MeetAsync();
        await machines.DeleteAsync(0, "d");
        await machines.WriteAsync(1, "d/x", "kept");
        await machines.MeetAsync();
        await ExpectAsync(machines, [("d", "/")], []);
        (await machines.ReadAsync(0, "d/x")).Should().Be("kept");
    }

    [Fact]
    public async Task A_file_and_a_directory_of_one_name_are_the_directory_and_a_copy()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(2);
        await machines.WriteAsync(0, "d", "file", mtime: 1_515_000_001_000);
        await machines.WriteAsync(1, "d/x", "below");
        await machines.MeetAsync();
        await ExpectAsync(machines, [("d", "/"), ($"d (conflict {machines.Key8(0)} 2018-01-03 172001)", "file")], []);
    }

    [Fact]
    public async Task A_directory_made_by_both_is_one()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(2);
        await machines.MakeDirectoryAsync(0, "d");
        await machines.MakeDirectoryAsync(1, "d");
        await machines.MeetAsync();
        await ExpectAsync(machines, [("d", "/")], []);
    }

    [Fact]
    public async Task Every_machine_shows_the_same_in_whatever_order_it_hears_of_the_others()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(4);
        for (int machine = 0; machine < 4; machine++) await machines.WriteAsync(machine, "f.txt", $"from {machine}", mtime: 1_515_000_000_000 + 1000 * (machine % 2));
        await machines.MeetAsync(0, 3);
        await machines.MeetAsync(1, 2);
        await machines.MeetAsync(2, 3);
        await machines.MeetAsync(0, 1);
        await machines.MeetAsync();
        int[] byKey = [.. Enumerable.Range(0, 4).OrderByDescending(machine => machine % 2).ThenByDescending(machine => machines[machine].OwnKey!.Value.ToHex(), StringComparer.Ordinal)];
        for (int machine = 0; machine < 4; machine++)
        {
            (await machines.ReadAsync(machine, "f.txt")).Should().Be($"from {byKey[0]}");
            (await machines.NamesAsync(machine, "/")).Should().BeEquivalentTo(
                ["f.txt", .. byKey[1..].Select(loser => $"f (conflict {machines.Key8(loser)} 2018-01-03 1720{(loser % 2 == 1 ? "01" : "00")}).txt")]);
        }
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<MergingMachines> WithAsync(params string[] files)
    {
        MergingMachines machines = await MergingMachines.StartAsync(2);
        foreach (string file in files) await machines.WriteAsync(0, file, "old");
        await machines.MeetAsync();
        return machines;
    }

    // Both machines show the same names with the same bytes, and a conflict where one is expected.
    private static async Task ExpectAsync(MergingMachines machines, (string Name, string Text)[] expected, string[] conflicts)
    {
        for (int machine = 0; machine < machines.Count; machine++)
        {
            (await machines.NamesAsync(machine, "/")).Where(name => name != "e").Should().BeEquivalentTo(expected.Select(one => one.Name));
            foreach ((string name, string text) in expected) (await machines.ReadAsync(machine, name)).Should().Be(text, name);
            IDriveView view = await machines[machine].ReadyAsync(Token);
            foreach (string path in (string[])["d", "e", "f", "g", "h"])
            {
                MergeCase? found = await DriveMerging.FindAsync(view, DrivePath.From(path), Token);
                (found is not null).Should().Be(conflicts.Contains(path), path);
                if (found is null) continue;
                ConflictSet set = ConflictSet.Of(path, found.Sides, null, new ConflictSetOptions());
                string[] copies = [.. set.Losers.Select(loser => loser.Name).OfType<string>()];
                copies.Should().BeSubsetOf(expected.Select(one => one.Name), "the pure function says what the directory shows");
                expected.Count(one => one.Name.StartsWith(path + " (conflict", StringComparison.Ordinal)).Should().Be(copies.Length);
            }
        }
    }
}
