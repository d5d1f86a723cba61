using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Wire;
using DatMount.Fuzz.Engine;

namespace DatMount.Fuzz.Targets;

/// <summary>
/// A whole connection whose remote says anything: its handler hears the same in the same order however the bytes were cut, and the connection ends
/// for a broken rule or the end of the stream only. The first byte cuts the stream, the second says which side we are, what was sent before and
/// how the stream begins: as it stands, or behind a Feed (and a Handshake) that are in order.
/// </summary>
internal sealed class ConnectionTarget : IFuzzTarget
{
    private const int Acceptor = 1;
    private const int RawStart = 2;
    private const int NoHandshake = 4;
    private const int Requested = 8;
    private const int LateOpen = 16;

    private static readonly FeedKey s_first = FeedKey.From([.. Enumerable.Repeat<byte>(1, FeedKey.Size)]);
    private static readonly FeedKey s_second = FeedKey.From([.. Enumerable.Repeat<byte>(2, FeedKey.Size)]);
    private static readonly byte[] s_nonce = [.. Enumerable.Repeat<byte>(7, XSalsa20Stream.NonceSize)];
    private static readonly FrozenTime s_time = new();

    private static readonly byte[] s_handshake = [0x10, 0x01, 0x0A, 0x02, 0x68, 0x69, 0x10, 0x01, 0x22, 0x01, 0x61, 0x22, 0x01, 0x62, 0x22, 0x01, 0x63];

    public string Name => "connection";

    public int MaxLength => 16 * 1024;

    public IReadOnlyList<byte[]> Dictionary { get; } =
    [
        [0], [1, 0], [3, 0x10, 8, 0], [0x23, 0x10, 0x0A, 0x20, .. Discovery(s_second)], [0x23, 0x00, 0x0A, 0x20, .. Discovery(s_first)], [0x23, 0x20, 0x0A, 0x20, .. Discovery(s_first)],
        [5, 0x02, 0x08, 1, 0x10, 1], [5, 0x13, 8, 0, 0x10, 5], [7, 0x03, 8, 0, 0x1A, 2, 2, 0xFF], [3, 0x0F, 0, 1], [3, 0x0F, 1, 1], [4, 0x09, 8, 1, 0x12], [5, 0x15, 8, 0, 0x10, 0],
    ];

    public long AllocationLimit(int inputLength) => 512 * 1024 + 256L * inputLength;

    public IEnumerable<byte[]> Corpus()
    {
        byte[] feed = [0x23, 0x10, 0x0A, 0x20, .. Discovery(s_second)];
        int piece = 0;
        foreach (List<byte[]> frames in FrameTarget.Directions())
        {
            // The recorded Feed names another key and the recorded Handshake is replaced too; what follows is as it was.
            byte[] stream = [.. frames.Skip(2).SelectMany(frame => frame)];
            if (stream.Length > MaxLength / 2) continue;
            piece += 13;
            yield return [(byte)piece, (byte)(Requested | (piece & 1)), .. stream];
            yield return [(byte)piece, LateOpen, .. feed, .. stream];
            yield return [(byte)piece, NoHandshake, .. s_handshake, .. feed, .. stream];
        }

        yield return [9, RawStart | Acceptor, .. FirstFrame(), .. s_handshake];
        yield return [9, RawStart, .. FirstFrame(), .. s_handshake];
        yield return [5, 0, .. Enumerable.Repeat<byte>(0, 120)];
        yield return [5, LateOpen, .. feed, .. Enumerable.Repeat<byte[]>([3, 0x13, 8, 1], 20).SelectMany(frame => frame)];
    }

    public void Run(ReadOnlySpan<byte> input)
    {
        InputReader reader = new(input);
        int seed = reader.Byte(), mode = reader.Byte();
        byte[] stream = Stream(mode, reader.Rest);
        string whole = Listen(stream, int.MaxValue, mode), pieces = Listen(stream, seed, mode);
        Oracle.Equal(whole, pieces, "what is heard of the whole and of pieces");
    }

    private static byte[] Stream(int mode, ReadOnlySpan<byte> rest)
    {
        ReadOnlySpan<byte> start = (mode & RawStart) != 0 ? default : FirstFrame();
        byte[] stream = [.. start, .. (mode & (RawStart | NoHandshake)) != 0 ? [] : s_handshake, .. rest];
        int clear = (mode & RawStart) != 0 ? Math.Min(stream.Length, FirstFrame().Length) : start.Length;
        using XSalsa20Stream cipher = new(s_first, s_nonce);
        cipher.Apply(stream.AsSpan(clear));
        return stream;
    }

    private static string Listen(byte[] stream, int seed, int mode)
    {
        bool acceptor = (mode & Acceptor) != 0;
        Listener listener = new(mode);
        WireOptions options = new() { Id = new byte[32], Extensions = ["a", "b", "x"], Time = s_time, FillNonce = nonce => nonce.Span.Fill(3) };
        WireConnection connection = new(new FragmentTransport(stream, seed, !acceptor), listener, options, acceptor ? null : s_first);
        Oracle.That(connection.RunAsync(CancellationToken.None).Wait(TimeSpan.FromSeconds(20)), "the connection ends");
        Oracle.That(listener.Closed, "its end is told");
        Oracle.That(listener.Reason is null or ProtocolViolationException or EndOfStreamException, $"an end for a broken rule, not {listener.Reason}");

        // A feed that was opened late is announced before the next message or the next read; the end may come before both.
        if (listener.OpenedLate) return $"{listener.Reason?.Message}";
        return $"{listener.Calls} {listener.Heard.ToHashCode()} {listener.Reason?.Message} {connection.DroppedFrames}";
    }

    private static byte[] FirstFrame() => [0x3D, 0x00, 0x0A, 0x20, .. Discovery(s_first), 0x12, 0x18, .. s_nonce];

    private static byte[] Discovery(FeedKey key)
    {
        byte[] bytes = new byte[DiscoveryKey.Size];
        key.ToDiscoveryKey().CopyTo(bytes);
        return bytes;
    }

    private sealed class Listener(int mode) : IWireHandler
    {
        private WireConnection? _late;

        public HashCode Heard;

        public int Calls { get; private set; }

        public bool OpenedLate { get; private set; }

        public bool Closed { get; private set; }

        public Exception? Reason { get; private set; }

        public FeedKey? ChooseFirstFeed(WireConnection connection, DiscoveryKey discoveryKey)
        {
            Hear('f', discoveryKey);
            return discoveryKey == s_first.ToDiscoveryKey() ? s_first : null;
        }

        public void OnHandshake(WireConnection connection, HandshakeMessage handshake)
        {
            Hear('h', (handshake.Live, handshake.Ack, handshake.Extensions.Count));
            Heard.AddBytes(handshake.Id.Span);
        }

        public void OnRemoteFeed(WireConnection connection, DiscoveryKey discoveryKey)
        {
            Hear('r', discoveryKey);
            if (discoveryKey != s_second.ToDiscoveryKey()) return;
            if ((mode & LateOpen) != 0) _late = connection;
            else connection.Open(s_second);
        }

        public void OnChannelOpen(WireChannel channel)
        {
            Hear('o', channel.DiscoveryKey);
            if ((mode & Requested) != 0) channel.Send(new RequestMessage(1, 0, false, 0));
        }

        public void OnChannelClosed(WireChannel channel) => Hear('c', channel.DiscoveryKey);

        public ValueTask OnInfoAsync(WireChannel channel, InfoMessage message)
        {
            // The second feed is opened long after its messages came.
            if (_late is { } connection)
            {
                _late = null;
                OpenedLate = true;
                connection.Open(s_second);
            }

            return Take(channel, message);
        }

        public ValueTask OnHaveAsync(WireChannel channel, HaveMessage message)
        {
            Heard.AddBytes(message.Bitfield.GetValueOrDefault().Span);
            return Take(channel, (message.Start, message.Length, message.Bitfield is null, message.Ack));
        }

        public ValueTask OnUnhaveAsync(WireChannel channel, UnhaveMessage message) => Take(channel, message);

        public ValueTask OnWantAsync(WireChannel channel, WantMessage message) => Take(channel, message);

        public ValueTask OnUnwantAsync(WireChannel channel, UnwantMessage message) => Take(channel, message);

        public ValueTask OnRequestAsync(WireChannel channel, RequestMessage message) => Take(channel, message);

        public ValueTask OnCancelAsync(WireChannel channel, CancelMessage message) => Take(channel, message);

        public ValueTask OnDataAsync(WireChannel channel, Proof proof)
        {
            Heard.AddBytes(proof.Value.GetValueOrDefault().Span);
            Heard.AddBytes(proof.Signature.GetValueOrDefault().Span);
            foreach (TreeNode node in proof.Nodes) Heard.Add(node);
            return Take(channel, proof.Index);
        }

        public ValueTask OnExtensionAsync(WireChannel channel, ExtensionMessage message)
        {
            Heard.AddBytes(message.Payload.Span);
            return Take(channel, message.Name);
        }

        public void OnClosed(WireConnection connection, Exception? reason)
        {
            Oracle.That(!Closed, "the end is told once");
            (Closed, Reason) = (true, reason);
        }

        private ValueTask Take<T>(WireChannel channel, T message)
        {
            Oracle.That(!Closed && channel.RemoteOpen, "messages come on open channels only");
            Hear('m', (channel.DiscoveryKey, message));
            return ValueTask.CompletedTask;
        }

        private void Hear<T>(char what, T about)
        {
            Calls++;
            Heard.Add(what);
            Heard.Add(about);
        }
    }
}
