using System.Text;
using DatFs;
using DatFs.Drives.Hyperdb;
using DatFs.Feeds;

namespace DatMount.Simulation;

/// <summary>What a peer of a database asks it, and what the answers must be.</summary>
internal sealed partial class DatabasePeer
{
    private static readonly TimeSpan s_longestWait = TimeSpan.FromMinutes(20);

    /// <summary>All of it, and all of it right.</summary>
    public override Task ReadAllAsync() => Machine!.RunAsync(async () =>
    {
        try
        {
            DatabaseView view = await _database!.LatestAsync(CancellationToken.None);
            World.Check(!view.IsStale, $"{Name} shows something old although it has everything");
            DatabaseOracle oracle = OracleOf(view);
            string heads = Text(view.Heads), newest = DatabaseOracle.Text(DatabaseOracle.NewestHeads(truth, own));
            World.Check(heads == newest, $"{Name} shows {heads} instead of {newest}");
            await CheckBlocksAsync();
            StringBuilder answers = new(heads + "\n");
            foreach (string key in truth.Keys)
            {
                string found = await CheckGetAsync(view, oracle, key, deletes: true, CancellationToken.None);
                answers.Append($"'{key}': {found}\n");
                await CheckGetAsync(view, oracle, key, deletes: false, CancellationToken.None);
                await CheckHistoryAsync(view, oracle, key, CancellationToken.None);
                if (oracle.Get(key).Count > 1) World.Count("conflict in the end");
            }

            foreach (string directory in scenario.Directories) answers.AppendLine(await CheckListAsync(view, oracle, directory, CancellationToken.None));
            answers.AppendLine(await CheckIterateAsync(view, oracle, "", new DatabaseListing(), CancellationToken.None));
            await CheckHistoryAsync(view, oracle, CancellationToken.None);
            if (!IsAlone) truth.Agree(Name, answers.ToString());
            foreach (byte[] version in truth.Versions)
            {
                DatabaseView before = await _database.CheckoutAsync(version, CancellationToken.None);
                World.Check(before.Version.AsSpan().SequenceEqual(version), $"{Name} gave another version than was asked for");
                foreach (string key in truth.Keys) await CheckGetAsync(before, OracleOf(before), key, deletes: true, CancellationToken.None);
            }
        }
        catch (DatException e)
        {
            World.Fail($"{Name} could not read although all is well: {e.Error} {e.Message}");
        }
    });

    private async Task CheckBlocksAsync()
    {
        foreach (TrueWriter writer in truth.Writers)
        {
            if (!writer.Invited && writer != own)
            {
                World.Check(_database!.AllWriters.All(one => one.Key != writer.Key || !one.Authorized), $"{Name} lets w{writer.Number} write, whom nobody let in");
                continue;
            }

            Feed feed = _database!.AllWriters.First(one => one.Key == writer.Key).Feed;
            for (long seq = 0; seq < writer.Blocks.Count; seq++)
            {
                using BlockLease block = await feed.ReadAsync(seq, FetchPriority.Interactive, CancellationToken.None);
                World.Check(block.Memory.Span.SequenceEqual(writer.Blocks[(int)seq]), $"{Name} has other bytes in block {seq} of w{writer.Number} than were signed first");
            }
        }
    }

    private async Task BrowseAsync(Machine machine)
    {
        while (Active)
        {
            await Task.Delay(Rng.Span(10, 8000), machine.Clock);
            if (!Active) return;
            bool bounded = Rng.Chance(0.7);
            TimeSpan deadline = Rng.Span(50, 30_000);
            using CancellationTokenSource stop = bounded ? new CancellationTokenSource(deadline, machine.Clock) : new CancellationTokenSource();
            long started = World.Now - machine.Paused;
            string what = "", end = "ok";
            try
            {
                await BrowseOnceAsync(told => what += told, stop.Token);
            }
            catch (DatException e) when (e.Error is DatError.Offline or DatError.TimedOut || MayFail(e))
            {
                end = $"{e.Error} {e.Message}";
            }
            catch (DatException e) when (e.Error == DatError.NotFound && what.StartsWith("checkout", StringComparison.Ordinal))
            {
                end = "an unknown writer";
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                end = "deadline";
            }

            TimeSpan took = TimeSpan.FromTicks(World.Now - machine.Paused - started);
            machine.Say($"{what}: {end} after {took.TotalMilliseconds:0} ms");
            TimeSpan limit = bounded ? deadline : s_longestWait;
            World.Check(took <= limit + Scenario.Slack, $"{Name} waited {took} for {what}, at most {limit} was agreed");
        }
    }

    private async Task BrowseOnceAsync(Action<string> say, CancellationToken ct)
    {
        DatabaseView view = _database!.Live;
        switch (Rng.Below(4))
        {
            case 0:
                say("latest, ");
                view = await _database.LatestAsync(ct);
                break;
            case 1 when truth.Versions.Count > 0:
                byte[] version = Rng.Pick(truth.Versions);
                say("checkout, ");
                view = await _database.CheckoutAsync(version, ct);
                World.Check(view.Version.AsSpan().SequenceEqual(version), $"{Name} gave another version than was asked for");
                World.Count("checkout");
                break;
        }

        DatabaseOracle oracle = OracleOf(view);
        string key = Rng.Pick(scenario.Keys), directory = Rng.Pick(scenario.Directories);
        switch (Rng.Below(6))
        {
            case 0:
                say($"list of '{directory}'");
                await CheckListAsync(view, oracle, directory, ct);
                break;
            case 1:
                say($"all under '{directory}'");
                await CheckIterateAsync(view, oracle, directory, new DatabaseListing { Reverse = Rng.Chance(0.3), Deletes = Rng.Chance(0.3) }, ct);
                break;
            case 2:
                say($"history of '{key}'");
                await CheckHistoryAsync(view, oracle, key, ct);
                break;
            case 3:
                DatabaseView other = _database.Live;
                say("difference");
                await CheckDifferencesAsync(view, oracle, other, ct);
                break;
            default:
                say($"'{key}'");
                await CheckGetAsync(view, oracle, key, Rng.Chance(0.5), ct);
                break;
        }
    }

    private DatabaseOracle OracleOf(DatabaseView view) => new(truth, [.. True(view.Heads)]);

    private async Task<string> CheckGetAsync(DatabaseView view, DatabaseOracle oracle, string key, bool deletes, CancellationToken ct)
    {
        IReadOnlyList<DatabaseEntry> found = await view.GetAsync(key, ct, deletes);
        return CheckEntries($"'{key}'", oracle, found, oracle.Get(key, deletes));
    }

    private string CheckEntries(string what, DatabaseOracle oracle, IReadOnlyList<DatabaseEntry> found, IReadOnlyList<TrueEntry> expected)
    {
        string answer = Text(found), right = DatabaseOracle.Text(expected);
        World.Check(answer == right && found.Count == expected.Count, $"{Name} finds for {what} at {DatabaseOracle.Text(oracle.Heads)}: {answer} instead of {right}");
        foreach (DatabaseEntry entry in found)
        {
            TrueEntry? same = expected.FirstOrDefault(one => one.Writer.Key == entry.Writer && one.Seq == entry.Seq);
            World.Check(same is not null && same.Is(new TrueChange(entry.Key, entry.Value?.ToArray(), entry.Deleted)), $"{Name} finds for {what} something else in {same} than was written there");
        }

        return answer;
    }

    private async Task<string> CheckListAsync(DatabaseView view, DatabaseOracle oracle, string directory, CancellationToken ct)
    {
        IReadOnlyList<DatabaseName> found = await view.ListAsync(directory, ct);
        var expected = oracle.Names(directory);
        string answer = string.Join('|', found.Select(name => name.Name).Order(StringComparer.Ordinal)), right = string.Join('|', expected.Keys);
        World.Check(answer == right, $"{Name} lists '{directory}' at {DatabaseOracle.Text(oracle.Heads)} as {answer} instead of {right}");
        foreach (DatabaseName name in found)
        {
            if (!expected.TryGetValue(name.Name, out var right1)) continue;
            CheckEntries($"the name '{name.Name}' in '{directory}'", oracle, name.Own?.Entries ?? [], right1.Own);
            World.Check(name.Below is not null == right1.Below, $"{Name} says of '{name.Name}' in '{directory}' that {(right1.Below ? "nothing" : "something")} is below it");
        }

        return answer;
    }

    private async Task<string> CheckIterateAsync(DatabaseView view, DatabaseOracle oracle, string prefix, DatabaseListing listing, CancellationToken ct)
    {
        List<string> keys = [];
        await foreach (DatabaseKey key in view.IterateAsync(prefix, listing, ct))
        {
            keys.Add(key.Key);
            CheckEntries($"'{key.Key}' under '{prefix}'", oracle, key.Entries, oracle.Get(key.Key, deletes: true));
        }

        string answer = string.Join('|', keys.Order(StringComparer.Ordinal)), right = string.Join('|', oracle.Under(prefix, listing.Deletes));
        World.Check(answer == right, $"{Name} finds under '{prefix}' at {DatabaseOracle.Text(oracle.Heads)}: {answer} instead of {right}");
        return answer;
    }

    private async Task CheckHistoryAsync(DatabaseView view, DatabaseOracle oracle, CancellationToken ct)
    {
        List<TrueEntry> found = [];
        await foreach (DatabaseEntry entry in view.HistoryAsync(ct)) found.AddRange(True([entry]));
        CheckOrder("everything", found, oracle.Seen, newestFirst: false);
    }

    private async Task CheckHistoryAsync(DatabaseView view, DatabaseOracle oracle, string key, CancellationToken ct) =>
        CheckOrder($"'{key}'", [.. True(await view.KeyHistoryAsync(key, ct))], [.. oracle.Seen.Where(entry => entry.Key == key)], newestFirst: true);

    private void CheckOrder(string what, List<TrueEntry> found, IReadOnlyCollection<TrueEntry> expected, bool newestFirst)
    {
        World.Check(found.Count == expected.Count && found.ToHashSet().SetEquals(expected), $"{Name} tells the history of {what} as {string.Join(' ', found)} instead of {DatabaseOracle.Text(expected)}");
        if (newestFirst) found.Reverse();
        for (int at = 0; at < found.Count; at++) World.Check(!found.Skip(at + 1).Any(found[at].Covers), $"{Name} tells the history of {what} with {found[at]} in the wrong place");
    }

    private async Task CheckDifferencesAsync(DatabaseView view, DatabaseOracle oracle, DatabaseView other, CancellationToken ct)
    {
        DatabaseOracle before = OracleOf(other);
        SortedDictionary<string, DatabaseDifference> found = new(StringComparer.Ordinal);
        await foreach (DatabaseDifference difference in view.DiffAsync(other, ct)) World.Check(found.TryAdd(difference.Key, difference), $"{Name} tells twice that '{difference.Key}' differs");
        string[] expected = [.. oracle.Keys.Union(before.Keys, StringComparer.Ordinal).Where(key => !oracle.Get(key).ToHashSet().SetEquals(before.Get(key))).Order(StringComparer.Ordinal)];
        string answer = string.Join('|', found.Keys), right = string.Join('|', expected);
        World.Check(answer == right, $"{Name} tells between {DatabaseOracle.Text(oracle.Heads)} and {DatabaseOracle.Text(before.Heads)} the differences {answer} instead of {right}");
        foreach ((string key, DatabaseDifference difference) in found)
        {
            CheckEntries($"'{key}', left,", oracle, difference.Left?.Entries ?? [], oracle.Get(key));
            CheckEntries($"'{key}', right,", before, difference.Right?.Entries ?? [], before.Get(key));
        }
    }
}
