using System.Collections.Concurrent;
using System.Net.Sockets;
using DatFs.Evidence;
using DatFs.Replication;
using DatFs.Wire;

namespace DatFs.Unit;

/// <summary>Addresses at which peers of a test answer; every other one refuses, or swallows what is sent to it.</summary>
internal sealed class MemoryInternet
{
    private readonly ConcurrentDictionary<PeerAddress, Func<ITransport, Task>> _hosts = new();
    private readonly ConcurrentQueue<PeerAddress> _dialled = new();
    private int _swallowed;

    /// <summary>Every address dialled, in order.</summary>
    public IReadOnlyCollection<PeerAddress> Dialled => _dialled;

    /// <summary>Addresses that nobody answers at, not even to refuse.</summary>
    public Func<PeerAddress, bool> Swallows { get; set; } = _ => false;

    /// <summary>Dials that wait for an answer which never comes.</summary>
    public int Swallowed => Volatile.Read(ref _swallowed);

    public int DialsOf(string address) => _dialled.Count(a => a.ToString() == address);

    public void Host(string address, Func<ITransport, Task> serve) => _hosts[Parse(address)] = serve;

    public void Host(string address, ReplicaNode node) => Host(address, node.RunAsync);

    public void Down(string address) => _hosts.TryRemove(Parse(address), out _);

    /// <summary>How one machine on it dials.</summary>
    public Func<PeerAddress, CancellationToken, ValueTask<ITransport>> From(string own) => (address, ct) => DialAsync(own, address, ct);

    private async ValueTask<ITransport> DialAsync(string own, PeerAddress address, CancellationToken ct)
    {
        _dialled.Enqueue(address);
        if (Swallows(address))
        {
            Interlocked.Increment(ref _swallowed);
            try
            {
                await Task.Delay(Timeout.Infinite, ct);
            }
            finally
            {
                Interlocked.Decrement(ref _swallowed);
            }
        }

        if (!_hosts.TryGetValue(address, out Func<ITransport, Task>? serve)) throw new SocketException((int)SocketError.ConnectionRefused);
        (MemoryTransport here, MemoryTransport there) = MemoryTransport.CreatePair(own, address.ToString());
        _ = serve(there);
        return here;
    }

    private static PeerAddress Parse(string address) => PeerAddress.TryParse(address, out PeerAddress parsed) ? parsed : throw new FormatException(address);
}
