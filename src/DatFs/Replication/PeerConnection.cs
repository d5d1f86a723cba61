using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Wire;

namespace DatFs.Replication;

/// <summary>
/// One connection seen from replication: takes what arrives, in order, and keeps what the scheduler needs to know of this peer.
/// State is guarded by the replicator's lock; verification, disk and waiting for the peer to read happen outside it.
/// </summary>
internal sealed partial class PeerConnection(Replicator owner, ITransport transport, Action? connected = null) : IWireHandler, IAsyncDisposable
{
    /// <summary>Wants answered at once; later ones wait for their turn among the requests, until the peer has read what it got (§9.1).</summary>
    public const int FreeWantAnswers = 16;
    /// <summary>Longest Want answered (wire-protocol.md §9.1).</summary>
    public const long MaxWantBlocks = 1L << 24;
    /// <summary>Wants must begin and end there (wire-protocol.md §4.5).</summary>
    public const long WantAlignment = 8192;
    /// <summary>Answers nobody asked for and requests for what was never announced, before the connection is closed.</summary>
    public const int MaxMisbehaviour = 64;
    /// <summary>How often a peer may take back what it was asked for without answering anything in between: who offers it anew each time would be asked without end.</summary>
    public const int MaxRefusalsInRow = 64;
    /// <summary>Bytes within a tick that show that a slow peer is still sending.</summary>
    public const long ProgressBytes = 1024;
    /// <summary>Requests and no byte for so long, or for as long as four answers take where that is longer: the peer stalls.</summary>
    public const double StallMs = 1000;
    /// <summary>No peer is so slow that it may send nothing for longer without being taken to stall.</summary>
    public const double MaxStallMs = 2500;

    private readonly Dictionary<FeedKey, PeerChannel> _channels = [];
    private WireConnection? _wire;
    private int _misbehaviour;
    private int _refusalsInRow;
    private int _endedChannels;
    private long _progressAt;
    private double _waitsSinceMs;
    private double _silentSinceMs;
    private (double AtMs, long Received, long Sent) _sample = (owner.NowMs, 0, 0);
    private (double Received, double Sent) _rates;

    public WireConnection Wire => _wire!;
    public string Address { get; } = transport.RemoteName;
    public bool Initiator { get; } = transport.Initiator;
    public PeerState State { get; private set; } = PeerState.Connecting;
    public double ConnectedMs { get; } = owner.NowMs;
    public byte[] RemoteId { get; private set; } = [];
    /// <summary>Who it is, as far as that can be told: host and id; empty before the handshake.</summary>
    public string Name { get; private set; } = "";
    /// <summary>The peer has shown that it has the key, and was not refused.</summary>
    public bool WasReady { get; private set; }
    public bool RemoteAck { get; private set; }
    /// <summary>A proof of this peer was wrong lately. It is asked for whole proofs: what a digest leaves out could hide that the owner signed two histories.</summary>
    public bool Suspect { get; set; }
    public PeerEnd End { get; private set; } = PeerEnd.Closed;
    public string? EndReason { get; private set; }

    public RequestWindow Window { get; } = new();
    public bool Corked { get; set; }
    public int TimeoutsInRow { get; private set; }
    public int Timeouts { get; private set; }
    public double Score { get; private set; } = 1;
    public double LastProgressMs { get; private set; }
    /// <summary>It has sent nothing for a while although it was asked. It is tried with one request at a time until something comes.</summary>
    public bool Stalls { get; private set; }
    public IEnumerable<PeerChannel> Channels => _channels.Values;
    public bool HasRequests => Window.Count > 0;

    /// <summary>Lower is asked first: quick, idle, reliable.</summary>
    public double Rank => (TimeoutsInRow + _refusalsInRow + (Stalls ? 1 : 0)) * 10_000.0 + Window.SmoothedMs * (1 + Window.Count / 16.0) / Math.Max(Score, 0.05);

    public ServeQueue Queue => _serve;
    public WireUse Use => _wire?.Use ?? default;
    /// <summary>Messages of a kind that honest peers hardly send.</summary>
    public int Misbehaviour => Volatile.Read(ref _misbehaviour);
    public int RefusalsInRow => _refusalsInRow;
    /// <summary>Bytes of memory that are held because of it.</summary>
    public long Memory => Use.Memory + _channels.Values.Sum(channel => (long)channel.Remote.Bytes);
    /// <summary>What the budget has counted of <see cref="Memory"/>.</summary>
    public long Weighed { get; set; }

    /// <summary>Runs the connection to its end.</summary>
    public async Task RunAsync(FeedKey? first, CancellationToken ct)
    {
        _wire = new WireConnection(transport, this, owner.Options.ToWire(owner.Time, owner.MaxUnknownChannels), first);
        lock (owner.Gate)
        {
            if (first is not null) OpenChannels();
        }

        using CancellationTokenSource ended = CancellationTokenSource.CreateLinkedTokenSource(ct);
        Task serving = ServeAsync(ended.Token);
        await _wire.RunAsync(ct);
        await owner.Time.CancelAsync(ended);
        await serving;
    }

    public ValueTask DisposeAsync() => _wire?.DisposeAsync() ?? transport.DisposeAsync();

    /// <summary>Opens all joined feeds and asks what the peer has; on a connection that came in only once the peer has named the first.</summary>
    public void OpenChannels()
    {
        if (State == PeerState.Closed || _wire is null || (State == PeerState.Connecting && !Initiator)) return;
        foreach (FeedReplication feed in owner.Feeds)
        {
            if (!feed.Left) Open(feed);
        }
    }

    private void Open(FeedReplication feed)
    {
        if (_channels.TryGetValue(feed.Feed.Key, out PeerChannel? known))
        {
            // The peer has been told that there is nothing, and a channel is never opened twice (§3.4): only a new connection helps.
            if (known.Feed != feed) Close(PeerEnd.Closed, "a feed was left and is joined again");
            return;
        }

        if (_channels.Count >= WireConnection.MaxChannels) return;
        Of(Wire.Open(feed.Feed.Key))?.SendWants();
    }

    // The state of a channel; made when the channel is first seen from either side.
    private PeerChannel? Of(WireChannel wire)
    {
        // What was received before we let it go counts for nothing any more.
        if (State == PeerState.Closed || EndReason is not null) return null;
        if (wire.State is PeerChannel known) return known;
        if (owner.FeedOf(wire.Key) is not { } feed) return null;
        PeerChannel channel = new(this, feed, wire);
        wire.State = channel;
        _channels[wire.Key] = channel;
        feed.Channels.Add(channel);
        return channel;
    }

    public FeedKey? ChooseFirstFeed(WireConnection connection, DiscoveryKey discoveryKey)
    {
        lock (owner.Gate)
        {
            FeedReplication? first = owner.FirstFeed;
            return first is not null && first.Feed.DiscoveryKey == discoveryKey ? first.Feed.Key : null;
        }
    }

    public void OnHandshake(WireConnection connection, HandshakeMessage handshake)
    {
        lock (owner.Gate)
        {
            RemoteId = handshake.Id.ToArray();
            int port = Address.LastIndexOf(':');
            Name = (port < 0 ? Address : Address[..port]) + "/" + Convert.ToHexStringLower(RemoteId);
            RemoteAck = handshake.Ack;
            LastProgressMs = owner.NowMs;
            if (!owner.Admit(this)) return;
            State = PeerState.Connected;
            WasReady = true;
            OpenChannels();
            owner.Scheduler.Pump();
        }

        connected?.Invoke();
        owner.PeerReady(this);
    }

    public void OnRemoteFeed(WireConnection connection, DiscoveryKey discoveryKey)
    {
        lock (owner.Gate)
        {
            if (owner.FeedOf(discoveryKey) is { } feed) Open(feed);
        }
    }

    public void OnChannelOpen(WireChannel channel)
    {
        lock (owner.Gate) Of(channel)?.SendWants();
    }

    public void OnChannelClosed(WireChannel channel)
    {
        lock (owner.Gate)
        {
            if (Of(channel) is { } closed) Detach(closed);
            owner.Scheduler.Pump();
        }
    }

    public ValueTask OnInfoAsync(WireChannel channel, InfoMessage message)
    {
        lock (owner.Gate)
        {
            if (Of(channel) is not { Ended: false } state) return ValueTask.CompletedTask;
            state.RemoteDownloading = message.Downloading;
            EndIfDone(state);
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask OnHaveAsync(WireChannel channel, HaveMessage message)
    {
        lock (owner.Gate)
        {
            if (Of(channel) is not { Ended: false } state || state.Feed.Frozen) return ValueTask.CompletedTask;
            if (message.Ack && owner.Options.Ack) return ValueTask.CompletedTask;
            state.Apply(message);
            owner.Budget.Weigh(this);
            state.SendWants();
            owner.Scheduler.Pump();
            EndIfDone(state);
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask OnUnhaveAsync(WireChannel channel, UnhaveMessage message)
    {
        lock (owner.Gate)
        {
            if (Of(channel) is not { Ended: false } state) return ValueTask.CompletedTask;
            state.Apply(message);
            if (owner.Scheduler.Refused(state, message) && ++_refusalsInRow > MaxRefusalsInRow) throw new ProtocolViolationException("the peer takes back whatever it is asked for", "refusals");
            owner.Scheduler.Pump();
        }

        return ValueTask.CompletedTask;
    }

    public async ValueTask OnWantAsync(WireChannel channel, WantMessage message)
    {
        if (message.Start % WantAlignment != 0) return;
        if (message.Length is { } length && (length % WantAlignment != 0 || length > MaxWantBlocks)) return;
        PeerChannel? state;
        bool free;
        lock (owner.Gate)
        {
            state = Of(channel);
            if (state is null || state.Ended || state.Feed.Frozen) return;
            free = state.WantsAnswered < FreeWantAnswers;
            if (!free && !state.TryWait(message)) return;
        }

        if (free) Answer(state, message);
        else await _serve.AddAsync(new ServeItem(state, message, HashAnswerBytes));
    }

    private void Answer(PeerChannel state, WantMessage want)
    {
        lock (owner.Gate)
        {
            state.Waited(want);
            if (!state.Ended && !state.Feed.Left) SayWhatIsHeld(state, want);
        }
    }

    private static void SayWhatIsHeld(PeerChannel state, WantMessage want)
    {
        Feed feed = state.Feed.Feed;
        long held = feed.Length;
        state.RemoteWant = true;
        state.Legacy |= want.Length is null;
        if (state.WantsAnswered++ == 0 && held > 0 && feed.HasBlock(held - 1)) state.Wire.Send(new HaveMessage(held - 1, null, null, false));
        long length = Math.Min(want.Length ?? long.MaxValue, Math.Max(0, held - want.Start));
        byte[] bits = length == 0 ? [] : feed.EncodeHave(want.Start, length);
        state.Wire.Send(new HaveMessage(want.Start, want.Length ?? 0, bits, false));
    }

    // Announcements are not filtered by range (§4.5), so taking a range back changes nothing.
    public ValueTask OnUnwantAsync(WireChannel channel, UnwantMessage message) => ValueTask.CompletedTask;

    public ValueTask OnExtensionAsync(WireChannel channel, ExtensionMessage message)
    {
        if (State == PeerState.Connected && owner.Extension is { } extension && message.Name == extension.Name) extension.Received(this, message.Payload.Span);
        return ValueTask.CompletedTask;
    }

    /// <summary>Sends an extension message over the drive's first feed. False when the peer does not know the extension, or is gone.</summary>
    public bool SendExtension(string name, ReadOnlySpan<byte> payload)
    {
        WireChannel? channel;
        lock (owner.Gate)
        {
            channel = State == PeerState.Connected && owner.FirstFeed is { } first && _channels.TryGetValue(first.Feed.Key, out PeerChannel? known) ? known.Wire : null;
        }

        return channel?.SendExtension(name, payload) ?? false;
    }

    public async ValueTask OnDataAsync(WireChannel channel, Proof proof)
    {
        PeerChannel? state;
        PendingRequest? request = null;
        lock (owner.Gate)
        {
            state = Of(channel);
            if (state is null || state.Feed.Frozen || state.Feed.Left) return;
            if (!state.TryTake(proof.Index, proof.Value is null, out request))
            {
                Unasked(state, proof);
                return;
            }

            state.Feed.BeginAccept(proof.Index);
        }

        ProofOutcome outcome;
        try
        {
            outcome = await state.Feed.Feed.AcceptAsync(proof, CancellationToken.None);
        }
        catch (Exception e) when (e is IOException or DatException or ObjectDisposedException)
        {
            Refused(state, request, proof.Index, e);
            return;
        }
        finally
        {
            state.Feed.EndAccept(proof.Index);
        }

        Accepted(state, request, proof, outcome);
    }

    private void Accepted(PeerChannel state, PendingRequest? request, Proof proof, ProofOutcome outcome)
    {
        lock (owner.Gate)
        {
            owner.Scheduler.Settle(state, request, proof, outcome);
            if (outcome == ProofOutcome.Forked) owner.Freeze(state.Feed, this);
            if (outcome != ProofOutcome.Rejected)
            {
                if (RemoteAck && proof.Value is not null && outcome != ProofOutcome.Forked)
                    state.Wire.Send(new HaveMessage(proof.Index, 1, null, true));
                owner.Scheduler.Pump();
                EndIfDone(state);
                return;
            }

            owner.Strike(this);
        }

        ReplicationLog.Rejected(owner.Log, Address, state.Feed.Feed.DiscoveryKey, proof.Index);
        throw new ProtocolViolationException($"the proof of block {proof.Index} is wrong", "proof");
    }

    private void Refused(PeerChannel state, PendingRequest? request, long index, Exception error)
    {
        DatException reason = error as DatException
            ?? new DatException(DatError.Io, $"block {index} of feed {state.Feed.Feed.DiscoveryKey} could not be stored: {error.Message}", error);
        lock (owner.Gate)
        {
            owner.Scheduler.SettleFailed(state, request, index, reason);
            owner.Scheduler.Pump();
        }

        ReplicationLog.NotStored(owner.Log, state.Feed.Feed.DiscoveryKey, index, error);
    }

    private void Unasked(PeerChannel state, Proof proof)
    {
        Misbehaved("the peer sends blocks that nobody asked for");
        if (proof.Value is not null && state.RemoteWant && !state.Feed.Feed.HasBlock(proof.Index)) state.Wire.Send(new UnhaveMessage(proof.Index, 1));
    }

    private void Misbehaved(string what)
    {
        if (Interlocked.Increment(ref _misbehaviour) > MaxMisbehaviour) throw new ProtocolViolationException(what, "misbehaviour");
    }

    public void OnClosed(WireConnection connection, Exception? reason)
    {
        lock (owner.Gate)
        {
            State = PeerState.Closed;
            EndReason ??= reason?.Message;
            if (reason is ProtocolViolationException violation) owner.Budget.Refused(violation.Bound);
            owner.Budget.Left(this);
            if (reason is ProtocolViolationException && End == PeerEnd.Closed) End = PeerEnd.Violation;
            else if (reason is not null and not OperationCanceledException && End == PeerEnd.Closed) End = PeerEnd.Failed;
            owner.Remove(this);
            foreach (PeerChannel channel in _channels.Values) Detach(channel);
            owner.Scheduler.Pump();
        }

        _serve.Close();
        ReplicationLog.Disconnected(owner.Log, Address, End, EndReason ?? "the peer ended the connection");
        owner.PeerLeft(this);
    }

    private void Detach(PeerChannel channel)
    {
        channel.Ended = true;
        channel.Feed.Channels.Remove(channel);
        // What the others have is rarer now.
        foreach (PeerChannel rest in channel.Feed.Channels)
        {
            foreach (RangeCursor cursor in rest.Cursors) cursor.Recount();
        }

        owner.Scheduler.Abandon(channel);
    }

    /// <summary>Closes the connection for a reason of ours.</summary>
    public void Close(PeerEnd end, string reason)
    {
        if (State == PeerState.Closed) return;
        End = end;
        EndReason = reason;
        Wire.Close(null);
    }

    /// <summary>Ends a connection that nobody needs: in order, so that the peer learns from our Handshake who we are and does not dial again.</summary>
    public void Dismiss(PeerEnd end, string reason)
    {
        if (State == PeerState.Closed) return;
        State = PeerState.Closed;
        End = end;
        EndReason = reason;
        foreach (PeerChannel channel in _channels.Values) Detach(channel);
        Wire.End();
    }

    /// <summary>An answer came in time.</summary>
    public void Answered(long bytes, double ms)
    {
        Window.Answered(bytes, ms);
        TimeoutsInRow = 0;
        _refusalsInRow = 0;
        Progressed();
        Score = Math.Min(1, Score + 0.01);
    }

    /// <summary>Notices bytes that arrive although no answer is complete, and when none do.</summary>
    public void NoticeProgress()
    {
        long received = Wire.Traffic.Received;
        double now = owner.NowMs;
        if (received - _progressAt >= ProgressBytes)
        {
            _progressAt = received;
            Progressed();
        }
        else if (!Stalls && HasRequests && now - Math.Max(LastProgressMs, _waitsSinceMs) >= Math.Clamp(4 * Window.SmoothedMs, StallMs, MaxStallMs))
        {
            Stalls = true;
            _silentSinceMs = Math.Max(LastProgressMs, _waitsSinceMs);
        }
    }

    private void Progressed()
    {
        LastProgressMs = owner.NowMs;
        Stalls = false;
    }

    /// <summary>A request leaves.</summary>
    public void Asked(long cost)
    {
        if (!HasRequests) _waitsSinceMs = owner.NowMs;
        Window.Sent(cost);
    }

    /// <summary>It stalls for longer than any request may wait.</summary>
    public bool IsSilent => Stalls && owner.NowMs - _silentSinceMs >= RequestScheduler.RequestTimeoutMs;

    /// <summary>One more request went unanswered.</summary>
    public void CountTimeout() => Timeouts++;

    /// <summary>The peer let requests expire; how often in a row that happened.</summary>
    public int TimedOut()
    {
        Window.TimedOut();
        Score /= 2;
        LastProgressMs = _silentSinceMs = owner.NowMs;
        return ++TimeoutsInRow;
    }

    // --- Ending (wire-protocol.md §5.7) -----------------------------------------------------------------------------------

    /// <summary>Says that nothing more is needed, and ends the stream once both sides said so. A live side only answers.</summary>
    public void EndIfDone(PeerChannel channel)
    {
        if (channel.Ended) return;
        bool live = owner.Options.Live;
        if (live && channel.RemoteDownloading) return;
        if (!(live ? NothingToGain(channel) : IsDone(channel))) return;
        bool downloading = channel.Feed.Downloading;
        if (!channel.SaidDone && (downloading || !channel.RemoteDownloading))
        {
            channel.SaidDone = true;
            channel.Wire.Send(new InfoMessage(channel.Feed.DownloadedBlocks > 0 || live, false));
        }

        if (live || channel.RemoteDownloading) return;
        channel.Ended = true;
        if (++_endedChannels >= owner.Options.ExpectedFeeds) Wire.End();
    }

    private static bool IsDone(PeerChannel channel)
    {
        FeedReplication feed = channel.Feed;
        if (!feed.Downloading) return true;
        if (feed.Ranges.Count == 0 || !channel.Informed || channel.InFlight > 0 || feed.HasFetches) return false;
        return channel.Cursors.TrueForAll(static cursor => cursor.Exhausted);
    }

    private static bool NothingToGain(PeerChannel channel)
    {
        Feed feed = channel.Feed.Feed;
        if (!channel.Feed.Downloading) return true;
        if (!channel.Informed || channel.InFlight > 0) return false;
        for (long index = channel.Remote.NextSet(0, channel.RemoteLength); index >= 0; index = channel.Remote.NextSet(index, channel.RemoteLength))
        {
            if (!feed.HasBlock(index)) return false;
            index = feed.FirstMissing(index, channel.RemoteLength);
        }

        return true;
    }

    /// <summary>What the outside may see.</summary>
    public PeerStatus Status()
    {
        (long received, long sent) = _wire?.Traffic ?? (0, 0);
        double now = owner.NowMs;
        double seconds = (now - _sample.AtMs) / 1000;
        if (seconds >= 1)
        {
            _rates = ((received - _sample.Received) / seconds, (sent - _sample.Sent) / seconds);
            _sample = (now, received, sent);
        }

        return new PeerStatus(Address, Initiator, State, TimeSpan.FromMilliseconds(now - ConnectedMs), received, sent, _rates.Received, _rates.Sent,
            Window.Count, Window.Bytes, Window.ByteLimit, Timeouts, Score, TimeSpan.FromMilliseconds(Window.SmoothedMs),
            [.. _channels.Values.Select(c => new PeerFeedStatus(c.Feed.Feed.DiscoveryKey, c.RemoteLength, c.Informed, c.RemoteWant, c.Legacy, c.InFlight))])
        {
            Budget = Budget.Of(this),
        };
    }
}
