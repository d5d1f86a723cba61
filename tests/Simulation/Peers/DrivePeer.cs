using System.Buffers;
using DatFs;
using DatFs.Drives;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;
using DatFs.Storage;

namespace DatMount.Simulation;

/// <summary>A peer that has a drive from others, through the library's door for drives: a copy of all of it, or a reader.</summary>
internal sealed class DrivePeer(Scenario scenario, string name, Rng rng, DriveTruth truth, PeerRole role) : Peer(scenario, name, rng, role)
{
    private const int MostReads = 10;

    private static readonly TimeSpan s_longestWait = TimeSpan.FromMinutes(20);

    private CountingPool? _pool;
    private HyperdriveDrive? _drive;
    private Feed? _metadata;
    private IDisposable? _download;
    private long _lastVersion;

    public override string? Missing()
    {
        if (!Running || _drive is not { } drive) return "it is off";
        World.Check(_metadata is not { IsForked: true } && drive.Content is not { IsForked: true }, $"{Name} took somebody's lie for a second history of the owner");
        if (drive.Failure is { } failure) return failure.Message;
        if (drive.Live.Version != truth.Version) return $"it is at version {drive.Live.Version} of {truth.Version}";
        if (Role != PeerRole.Copy) return null;
        if (drive.Content is not { } content) return "it does not know the content";
        if (_metadata!.FirstMissing(0, _metadata.Length) is var node && node < _metadata.Length) return $"metadata block {node} of {_metadata.Length} is missing";
        long ended = truth.Newest.Count == 0 ? 0 : content.Length;
        return content.FirstMissing(0, ended) is var block && block < ended ? $"content block {block} of {ended} is missing" : null;
    }

    public override Task ReadAllAsync() => Machine!.RunAsync(async () =>
    {
        try
        {
            IDriveView view = await _drive!.ReadyAsync(CancellationToken.None);
            World.Check(view.Version == truth.Version, $"{Name} is ready with version {view.Version} of {truth.Version}");
            foreach (string directory in truth.Newest.Keys.Select(path => path[..path.LastIndexOf('/')]).Append("").Distinct()) await CheckListAsync(view, directory, CancellationToken.None);
            List<string> paths = [.. truth.Newest.Keys];
            Rng.Shuffle(paths);
            foreach (string path in paths.Take(Role == PeerRole.Copy ? paths.Count : MostReads)) await CheckFileAsync(view, path, whole: true, CancellationToken.None);
        }
        catch (DatException e)
        {
            World.Fail($"{Name} could not read although all is well: {e.Error} {e.Message}");
        }
    });

    // As the opener of drives does it: nothing is stored before the first block has told what it is.
    protected override Task OpenAsync(Machine machine)
    {
        _pool = new CountingPool(World);
        _download = null;
        FeedOptions options = new() { Key = truth.Key, VerifyReads = Scenario.DisksRot, Memory = _pool, Time = machine.Clock };
        FeedFiles place = new(Disk.Root.Folder("metadata"));
        bool stored = DriveFolder.LayoutOf(Disk.Root) == DriveLayout.Hyperdrive;
        try
        {
            Feed metadata = _metadata = Feed.Open(stored ? place : new FeedFiles(new MemoryFolder()), options);
            HyperdriveParts parts = new(
                key => Feed.Open(new FeedFiles(Disk.Root.Folder("content")), options with { Key = key }),
                stored ? null : async ct =>
                {
                    if (!place.HasKey) await metadata.RehomeAsync(place, ct);
                });
            _drive = new HyperdriveDrive(metadata, parts, Replicator, machine.Clock, new TraceLogger(machine));
        }
        catch (DatException)
        {
            World.Check(!machine.Alive || Disk.OpenFiles == 0, $"{Name} could not open its drive, and left {Disk.OpenFiles} open files");
            throw;
        }

        _lastVersion = _drive.Live.Version;
        machine.Say($"opened at version {_lastVersion}{(stored ? "" : ", in memory")}");
        truth.At(Name, _lastVersion);
        _drive.Observe(Changed);
        return Task.CompletedTask;
    }

    protected override async Task CloseAsync()
    {
        Machine machine = Machine!;
        _download?.Dispose();
        try
        {
            await _drive!.DisposeAsync();
        }
        catch (DatException e) when (e.Error == DatError.Io)
        {
            machine.Say("could not close: " + e.Message);
        }

        World.Check(_pool!.Leased == 0, $"{Name} left {_pool.Leased} leases");
        (_drive, _metadata, _download) = (null, null, null);
    }

    protected override void BeginActivities()
    {
        if (Role == PeerRole.Copy) Do(CopyAsync);
        Do(BrowseAsync);
        if (Rng.Chance(0.3)) Do(BrowseAsync);
    }

    protected override Task<bool> NeedsRestartAsync() =>
        _drive is { Failure: not null } ? Task.FromResult(true) : CannotFlushAsync(() => [.. new[] { _metadata, _drive?.Content }.OfType<Feed>()]);

    private void Changed(DriveChange change)
    {
        (long before, long after) = (change.Before.Version, change.After.Version);
        World.Check(before == _lastVersion && after > before, $"{Name} went from version {before} to {after} after it was told of {_lastVersion}");
        _lastVersion = after;
        Machine?.Say($"is at version {after}");
        FileTree old = truth.At(Name, before), tree = truth.At(Name, after);
        if (change.Paths is not { } paths) return;
        HashSet<string> told = [.. paths.Select(path => path.Text)];
        foreach (string path in old.Keys.Union(tree.Keys))
        {
            bool same = old.TryGetValue(path, out byte[]? one) && tree.TryGetValue(path, out byte[]? other) && one == other;
            World.Check(same || told.Contains(path), $"{Name} was not told that {path} changed from version {before} to {after}");
        }
    }

    private async Task CopyAsync(Machine machine)
    {
        while (Active && _download is null)
        {
            try
            {
                Feed content = await _drive!.ContentAsync(CancellationToken.None);
                _download = content.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
            }
            catch (DatException e)
            {
                machine.Say("knows no content yet: " + e.Message);
                await Task.Delay(TimeSpan.FromSeconds(1), machine.Clock);
            }
        }
    }

    private async Task BrowseAsync(Machine machine)
    {
        while (Active)
        {
            await Task.Delay(Rng.Span(1, 5000), machine.Clock);
            if (!Active) return;
            bool bounded = Rng.Chance(0.7);
            TimeSpan deadline = Rng.Span(50, 30_000);
            using CancellationTokenSource stop = bounded ? new CancellationTokenSource(deadline, machine.Clock) : new CancellationTokenSource();
            long started = World.Now - machine.Paused;
            string what = "", end = "ok";
            try
            {
                await BrowseOnceAsync(told => what = told, stop.Token);
            }
            catch (DatException e) when (e.Error is DatError.Offline or DatError.TimedOut || MayFail(e))
            {
                end = $"{e.Error} {e.Message}";
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
        IDriveView view = _drive!.Live;
        switch (Rng.Below(6))
        {
            case 0:
                say("ready");
                view = await _drive.ReadyAsync(ct);
                break;
            case 1:
                long version = Rng.Between(0, view.Version);
                say($"checkout {version}");
                view = await _drive.CheckoutAsync(version, ct);
                World.Check(view.Version == version, $"{Name} asked for version {version} and got {view.Version}");
                break;
        }

        FileTree tree = truth.At(Name, view.Version);
        string[] paths = [.. tree.Keys];
        if (paths.Length == 0 || Rng.Chance(0.3))
        {
            string directory = paths.Length == 0 || Rng.Chance(0.5) ? "" : Rng.Pick(paths) is var path ? path[..path.LastIndexOf('/')] : "";
            say($"list of '{directory}' at {view.Version}");
            await CheckListAsync(view, directory, ct);
            return;
        }

        string file = Rng.Chance(0.1) ? "/d/nothing" : Rng.Pick(paths);
        say($"{file} at {view.Version}");
        await CheckFileAsync(view, file, Rng.Chance(0.3), ct);
    }

    private async Task CheckListAsync(IDriveView view, string directory, CancellationToken ct)
    {
        SortedSet<string> expected = truth.At(Name, view.Version).NamesIn(directory);
        IReadOnlyList<DriveEntry>? entries = await view.ListAsync(DrivePath.From(directory), ct);
        World.Check(IsRight(entries is not null && expected.SetEquals(entries.Select(entry => entry.Path.Name))), $"{Name} lists '{directory}' at version {view.Version} as {string.Join(' ', entries?.Select(entry => entry.Path.Name) ?? [])} instead of {string.Join(' ', expected)}");
    }

    private async Task CheckFileAsync(IDriveView view, string path, bool whole, CancellationToken ct)
    {
        byte[]? expected = truth.At(Name, view.Version).GetValueOrDefault(path);
        DriveEntry? entry = await view.FindAsync(DrivePath.From(path), ct);
        World.Check(IsRight(entry?.Size == expected?.Length), $"{Name} finds {path} at version {view.Version} with {entry?.Size} bytes instead of {expected?.Length}");
        if (entry is null || expected is null || entry.Size != expected.Length) return;
        IFileContent content = view.OpenContent(entry);
        if (Rng.Chance(0.2)) content.Prefetch(Rng.Below(expected.Length + 1), Rng.Below(200_000), FetchPriority.ReadAhead);
        int offset = whole ? 0 : Rng.Below(expected.Length + 1), length = whole ? expected.Length : Rng.Below(expected.Length - offset + 100);
        using ContentLease lease = await content.ReadAsync(offset, length, FetchPriority.Interactive, ct);
        int right = Math.Min(length, expected.Length - offset);
        World.Check(IsRight(lease.Data.ToArray().AsSpan().SequenceEqual(expected.AsSpan(offset, right))), $"{Name} reads wrong bytes in {path} at version {view.Version} from {offset}, {lease.Data.Length} of {right}");
    }

    // Nothing checks stored nodes for rot when they are read again.
    private bool IsRight(bool right) => right || Disk.Unsound;

    private bool MayFail(DatException e) => (e.Error == DatError.Io && Scenario.DisksFail) || (Disk.Unsound && e.Error is DatError.Corrupt or DatError.Unsupported or DatError.KeyMismatch);
}
