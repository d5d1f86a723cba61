using DatFs;
using DatFs.Drives.Hyperdrive;
using DatFs.Feeds;

namespace DatMount.Simulation;

/// <summary>The owner of a drive: writes files, replaces them, removes them.</summary>
internal sealed class DriveOwner(Scenario scenario, string name, Rng rng, DriveTruth truth) : Peer(scenario, name, rng, PeerRole.Owner)
{
    private const int LargestFile = 200_000;

    private static readonly string[] s_directories = ["", "/d", "/d/e", "/f"];
    private static readonly string[] s_names = ["a", "b", "c", "ä", "long name with blanks.txt", "z"];

    private HyperdriveWriter? _writer;

    public override string? Missing() =>
        !Running || _writer is null ? "it is off" : truth.Version < Scenario.Goal ? $"it has made {truth.Version} of {Scenario.Goal} versions" : null;

    // What it wrote it has: there is nobody to get it from.
    public override Task ReadAllAsync() => Task.CompletedTask;

    protected override async Task OpenAsync(Machine machine)
    {
        try
        {
            _writer = await HyperdriveWriter.CreateAsync(Disk.Root, machine.Clock, truth.Secret(), CancellationToken.None);
        }
        catch (DatException)
        {
            World.Check(!machine.Alive || Disk.OpenFiles == 0, $"{Name} could not open its drive, and left {Disk.OpenFiles} open files");
            throw;
        }

        machine.Say($"opened at version {_writer.Version}");
        truth.Reconcile(_writer.Version);
        foreach (Feed feed in _writer.Feeds) Replicator.Join(feed);
    }

    protected override async Task CloseAsync()
    {
        Machine machine = Machine!;
        try
        {
            await _writer!.DisposeAsync();
        }
        catch (DatException e) when (e.Error == DatError.Io)
        {
            machine.Say("could not close: " + e.Message);
        }

        _writer = null;
    }

    protected override void BeginActivities() => Do(ChangeAsync);

    protected override Task<bool> NeedsRestartAsync() => CannotFlushAsync(() => _writer?.Feeds ?? []);

    private async Task ChangeAsync(Machine machine)
    {
        while (Active && truth.Version < Scenario.Goal)
        {
            await Task.Delay(Rng.Span(1, Scenario.ChangeEveryMs), machine.Clock);
            if (!Active) return;
            try
            {
                long version = await ChangeOnceAsync();
                truth.Acknowledge(version);
                machine.Say($"made version {version}");
            }
            catch (DatException e) when (e.Error == DatError.Io)
            {
                machine.Say("change failed: " + e.Message);

                // What failed may count all the same: that is known when the drive was opened again.
                if (await CannotFlushAsync(() => _writer?.Feeds ?? [])) return;
                truth.Withdraw();
                World.Check(_writer!.Version == truth.Version, $"a change failed, and the drive is at version {_writer.Version} instead of {truth.Version}");
            }
        }
    }

    private async Task<long> ChangeOnceAsync()
    {
        FileTree tree = new(truth.Newest);
        if (tree.Count > 0 && Rng.Chance(0.2))
        {
            string gone = Rng.Pick([.. tree.Keys]);
            tree.Remove(gone);
            truth.Attempt(tree);
            World.Check(await _writer!.DeleteAsync(gone, CancellationToken.None), $"the owner's own file {gone} was not found");
            return _writer.Version;
        }

        string path = $"{Rng.Pick(s_directories)}/{Rng.Pick(s_names)}";
        byte[] bytes = Rng.Bytes(Rng.Chance(0.1) ? Rng.Below(LargestFile) : Rng.Chance(0.05) ? 0 : (int)Rng.Scaled(1, 5000));
        tree[path] = bytes;
        truth.Attempt(tree);
        return await _writer!.PutFileAsync(path, bytes, CancellationToken.None);
    }
}
