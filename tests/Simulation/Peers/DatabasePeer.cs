using System.Globalization;
using DatFs;
using DatFs.Crypto;
using DatFs.Drives.Hyperdb;
using DatFs.Feeds;

namespace DatMount.Simulation;

/// <summary>
/// A peer that has a database of several writers: one of the writers, invited or not, or somebody who only reads. All of them keep everything
/// for the others.
/// </summary>
internal sealed partial class DatabasePeer(WritersScenario scenario, string name, Rng rng, DatabaseTruth truth, TrueWriter? own)
    : Peer(scenario, name, rng, own is null ? PeerRole.Copy : PeerRole.Owner), IFeedObserver, IFeedNetwork
{
    private readonly HashSet<FeedKey> _observed = [];
    private CountingPool? _pool;
    private Database? _database;
    private DatabaseView? _last;
    private int _left = own is null ? 0 : scenario.ChangesOf(own);

    /// <summary>It writes, and nobody will ever know.</summary>
    private bool IsAlone => own is { Invited: false };

    // Everybody is told of whom the source lets in, and keeps what they write.
    public override string? Missing()
    {
        if (!Running || _database is not { } database) return "it is off";
        if (_left > 0) return $"it has {_left} changes to make";
        foreach (TrueWriter writer in truth.Writers)
        {
            if (!writer.Invited && writer != own) continue;
            if (database.AllWriters.FirstOrDefault(one => one.Key == writer.Key && (one.Authorized || !writer.Invited)) is not { } known) return $"it does not know that w{writer.Number} may write";
            World.Check(!known.Feed.IsForked, $"{Name} believes in a second history of w{writer.Number}");
            if (known.Feed.Length != writer.Blocks.Count) return $"it knows of {known.Feed.Length} of {writer.Blocks.Count} blocks of w{writer.Number}";
            if (known.Feed.FirstMissing(0, known.Feed.Length) is var missing && missing < known.Feed.Length) return $"block {missing} of w{writer.Number} is missing";
        }

        string heads = Text(database.Live.Heads), newest = DatabaseOracle.Text(DatabaseOracle.NewestHeads(truth, own));
        return heads == newest ? null : $"it shows {heads} instead of {newest}";
    }

    public IDisposable Join(Feed feed)
    {
        Observe(feed);
        return Replicator.Join(feed);
    }

    public void LengthChanged(Feed feed, long oldLength, long newLength)
    {
        World.Check(newLength > oldLength, $"the length of a feed at {Name} went from {oldLength} to {newLength}");
        if (feed.Key != own?.Key) truth.SeeLength(Name, feed.Key, newLength);
    }

    public void BlocksAdded(Feed feed, long start, long count) => Disk.Quietly(() =>
    {
        if (feed.Key == own?.Key) truth.Signed(own, feed, start, start + count);
        else for (long seq = start; seq < start + count; seq++) truth.See(Name, feed, seq);
    });

    public void BlocksCleared(Feed feed, long start, long count)
    {
    }

    protected override async Task OpenAsync(Machine machine)
    {
        _pool = new CountingPool(World);
        _observed.Clear();
        DatabaseOptions options = new()
        {
            ContentFeeds = scenario.HasContent,
            Network = this,
            ReadOnly = own is null,
            Feeds = new FeedOptions { Memory = _pool, Time = machine.Clock },
            Log = new TraceLogger(machine),
            Time = machine.Clock,
        };
        try
        {
            _database = await OpenAsync(options);
        }
        catch (DatException)
        {
            World.Check(!machine.Alive || Disk.OpenFiles == 0, $"{Name} could not open its database, and left {Disk.OpenFiles} open files");
            throw;
        }

        Database database = _database;
        if (own is not null)
        {
            World.Check(database.LocalKey == own.Key, $"{Name} may write as another one than before");
            Feed local = database.AllWriters.First(writer => writer.Key == own.Key).Feed;
            Observe(local);
            Disk.Quietly(() => truth.Reconcile(own, local));
        }

        machine.Say($"opened with {Text(database.Live.Heads)}");
        _last = database.Live;
        database.Changed += Changed;
    }

    protected override async Task CloseAsync()
    {
        Machine machine = Machine!;
        try
        {
            await _database!.DisposeAsync();
        }
        catch (DatException e) when (e.Error == DatError.Io)
        {
            machine.Say("could not close: " + e.Message);
        }

        World.Check(_pool!.Leased == 0, $"{Name} left {_pool.Leased} leases");
        (_database, _last) = (null, null);
    }

    protected override void BeginActivities()
    {
        if (own is not null) Do(ChangeAsync);
        if (own is not null && Rng.Chance(0.3)) Do(ChangeAsync);
        Do(BrowseAsync);
        if (Rng.Chance(0.3)) Do(BrowseAsync);
    }

    protected override Task<bool> NeedsRestartAsync() => CannotFlushAsync(Feeds);

    // Key pairs come from chance that can be repeated, and not from the system's.
    private async Task<Database> OpenAsync(DatabaseOptions options)
    {
        if (own is null) return await Database.OpenAsync(Disk.Root, truth.Key, options, CancellationToken.None);
        using SecretKey secret = own.Secret();
        if (own.Number == 0) return await Database.CreateAsync(Disk.Root, options, secret, CancellationToken.None);
        FeedFiles local = new(Disk.Root.Folder("local"));
        try
        {
            if (!local.HasKey) FeedStore.WriteSecret(local, secret);
        }
        catch (IOException e)
        {
            throw new DatException(DatError.Io, e.Message, e);
        }

        return await Database.OpenAsync(Disk.Root, truth.Key, options, CancellationToken.None);
    }

    private void Observe(Feed feed)
    {
        if (_observed.Add(feed.Key)) feed.Observe(this);
    }

    private IReadOnlyList<Feed> Feeds() => [.. (_database?.AllWriters ?? []).SelectMany(writer => (Feed?[])[writer.Feed, writer.Content]).OfType<Feed>()];

    private void Changed(DatabaseView before, DatabaseView after)
    {
        World.Check(before == _last, $"{Name} shows {Text(after.Heads)} after {Text(before.Heads)}, and was said to have shown {Text(_last!.Heads)}");
        World.Check(before.Heads.All(old => after.Heads.Any(head => head.Id == old.Id || head.Covers(old))), $"{Name} went back from {Text(before.Heads)} to {Text(after.Heads)}");
        _last = after;
        Machine?.Say($"shows {Text(after.Heads)}");
        if (!IsAlone && truth.Versions.Count < WritersScenario.MaxVersions && Rng.Chance(0.3)) truth.Versions.Add(after.Version);
    }

    private async Task ChangeAsync(Machine machine)
    {
        while (Active && (_left > 0 || own!.Number == 0))
        {
            await Task.Delay(Rng.Span(1, scenario.ChangeEveryMs), machine.Clock);
            if (!Active) return;
            Database database = _database!;
            TrueWriter[] waiting = [.. truth.Writers.Where(writer => writer.Invited && !database.Writers.Contains(writer.Key))];
            if (_left <= 0 && waiting.Length == 0) return;
            TrueWriter? guest = waiting.Length > 0 && (_left <= 0 || Rng.Chance(0.25)) ? Rng.Pick(waiting) : null;
            TrueAttempt attempt = DatabaseTruth.Attempt(own!, guest is null ? NewChanges() : [new TrueChange("", null, false)]);
            try
            {
                if (guest is not null) await InviteAsync(database, guest, attempt);
                else await WriteAsync(database, attempt);
            }
            catch (DatException e) when (e.Error is DatError.Offline or DatError.TimedOut || MayFail(e))
            {
                machine.Say($"change failed: {e.Error} {e.Message}");

                // What failed may count all the same: that is known when the database was opened again.
                if (e.Error == DatError.Io && await CannotFlushAsync(Feeds)) return;
                truth.Withdraw(own!, attempt);
            }
        }
    }

    private async Task WriteAsync(Database database, TrueAttempt attempt)
    {
        TrueChange[] changes = attempt.Changes;
        IReadOnlyList<DatabaseEntry> entries = changes switch
        {
            [{ Deleted: true } one] when Rng.Chance(0.9) => [await database.DeleteAsync(one.Key, CancellationToken.None)],
            [{ Deleted: false } one] when Rng.Chance(0.9) => [await database.PutAsync(one.Key, one.Bytes, CancellationToken.None)],
            _ => await database.WriteAsync([.. changes.Select(change => new DatabaseWrite(change.Key, change.Bytes, change.Deleted))], CancellationToken.None),
        };
        truth.Acknowledge(own!, attempt, entries);
        World.Count(changes.Length > 1 ? "batch" : changes[0].Deleted ? "deletion" : "put");
        Machine?.Say($"wrote {string.Join(' ', changes.Select(change => $"'{change.Key}'{(change.Deleted ? "-" : "")}"))} as {entries[0].Seq}, {database.Live.Heads.Count} heads");
        _left--;
    }

    private async Task InviteAsync(Database database, TrueWriter guest, TrueAttempt attempt)
    {
        bool known = database.Writers.Contains(guest.Key);
        if (await database.AuthorizeAsync(guest.Key, CancellationToken.None)) truth.Acknowledge(own!, attempt, []);
        else truth.Withdraw(own!, attempt);
        Machine?.Say($"invited w{guest.Number}{(known ? " again" : "")}");
        World.Count(database.IsAuthorized ? "authorization" : "authorization by somebody who is not");
        World.Check(!database.IsAuthorized || database.Writers.Contains(guest.Key), $"{Name} let w{guest.Number} in, and does not know it");
    }

    private TrueChange[] NewChanges()
    {
        TrueChange[] changes = new TrueChange[Rng.Chance(0.15) ? 2 + Rng.Below(5) : 1];
        for (int i = 0; i < changes.Length; i++)
        {
            string key = Rng.Pick(scenario.Keys);
            changes[i] = Rng.Chance(0.2) ? new TrueChange(key, null, true) : new TrueChange(key, NewValue(), false);
        }

        return changes;
    }

    private byte[]? NewValue() => Rng.Below(20) switch
    {
        0 => null,
        1 => [],
        2 => Rng.Bytes(Rng.Below(20_000)),
        _ => Rng.Bytes((int)Rng.Scaled(1, 200)),
    };

    // The power fails in a call, and the call goes on to its end.
    private bool MayFail(DatException e) => e.Error == DatError.Io && (Scenario.DisksFail || !Running);

    private string Text(IEnumerable<DatabaseEntry> entries) => DatabaseOracle.Text(True(entries));

    private IEnumerable<TrueEntry> True(IEnumerable<DatabaseEntry> entries)
    {
        foreach (DatabaseEntry entry in entries)
        {
            if (truth.Find(entry.Writer) is { } writer && entry.Seq <= writer.Entries.Count) yield return writer.Entries[(int)entry.Seq - 1];
            else World.Fail(string.Create(CultureInfo.InvariantCulture, $"{Name} shows {entry.Key} of block {entry.Seq}, which nobody signed"));
        }
    }
}
