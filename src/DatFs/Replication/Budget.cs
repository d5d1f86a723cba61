using System.Diagnostics.Metrics;
using DatFs.Encoding;
using DatFs.Feeds;
using DatFs.Wire;

namespace DatFs.Replication;

/// <summary>
/// What the peers of one drive may take of this machine, in one place: every bound of wire-protocol.md §9.1 and hypercore.md §18 with its use. The
/// bounds are enforced where the bytes are; here they are counted, the memory of all peers together is kept within its own bound, and
/// metrics are told (meter "DatFs"). Guarded by the replicator's lock.
/// </summary>
internal sealed class Budget : IDisposable
{
    /// <summary>Bytes that all peers together may make us hold.</summary>
    public const long MaxMemory = 256L * 1024 * 1024;

    private const int DriveDigits = 8;
    private const string Peer = "peer";
    private const string All = "all";
    private const string Bytes = "bytes";
    private const string Count = "count";
    private const string PerSecond = "per second";
    private const string Seconds = "seconds";

    // Bounds on single messages: nothing is used up. The names are those of ProtocolViolationException.Bound.
    private static readonly BudgetLine[] s_messages =
    [
        Bound("first-frame", Bytes, WireConnection.MaxFirstFrame),
        Bound("handshake", Bytes, WireConnection.MaxHandshakeOrExtension),
        Bound("handshake-time", Seconds, (long)WireConnection.MaxHandshakeTime.TotalSeconds),
        Bound("frame-time", Seconds, (long)WireConnection.FrameWindow.TotalSeconds),
        Bound("frame-rate", "bytes per second", WireConnection.MinFrameProgress / (long)WireConnection.FrameWindow.TotalSeconds),
        Bound("silence", Seconds, (long)WireConnection.MaxSilence.TotalSeconds),
        Bound("control-frame", Bytes, WireConnection.MaxControl),
        Bound("have-size", Bytes, WireConnection.MaxRangedHave),
        Bound("have-end", Count, RemoteBitfield.MaxBlocks),
        Bound("bitfield-runs", Bytes, BitfieldRle.MaxOpenEndedBytes),
        Bound("want-length", Count, PeerConnection.MaxWantBlocks),
        Bound("user-data", Bytes, MessageCodec.MaxUserData),
        Bound("extensions", Count, MessageCodec.MaxExtensions),
        Bound("extension-name", Bytes, MessageCodec.MaxExtensionName),
        Bound("extension-payload", Bytes, WireConnection.MaxExtensionPayload),
        Bound("early-messages", Count, RemoteChannel.MaxEarlyMessages),
        Bound("proof", Count, 0),
        Bound("proof-nodes", Count, DataCodec.MaxNodes),
        Bound("proof-hash", Bytes, NodeHash.Size),
        Bound("proof-signature", Bytes, DataCodec.SignatureSize),
        Bound("proof-index", Count, FlatTree.MaxIndex),
        Bound("proof-size", Bytes, TreeHash.MaxSize),
        Bound("claimed-length", Count, ProofVerifier.MaxLength),
        Bound("block", Bytes, ProofVerifier.MaxBlockSize),
        Bound("repeats", Count, AnswerCounts.MaxRepeats),
        Bound(ProtocolViolationException.NoBound, Count, 0),
    ];

    private readonly Replicator _owner;
    private readonly Dictionary<string, long> _refused = [];
    private readonly Dictionary<string, long> _peaks = [];
    private readonly Meter _meter = new("DatFs");
    private long _memory;
    private int _peers;

    public Budget(Replicator owner)
    {
        _owner = owner;
        _meter.CreateObservableGauge("datfs.budget.used", () => Measure(line => line.Used), description: "What is used of each bound on peers");
        _meter.CreateObservableGauge("datfs.budget.limit", () => Measure(line => line.Limit), description: "Each bound on peers");
        _meter.CreateObservableCounter("datfs.budget.refused", () => Measure(line => line.Refused), description: "How often each bound was exceeded");
    }

    /// <summary>What one peer takes; nothing of each bound where there is none.</summary>
    public static IReadOnlyList<BudgetLine> Of(PeerConnection? peer)
    {
        WireUse wire = peer?.Use ?? default;
        (long items, long bytes, long peakItems, long peakBytes) = peer?.Queue.Use ?? default;
        (int misbehaviour, int refusals, int timeouts) = (peer?.Misbehaviour ?? 0, peer?.RefusalsInRow ?? 0, peer?.TimeoutsInRow ?? 0);
        IEnumerable<PeerChannel> channels = peer?.Channels ?? [];
        long bitfield = channels.Select(channel => (long)channel.Remote.Bytes).DefaultIfEmpty().Max();
        long waiting = channels.Select(channel => (long)channel.WaitingWants).DefaultIfEmpty().Max();
        return
        [
            new("frame", Peer, Bytes, FrameReader.MaxFrameLength, wire.FrameBytes, wire.FramePeak, 0),
            new("junk", Peer, PerSecond, WireConnection.MaxJunkPerSecond, wire.Junk, wire.JunkPeak, 0),
            new("channels", Peer, Count, WireConnection.MaxChannels, wire.Channels, wire.Channels, 0),
            new("unknown-channels", Peer, Count, peer is null ? WireConnection.MaxChannels : wire.UnknownLimit, wire.UnknownChannels, wire.UnknownPeak, 0),
            new("early-bytes", Peer, Bytes, WireConnection.MaxEarlyBytes, wire.EarlyBytes, wire.EarlyPeak, 0),
            new("output", Peer, Bytes, WireConnection.MaxQueued, wire.Output, wire.OutputPeak, 0),
            new("requests", Peer, Count, RequestWindow.MaxCount, peer?.Window.Count ?? 0, peer?.Window.PeakCount ?? 0, 0),
            new("requested-bytes", Peer, Bytes, RequestWindow.MaxBytes, peer?.Window.Bytes ?? 0, peer?.Window.PeakBytes ?? 0, 0),
            new("answers", Peer, Count, ServeQueue.MaxItems, items, peakItems, 0),
            new("answer-bytes", Peer, Bytes, ServeQueue.MaxBytes, bytes, peakBytes, 0),
            new("wants", Peer, Count, PeerChannel.MaxWaitingWants, waiting, waiting, 0),
            new("bitfield", Peer, Bytes, RemoteBitfield.MaxBytes, bitfield, bitfield, 0),
            new("misbehaviour", Peer, Count, PeerConnection.MaxMisbehaviour, misbehaviour, misbehaviour, 0),
            new("refusals", Peer, Count, PeerConnection.MaxRefusalsInRow, refusals, refusals, 0),
            new("timeouts", Peer, Count, RequestScheduler.MaxTimeoutsInRow, timeouts, timeouts, 0),
        ];
    }

    /// <summary>Every bound. Where each peer has it for itself, the use of whoever uses most.</summary>
    public IReadOnlyList<BudgetLine> Lines()
    {
        List<BudgetLine> lines =
        [
            Whole("peers", Count, Replicator.MaxPeers, _owner.Connections.Count),
            Whole("memory", Bytes, _owner.Options.MaxPeerMemory, _memory),
            Whole("bans", Count, PeerBans.MaxEntries, _owner.Bans.Count),
        ];
        foreach (BudgetLine line in Of(null).Concat(_owner.Connections.SelectMany(Of)).GroupBy(line => line.Name).Select(Most)) lines.Add(Kept(line));
        lines.AddRange(s_messages.Select(line => line with { Refused = _refused.GetValueOrDefault(line.Name) }));
        return lines;
    }

    /// <summary>A peer was let go because it exceeded a bound.</summary>
    public void Refused(string bound) => _refused[bound] = _refused.GetValueOrDefault(bound) + 1;

    /// <summary>So many peers there are; one more came and found no room.</summary>
    public void Counted(int peers, bool refused)
    {
        _peers = Math.Max(_peers, peers);
        if (refused) Refused("peers");
    }

    /// <summary>Counts what a peer makes us hold, and lets the heaviest one go when all together hold too much.</summary>
    public void Weigh(PeerConnection peer)
    {
        lock (_owner.Gate)
        {
            if (peer.State == PeerState.Closed) return;
            long memory = peer.Memory;
            _memory += memory - peer.Weighed;
            peer.Weighed = memory;
            _peaks["memory"] = Math.Max(_peaks.GetValueOrDefault("memory"), _memory);
            if (_memory <= _owner.Options.MaxPeerMemory) return;
            PeerConnection heaviest = _owner.Connections.MaxBy(one => one.Weighed)!;
            // It holds its memory until its connection is closed.
            if (heaviest.End == PeerEnd.TooHeavy) return;
            Refused("memory");
            heaviest.Close(PeerEnd.TooHeavy, $"all peers together hold more than {_owner.Options.MaxPeerMemory} bytes of memory, and this one most");
        }
    }

    /// <summary>A peer is gone, and its peaks are kept.</summary>
    public void Left(PeerConnection peer)
    {
        _memory -= peer.Weighed;
        peer.Weighed = 0;
        foreach (BudgetLine line in Of(peer)) _peaks[line.Name] = Math.Max(_peaks.GetValueOrDefault(line.Name), line.Peak);
    }

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private static BudgetLine Bound(string name, string unit, long limit) => new(name, Peer, unit, limit, 0, 0, 0);

    private static BudgetLine Most(IEnumerable<BudgetLine> same) => same.Aggregate((one, other) => one with { Used = Math.Max(one.Used, other.Used), Peak = Math.Max(one.Peak, other.Peak) });

    private BudgetLine Whole(string name, string unit, long limit, long used) =>
        new(name, All, unit, limit, used, Math.Max(used, name == "peers" ? _peers : _peaks.GetValueOrDefault(name)), _refused.GetValueOrDefault(name));

    private BudgetLine Kept(BudgetLine line) => line with { Peak = Math.Max(line.Peak, _peaks.GetValueOrDefault(line.Name)), Refused = _refused.GetValueOrDefault(line.Name) };

    private IEnumerable<Measurement<long>> Measure(Func<BudgetLine, long> figure)
    {
        string drive = _owner.DiscoveryKey?.ToHex()[..DriveDigits] ?? "";
        return [.. _owner.Limits.Select(line => new Measurement<long>(figure(line), new("bound", line.Name), new("drive", drive)))];
    }
}
