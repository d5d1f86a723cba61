using DatFs.Replication;
using Microsoft.Extensions.Logging;

namespace DatMount.Hosting;

/// <summary>A drive that is served to peers and not mounted.</summary>
internal sealed class ShareActivity(string reference, DriveSettings settings, ILoggerFactory loggers) : IActivity
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private DriveSession? _session;

    public string Announcement => _session is { } session
        ? $"sharing dat://{session.Drive.Key.ToHex()} on {session.Listening ?? "dialled peers only"}"
        : "opening";

    public Task Completion => _ended.Task;

    public DriveSession? Session => _session;

    public async Task StartAsync(CancellationToken ct) => _session = await DriveSession.OpenAsync(reference, "shared", settings, TimeProvider.System, loggers, ct);

    public Task<UnmountReply> StopAsync(bool lazy, CancellationToken ct)
    {
        _ended.TrySetResult();
        return Task.FromResult(new UnmountReply(true, "no longer shared"));
    }

    public bool AddPeer(PeerAddress address)
    {
        _session?.Peers.Add(address);
        return _session is not null;
    }

    public DriveReport Report() => _session is { } session
        ? session.Report("shared on", null, ready: true, 0)
        : new DriveReport(Environment.ProcessId, "opening", null, "", "", false, false, 0, 0, 0, 0, 0, 0, null, [], [], 0, 0, 0);

    public async ValueTask DisposeAsync()
    {
        if (_session is not null) await _session.DisposeAsync();
    }
}
