using DatFs.Crypto;

namespace DatFs.Wire;

// Two numberings of channels, matched by discovery key only (§3.4).
public sealed partial class WireConnection
{
    /// <summary>By protocol, in each direction.</summary>
    internal const int MaxChannels = FrameReader.MaxChannel + 1;

    /// <summary>Messages kept for feeds that we have not opened, over all of them.</summary>
    internal const int MaxEarlyBytes = 1024 * 1024;

    internal const int MaxRangedHave = 160 * 1024;
    internal const int MaxControl = 4 * 1024;
    internal const int MaxHandshakeOrExtension = 64 * 1024 + 16;

    private readonly Dictionary<DiscoveryKey, WireChannel> _channels = [];
    private readonly Dictionary<int, RemoteChannel> _remotes = [];
    private readonly Queue<WireChannel> _opened = new();
    private WireChannel? _first;
    private int _earlyBytes;
    private int _earlyPeak;
    private int _unknownPeak;

    /// <summary>
    /// Opens a feed on this connection: sends Feed, answers the channel. A second call for the same feed answers the same channel.
    /// What the remote sent for the feed before is delivered now, in order.
    /// </summary>
    public WireChannel Open(FeedKey key)
    {
        DiscoveryKey discoveryKey = key.ToDiscoveryKey();
        WireChannel? channel;
        lock (_gate)
        {
            if (_first is null) throw new DatException(DatError.Invalid, "the remote has not named its first feed yet");
            if (_channels.TryGetValue(discoveryKey, out channel)) return channel;
            if (_channels.Count == MaxChannels) throw new DatException(DatError.Unsupported, "a connection carries at most 256 feeds");
            channel = new WireChannel(this, _channels.Count, key, discoveryKey);
            _channels.Add(discoveryKey, channel);
            if (_closed) return channel;
            if (!_ending) Append(channel.Number, FrameType.Feed, MessageCodec.Encode(discoveryKey, default));
            if (FindRemote(discoveryKey) is not { } remote) return channel;
            Join(channel, remote);
        }

        // The read loop, wherever it waits, announces the channel and replays.
        _transport.Input.CancelPendingRead();
        return channel;
    }

    /// <summary>Under the lock, once the header of a frame is there and before its body is (§9.1).</summary>
    int IFrameRules.MaxLength(int channel, FrameType type)
    {
        if (!_handshaken && type != FrameType.Handshake) ProtocolViolation.ThrowNoHandshake();
        lock (_gate)
        {
            if (!_remotes.TryGetValue(channel, out RemoteChannel? remote))
            {
                if (type != FrameType.Feed) ProtocolViolation.ThrowUnopenedChannel();
                return MaxControl;
            }

            int limit = type switch
            {
                FrameType.Data => remote.Local is { RequestsInFlight: > 0 } ? FrameReader.MaxFrameLength : MaxControl,
                FrameType.Have => remote.BitfieldSeen ? MaxRangedHave : FrameReader.MaxFrameLength,
                FrameType.Handshake or FrameType.Extension => MaxHandshakeOrExtension,
                _ => MaxControl,
            };
            return remote.Local is null ? Math.Min(limit, MaxEarlyBytes) : limit;
        }
    }

    /// <summary>A Have above the ranged bound is the first with a bitfield, and describes a whole feed (§9.1).</summary>
    private static void CheckHave(RemoteChannel remote, HaveMessage have, int size)
    {
        bool legacy = have is { Bitfield: not null, Length: null or 0 or 1 } && !remote.BitfieldSeen;
        if (size > MaxRangedHave && !legacy) ProtocolViolation.ThrowRangedHaveTooLong();
        remote.BitfieldSeen |= have.Bitfield is not null;
    }

    private async ValueTask OnFeedAsync(Frame frame)
    {
        if (!MessageCodec.TryDecodeFeed(frame.Body.Span, out DiscoveryKey discoveryKey, out _)) ProtocolViolation.ThrowMalformedFeed();
        WireChannel?[] closed;
        bool known;
        do await AnnounceOpenedAsync();
        while (!TryRegister(frame.Channel, discoveryKey, out closed, out known));
        foreach (WireChannel? channel in closed)
        {
            if (channel is not null) _handler.OnChannelClosed(channel);
        }

        if (!known) _handler.OnRemoteFeed(this, discoveryKey);
        await AnnounceOpenedAsync();
    }

    /// <summary>False while a channel waits to be announced: none may close before its opening was told.</summary>
    private bool TryRegister(int number, DiscoveryKey discoveryKey, out WireChannel?[] closed, out bool known)
    {
        lock (_gate)
        {
            (closed, known) = ([], false);
            if (_opened.Count > 0) return false;
            WireChannel? replaced = _remotes.Remove(number, out RemoteChannel? old) ? Part(old) : null;
            WireChannel? moved = null;
            if (FindRemote(discoveryKey) is { } other)
            {
                moved = Part(other);
                other.Replaced = true;
            }

            RemoteChannel remote = new(discoveryKey);
            _remotes[number] = remote;
            closed = [replaced, moved];
            known = _channels.TryGetValue(discoveryKey, out WireChannel? channel);
            if (known) Join(channel!, remote);
            else
            {
                int unknown = UnknownChannels;
                _unknownPeak = Math.Max(_unknownPeak, unknown);
                if (unknown > _options.MaxUnknownChannels) ProtocolViolation.ThrowTooManyUnknown();
            }

            return true;
        }
    }

    private async ValueTask DispatchToChannelAsync(Frame frame)
    {
        RemoteChannel remote;
        WireChannel channel;
        while (true)
        {
            lock (_gate)
            {
                remote = _remotes[frame.Channel];
                if (remote.Local is null)
                {
                    Keep(remote, frame);
                    return;
                }

                channel = remote.Local;
                if (_opened.Count == 0) break;
            }

            await AnnounceOpenedAsync();
        }

        await DeliverAsync(channel, remote, frame.Type!.Value, frame.Body);
    }

    /// <summary>Only on the read loop: tells of channels that both sides have opened, then replays what came too early for them.</summary>
    private async ValueTask AnnounceOpenedAsync()
    {
        while (true)
        {
            WireChannel? channel;
            RemoteChannel? remote;
            lock (_gate)
            {
                if (!_opened.TryDequeue(out channel)) return;
                remote = channel.Remote!;
            }

            _handler.OnChannelOpen(channel);
            while (remote.Early.TryDequeue(out (FrameType Type, byte[] Body) early))
            {
                lock (_gate) _earlyBytes -= early.Body.Length;
                await DeliverAsync(channel, remote, early.Type, early.Body);
            }
        }
    }

    /// <summary>What the remote takes at this moment, and the most it has taken.</summary>
    internal WireUse Use
    {
        get
        {
            lock (_gate)
            {
                (int held, int heldPeak) = _frames?.Held ?? (0, 0);
                bool lately = _time.GetElapsedTime(_junkSince) < s_junkWindow;
                return new WireUse(
                    held, heldPeak, lately ? _junk : 0, _junkPeak, _remotes.Count, UnknownChannels, _unknownPeak, _options.MaxUnknownChannels, _earlyBytes, _earlyPeak, _output.Queued + _held, _output.Peak, (_frames?.Capacity ?? 0) + _earlyBytes + _output.Queued + _held);
            }
        }
    }

    // Everything below runs under the lock.

    private int UnknownChannels => _remotes.Values.Count(remote => remote.Local is null);

    private RemoteChannel? FindRemote(DiscoveryKey discoveryKey)
    {
        foreach (RemoteChannel remote in _remotes.Values)
        {
            if (!remote.Replaced && remote.DiscoveryKey == discoveryKey) return remote;
        }

        return null;
    }

    private void Join(WireChannel channel, RemoteChannel remote)
    {
        remote.Local = channel;
        channel.Remote = remote;
        ReleaseHeld(channel);
        _opened.Enqueue(channel);
    }

    private WireChannel? Part(RemoteChannel remote)
    {
        foreach ((_, byte[] body) in remote.Early) _earlyBytes -= body.Length;
        remote.Early.Clear();
        WireChannel? channel = remote.Local;
        remote.Local = null;
        if (channel is not null) channel.Remote = null;
        return channel;
    }

    /// <summary>Extension messages on a feed that is not open are lost (§3.4); others wait, within bounds.</summary>
    private void Keep(RemoteChannel remote, Frame frame)
    {
        FrameType type = frame.Type!.Value;
        if (remote.Replaced) CountJunk();
        if (remote.Replaced || type == FrameType.Extension) return;
        if (remote.Early.Count == RemoteChannel.MaxEarlyMessages) ProtocolViolation.ThrowTooManyUnopened();
        _earlyBytes = checked(_earlyBytes + frame.Body.Length);
        _earlyPeak = Math.Max(_earlyPeak, _earlyBytes);
        if (_earlyBytes > MaxEarlyBytes) ProtocolViolation.ThrowUnopenedMemory();
        remote.Early.Enqueue((type, frame.Body.ToArray()));
    }
}
