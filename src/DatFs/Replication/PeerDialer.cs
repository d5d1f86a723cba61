using System.Net.Sockets;
using DatFs.Wire;

namespace DatFs.Replication;

/// <summary>How one dialled address fares.</summary>
/// <param name="Address">As it was given.</param>
/// <param name="Connected">A connection is open now.</param>
/// <param name="Attempts">Dials so far.</param>
/// <param name="LastError">Why there is no connection; null while there is one, or before the first attempt ended.</param>
/// <param name="Rest">The pause that it is in before the next dial; null while it dials or is connected.</param>
public sealed record DialStatus(PeerAddress Address, bool Connected, int Attempts, string? LastError, TimeSpan? Rest);

/// <summary>
/// Keeps one connection to each address it was given: dials, waits exponentially longer after each failure (with jitter, so that many
/// peers of one that restarts do not come back at once), and dials again when a connection ends. Names are resolved at every dial.
/// </summary>
public sealed class PeerDialer : IAsyncDisposable
{
    /// <summary>Wait after the first failure.</summary>
    public static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(500);
    /// <summary>Longest wait.</summary>
    public static readonly TimeSpan MaxDelay = TimeSpan.FromSeconds(30);
    /// <summary>Addresses kept at a time.</summary>
    public const int MaxAddresses = 1024;

    private const double Jitter = 0.25;

    private readonly Replicator _replicator;
    private readonly Func<PeerAddress, CancellationToken, ValueTask<ITransport>> _dial;
    private readonly Func<double> _random;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private readonly List<Line> _lines = [];

    /// <summary>Creates a dialer without addresses.</summary>
    /// <param name="replicator">Runs the connections.</param>
    /// <param name="dial">Opens a transport; throws <see cref="DatException"/>, <see cref="SocketException"/> or <see cref="IOException"/> when it cannot. Null = TCP.</param>
    /// <param name="random">Values in [0, 1) for the jitter; null = the system's.</param>
    public PeerDialer(Replicator replicator, Func<PeerAddress, CancellationToken, ValueTask<ITransport>>? dial = null, Func<double>? random = null)
    {
        _replicator = replicator;
        _dial = dial ?? (async (address, ct) => await TcpTransport.ConnectAsync(address.Host, address.Port, replicator.Time, ct));
        _random = random ?? Random.Shared.NextDouble;
        replicator.ExplainOffline = Explain;
    }

    /// <summary>All addresses.</summary>
    public IReadOnlyList<DialStatus> Status
    {
        get
        {
            lock (_gate) return [.. _lines.Select(l => new DialStatus(l.Address, l.Connected, l.Attempts, l.LastError, l.Rest))];
        }
    }

    /// <summary>Keeps a connection to an address from now on; the same address again changes nothing.</summary>
    public void Add(PeerAddress address)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested, this);
            if (_lines.Exists(l => l.Address == address)) return;
            if (_lines.Count >= MaxAddresses) throw new DatException(DatError.Invalid, $"more than {MaxAddresses} peer addresses");
            Line line = new(address);
            _lines.Add(line);
            line.Running = _replicator.Time.Run(() => KeepAsync(line, _stopping.Token));
        }
    }

    /// <summary>One sentence on why nobody was reached, or null when there is nothing to say.</summary>
    public string? Explain()
    {
        IEnumerable<string> failures = Status.Where(s => !s.Connected && s.LastError is not null).Select(s => $"{s.Address} {s.LastError}");
        string joined = string.Join("; ", failures);
        return joined.Length == 0 ? null : "no peer answered: " + joined;
    }

    /// <summary>Ends all connections and stops dialling.</summary>
    public async ValueTask DisposeAsync()
    {
        await _replicator.Time.CancelAsync(_stopping);
        Task[] running;
        lock (_gate) running = [.. _lines.Select(l => l.Running)];
        await Task.WhenAll(running);
        _stopping.Dispose();
    }

    private async Task KeepAsync(Line line, CancellationToken ct)
    {
        int failures = 0;
        while (!ct.IsCancellationRequested)
        {
            // The same peer may have come another way meanwhile, and dropped this connection for it: that is no reason to dial (discovery.md §8.4).
            while (line.LastPeer.Length > 0 && _replicator.HasPeer(line.LastPeer))
            {
                Task<bool> waiting = RestAsync(MaxDelay, ct);
                lock (_gate) (line.LastError, line.Rest) = (Sentence(PeerEnd.Duplicate), MaxDelay);
                if (!await waiting) return;
            }

            long started = _replicator.Time.GetTimestamp();
            string reason = await ConnectAsync(line, ct);
            if (ct.IsCancellationRequested) return;
            failures = _replicator.Time.GetElapsedTime(started) > MaxDelay ? 0 : failures + 1;
            TimeSpan delay = DelayAfter(failures);
            Task<bool> rest = RestAsync(delay, ct);
            lock (_gate) (line.LastError, line.Rest) = (reason, delay);
            ReplicationLog.DialFailed(_replicator.Log, line.Address.ToString(), delay, reason);
            if (!await rest) return;
        }
    }

    private async Task<bool> RestAsync(TimeSpan delay, CancellationToken ct)
    {
        try
        {
            await Task.Delay(delay, _replicator.Time, ct);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private async Task<string> ConnectAsync(Line line, CancellationToken ct)
    {
        lock (_gate) (line.Attempts, line.Rest) = (line.Attempts + 1, null);
        try
        {
            ITransport transport = await _dial(line.Address, ct);
            lock (_gate) (line.Connected, line.LastError) = (true, null);
            (PeerEnd end, string peer) = await _replicator.RunConnectionAsync(transport, ct);
            line.LastPeer = peer;
            return Sentence(end);
        }
        catch (DatException e)
        {
            return e.InnerException is SocketException socket ? Sentence(socket.SocketErrorCode) : e.Error == DatError.TimedOut ? "timed out" : e.Message;
        }
        catch (SocketException e)
        {
            return Sentence(e.SocketErrorCode);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            return e.Message;
        }
        finally
        {
            lock (_gate) line.Connected = false;
        }
    }

    private static string Sentence(PeerEnd end) => end switch
    {
        PeerEnd.Duplicate => "is connected already",
        PeerEnd.Banned => "is refused for a while because it sent wrong data",
        PeerEnd.Violation => "does not share this archive or breaks the protocol",
        _ => "closed the connection",
    };

    private static string Sentence(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => "connection refused",
        SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain => "host not found",
        SocketError.HostUnreachable or SocketError.NetworkUnreachable => "unreachable",
        SocketError.TimedOut => "timed out",
        _ => error.ToString(),
    };

    private TimeSpan DelayAfter(int failures)
    {
        double delay = Math.Min(MaxDelay.TotalMilliseconds, FirstDelay.TotalMilliseconds * Math.Pow(2, Math.Min(failures, 16) - 1));
        return TimeSpan.FromMilliseconds(delay * (1 - Jitter + 2 * Jitter * _random()));
    }

    private sealed class Line(PeerAddress address)
    {
        public PeerAddress Address { get; } = address;
        public bool Connected { get; set; }
        public int Attempts { get; set; }
        public string? LastError { get; set; }
        public TimeSpan? Rest { get; set; }
        /// <summary>Who answered last; only the line's own loop looks at it.</summary>
        public string LastPeer { get; set; } = "";
        public Task Running { get; set; } = Task.CompletedTask;
    }
}
