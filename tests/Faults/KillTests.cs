using System.Diagnostics;
using System.Globalization;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;

namespace DatMount.Faults;

/// <summary>
/// "datmount" killed (SIGKILL) again and again, under load, in moments that a seed chooses: while it connects, while several readers fetch,
/// after its bits were flushed, while it ends. DATMOUNT_KILLS says how often, 20 otherwise; DATMOUNT_KILL_SEED which moments.
/// </summary>
public sealed class KillTests(KillStage stage, Figures figures) : IClassFixture<KillStage>, IDisposable
{
    private const int DefaultKills = 20;
    private const int Readers = 4;

    /// <summary>One round in so many lasts until something is flushed, which takes the program five seconds.</summary>
    private const int FlushEvery = 5;

    private readonly TempFolder _home = TempFolder.Create("kills");
    private readonly HashSet<long> _flushed = [];

    public void Dispose() => _home.Dispose();

    [Fact]
    public async Task Killed_over_and_over_under_load_it_opens_again_and_nothing_that_was_flushed_is_lost()
    {
        Wait.SkipWithoutFuse();
        int kills = Number("DATMOUNT_KILLS") ?? DefaultKills;
        int seed = Number("DATMOUNT_KILL_SEED") ?? Environment.TickCount;
        Console.WriteLine($"seed {seed}: again with DATMOUNT_KILL_SEED={seed}");
        Random random = new(seed);
        Stopwatch clock = Stopwatch.StartNew();
        long read = 0;
        int opened = 0, flushed = 0, drives = 1;
        for (int round = 0; round < kills; round++)
        {
            read += await KilledAsync(random, round % FlushEvery == FlushEvery - 1);
            if (await stage.CheckAsync(_home, _flushed, withNode: round % FlushEvery == FlushEvery - 1)) opened++;
            flushed = Math.Max(flushed, _flushed.Count);
            if (!stage.HasAll(_flushed) || round == kills - 1) continue;
            // Nothing is left to be lost: from the beginning.
            Directory.Delete(_home.File("data"), recursive: true);
            _flushed.Clear();
            drives++;
        }

        flushed.Should().BePositive("some rounds were long enough");
        opened.Should().BeGreaterThan(kills / 2);
        await EndsInOrderAsync();
        figures.Add("killed under load", string.Create(CultureInfo.InvariantCulture, $"{kills} times, seed {seed}"), clock.Elapsed,
            string.Create(CultureInfo.InvariantCulture, $"{read} files read meanwhile, {drives} times from nothing to all of {stage.Blocks} blocks, none lost that was flushed; Node opened it {kills / FlushEvery + 1} times"));
    }

    // One life of the program; answers how many files were read in it, each right.
    private async Task<long> KilledAsync(Random random, bool untilFlushed)
    {
        await using MountedProgram mounted = MountedProgram.Start(_home, stage.Key, [stage.Address], "30s");
        // A killed program's log goes with it: what it said is of use only when it does not come up.
        if (!untilFlushed && random.Next(4) == 0)
        {
            long start = stage.BytesSent, after = random.Next(60_000);
            Wait.Until(() => stage.BytesSent - start >= after || stage.HasAll(_flushed) || !mounted.IsAlive, "it fetches something");
            await mounted.KillAsync();
            return 0;
        }

        await mounted.MountedAsync();
        using CancellationTokenSource dying = new();
        long read = 0;
        int[] seeds = [.. Enumerable.Range(0, Readers).Select(_ => random.Next())];
        Task[] readers = [.. seeds.Select(seed => Task.Run(() => ReadOn(mounted.Folder, new Random(seed), () => Interlocked.Increment(ref read), dying.Token)))];
        int files = random.Next(1, 60);
        Wait.Until(() => Volatile.Read(ref read) >= files || readers.Any(reader => reader.IsFaulted), "the readers read");
        if (untilFlushed)
        {
            int before = _flushed.Count;
            Wait.Until(() => stage.Flushed(_home).Count > before || before == stage.Blocks || readers.Any(reader => reader.IsFaulted), "something is flushed");
        }
        else if (random.Next(4) == 0)
        {
            mounted.Terminate();
        }

        // What is on the disk now is flushed; what comes between this look and the kill is not counted.
        _flushed.UnionWith(stage.Flushed(_home));
        await dying.CancelAsync();
        await mounted.KillAsync();
        await Task.WhenAll(readers);
        return read;
    }

    private async Task EndsInOrderAsync()
    {
        await using (MountedProgram last = MountedProgram.Start(_home, stage.Key, [stage.Address], "30s"))
        {
            await last.MountedAsync();
            for (int file = 0; file < KillStage.Files; file++) Check(last.Folder, file);
            last.Terminate();
            (await last.ExitAsync()).Should().Be(0, last.Log);
        }

        stage.Flushed(_home).Should().HaveCount(stage.Blocks);
        _flushed.UnionWith(stage.Flushed(_home));
        (await stage.CheckAsync(_home, _flushed, withNode: true)).Should().BeTrue();
    }

    private static void ReadOn(string folder, Random random, Action done, CancellationToken dying)
    {
        while (!dying.IsCancellationRequested)
        {
            try
            {
                Check(folder, random.Next(KillStage.Files));
                done();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException && dying.IsCancellationRequested)
            {
                // The program was killed under this read.
            }
            catch (IOException) when (!File.Exists(KillStage.PathOf(folder, 0)))
            {
                // It was told to end, and has unmounted.
                return;
            }
        }
    }

    private static void Check(string folder, int file) =>
        File.ReadAllBytes(KillStage.PathOf(folder, file)).AsSpan().SequenceEqual(KillStage.Content(file)).Should().BeTrue("file {0} is the owner's", file);

    private static int? Number(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;
}
