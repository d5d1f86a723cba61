using System.Text.Json;
using DatFs.Drives;
using DatFs.Drives.Hyperdb;
using DatFs.Merging;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>What versions began with, from the clocks of their entries (hyperdb-multiwriter.md §16, "Base for three-way").</summary>
public sealed class MergeBaseTests(ITestOutputHelper output)
{
    [Fact]
    public async Task The_version_that_both_had_seen_is_the_base()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(2);
        await machines.WriteAsync(0, "f", "first");
        await machines.MeetAsync();
        await machines.WriteAsync(0, "other", "x");
        await machines.WriteAsync(0, "f", "a");
        await machines.WriteAsync(1, "f", "b");
        await machines.MeetAsync();
        (await BaseAsync(machines, "f")).Should().Be("first");
    }

    [Fact]
    public async Task What_only_one_had_seen_is_not_the_base()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(2);
        await machines.WriteAsync(0, "f", "first");
        await machines.MeetAsync();
        await machines.WriteAsync(0, "f", "second");
        await machines.WriteAsync(0, "f", "third");
        await machines.WriteAsync(1, "f", "b");
        await machines.MeetAsync();
        (await BaseAsync(machines, "f")).Should().Be("first");
    }

    [Fact]
    public async Task Files_that_each_made_began_with_nothing()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(2);
        await machines.WriteAsync(0, "gone", "x");
        await machines.DeleteAsync(0, "gone");
        await machines.MeetAsync();
        foreach (string path in (string[])["new", "gone"])
        {
            await machines.WriteAsync(0, path, "a");
            await machines.WriteAsync(1, path, "b");
        }

        await machines.MeetAsync();
        (await BaseAsync(machines, "new")).Should().Be("");
        (await BaseAsync(machines, "gone")).Should().Be("", "what had been deleted was nothing");
    }

    [Fact]
    public async Task Three_versions_began_with_what_all_three_had_seen()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(3);
        await machines.WriteAsync(0, "f", "first");
        await machines.MeetAsync();
        await machines.WriteAsync(1, "f", "second");
        await machines.MeetAsync(0, 1);
        await machines.WriteAsync(0, "f", "a");
        await machines.WriteAsync(1, "f", "b");
        await machines.WriteAsync(2, "f", "c");
        await machines.MeetAsync();
        (await BaseAsync(machines, "f")).Should().Be("first", "the third had not seen the second version");
    }

    [Fact]
    public async Task Where_all_had_seen_a_conflict_there_is_no_base()
    {
        await using MergingMachines machines = await MergingMachines.StartAsync(4);
        await machines.WriteAsync(0, "f", "a");
        await machines.WriteAsync(1, "f", "b");
        await machines.MeetAsync();
        await machines.WriteAsync(2, "f", "c");
        await machines.WriteAsync(3, "f", "d");
        await machines.MeetAsync();
        (await BaseAsync(machines, "f")).Should().BeNull();
    }

    [Fact]
    public async Task Every_conflict_of_the_recorded_runs_has_the_base_that_all_entries_tell()
    {
        int conflicts = 0, none = 0, one = 0, several = 0;
        foreach (RecordedHyperdb run in RecordedHyperdb.Runs)
        {
            await using Database database = await HyperdbRandomTests.OpenAsync(run);
            List<DatabaseEntry> all = [];
            await foreach (DatabaseEntry entry in (await database.LatestAsync(Token)).HistoryAsync(Token)) all.Add(entry);
            foreach (JsonElement checkpoint in run.Json.GetProperty("checkpoints").EnumerateArray())
            {
                foreach (JsonProperty get in checkpoint.GetProperty("gets").EnumerateObject().Where(get => !HyperdbRandomTests.IsColliding(get.Name)))
                {
                    HashSet<(string?, long)> ids = [.. get.Value.EnumerateArray().Select(node => (node[0].GetString(), node[1].GetInt64()))];
                    DatabaseEntry[] conflict = DatabaseEntry.Uncovered([.. all.Where(entry => ids.Contains((entry.Writer.ToHex(), entry.Seq)))]);
                    if (conflict.Length < 2) continue;
                    DatabaseEntry[] before = DatabaseEntry.Uncovered([.. all.Where(entry => entry.Key == get.Name && conflict.All(side => side.Covers(entry)))]);
                    if (before.All(entry => entry.Deleted)) before = [];
                    IReadOnlyList<DatabaseEntry> found = await database.BaseAsync(get.Name, conflict, Token);
                    found.Select(entry => entry.Id).Should().BeEquivalentTo(before.Select(entry => entry.Id), $"{run.Name} {get.Name}");
                    conflicts++;
                    if (found.Count == 0) none++;
                    else if (found.Count == 1) one++;
                    else several++;
                }
            }
        }

        output.WriteLine($"{conflicts} conflicts: {none} without a base, {one} with one, {several} with several");
        one.Should().BePositive();
        none.Should().BePositive();
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    // The same wherever one looks.
    private static async Task<string?> BaseAsync(MergingMachines machines, string path)
    {
        List<string?> bases = [];
        for (int machine = 0; machine < machines.Count; machine++)
        {
            MergeCase found = (await DriveMerging.FindAsync(await machines[machine].ReadyAsync(Token), DrivePath.From(path), Token))!;
            MergeBase ancestor = await found.BaseAsync(Token);
            bases.Add(ancestor.IsKnown ? System.Text.Encoding.UTF8.GetString((await ancestor.ReadAsync(1024, Token))!) : null);
        }

        bases.Distinct().Should().ContainSingle();
        return bases[0];
    }
}
