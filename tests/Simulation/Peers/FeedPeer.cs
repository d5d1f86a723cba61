using DatFs;
using DatFs.Feeds;

namespace DatMount.Simulation;

/// <summary>A peer that shares one feed: its owner, a copy of all of it, or a reader of parts.</summary>
internal sealed class FeedPeer(Scenario scenario, string name, Rng rng, FeedTruth truth, PeerRole role) : Peer(scenario, name, rng, role), IFeedObserver
{
    private const int LargestBlock = 40_000;
    private const int MostReads = 20;

    private readonly bool _fromEnd = rng.Chance(0.3);
    private readonly bool _clears = role != PeerRole.Owner && rng.Chance(0.3);
    private CountingPool? _pool;
    private IDisposable? _download;

    public Feed? Feed { get; private set; }

    /// <summary>Reads that gave their bytes.</summary>
    public long Answered { get; private set; }

    protected override Task OpenAsync(Machine machine)
    {
        _pool = new CountingPool(World);
        try
        {
            Feed = Feed.Open(new FeedFiles(Disk.Root.Folder("feed")), new FeedOptions
            {
                Key = truth.Key,
                SecretKey = Role == PeerRole.Owner ? truth.Secret : null,
                VerifyReads = Scenario.DisksRot,
                Memory = _pool,
                Time = machine.Clock,
            });
        }
        catch (DatException)
        {
            World.Check(Disk.OpenFiles == 0, $"{Name} could not open its feed, and left {Disk.OpenFiles} open files");
            throw;
        }

        machine.Say($"opened with {Feed.HeldBlocks} of {Feed.Length} blocks");
        if (Role == PeerRole.Owner) truth.Reconcile(Feed);
        else truth.SeeLength(Name, Feed.Length);
        Feed.Observe(this);
        Replicator.Join(Feed);
        if (Role == PeerRole.Copy)
            _download = Feed.Source!.Download(0, long.MaxValue, _fromEnd ? DownloadOrder.NewestFirst : DownloadOrder.Ascending, FetchPriority.Background);
        return Task.CompletedTask;
    }

    protected override async Task CloseAsync()
    {
        Machine machine = Machine!;
        _download?.Dispose();
        try
        {
            await Feed!.DisposeAsync();
        }
        catch (DatException e) when (e.Error == DatError.Io)
        {
            machine.Say("could not close: " + e.Message);
        }

        World.Check(_pool!.Leased == 0, $"{Name} left {_pool.Leased} leases");
        Feed = null;
    }

    protected override void BeginActivities()
    {
        if (Role == PeerRole.Owner) Do(AppendAsync);
        else Do(ReadAsync);
        if (Rng.Chance(0.4)) Do(ReadAsync);
        if (_clears) Do(ClearAsync);
    }

    protected override Task<bool> NeedsRestartAsync() => CannotFlushAsync(() => Feed is { } feed ? [feed] : []);

    /// <summary>Everything that it should hold by now is here; otherwise says what is missing.</summary>
    public override string? Missing()
    {
        if (!Running || Feed is not { } feed) return "it is off";
        World.Check(!feed.IsForked, $"{Name} took somebody's lie for a second history of the owner");
        if (feed.Length != truth.Length) return $"it knows of {feed.Length} of {truth.Length} blocks";
        long missing = feed.FirstMissing(0, truth.Length);
        return Role == PeerRole.Copy && missing < truth.Length ? $"block {missing} is missing ({feed.HeldBlocks} of {truth.Length} held)" : null;
    }

    /// <summary>Reads that must succeed, for everybody is well.</summary>
    public override Task ReadAllAsync() => Machine!.RunAsync(async () =>
    {
        List<long> indexes = [.. Enumerable.Range(0, truth.Length).Select(i => (long)i)];
        Rng.Shuffle(indexes);
        foreach (long index in indexes.Take(Role == PeerRole.Reader ? MostReads : truth.Length))
        {
            try
            {
                using BlockLease block = await Feed!.ReadAsync(index, FetchPriority.Interactive, CancellationToken.None);
                truth.Compare(Name, index, block.Memory.Span);
                Answered++;
            }
            catch (DatException e)
            {
                World.Fail($"{Name} could not read block {index} although all is well: {e.Error} {e.Message}");
                return;
            }
        }
    });

    public void LengthChanged(Feed feed, long oldLength, long newLength)
    {
        World.Check(newLength > oldLength, $"the length of {Name} went from {oldLength} to {newLength}");
        if (Role != PeerRole.Owner) truth.SeeLength(Name, newLength);
    }

    public void BlocksAdded(Feed feed, long start, long count)
    {
        if (Role == PeerRole.Owner) return;
        for (long index = start; index < start + count; index++)
        {
            try
            {
                if (!feed.TryRead(index, out BlockLease block)) continue;
                using (block) truth.See(Name, index, block.Memory.Span);
            }
            catch (DatException e) when (e.Error == DatError.Io)
            {
                Machine?.Say($"block {index} cannot be looked at: {e.Message}");
            }
        }
    }

    public void BlocksCleared(Feed feed, long start, long count)
    {
    }

    private async Task AppendAsync(Machine machine)
    {
        while (Active && truth.Length < Scenario.Goal)
        {
            await Task.Delay(Rng.Span(1, Scenario.ChangeEveryMs), machine.Clock);
            if (!Active) return;
            byte[][] one = NewBlocks((int)Math.Min(Scenario.Goal - truth.Length, (int)Rng.Scaled(1, 20)));
            int left = Scenario.Goal - truth.Length - one.Length;
            byte[][][] batches = left > 0 && Rng.Chance(0.2) ? [one, NewBlocks(Math.Min(left, 3))] : [one];
            if (await AppendAsync(machine, batches)) continue;

            // What failed may count all the same: that is known when the feed was opened again.
            if (await CannotFlushAsync(() => [Feed!])) return;
            foreach (byte[][] batch in batches) truth.Withdraw(batch);
            World.Check(Feed!.Length == truth.Length, $"an append failed, and the feed has {Feed.Length} blocks instead of {truth.Length}");
        }
    }

    private async Task<bool> AppendAsync(Machine machine, byte[][][] batches)
    {
        foreach (byte[][] batch in batches) truth.Attempt(batch);
        Task<long>[] appends = [.. batches.Select(batch => Feed!.AppendAsync([.. batch.Select(block => (ReadOnlyMemory<byte>)block)], CancellationToken.None).AsTask())];
        bool all = true;
        for (int i = 0; i < batches.Length; i++)
        {
            try
            {
                truth.Acknowledge(await appends[i], batches[i]);
                machine.Say($"appended {batches[i].Length}, now {truth.Length}");
            }
            catch (DatException e) when (e.Error == DatError.Io)
            {
                machine.Say("append failed: " + e.Message);
                all = false;
            }
        }

        return all;
    }

    private byte[][] NewBlocks(int count)
    {
        byte[][] blocks = new byte[count][];
        for (int i = 0; i < count; i++) blocks[i] = Rng.Bytes(Rng.Chance(0.03) ? Rng.Below(LargestBlock) : Rng.Chance(0.05) ? 0 : (int)Rng.Scaled(1, 3000));
        return blocks;
    }

    private async Task ReadAsync(Machine machine)
    {
        while (Active)
        {
            await Task.Delay(Rng.Span(1, 5000), machine.Clock);
            if (!Active) return;
            await ReadOnceAsync(machine);
        }
    }

    private async Task ReadOnceAsync(Machine machine)
    {
        bool bounded = Rng.Chance(0.5);
        TimeSpan deadline = Rng.Span(50, 30_000);
        using CancellationTokenSource stop = bounded ? new CancellationTokenSource(deadline, machine.Clock) : new CancellationTokenSource();
        long started = World.Now - machine.Paused;
        string what = "";
        string end = "ok";
        try
        {
            switch (Rng.Below(10))
            {
                case 0:
                    long length = Feed!.Length + 1;
                    what = $"length {length}";
                    await Feed.WaitForLengthAsync(length, Priority(), stop.Token);
                    break;
                case 1 when Feed!.ByteLength > 0:
                    long at = Rng.Between(0, Feed.ByteLength - 1);
                    what = $"byte {at}";
                    (long found, long within) = await Feed.SeekAsync(at, 0, Feed.Length, Priority(), stop.Token);
                    CheckSeek(at, found, within);
                    break;
                default:
                    long index = Rng.Between(0, Math.Max(Feed!.Length, 1) + Rng.Below(3));
                    what = $"block {index}";
                    using (BlockLease block = await Feed.ReadAsync(index, Priority(), stop.Token)) truth.Compare(Name, index, block.Memory.Span);
                    break;
            }

            Answered++;
        }
        catch (DatException e) when (e.Error is DatError.Offline or DatError.TimedOut || (e.Error == DatError.Io && Scenario.DisksFail) || (e.Error == DatError.Corrupt && Disk.Unsound))
        {
            end = $"{e.Error} {e.Message}";
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            end = "deadline";
        }

        TimeSpan took = TimeSpan.FromTicks(World.Now - machine.Paused - started);
        machine.Say($"read {what}: {end} after {took.TotalMilliseconds:0} ms");
        TimeSpan limit = bounded ? deadline : TimeSpan.FromSeconds(200);
        World.Check(took <= limit + Scenario.Slack, $"{Name} waited {took} for {what}, at most {limit} was agreed");
    }

    private void CheckSeek(long at, long found, long within)
    {
        long offset = 0;
        for (long i = 0; i < found; i++) offset += truth[i].Length;
        // A seek to 0 leads to the first block, even when that is empty.
        World.Check(Disk.Unsound || offset + within == at && (within < truth[found].Length || at == 0), $"{Name} found byte {at} in block {found} at {within}");
    }

    private async Task ClearAsync(Machine machine)
    {
        while (Active)
        {
            await Task.Delay(Rng.Span(1000, 60_000), machine.Clock);
            if (!Active || Scenario.Healing) return;
            long start = Rng.Between(0, Feed!.Length);
            long end = start + (long)Rng.Scaled(1, 50);
            try
            {
                await Feed.ClearAsync(start, end, CancellationToken.None);
                machine.Say($"cleared {start} to {end}");
            }
            catch (DatException e) when (e.Error == DatError.Io || (e.Error == DatError.Corrupt && Disk.Unsound))
            {
                machine.Say("clear failed: " + e.Message);
            }
        }
    }

    private FetchPriority Priority() => (FetchPriority)Rng.Below(4);
}
