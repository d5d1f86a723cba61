using DatFs.Evidence;

namespace DatMount.Faults;

/// <summary>A real Node peer that has the whole drive, and the line to it. It can be frozen, killed and started again at the same place.</summary>
internal sealed class NodeMember : IAsyncDisposable
{
    private static readonly TimeSpan s_oneWay = TimeSpan.FromMilliseconds(10);

    private readonly string _folder;
    private readonly int _port;
    private DrivePeer _peer;

    private NodeMember(string folder, DrivePeer peer, int port)
    {
        (_folder, _peer, _port) = (folder, peer, port);
        Line = Relay.To(port);
        Line.SetDelay(s_oneWay);
    }

    public Relay Line { get; }

    public string Address => $"127.0.0.1:{Line.Port}";

    public static async Task<NodeMember> StartAsync(string folder)
    {
        DrivePeer peer = await DrivePeer.StartAsync(DrivePeer.Versions[^1], new PeerDriveOptions { Folder = folder });
        return new NodeMember(folder, peer, await peer.ListenAsync());
    }

    public Task StrikeAsync(Fault fault)
    {
        switch (fault)
        {
            case Fault.Frozen:
                _peer.Node.Freeze();
                break;
            case Fault.Killed:
                return _peer.Node.KillAsync();
            case Fault.Cut:
                Line.Cut();
                break;
            case Fault.Silent:
                Line.Pause();
                break;
        }

        return Task.CompletedTask;
    }

    /// <summary>Undoes what <see cref="StrikeAsync"/> did. A line that was cut can be used again at once.</summary>
    public async Task RecoverAsync(Fault fault)
    {
        switch (fault)
        {
            case Fault.Frozen:
                _peer.Node.Resume();
                break;
            case Fault.Killed:
                await _peer.DisposeAsync();
                _peer = await DrivePeer.StartAsync(DrivePeer.Versions[^1], new PeerDriveOptions { Folder = _folder });
                await _peer.ListenAsync(port: _port);
                break;
            case Fault.Silent:
                Line.Resume();
                break;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _peer.DisposeAsync();
        await Line.DisposeAsync();
    }
}

/// <summary>What becomes of a peer.</summary>
public enum Fault
{
    /// <summary>SIGSTOP: its connections stay open, the kernel goes on taking what is sent to it.</summary>
    Frozen,

    /// <summary>SIGKILL.</summary>
    Killed,

    /// <summary>The connection is reset; it can be made again.</summary>
    Cut,

    /// <summary>Nothing passes the line any more, and nobody is told.</summary>
    Silent,
}
