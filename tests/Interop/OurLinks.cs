using System.Collections.Concurrent;
using System.Net;
using DatFs.Evidence;
using DatFs.Replication;
using DatFs.Wire;

namespace DatFs.Interop;

/// <summary>Connections over loopback for one of our replicators, in either direction.</summary>
internal sealed class OurLinks(Replicator replicator) : IAsyncDisposable
{
    private readonly CancellationTokenSource _end = new();
    private readonly ConcurrentBag<Task> _running = [];
    private TcpAcceptor? _acceptor;

    /// <summary>Accepts connections; answers the port.</summary>
    public int Listen()
    {
        _acceptor = TcpAcceptor.Listen(new IPEndPoint(IPAddress.Loopback, 0), new StrangerLimits());
        _running.Add(Task.Run(AcceptAsync));
        return _acceptor.LocalEndPoint.Port;
    }

    /// <summary>Connects, and completes when the peer has shown that it has the key.</summary>
    public async Task ConnectAsync(int port)
    {
        TcpTransport transport = await TcpTransport.ConnectAsync("127.0.0.1", port, _end.Token);
        _running.Add(replicator.RunAsync(transport, _end.Token));
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        await replicator.WaitForPeerAsync(patience.Token);
    }

    /// <summary>Completes when the end of every connection was noticed here: a second one to the same peer would be a duplicate until then.</summary>
    public async Task AloneAsync()
    {
        using CancellationTokenSource patience = new(NodePeer.DefaultPatience);
        using SemaphoreSlim changed = new(1);
        void Heard(Replicator which) => changed.Release();
        replicator.PeersChanged += Heard;
        try
        {
            do await changed.WaitAsync(patience.Token);
            while (replicator.Peers.Count > 0);
        }
        finally
        {
            replicator.PeersChanged -= Heard;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _acceptor?.Dispose();
        await Task.WhenAll(_running);
        _end.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            ITransport transport;
            try
            {
                transport = await _acceptor!.AcceptAsync(_end.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }

            _running.Add(replicator.RunAsync(transport, _end.Token));
        }
    }
}
