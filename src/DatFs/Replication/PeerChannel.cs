using DatFs.Encoding;
using DatFs.Feeds;
using DatFs.Wire;

namespace DatFs.Replication;

/// <summary>
/// What is known of one peer for one feed (wire-protocol.md §5.1). Guarded by the replicator's lock, except <see cref="Tree"/>, which
/// belongs to the task that serves this connection.
/// </summary>
internal sealed class PeerChannel(PeerConnection peer, FeedReplication feed, WireChannel wire)
{
    /// <summary>Blocks of one Want, as the reference asks (wire-protocol.md §4.5).</summary>
    public const long WantBlocks = 1024 * 1024;
    /// <summary>Wants without their Have at a time.</summary>
    public const int MaxOpenWants = 16;
    /// <summary>Wants sent before the remote opened the feed: it buffers 17 messages and then drops the connection (§3.4).</summary>
    public const int MaxEarlyWants = 8;
    /// <summary>Ranges asked about on one channel.</summary>
    public const int MaxWants = 4096;
    /// <summary>Wants that wait for their answer; what comes beyond is not answered (wire-protocol.md §9.1).</summary>
    public const int MaxWaitingWants = 64;
    /// <summary>Requests remembered whose answer may still come although nobody waits for it; the oldest are forgotten first.</summary>
    public const int MaxLate = 1024;

    private readonly HashSet<long> _wanted = [];
    private readonly HashSet<(long Index, bool Hash)> _late = [];
    private readonly Queue<(long Index, bool Hash)> _lateInOrder = new();
    private readonly HashSet<long> _servedSinceWant = [];
    private readonly HashSet<WantMessage> _waitingWants = [];
    private int _openWants;

    public PeerConnection Peer { get; } = peer;
    public FeedReplication Feed { get; } = feed;
    public WireChannel Wire { get; } = wire;

    /// <summary>What the peer says it has.</summary>
    public RemoteBitfield Remote { get; } = new();
    /// <summary>Highest index announced plus one. A claim, never a length (wire-protocol.md §9.2).</summary>
    public long RemoteLength { get; private set; }
    /// <summary>The peer sent a Want: it hears of changes.</summary>
    public bool RemoteWant { get; set; }
    /// <summary>False once an Info said so.</summary>
    public bool RemoteDownloading { get; set; } = true;
    /// <summary>The peer speaks as hypercore 6.9 does (wire-protocol.md §0).</summary>
    public bool Legacy { get; set; }
    /// <summary>A Have with a bitfield came: what the peer has is known.</summary>
    public bool Informed { get; private set; }
    /// <summary>We said by Info that we need nothing more.</summary>
    public bool SaidDone { get; set; }
    /// <summary>Done on both sides; nothing is sent any more.</summary>
    public bool Ended { get; set; }
    /// <summary>Wants answered.</summary>
    public int WantsAnswered { get; set; }
    /// <summary>A seek stayed unanswered: this peer is asked for guessed blocks instead.</summary>
    public bool SeekFails { get; set; }
    /// <summary>Offset of the last seek sent: a peer is silent when it hears the same one again (§5.6).</summary>
    public long LastSeekSent { get; private set; } = -1;
    /// <summary>Offset of the last seek answered. A requester asks for one offset with several indexes and wants one answer (§5.6).</summary>
    public long LastSeekAnswered { get; set; } = -1;

    public Dictionary<long, PendingRequest> Blocks { get; } = [];
    public Dictionary<long, PendingRequest> Hashes { get; } = [];
    public PendingRequest? Seek { get; set; }
    public List<RangeCursor> Cursors { get; } = [];

    /// <summary>What the peer's digests claimed, for its answers (hypercore.md §11.2).</summary>
    public RemoteTree Tree { get; } = new();

    public int InFlight => Blocks.Count + Hashes.Count + (Seek is null ? 0 : 1);

    /// <summary>Takes a Have (wire-protocol.md §5.3).</summary>
    public void Apply(HaveMessage have)
    {
        long start = have.Start;
        if (have.Bitfield is not { } bitfield)
        {
            long end = checked(start + (have.Length ?? 1));
            if (end > RemoteBitfield.MaxBlocks) throw new ProtocolViolationException("Have ends above 2^40", "have-end");
            Remote.Set(start, end, true);
            Announced(start, end);
            return;
        }

        if (start % 8 != 0) throw new ProtocolViolationException("Have with a bitfield starts off a byte");
        bool openEnded = have.Length is null or 0 or 1;
        long limit = openEnded ? BitfieldRle.MaxOpenEndedBytes : (have.Length!.Value + 7) / 8;
        if (!openEnded && checked(start + have.Length!.Value) > RemoteBitfield.MaxBlocks) throw new ProtocolViolationException("Have ends above 2^40", "have-end");
        if (!BitfieldRle.TryRead(bitfield.Span, limit, out BitfieldRle.Reader runs)) throw new ProtocolViolationException("Have with a bad bitfield", "bitfield-runs");
        if (openEnded) Legacy |= have.Length is null;
        long stop = openEnded ? RemoteBitfield.MaxBlocks : start + have.Length!.Value;
        long length = Remote.Replace(start, stop, runs);
        if (openEnded && start == 0) _openWants = 0;
        else if (have.Length == WantBlocks && _wanted.Contains(start / WantBlocks)) _openWants = Math.Max(0, _openWants - 1);
        Informed = true;
        if (length > 0) Announced(start, length);
    }

    /// <summary>Takes an Unhave.</summary>
    public void Apply(UnhaveMessage unhave)
    {
        long end = Math.Min(RemoteBitfield.MaxBlocks, unhave.Start + Math.Min(unhave.Length, RemoteBitfield.MaxBlocks));
        Remote.Set(unhave.Start, end, false);
        if (unhave.Start == 0 && unhave.Length >= RemoteLength) RemoteLength = 0;
    }

    private void Announced(long start, long end)
    {
        RemoteLength = Math.Max(RemoteLength, end);
        foreach (RangeCursor cursor in Cursors) cursor.Add(start, end);
    }

    /// <summary>Sends the Wants for the ranges of interest that were not asked yet.</summary>
    public void SendWants()
    {
        if (Ended || Feed.Frozen || Legacy && Informed) return;
        if (Feed.Downloading) Want(0);
        foreach (long block in Feed.WaitedBlocks()) Want(block / WantBlocks);
        foreach (DownloadRange range in Feed.Ranges)
        {
            long last = Math.Min(Math.Min(range.End, Math.Max(RemoteLength, 1)) - 1, MaxWants * WantBlocks) / WantBlocks;
            for (long window = range.Start / WantBlocks; window <= last; window++)
            {
                if (!Want(window) && !_wanted.Contains(window)) break;
            }
        }
    }

    /// <summary>Asks about the range of one block, if that was not done, or if what the peer has from us since then could matter.</summary>
    public void WantBlock(long block)
    {
        if (Ended || Legacy && Informed) return;
        if (!Want(block / WantBlocks) && !Remote.Contains(block)) WantAgain(block, block + 1);
    }

    /// <summary>Asks anew about ranges of which the peer got blocks from us.</summary>
    public void WantAgain(long start, long end)
    {
        if (Ended || Legacy && Informed) return;
        foreach (long window in _servedSinceWant)
        {
            if (window * WantBlocks >= end || (window + 1) * WantBlocks <= start || !HasRoomForWant) continue;
            _servedSinceWant.Remove(window);
            AskAbout(window);
        }
    }

    /// <summary>The peer was sent a block. That it has it now is something it tells everybody but us (§8.3 point 10).</summary>
    public void Served(long block) => _servedSinceWant.Add(block / WantBlocks);

    private bool Want(long window)
    {
        if (_wanted.Contains(window) || _wanted.Count >= MaxWants || !HasRoomForWant) return false;
        _wanted.Add(window);
        AskAbout(window);
        return true;
    }

    private bool HasRoomForWant => _openWants < (Wire.RemoteOpen ? MaxOpenWants : MaxEarlyWants);

    private void AskAbout(long window)
    {
        _openWants++;
        Wire.Send(new WantMessage(window * WantBlocks, WantBlocks));
    }

    /// <summary>Takes a Want of the peer that is to be answered later. False = not to be answered by itself: too many wait, or this very one does and hears what is held by then.</summary>
    public int WaitingWants => _waitingWants.Count;

    public bool TryWait(WantMessage want) => _waitingWants.Count < MaxWaitingWants && _waitingWants.Add(want);

    /// <summary>Its turn has come.</summary>
    public void Waited(WantMessage want) => _waitingWants.Remove(want);

    /// <summary>Sends a request, with what an old peer needs in front of a repeated one (wire-protocol.md §0).</summary>
    public void Send(PendingRequest request, RequestMessage message)
    {
        if (request.Kind == RequestKind.Block)
        {
            if (Legacy && _late.Contains((request.Index, false))) Wire.Send(new UnhaveMessage(request.Index, 1));
            Blocks.Add(request.Index, request);
        }
        else if (request.Kind == RequestKind.Hash)
        {
            Hashes.Add(request.Index, request);
        }
        else
        {
            Seek = request;
            LastSeekSent = message.Bytes;
        }

        Wire.Send(message);
    }

    /// <summary>Finds the request that an answer belongs to. False = nobody asked. A late answer has no request any more and is still welcome.</summary>
    public bool TryTake(long index, bool hash, out PendingRequest? request)
    {
        if ((hash ? Hashes : Blocks).Remove(index, out request)) return true;
        if (Seek is { } seek && !hash)
        {
            Seek = null;
            request = seek;
            return true;
        }

        return _late.Remove((index, hash));
    }

    /// <summary>Gives up on a request; its answer may still come.</summary>
    public void Forget(PendingRequest request)
    {
        if (request.Kind == RequestKind.Seek) Seek = null;
        else (request.Kind == RequestKind.Hash ? Hashes : Blocks).Remove(request.Index);
        (long, bool) late = (request.Index, request.Kind == RequestKind.Hash);
        if (!_late.Add(late)) return;
        _lateInOrder.Enqueue(late);
        if (_lateInOrder.Count > MaxLate) _late.Remove(_lateInOrder.Dequeue());
    }

    /// <summary>The cursor of a range on this channel.</summary>
    public RangeCursor CursorOf(DownloadRange range)
    {
        foreach (RangeCursor cursor in Cursors)
        {
            if (cursor.Range == range) return cursor;
        }

        RangeCursor added = new(range);
        Cursors.Add(added);
        return added;
    }
}
