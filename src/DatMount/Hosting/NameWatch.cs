using DatFs;
using DatFs.Crypto;
using DatFs.Discovery.Names;
using DatFs.Drives;
using DatFs.Storage;
using Microsoft.Extensions.Logging;

namespace DatMount.Hosting;

/// <summary>
/// The host name by which a drive was named: looked up once when it is opened, and again whenever the answer has run out, only to tell when the
/// name stands for another drive. What is open stays what it is.
/// </summary>
internal sealed partial class NameWatch : IDisposable
{
    // An answer without a life would be asked for over and over.
    private static readonly TimeSpan s_shortest = TimeSpan.FromMinutes(1), s_longest = TimeSpan.FromDays(1);

    private readonly NameResolver _resolver;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _ending = new();
    private readonly ITimer? _again;
    private volatile string? _problem;

    private NameWatch(NameResolver resolver, ResolvedName found, TimeProvider time, ILogger log, bool offline)
    {
        (_resolver, Name, Key, _problem, _time, _log) = (resolver, found.Name, found.Key, found.Problem, time, log);
        if (!offline) _again = time.CreateTimer(_ => Task.Run(LookAgainAsync), null, Until(found), Timeout.InfiniteTimeSpan);
    }

    /// <summary>The name in its ASCII form.</summary>
    public string Name { get; }

    /// <summary>What it stood for when it was looked up.</summary>
    public FeedKey Key { get; }

    /// <summary>What is wrong with the name; null = nothing.</summary>
    public string? Problem => _problem;

    /// <summary>Looks a reference up that names a host; null for every other one.</summary>
    /// <exception cref="DatException">As <see cref="NameResolver.ResolveAsync"/>.</exception>
    public static async Task<NameWatch?> ResolveAsync(DriveReference reference, DriveSettings settings, TimeProvider time, ILogger log, CancellationToken ct)
    {
        string root = settings.StorageRoot ?? DriveStore.DefaultRoot();
        if (reference.Host is not { } host || DriveOpener.IsKept(reference, root)) return null;
        NameResolver resolver = new(new NameOptions
        {
            Providers = settings.Offline ? [] : Configuration.NameServers(settings.ConfigurationFile),
            State = new DiskFolder(root),
            Offline = settings.Offline,
            Time = time,
        });
        try
        {
            ResolvedName found = await resolver.ResolveAsync(host, ct);
            if (found.Problem is { } problem) OldAnswer(log, found.Name, Words(found.Age), problem);
            if (found.Before is { } before) Changed(log, found.Name, before.ToDiscoveryKey(), found.Key.ToDiscoveryKey());
            if (found.Ambiguous) Ambiguous(log, found.Name, found.Key.ToDiscoveryKey());
            return new NameWatch(resolver, found, time, log, settings.Offline);
        }
        catch
        {
            resolver.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _ending.Cancel();
        _again?.Dispose();
        _resolver.Dispose();
    }

    private TimeSpan Until(ResolvedName found)
    {
        TimeSpan left = found.Expires - _time.GetUtcNow();
        return left < s_shortest ? s_shortest : left > s_longest ? s_longest : left;
    }

    private async Task LookAgainAsync()
    {
        TimeSpan next = s_shortest;
        try
        {
            ResolvedName found = await _resolver.ResolveAsync(Name, _ending.Token);
            next = Until(found);
            string? problem = found.Key == Key ? found.Problem : $"stands for the drive {found.Key.ToDiscoveryKey()} by now; mount it again to follow";
            if (problem is not null && problem != _problem) Warn(_log, Name, problem);
            _problem = problem;
        }
        catch (DatException failure)
        {
            _problem = failure.Message;
        }
        catch (Exception over) when (over is OperationCanceledException or ObjectDisposedException)
        {
            return;
        }

        if (!_ending.IsCancellationRequested) _again?.Change(next, Timeout.InfiniteTimeSpan);
    }

    private static string Words(TimeSpan age) => age < TimeSpan.FromMinutes(2) ? $"{age.TotalSeconds:0} s" : age < TimeSpan.FromHours(2) ? $"{age.TotalMinutes:0} min" : age < TimeSpan.FromDays(2) ? $"{age.TotalHours:0} h" : $"{age.TotalDays:0} days";

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} is taken for what it stood for {Age} ago: {Problem}")]
    private static partial void OldAnswer(ILogger log, string name, string age, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} stood for the drive {Before} until now and stands for {Key}: ask its owner whether that is meant")]
    private static partial void Changed(ILogger log, string name, DiscoveryKey before, DiscoveryKey key);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} has records of several drives; the first, {Key}, is taken")]
    private static partial void Ambiguous(ILogger log, string name, DiscoveryKey key);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name}: {Problem}")]
    private static partial void Warn(ILogger log, string name, string problem);
}
