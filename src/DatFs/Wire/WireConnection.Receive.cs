using System.Buffers;
using System.IO.Pipelines;
using DatFs.Crypto;
using DatFs.Encoding;
using DatFs.Feeds;

namespace DatFs.Wire;

// Bytes in: the remote's Feed in clear, its Handshake, then frames for as long as the connection lives.
public sealed partial class WireConnection
{
    /// <summary>The reference sends 61; the rest is for fields we do not know (§9.1).</summary>
    internal const int MaxFirstFrame = 128;

    /// <summary>Keep-alives, empty frames, unassigned types and malformed bodies in one second (§9.1).</summary>
    internal const int MaxJunkPerSecond = 100;

    private const int LengthBytes = 4;

    private static readonly TimeSpan s_junkWindow = TimeSpan.FromSeconds(1);

    private FrameReader? _frames;
    private bool _handshaken;
    private long _received;
    private long _droppedFrames;
    private long _junkSince;
    private int _junk;
    private int _junkPeak;

    private async Task ReceiveAsync()
    {
        await ReceiveFirstFeedAsync();
        while (true)
        {
            await AnnounceOpenedAsync();
            ReadResult read = await ReadAsync();
            ReadOnlySequence<byte> bytes = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, FrameReader.MaxFill));
            bool last = read.IsCompleted && bytes.Length == read.Buffer.Length;
            _frames!.Fill(bytes);
            Interlocked.Add(ref _received, bytes.Length);
            _transport.Input.AdvanceTo(bytes.End);
            while (_frames.TryRead(out Frame frame))
            {
                _frameCompleted = true;
                await DispatchAsync(frame);
            }

            if (!last) continue;
            if (_frames.HasPartial || !_handshaken) throw new EndOfStreamException("the remote ended the stream inside a frame");
            return;
        }
    }

    private async ValueTask<ReadResult> ReadAsync()
    {
        BeginWaiting();
        ReadResult read = await _transport.Input.ReadAsync(_closing.Token);
        EndWaiting();
        return read;
    }

    private async Task ReceiveFirstFeedAsync()
    {
        ReadOnlyMemory<byte> body;
        while (true)
        {
            ReadResult read = await ReadAsync();
            if (TryReadFirstFrame(read.Buffer, out body, out int consumed))
            {
                Interlocked.Add(ref _received, consumed);
                _transport.Input.AdvanceTo(read.Buffer.GetPosition(consumed));
                break;
            }

            if (read.IsCompleted) throw new EndOfStreamException("the remote ended the stream before its first frame");
            _transport.Input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }

        bool ok = MessageCodec.TryDecodeFeed(body.Span, out DiscoveryKey discoveryKey, out ReadOnlyMemory<byte> nonce);
        if (!ok || nonce.Length != XSalsa20Stream.NonceSize) ProtocolViolation.ThrowFirstFrame();
        if (_first is null)
        {
            if (_handler.ChooseFirstFeed(this, discoveryKey) is not { } chosen) ProtocolViolation.ThrowFirstFeedUnknown();
            else SendFirstFlight(chosen);
        }

        if (_first!.DiscoveryKey != discoveryKey) ProtocolViolation.ThrowFirstFeedDiffers();
        if (nonce.Span.SequenceEqual(_nonce)) ProtocolViolation.ThrowReflected();
        _frames = new FrameReader(new XSalsa20Stream(_first.Key, nonce.Span), this);
        lock (_gate) _remotes[0] = new RemoteChannel(discoveryKey);
    }

    private static bool TryReadFirstFrame(in ReadOnlySequence<byte> received, out ReadOnlyMemory<byte> body, out int consumed)
    {
        (body, consumed) = (default, 0);
        byte[] bytes = received.Slice(0, Math.Min(received.Length, LengthBytes + MaxFirstFrame)).ToArray();
        OperationStatus status = Varint.Read(bytes, out ulong length, out int lengthSize, LengthBytes);
        if (status == OperationStatus.NeedMoreData) return false;
        if (status != OperationStatus.Done || length is < 2 or > MaxFirstFrame) ProtocolViolation.ThrowFirstFrame();
        if (bytes.Length == lengthSize) return false;
        if (bytes[lengthSize] != HeaderOf(0, FrameType.Feed)) ProtocolViolation.ThrowFirstFrame();
        consumed = lengthSize + (int)length;
        if (bytes.Length < consumed) return false;
        body = bytes.AsMemory(lengthSize + 1, (int)length - 1);
        return true;
    }

    private ValueTask DispatchAsync(Frame frame)
    {
        if (!_handshaken) return OnFirstFrameAsync(frame);
        if (frame.IsKeepAlive || frame.Body.IsEmpty)
        {
            CountJunk();
            return ValueTask.CompletedTask;
        }

        switch (frame.Type!.Value)
        {
            case FrameType.Feed:
                return OnFeedAsync(frame);
            case >= FrameType.Info and <= FrameType.Data:
            case FrameType.Extension:
                return DispatchToChannelAsync(frame);
            default:
                CountJunk();
                return ValueTask.CompletedTask;
        }
    }

    /// <summary>A Handshake that deciphers is the only sign that the remote has the key (§3.5).</summary>
    private ValueTask OnFirstFrameAsync(Frame frame)
    {
        HandshakeMessage? handshake = null;
        if (frame.Type != FrameType.Handshake || frame.Body.IsEmpty || !MessageCodec.TryDecode(frame.Body.Span, out handshake))
        {
            ProtocolViolation.ThrowNoHandshake();
            return default;
        }

        RemoteHandshake = handshake;
        Volatile.Write(ref _handshaken, true);
        _transport.MarkAuthenticated();
        _handler.OnHandshake(this, handshake!);
        lock (_gate) Join(_first!, _remotes[0]);
        return AnnounceOpenedAsync();
    }

    private async ValueTask DeliverAsync(WireChannel channel, RemoteChannel remote, FrameType type, ReadOnlyMemory<byte> body)
    {
        if (type == FrameType.Extension)
        {
            await OnExtensionAsync(channel, body);
            return;
        }

        if (type == FrameType.Data)
        {
            if (DataCodec.TryDecode(body, out Proof? proof))
            {
                channel.CountData();
                await _handler.OnDataAsync(channel, proof!);
                return;
            }

            // Whoever answers a request so leaves a reader waiting: silence, but with a proof of who is to blame.
            if (channel.RequestsInFlight > 0) ProtocolViolation.ThrowMalformedData();
        }
        else if (TryHandle(channel, remote, type, body.Span, out ValueTask handled))
        {
            await handled;
            return;
        }

        Interlocked.Increment(ref _droppedFrames);
        CountJunk();
    }

    private bool TryHandle(WireChannel channel, RemoteChannel remote, FrameType type, ReadOnlySpan<byte> body, out ValueTask handled)
    {
        handled = default;
        switch (type)
        {
            case FrameType.Info when MessageCodec.TryDecode(body, out InfoMessage info):
                handled = _handler.OnInfoAsync(channel, info);
                return true;
            case FrameType.Have when MessageCodec.TryDecode(body, out HaveMessage have):
                CheckHave(remote, have, body.Length);
                handled = _handler.OnHaveAsync(channel, have);
                return true;
            case FrameType.Unhave when MessageCodec.TryDecode(body, out UnhaveMessage unhave):
                handled = _handler.OnUnhaveAsync(channel, unhave);
                return true;
            case FrameType.Want when MessageCodec.TryDecode(body, out WantMessage want):
                handled = _handler.OnWantAsync(channel, want);
                return true;
            case FrameType.Unwant when MessageCodec.TryDecode(body, out UnwantMessage unwant):
                handled = _handler.OnUnwantAsync(channel, unwant);
                return true;
            case FrameType.Request when MessageCodec.TryDecode(body, out RequestMessage request):
                handled = _handler.OnRequestAsync(channel, request);
                return true;
            case FrameType.Cancel when MessageCodec.TryDecode(body, out CancelMessage cancel):
                handled = _handler.OnCancelAsync(channel, cancel);
                return true;
            default:
                return false;
        }
    }

    /// <summary>The number is the index in the list of the side that sent it (§4.10); names that are not shared are ignored.</summary>
    private ValueTask OnExtensionAsync(WireChannel channel, ReadOnlyMemory<byte> body)
    {
        ReadOnlySpan<byte> rest = body.Span;
        IReadOnlyList<string> names = RemoteHandshake!.Extensions;
        if (!Varint.TryRead(ref rest, out ulong number) || number >= (ulong)names.Count || rest.Length > MaxExtensionPayload)
        {
            CountJunk();
            return ValueTask.CompletedTask;
        }

        string name = names[(int)number];
        return IndexOfExtension(name) < 0
            ? ValueTask.CompletedTask
            : _handler.OnExtensionAsync(channel, new ExtensionMessage(name, body[^rest.Length..]));
    }

    private void CountJunk()
    {
        long now = _time.GetTimestamp();
        if (_time.GetElapsedTime(_junkSince, now) >= s_junkWindow) (_junkSince, _junk) = (now, 0);
        _junkPeak = Math.Max(_junkPeak, _junk + 1);
        if (++_junk > MaxJunkPerSecond) ProtocolViolation.ThrowJunkFlood();
    }
}
