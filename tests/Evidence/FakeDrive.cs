using DatFs.Crypto;
using DatFs.Drives;

namespace DatFs.Evidence;

/// <summary>A question that reached a <see cref="FakeDrive"/>.</summary>
public enum FakeAsk
{
    Ready,
    Checkout,
    VersionAt,
    Find,
    List,
    Read,
}

/// <summary>One question: what, where, at which version. Offset and length are those of a read.</summary>
public readonly record struct FakeCall(FakeAsk Ask, DrivePath Path, long Version, long Offset = 0, int Length = 0);

/// <summary>What lies at a path of a <see cref="FakeDrive"/>.</summary>
public sealed record FakeEntry
{
    public EntryKind Kind { get; init; }
    public byte[] Content { get; init; } = [];
    public uint Mode { get; init; } = 0x1A4;
    public long MtimeMs { get; init; } = 1_516_000_000_000;
    public string Target { get; init; } = "";
    public string? Writer { get; init; }

    /// <summary>Claimed size where it lies; null = the content's.</summary>
    public long? ClaimedSize { get; init; }

    public static FakeEntry File(string text) => new() { Content = System.Text.Encoding.UTF8.GetBytes(text) };

    public static FakeEntry File(byte[] content) => new() { Content = content };

    public static FakeEntry Directory() => new() { Kind = EntryKind.Directory, Mode = 0x1ED };

    public static FakeEntry Link(string target) => new() { Kind = EntryKind.Symlink, Target = target, Mode = 0x1FF };
}

/// <summary>
/// A drive in memory: versions are published on demand, and each question can be made to wait or fail through <see cref="Delay"/>.
/// Version 0 is empty. Directories above files are implicit, as on real drives.
/// </summary>
public sealed class FakeDrive : IDrive
{
    private readonly Lock _gate = new();
    private readonly List<FakeView> _versions = [];
    private readonly TaskCompletionSource _returned = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Action<DriveChange>[] _observers = [];
    private int _openLeases;

    public FakeDrive(bool writable = false)
    {
        Writable = writable;
        _versions.Add(new FakeView(this, 0, [], DateTimeOffset.UnixEpoch));
    }

    public FeedKey Key { get; } = FeedKey.From(Enumerable.Range(0, FeedKey.Size).Select(i => (byte)(i * 7)).ToArray());

    public string Format => "fake";

    public bool Writable { get; }

    /// <summary>Called at each question; a task is waited for (cancellable) before the answer, null = answered at once.</summary>
    public Func<FakeCall, Task?>? Delay { get; set; }

    /// <summary>Ranges that were asked for ahead.</summary>
    public List<(DrivePath Path, long Offset, long Length)> Prefetched { get; } = [];

    /// <summary>Bytes of files held here; null = all.</summary>
    public Func<DrivePath, long>? Local { get; set; }

    /// <summary>Waits go on although their caller gave up.</summary>
    public bool IgnoreCallers { get; set; }

    /// <summary>Completes when a first lease was given back.</summary>
    public Task LeaseReturned => _returned.Task;

    /// <summary>Leases handed out and not given back.</summary>
    public int OpenLeases => _openLeases;

    public int Observers => _observers.Length;

    public IDriveView Live
    {
        get
        {
            lock (_gate) return _versions[^1];
        }
    }

    public DriveStatus Status
    {
        get
        {
            lock (_gate)
            {
                long bytes = _versions.Sum(view => view.NewBytes);
                return new DriveStatus(_versions.Count - 1, _versions.Count, _versions.Count, _versions.Count, _versions.Count, bytes);
            }
        }
    }

    /// <summary>Texts that name versions.</summary>
    public Dictionary<string, long> VersionTexts { get; } = [];

    public ValueTask<long?> VersionOfAsync(string text, CancellationToken ct) => ValueTask.FromResult<long?>(VersionTexts.TryGetValue(text, out long version) ? version : null);

    public IAsyncEnumerable<DriveLogEntry> LogAsync(DrivePath? path, CancellationToken ct) => throw new NotSupportedException("no test reads a fake drive's history");

    /// <summary>Publishes the next version: entries put at their paths, null = deleted. Tells the changed paths.</summary>
    public IDriveView Publish(params (string Path, FakeEntry? Entry)[] changes) => Publish(null, tellPaths: true, changes);

    /// <summary>Publishes the next version, made at <paramref name="time"/>; without <paramref name="tellPaths"/> observers only hear that something changed.</summary>
    public IDriveView Publish(DateTimeOffset? time, bool tellPaths, params (string Path, FakeEntry? Entry)[] changes) =>
        Publish(time, tellPaths ? [.. changes.Select(change => DrivePath.From(change.Path))] : null, changes);

    /// <summary>Publishes the next version and tells these paths, whatever really changed.</summary>
    public IDriveView Publish(DateTimeOffset? time, IReadOnlyList<DrivePath>? told, params (string Path, FakeEntry? Entry)[] changes)
    {
        FakeView before;
        FakeView after;
        lock (_gate)
        {
            before = _versions[^1];
            after = before.With(_versions.Count, changes, time ?? before.Time.AddHours(1));
            _versions.Add(after);
        }

        foreach (Action<DriveChange> observer in _observers) observer(new DriveChange(before, after, told));
        return after;
    }

    public async ValueTask<IDriveView> ReadyAsync(CancellationToken ct)
    {
        if (AskedAsync(new FakeCall(FakeAsk.Ready, DrivePath.Root, Live.Version), ct) is { } wait) await wait;
        return Live;
    }

    public async ValueTask<IDriveView> CheckoutAsync(long version, CancellationToken ct)
    {
        if (AskedAsync(new FakeCall(FakeAsk.Checkout, DrivePath.Root, version), ct) is { } wait) await wait;
        lock (_gate)
        {
            if (version < 0 || version >= _versions.Count) throw new DatException(DatError.NotFound, $"there is no version {version}");
            return _versions[(int)version];
        }
    }

    public async ValueTask<long> VersionAtAsync(DateTimeOffset time, CancellationToken ct)
    {
        if (AskedAsync(new FakeCall(FakeAsk.VersionAt, DrivePath.Root, 0), ct) is { } wait) await wait;
        lock (_gate) return Math.Max(0, _versions.FindLastIndex(view => view.Time <= time));
    }

    public IDisposable Observe(Action<DriveChange> observer)
    {
        _observers = [.. _observers, observer];
        return new Observation(this, observer);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    internal Task? AskedAsync(in FakeCall call, CancellationToken ct) => Delay?.Invoke(call)?.WaitAsync(IgnoreCallers ? default : ct);

    internal void LeaseTaken() => Interlocked.Increment(ref _openLeases);

    internal void LeaseGivenBack()
    {
        Interlocked.Decrement(ref _openLeases);
        _returned.TrySetResult();
    }

    private sealed class Observation(FakeDrive drive, Action<DriveChange> observer) : IDisposable
    {
        public void Dispose() => drive._observers = [.. drive._observers.Where(known => known != observer)];
    }
}
