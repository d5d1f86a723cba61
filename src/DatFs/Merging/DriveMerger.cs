using System.Threading.Channels;
using DatFs.Drives;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DatFs.Merging;

/// <summary>How an open drive is merged: this machine's settings.</summary>
public sealed record MergerOptions
{
    /// <summary>Lines "GLOB STRATEGY"; they count before those of the archive.</summary>
    public string Rules { get; init; } = "";

    /// <summary>What "command:NAME" means.</summary>
    public IReadOnlyDictionary<string, IMergeStrategy> Commands { get; init; } = new Dictionary<string, IMergeStrategy>();

    /// <summary>Clean merges are written, and not only shown when asked for.</summary>
    public bool Autocommit { get; init; }

    /// <summary>Where what is ignored, and what looks wrong, is told.</summary>
    public ILogger Log { get; init; } = NullLogger.Instance;

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Spreads machines that would write the same merge.</summary>
    public Random Random { get; init; } = Random.Shared;
}

/// <summary>
/// Merges one open drive as this machine's settings and the archive's own <see cref="MergeRules.FileName"/> say (hyperdb-multiwriter.md §16): follows
/// that file, tells the drive what to show, and writes clean merges where that is wanted. One task does it all, poked by the drive. Any thread may call.
/// </summary>
public sealed class DriveMerger : IAsyncDisposable
{
    /// <summary>Paths that may wait to be looked at; with more, all conflicts are listed anew.</summary>
    public const int MaxPaths = 1024;

    private static readonly object s_nothing = new();

    private readonly IDrive _drive;
    private readonly MergerOptions _options;
    private readonly Autocommit _autocommit;
    private readonly Channel<bool> _poked = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _closing = new();
    private readonly SemaphoreSlim _reading = new(1);
    private readonly Lock _gate = new();
    private readonly HashSet<DrivePath> _changed = [];
    private readonly HashSet<DrivePath> _warned = [];
    private readonly List<TaskCompletionSource> _waiting = [];
    private readonly ITimer _again;
    private readonly IDisposable _changes;
    private readonly Task _following;
    private volatile MergeRules _rules;
    private bool _all = true;
    private object? _read = s_nothing;
    private TimeSpan? _wait;

    private DriveMerger(IDrive drive, MergerOptions options)
    {
        _drive = drive;
        _options = options;
        _rules = MergeRules.Read(options.Rules, [], options.Commands);
        _autocommit = new Autocommit(options.Time, options.Random);
        _again = options.Time.CreateTimer(static self => ((DriveMerger)self!).Poke(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _changes = drive.Observe(OnChange);
        Poke();
        _following = options.Time.Run(FollowAsync);
    }

    /// <summary>The rules as they are now.</summary>
    public MergeRules Rules => _rules;

    /// <summary>Begins to follow a drive, which must stay open until this is closed. On drives of one writer nothing happens.</summary>
    /// <exception cref="DatException">Invalid: the rules of this machine cannot be used.</exception>
    public static DriveMerger Start(IDrive drive, MergerOptions options) => new(drive, options);

    /// <summary>Completes when the archive's rules, as the live view has them, are in force; what cannot be had now comes later by itself.</summary>
    public async ValueTask RefreshAsync(CancellationToken ct)
    {
        await _reading.WaitAsync(ct);
        try
        {
            await ReadRulesAsync(ct);
        }
        catch (DatException failure)
        {
            MergingLog.Later(_options.Log, failure.Message);
        }
        finally
        {
            _reading.Release();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _changes.Dispose();
        await _options.Time.CancelAsync(_closing);
        await _following;
        await _again.DisposeAsync();
        _closing.Dispose();
        _reading.Dispose();
    }

    private async ValueTask ReadRulesAsync(CancellationToken ct)
    {
        if (_drive.Writers is not { } writers) return;
        IDriveView view = _drive.Live;
        DriveEntry? found = await view.FindAsync(DrivePath.Root.Child(MergeRules.FileName), ct);
        DriveEntry? file = found is { Kind: EntryKind.File } ? found : null;
        if (Equals(file?.Identity, _read)) return;
        _rules = MergeRules.Read(_options.Rules, file is null ? [] : await BytesAsync(view.OpenContent(file), ct), _options.Commands);
        _read = file?.Identity;
        foreach (string problem in _rules.Problems) MergingLog.Ignored(_options.Log, problem);
        if (!ReferenceEquals(_rules, MergeRules.None)) writers.Choice = _rules.AsChoice(writers.OwnKey);
        else if (writers.Choice is not null) writers.Choice = null;
    }

    private async ValueTask<byte[]> BytesAsync(IFileContent content, CancellationToken ct)
    {
        try
        {
            // One byte more than is taken tells that it is too large.
            return await WholeContent.ReadAsync(content, MergeRules.MaxFileSize, ct) ?? new byte[MergeRules.MaxFileSize + 1];
        }
        catch (DatException failure) when (failure.Error == DatError.Corrupt)
        {
            MergingLog.Ignored(_options.Log, failure.Message);
            return [];
        }
    }

    /// <summary>Completes when everything that was told so far has been looked at; for tests.</summary>
    internal async Task IdleAsync(CancellationToken ct)
    {
        TaskCompletionSource turned = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate) _waiting.Add(turned);
        Poke();
        await turned.Task.WaitAsync(ct);
    }

    private void Poke() => _poked.Writer.TryWrite(true);

    private void OnChange(DriveChange change)
    {
        // The choice that this makes announces itself.
        if (ReferenceEquals(change.Before, change.After) || change.Paths is { Count: 0 }) return;
        lock (_gate)
        {
            if (change.Disputed is null || _changed.Count + change.Disputed.Count > MaxPaths) _all |= change.Before.Version != change.After.Version;
            else _changed.UnionWith(change.Disputed);
        }

        Poke();
    }

    private async Task FollowAsync()
    {
        try
        {
            while (await _poked.Reader.ReadAsync(_closing.Token))
            {
                TaskCompletionSource[] waiting;
                lock (_gate)
                {
                    waiting = [.. _waiting];
                    _waiting.Clear();
                }

                await LookAsync(_closing.Token);
                foreach (TaskCompletionSource one in waiting) one.SetResult();
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
            // Closed.
            return;
        }
    }

    private async Task LookAsync(CancellationToken ct)
    {
        try
        {
            _wait = null;
            await RefreshAsync(ct);
            if (_drive.Writers is not { } writers) return;
            (bool all, DrivePath[] paths) = Take();
            if (all && _options.Autocommit)
            {
                await foreach (DriveConflict conflict in writers.ConflictsAsync(ct)) await LookAsync(writers, conflict.Path, ct);
            }
            else
            {
                foreach (DrivePath path in paths) await LookAsync(writers, path, ct);
            }
        }
        catch (DatException failure)
        {
            MergingLog.Later(_options.Log, failure.Message);
        }

        if (_wait is { } wait) _again.Change(wait, Timeout.InfiniteTimeSpan);
    }

    private (bool All, DrivePath[] Paths) Take()
    {
        lock (_gate)
        {
            (bool, DrivePath[]) taken = (_all, [.. _changed]);
            _all = false;
            _changed.Clear();
            return taken;
        }
    }

    private async Task LookAsync(IDriveWriters writers, DrivePath path, CancellationToken ct)
    {
        if (await DriveMerging.FindAsync(_drive.Live, path, ct) is not { } found)
        {
            _autocommit.Forget(path);
            return;
        }

        Warn(found);
        if (!_options.Autocommit || _rules.MergerFor(path) is not { } strategy) return;
        MergeOutcome outcome = await DriveMerging.ResolveAsync(found, strategy, ct);
        if (outcome.Failed) MergingLog.Failed(_options.Log, outcome.Why ?? strategy.Name);
        AutocommitVerdict verdict = _autocommit.Look(path, found.Sides, outcome, writers.OwnKey, writers.IsAuthorized);
        if (!verdict.MayCommit) return;
        if (verdict.Wait == TimeSpan.Zero && await DriveMerging.CommitAsync(found, outcome, ct))
        {
            _autocommit.Forget(path);
            return;
        }

        LookAgain(path, verdict.Wait);
    }

    // When it was said, or at once when others wrote meanwhile; whichever is due first, all that wait are looked at then.
    private void LookAgain(DrivePath path, TimeSpan wait)
    {
        lock (_gate)
        {
            if (_changed.Count < MaxPaths) _changed.Add(path);
            else _all = true;
        }

        if (_wait is null || wait < _wait) _wait = wait;
    }

    // A wrong clock can win for long; once for each path is enough.
    private void Warn(MergeCase found)
    {
        ConflictSet set = ConflictSet.Of(found.Path.Name, found.Sides, null, new ConflictSetOptions());
        if (set.HasWrongClock(_options.Time.GetUtcNow()) && _warned.Count < MaxPaths && _warned.Add(found.Path)) MergingLog.WrongClock(_options.Log, set.Winner!.Label);
    }
}
