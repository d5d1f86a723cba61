using System.Net;
using System.Net.Sockets;
using DatFs.Wire;
using Microsoft.Extensions.Logging;

namespace DatFs.Replication;

/// <summary>Listens for peers on a TCP port and hands each connection to whoever serves: a <see cref="Replicator"/>, or a <see cref="ReplicatorHost"/> for several drives.</summary>
public sealed class PeerListener : IAsyncDisposable
{
    // When the machine has no room for connections it will not have any a microsecond later.
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(1);

    private readonly TcpAcceptor _acceptor;
    private readonly StrangerLimits _strangers;
    private readonly Func<ITransport, CancellationToken, Task> _serve;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private readonly HashSet<Task> _serving = [];
    private readonly Task _accepting;

    private PeerListener(TcpAcceptor acceptor, StrangerLimits strangers, Func<ITransport, CancellationToken, Task> serve, TimeProvider time, ILogger log)
    {
        _acceptor = acceptor;
        _strangers = strangers;
        _serve = serve;
        _time = time;
        _log = log;
        ReplicationLog.Listening(log, acceptor.LocalEndPoint.ToString());
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Where it listens; the port is a real one even when 0 was asked for.</summary>
    public IPEndPoint LocalEndPoint => _acceptor.LocalEndPoint;

    /// <summary>The bounds on those who have not shown yet that they have the key (wire-protocol.md §9.1).</summary>
    public IReadOnlyList<BudgetLine> Limits
    {
        get
        {
            (int now, int peak, int fromOne, long refused) = _strangers.Use;
            return
            [
                new BudgetLine("strangers", "all", "count", StrangerLimits.MaxTotal, now, peak, refused),
                new BudgetLine("strangers-per-address", "all", "count", StrangerLimits.MaxPerAddress, fromOne, fromOne, 0),
            ];
        }
    }

    /// <summary>Starts to listen. <see cref="IPAddress.IPv6Any"/> listens for both families, port 0 on any free port.</summary>
    /// <exception cref="DatException">Io: the port cannot be had.</exception>
    public static PeerListener Start(IPEndPoint local, Func<ITransport, CancellationToken, Task> serve, TimeProvider time, ILogger log)
    {
        StrangerLimits strangers = new();
        return new PeerListener(TcpAcceptor.Listen(local, strangers), strangers, serve, time, log);
    }

    /// <summary>Stops listening and ends the connections it accepted.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        _acceptor.Dispose();
        await _accepting;
        Task[] serving;
        lock (_gate) serving = [.. _serving];
        await Task.WhenAll(serving);
        _stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                ITransport transport = await _acceptor.AcceptAsync(_stopping.Token);
                Track(ServeAsync(transport));
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)
            {
                ReplicationLog.AcceptFailed(_log, e);
                await Task.Delay(s_rest, _time, _stopping.Token).ContinueWith(static _ => { }, TaskScheduler.Default);
            }
        }
    }

    private void Track(Task serving)
    {
        lock (_gate) _serving.Add(serving);
        _ = serving.ContinueWith(
            task =>
            {
                lock (_gate) _serving.Remove(task);
            },
            TaskScheduler.Default);
    }

    private async Task ServeAsync(ITransport transport)
    {
        try
        {
            await _serve(transport, _stopping.Token);
        }
        catch (Exception e) when (e is DatException or ObjectDisposedException or OperationCanceledException or IOException)
        {
            // The drive it was for is being closed.
            ReplicationLog.AcceptFailed(_log, e);
            await transport.DisposeAsync();
        }
    }
}
