using System.Net;
using System.Net.Sockets;
using DatFs.Replication;
using DatFs.Wire;

namespace DatFs.Discovery;

// Whose turn it is, and what becomes of an address after each dial (discovery.md §8.2). What has no other remark runs under the lock.
public sealed partial class Swarm
{
    /// <summary>Dials at a time; one ends when the peer has shown that it has the key.</summary>
    public const int MaxDials = 16;

    /// <summary>Of these so many are kept for sources that have none under way, so that none can take them all.</summary>
    public const int ReservedDials = 4;

    /// <summary>Addresses remembered after they were given up, for the question what was tried.</summary>
    public const int MaxForgotten = 512;

    /// <summary>An address must answer within this.</summary>
    public static readonly TimeSpan DialTimeout = TimeSpan.FromSeconds(3);

    /// <summary>A name must be resolved and answer within this.</summary>
    public static readonly TimeSpan NameTimeout = TimeSpan.FromSeconds(10);

    /// <summary>From the connection to the proof that the peer has the key.</summary>
    public static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Longest pause of an address that was added.</summary>
    public static readonly TimeSpan MaxStaticRest = TimeSpan.FromSeconds(30);

    /// <summary>Longest pause of an address that once worked.</summary>
    public static readonly TimeSpan MaxRest = TimeSpan.FromMinutes(10);

    /// <summary>A connection that lasted this long did work: the next pauses are short again.</summary>
    public static readonly TimeSpan Lasting = TimeSpan.FromSeconds(30);

    /// <summary>An address that was given up because of what it said is not brought back by a source before this.</summary>
    public static readonly TimeSpan ShunFor = TimeSpan.FromMinutes(5);

    private const double Jitter = 0.25;

    private static readonly TimeSpan[] s_rests = [TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(15)];

    private readonly Dictionary<PeerAddress, Candidate> _candidates = [];
    private readonly Queue<Candidate> _forgotten = new();
    private readonly PriorityQueue<Candidate, long> _resting = new();
    private readonly Dictionary<string, int> _byHost = [];
    private long _timerAt = long.MaxValue;
    private int _dials;
    private int _open;
    private int _turn;
    private int _running;
    private TaskCompletionSource? _idle;

    private void Name(PeerAddress address, SourceLane lane, bool toldPrivately)
    {
        long now = _time.GetTimestamp();
        bool added = lane.Source is null;
        if (!_candidates.TryGetValue(address, out Candidate? candidate))
        {
            if (!added && !lane.TryCountNew(MinuteOf(now))) return;
            candidate = new Candidate(address, lane);
            _candidates.Add(address, candidate);
            lane.Kept++;
        }
        else if (candidate.State == DialState.Forgotten)
        {
            if (!added && (now < candidate.ShunnedUntil || !lane.TryCountNew(MinuteOf(now)))) return;
            candidate.BroughtBy = lane;
            candidate.State = DialState.Waiting;
            candidate.Failures = 0;
            lane.Kept++;
        }

        candidate.ToldPrivately |= toldPrivately;
        if (!candidate.Lanes.Contains(lane)) candidate.Lanes.Add(lane);
        if (candidate.State == DialState.Waiting) lane.Enqueue(candidate);
    }

    private long MinuteOf(long timestamp) => timestamp / (60 * _time.TimestampFrequency);

    private void Pump()
    {
        if (_stopping.IsCancellationRequested) return;
        while (TryNext(out Candidate? candidate, out SourceLane? lane)) Start(candidate, lane);
    }

    private bool TryNext(out Candidate candidate, out SourceLane lane)
    {
        lane = _added;
        if (_dials < MaxDials && _added.TryTake(out candidate)) return true;
        if (_dials < MaxDials && _open < MaxConnections)
        {
            // Hints of peers come last: once round for the others first.
            foreach (bool last in (ReadOnlySpan<bool>)[false, true])
            {
                for (int i = 0; i < _lanes.Count; i++)
                {
                    lane = _lanes[(_turn + i) % _lanes.Count];
                    if (lane.Last != last || (lane.Dials > 0 && MaxDials - _dials <= ReservedDials)) continue;
                    if (!TryTake(lane, out candidate)) continue;
                    _turn = (_turn + i + 1) % _lanes.Count;
                    return true;
                }
            }
        }

        candidate = null!;
        return false;
    }

    private bool TryTake(SourceLane lane, out Candidate candidate)
    {
        while (lane.TryTake(out candidate))
        {
            if (candidate.OnLoopback || _byHost.GetValueOrDefault(candidate.Address.Host) < MaxPerHost) return true;
            candidate.LastError = $"has {MaxPerHost} connections already";
            RestFor(candidate, s_rests[^1]);
        }

        return false;
    }

    private void Start(Candidate candidate, SourceLane lane)
    {
        candidate.State = DialState.Dialling;
        candidate.Rest = null;
        _dials++;
        lane.Dials++;
        _running++;
        Open(candidate.Address.Host, candidate.OnLoopback);
        _ = _time.Run(() => DialAsync(candidate, lane));
    }

    private void Open(string host, bool loopback)
    {
        _open++;
        if (!loopback) _byHost[host] = _byHost.GetValueOrDefault(host) + 1;
    }

    private void Close(string host, bool loopback)
    {
        _open--;
        if (!loopback && --_byHost[host] == 0) _byHost.Remove(host);
    }

    // Not under the lock.
    private async Task DialAsync(Candidate candidate, SourceLane lane)
    {
        // The same peer may have come another way meanwhile: that is no reason to dial (discovery.md §8.4).
        Attempt attempt = candidate.LastPeer.Length > 0 && _replicator.HasPeer(candidate.LastPeer)
            ? new Attempt(Verdict.Duplicate, Sentence(PeerEnd.Duplicate, null, false), Dialling: true, TimeSpan.Zero)
            : await AttemptAsync(candidate, lane);
        TimeSpan? rest;
        lock (_gate)
        {
            if (attempt.Dialling) EndDial(lane);
            Close(candidate.Address.Host, candidate.OnLoopback);
            if (!_stopping.IsCancellationRequested) Settle(candidate, attempt);
            rest = candidate.Rest;
            Pump();
            if (--_running == 0) _idle?.TrySetResult();
        }

        if (_stopping.IsCancellationRequested) return;
        if (attempt.Lasted > Lasting) Remember(candidate);
        else if (attempt is { Verdict: Verdict.Failed or Verdict.Refused, Dialling: true } && candidate.EndPoint is { } at) _options.Cache?.Failed(at);
        ReplicationLog.DialFailed(_replicator.Log, candidate.Address.ToString(), rest ?? TimeSpan.Zero, attempt.Reason);
        if (attempt.Verdict == Verdict.Duplicate) ReleaseDuplicates();
    }

    private void EndDial(SourceLane lane)
    {
        _dials--;
        lane.Dials--;
    }

    // Not under the lock.
    private async Task<Attempt> AttemptAsync(Candidate candidate, SourceLane lane)
    {
        bool isName = !IPAddress.TryParse(candidate.Address.Host, out IPAddress? ip);
        if (ip is not null) candidate.EndPoint = new IPEndPoint(ip, candidate.Address.Port);
        lock (_gate) candidate.Attempts++;
        long? connectedAt = null;
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
        using ITimer limit = _time.CreateTimer(static source => ((CancellationTokenSource)source!).Cancel(), patience, isName ? NameTimeout : DialTimeout, Timeout.InfiniteTimeSpan);
        try
        {
            ITransport transport = await _dial(candidate.Address, patience.Token);
            if (IPEndPoint.TryParse(transport.RemoteName, out IPEndPoint? at)) candidate.EndPoint = at;
            limit.Change(HandshakeTimeout, Timeout.InfiniteTimeSpan);
            (PeerEnd end, string peer, string? why) = await _replicator.RunConnectionAsync(transport, Connected, patience.Token);
            if (peer.Length > 0) candidate.LastPeer = peer;
            // The other side may have been the one to end a second connection.
            if (end is PeerEnd.Closed or PeerEnd.Failed && peer.Length > 0 && _replicator.HasPeer(peer)) end = PeerEnd.Duplicate;
            if (end == PeerEnd.Duplicate) Remember(candidate);
            TimeSpan lasted = connectedAt is { } since ? _time.GetElapsedTime(since) : TimeSpan.Zero;
            if (connectedAt is null && patience.IsCancellationRequested) return new Attempt(Verdict.Refused, "accepted the connection and said nothing", Dialling: true, TimeSpan.Zero);
            return new Attempt(VerdictOf(end, connectedAt is not null), Sentence(end, why, connectedAt is not null), connectedAt is null, lasted);
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested)
        {
            return new Attempt(Verdict.Failed, "timed out", connectedAt is null, TimeSpan.Zero);
        }
        catch (DatException e)
        {
            string reason = e.InnerException is SocketException socket ? Sentence(socket.SocketErrorCode) : e.Error == DatError.TimedOut ? "timed out" : e.Message;
            return new Attempt(Verdict.Failed, reason, connectedAt is null, TimeSpan.Zero);
        }
        catch (SocketException e)
        {
            return new Attempt(Verdict.Failed, Sentence(e.SocketErrorCode), connectedAt is null, TimeSpan.Zero);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            return new Attempt(Verdict.Failed, e.Message, connectedAt is null, TimeSpan.Zero);
        }

        void Connected()
        {
            limit.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            connectedAt = _time.GetTimestamp();
            Remember(candidate);
            lock (_gate)
            {
                candidate.State = DialState.Connected;
                candidate.LastError = null;
                candidate.Worked = true;
                EndDial(lane);
                Pump();
            }
        }
    }

    // Not under the lock: the peer at this address has the key.
    private void Remember(Candidate candidate)
    {
        if (candidate.EndPoint is not { } at) return;
        _options.Cache?.Worked(at, candidate.ToldPrivately);
    }

    private void Settle(Candidate candidate, Attempt attempt)
    {
        candidate.LastError = attempt.Reason;
        candidate.Banned = attempt.Verdict == Verdict.Banned;
        switch (attempt.Verdict)
        {
            case Verdict.Ourselves:
                candidate.State = DialState.Ourselves;
                candidate.BroughtBy.Kept--;
                return;
            case Verdict.Duplicate:
                candidate.State = DialState.Duplicate;
                return;
            case Verdict.Banned when !candidate.Static:
                RestFor(candidate, TimeSpan.FromMilliseconds(PeerBans.BanMs));
                return;
        }

        candidate.Failures = attempt.Lasted > Lasting ? 1 : candidate.Failures + 1;
        if (RestAfter(candidate) is { } rest)
        {
            RestFor(candidate, rest);
            return;
        }

        candidate.State = DialState.Forgotten;
        candidate.BroughtBy.Kept--;
        if (attempt.Verdict == Verdict.Refused) candidate.ShunnedUntil = After(ShunFor);
        _forgotten.Enqueue(candidate);
        if (_forgotten.Count > MaxForgotten && _forgotten.Dequeue() is { State: DialState.Forgotten } oldest && !_forgotten.Contains(oldest)) _candidates.Remove(oldest.Address);
    }

    // Null = it is given up.
    private TimeSpan? RestAfter(Candidate candidate)
    {
        int beyond = candidate.Failures - s_rests.Length - 1;
        if (beyond < 0) return Jittered(s_rests[candidate.Failures - 1]);
        if (candidate.Static) return Jittered(MaxStaticRest);
        if (!candidate.Worked) return null;
        return Jittered(TimeSpan.FromSeconds(Math.Min(MaxRest.TotalSeconds, MaxStaticRest.TotalSeconds * Math.Pow(2, Math.Min(beyond, 16)))));
    }

    private TimeSpan Jittered(TimeSpan rest) => rest * (1 - Jitter + 2 * Jitter * _random());

    private void RestFor(Candidate candidate, TimeSpan rest)
    {
        candidate.State = DialState.Resting;
        candidate.Rest = rest;
        candidate.DueAt = After(rest);
        _resting.Enqueue(candidate, candidate.DueAt);
        Arm();
    }

    private long After(TimeSpan rest) => _time.GetTimestamp() + (long)Math.Ceiling(rest.TotalSeconds * _time.TimestampFrequency);

    private void Arm()
    {
        while (_resting.TryPeek(out Candidate? first, out long due) && (first.State != DialState.Resting || first.DueAt != due)) _resting.Dequeue();
        if (!_resting.TryPeek(out _, out long next) || next >= _timerAt) return;
        _timerAt = next;
        // Timers count whole milliseconds: less would come too early, and again and again until the time is there.
        TimeSpan rest = _time.GetElapsedTime(_time.GetTimestamp(), next);
        _timer.Change(TimeSpan.FromMilliseconds(Math.Max(0, Math.Ceiling(rest.TotalMilliseconds))), Timeout.InfiniteTimeSpan);
    }

    private void OnTimer()
    {
        lock (_gate)
        {
            if (_stopping.IsCancellationRequested) return;
            _timerAt = long.MaxValue;
            long now = _time.GetTimestamp();
            while (_resting.TryPeek(out Candidate? candidate, out long due) && due <= now)
            {
                _resting.Dequeue();
                if (candidate.State == DialState.Resting && candidate.DueAt == due) Requeue(candidate);
            }

            Arm();
            Pump();
        }
    }

    private static void Requeue(Candidate candidate)
    {
        candidate.State = DialState.Waiting;
        candidate.Rest = null;
        foreach (SourceLane lane in candidate.Lanes) lane.Enqueue(candidate);
    }

    // Not under the lock: the circumstances changed, so nothing that failed before says anything now.
    private void DialAgain()
    {
        lock (_gate)
        {
            foreach (Candidate candidate in _candidates.Values)
            {
                if (candidate.State != DialState.Resting || candidate.Banned) continue;
                candidate.Failures = 0;
                Requeue(candidate);
            }

            Pump();
        }
    }

    // Not under the lock. An address is not dialled while its peer is connected another way (discovery.md §8.4).
    private void ReleaseDuplicates()
    {
        Candidate[] duplicates;
        lock (_gate) duplicates = [.. _candidates.Values.Where(c => c.State == DialState.Duplicate)];
        foreach (Candidate candidate in duplicates)
        {
            if (_replicator.HasPeer(candidate.LastPeer)) continue;
            lock (_gate)
            {
                if (candidate.State == DialState.Duplicate && !_stopping.IsCancellationRequested) RestFor(candidate, Jittered(s_rests[0]));
            }
        }
    }

    private static Verdict VerdictOf(PeerEnd end, bool worked) => end switch
    {
        PeerEnd.Duplicate => Verdict.Duplicate,
        PeerEnd.Banned => Verdict.Banned,
        PeerEnd.Ourselves => Verdict.Ourselves,
        PeerEnd.Violation => Verdict.Refused,
        _ => worked ? Verdict.Failed : Verdict.Refused,
    };

    private static string Sentence(PeerEnd end, string? why, bool worked) => end switch
    {
        PeerEnd.Duplicate => "is connected already",
        PeerEnd.Banned => "is refused for a while because it sent wrong data",
        PeerEnd.Violation => "does not share this archive or breaks the protocol",
        PeerEnd.Ourselves => "is ourselves",
        PeerEnd.Failed when worked && why is not null => "the connection broke: " + why,
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

    private enum Verdict
    {
        /// <summary>Nobody there, or a connection that ended.</summary>
        Failed,

        /// <summary>Somebody is there who does not share this drive.</summary>
        Refused,
        Duplicate,
        Banned,
        Ourselves,
    }

    /// <summary>How a dial and what followed ended. <paramref name="Dialling"/>: it still counts as a dial, the key was never shown.</summary>
    private readonly record struct Attempt(Verdict Verdict, string Reason, bool Dialling, TimeSpan Lasted);
}
