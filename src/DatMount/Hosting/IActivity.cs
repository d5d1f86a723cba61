using DatFs.Replication;

namespace DatMount.Hosting;

/// <summary>What one process is for: a drive that is mounted, or one that is only shared. Owned by <see cref="ActivityHost"/>.</summary>
internal interface IActivity : IAsyncDisposable
{
    /// <summary>Completes when the activity is up: mounted and answering, or listening.</summary>
    Task StartAsync(CancellationToken ct);

    /// <summary>One line for a log when it is up.</summary>
    string Announcement { get; }

    /// <summary>Completes when it ended by itself, such as after an unmount by someone else.</summary>
    Task Completion { get; }

    /// <summary>Ends it in order. With <paramref name="lazy"/> what is still in use is detached instead of waited for.</summary>
    Task<UnmountReply> StopAsync(bool lazy, CancellationToken ct);

    /// <summary>The drive, once it is open.</summary>
    DriveSession? Session { get; }

    /// <summary>Connects to one more address and stays connected. False = there is no drive yet.</summary>
    bool AddPeer(PeerAddress address);

    /// <summary>The facts of the moment; callable at any time from any thread.</summary>
    DriveReport Report();
}
