using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace DatFs.Discovery.Kademlia;

/// <summary>
/// The nodes by which a network is entered, named by host or address, "example.org:6881". Names are resolved all at once, each within a limit of
/// its own whatever the resolver does, and again when that is long ago or did not work. Safe for use by any thread.
/// </summary>
internal sealed class BootstrapHosts : IDisposable
{
    /// <summary>Hosts that are used.</summary>
    public const int MaxHosts = 32;

    /// <summary>Addresses of one host that are used.</summary>
    public const int MaxAddresses = 8;

    /// <summary>Time a resolution may take.</summary>
    public static readonly TimeSpan ResolveLimit = TimeSpan.FromSeconds(2);

    /// <summary>When a name is resolved again though that worked.</summary>
    public static readonly TimeSpan ResolveAgain = TimeSpan.FromMinutes(10);

    private readonly Host[] _hosts;
    private readonly TimeProvider _time;
    private readonly Func<string, CancellationToken, Task<IPAddress[]>> _resolver;
    private readonly Action<IReadOnlyList<Ipv4Peer>> _found;
    private readonly Action _settled;
    private readonly CancellationTokenSource _ending = new();
    private readonly Lock _gate = new();
    private int _pending;

    /// <summary>Takes the names; nothing is resolved before <see cref="Resolve"/>.</summary>
    /// <param name="hosts">"host:port"; without a port it is <paramref name="defaultPort"/>.</param>
    /// <param name="defaultPort">The network's usual port.</param>
    /// <param name="time">Where time comes from.</param>
    /// <param name="resolver">Finds a host's IPv4 addresses.</param>
    /// <param name="found">Told the addresses of a host that was resolved.</param>
    /// <param name="settled">Told when no resolution is under way any more.</param>
    public BootstrapHosts(IEnumerable<string> hosts, ushort defaultPort, TimeProvider time, Func<string, CancellationToken, Task<IPAddress[]>> resolver, Action<IReadOnlyList<Ipv4Peer>> found, Action settled)
    {
        (_time, _resolver, _found, _settled) = (time, resolver, found, settled);
        _hosts = [.. hosts.Take(MaxHosts).Select(host => new Host(host, defaultPort))];
    }

    /// <summary>True while a resolution is under way.</summary>
    public bool Pending
    {
        get
        {
            lock (_gate) return _pending > 0;
        }
    }

    /// <summary>Why no host has an address; null = one has, or there is none.</summary>
    public string? Problem
    {
        get
        {
            lock (_gate) return _hosts.All(host => host.Problem is not null) ? _hosts.FirstOrDefault()?.Problem : null;
        }
    }

    /// <summary>Resolves what is due. Returns at once, having told of hosts that are given by address.</summary>
    public void Resolve()
    {
        List<Host> due = [];
        lock (_gate)
        {
            foreach (Host host in _hosts)
            {
                if (host.Resolving || (host.ResolvedAt is { } at && _time.GetElapsedTime(at) < ResolveAgain)) continue;
                host.Resolving = true;
                due.Add(host);
                _pending++;
            }
        }

        foreach (Host host in due) _ = ResolveAsync(host);
    }

    /// <summary>All names are due again: the network changed.</summary>
    public void Forget()
    {
        lock (_gate)
        {
            foreach (Host host in _hosts) host.ResolvedAt = null;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _ending.Cancel();
        _ending.Dispose();
    }

    private async Task ResolveAsync(Host host)
    {
        IPAddress[] addresses = [];
        string? problem = null;
        try
        {
            // Not every resolver heeds the token.
            if (IPAddress.TryParse(host.Name, out IPAddress? given)) addresses = [given];
            else addresses = await _resolver(host.Name, _ending.Token).WaitAsync(ResolveLimit, _time, _ending.Token);
            addresses = [.. addresses.Where(one => one.AddressFamily == AddressFamily.InterNetwork).Distinct().Take(MaxAddresses)];
            if (addresses.Length == 0) problem = $"{host.Name} has no IPv4 address";
        }
        catch (TimeoutException)
        {
            problem = $"{host.Name} was not resolved within {ResolveLimit.TotalSeconds:0} s";
        }
        catch (Exception failure) when (failure is SocketException or OperationCanceledException or ObjectDisposedException or ArgumentException)
        {
            problem = $"{host.Name} was not resolved: {failure.Message}";
        }

        bool settled;
        lock (_gate)
        {
            host.Resolving = false;
            host.Problem = problem;
            if (problem is null) host.ResolvedAt = _time.GetTimestamp();
            settled = --_pending == 0;
        }

        if (addresses.Length > 0) _found([.. addresses.Select(one => new Ipv4Peer(Ipv4Peer.ToNumber(one), host.Port))]);
        if (settled) _settled();
    }

    private sealed class Host
    {
        public Host(string text, ushort defaultPort)
        {
            int colon = text.LastIndexOf(':');
            bool hasPort = ushort.TryParse(colon < 0 ? "" : text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) && port > 0;
            (Name, Port) = hasPort ? (text[..colon], port) : (text, defaultPort);
        }

        public string Name { get; }

        public ushort Port { get; }

        public bool Resolving { get; set; }

        public long? ResolvedAt { get; set; }

        public string? Problem { get; set; }
    }
}
