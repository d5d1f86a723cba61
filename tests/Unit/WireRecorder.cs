using System.Threading.Channels;
using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Wire;

namespace DatFs.Unit;

/// <summary>Writes down what a connection tells its handler, one line each, and lets a test wait for the next line.</summary>
internal sealed class WireRecorder : IWireHandler
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();
    private readonly TaskCompletionSource<Exception?> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The acceptor's answer to the remote's first feed.</summary>
    public Func<DiscoveryKey, FeedKey?> Choose { get; init; } = _ => null;

    /// <summary>Runs inside the callback of that name, after it was written down.</summary>
    public Action<WireConnection, DiscoveryKey>? RemoteFeed { get; init; }
    public Action<WireChannel>? Opened { get; init; }
    public Func<WireChannel, string, ValueTask>? Message { get; init; }

    public List<WireChannel> Channels { get; } = [];

    public HandshakeMessage? Handshake { get; private set; }

    /// <summary>The next line; fails the test when none comes.</summary>
    public async Task<string> NextAsync()
    {
        using CancellationTokenSource patience = new(s_patience);
        return await _lines.Reader.ReadAsync(patience.Token);
    }

    /// <summary>Lines so far that nobody took.</summary>
    public List<string> Rest()
    {
        List<string> lines = [];
        while (_lines.Reader.TryRead(out string? line)) lines.Add(line);
        return lines;
    }

    /// <summary>The reason of the end; fails the test when it does not end.</summary>
    public Task<Exception?> ClosedAsync() => _closed.Task.WaitAsync(s_patience);

    public FeedKey? ChooseFirstFeed(WireConnection connection, DiscoveryKey discoveryKey)
    {
        Line($"choose {discoveryKey}");
        return Choose(discoveryKey);
    }

    public void OnHandshake(WireConnection connection, HandshakeMessage handshake)
    {
        Handshake = handshake;
        Line("handshake");
    }

    public void OnRemoteFeed(WireConnection connection, DiscoveryKey discoveryKey)
    {
        Line($"feed {discoveryKey}");
        RemoteFeed?.Invoke(connection, discoveryKey);
    }

    public void OnChannelOpen(WireChannel channel)
    {
        lock (Channels) Channels.Add(channel);
        Line($"open {channel.DiscoveryKey}");
        Opened?.Invoke(channel);
    }

    public void OnChannelClosed(WireChannel channel) => Line($"closed {channel.DiscoveryKey}");

    public ValueTask OnInfoAsync(WireChannel channel, InfoMessage message) => Take(channel, Format(message));
    public ValueTask OnHaveAsync(WireChannel channel, HaveMessage message) => Take(channel, Format(message));
    public ValueTask OnUnhaveAsync(WireChannel channel, UnhaveMessage message) => Take(channel, Format(message));
    public ValueTask OnWantAsync(WireChannel channel, WantMessage message) => Take(channel, Format(message));
    public ValueTask OnUnwantAsync(WireChannel channel, UnwantMessage message) => Take(channel, Format(message));
    public ValueTask OnRequestAsync(WireChannel channel, RequestMessage message) => Take(channel, Format(message));
    public ValueTask OnCancelAsync(WireChannel channel, CancelMessage message) => Take(channel, Format(message));
    public ValueTask OnDataAsync(WireChannel channel, Proof proof) => Take(channel, Format(proof));
    public ValueTask OnExtensionAsync(WireChannel channel, ExtensionMessage message) =>
        Take(channel, $"extension {message.Name} {Hex(message.Payload)}");

    public void OnClosed(WireConnection connection, Exception? reason)
    {
        _lines.Writer.Complete();
        _closed.TrySetResult(reason);
    }

    public static string Format(InfoMessage m) => $"info {m.Uploading} {m.Downloading}";
    public static string Format(HaveMessage m) => $"have {m.Start} {m.Length?.ToString() ?? "-"} {(m.Bitfield is { } b ? Hex(b) : "-")} {m.Ack}";
    public static string Format(UnhaveMessage m) => $"unhave {m.Start} {m.Length}";
    public static string Format(WantMessage m) => $"want {m.Start} {m.Length?.ToString() ?? "-"}";
    public static string Format(UnwantMessage m) => $"unwant {m.Start} {m.Length?.ToString() ?? "-"}";
    public static string Format(RequestMessage m) => $"request {m.Index} {m.Bytes} {m.Hash} {m.Nodes}";
    public static string Format(CancelMessage m) => $"cancel {m.Index} {m.Bytes} {m.Hash}";
    public static string Format(Proof p) => $"data {p.Index} {(p.Value is { } v ? Hex(v) : "-")} "
        + $"[{string.Join(' ', p.Nodes)}] {(p.Signature is { } s ? Hex(s) : "-")}";

    /// <summary>The line of a frame's body; false for what a handler of messages does not hear.</summary>
    public static bool TryFormat(FrameType type, ReadOnlyMemory<byte> body, out string line)
    {
        line = type switch
        {
            FrameType.Info when MessageCodec.TryDecode(body.Span, out InfoMessage m) => Format(m),
            FrameType.Have when MessageCodec.TryDecode(body.Span, out HaveMessage m) => Format(m),
            FrameType.Unhave when MessageCodec.TryDecode(body.Span, out UnhaveMessage m) => Format(m),
            FrameType.Want when MessageCodec.TryDecode(body.Span, out WantMessage m) => Format(m),
            FrameType.Request when MessageCodec.TryDecode(body.Span, out RequestMessage m) => Format(m),
            FrameType.Data when DataCodec.TryDecode(body, out Proof? m) => Format(m!),
            _ => "",
        };
        return line.Length > 0;
    }

    private ValueTask Take(WireChannel channel, string line)
    {
        Line(line);
        return Message?.Invoke(channel, line) ?? ValueTask.CompletedTask;
    }

    private void Line(string line) => _lines.Writer.TryWrite(line);

    private static string Hex(ReadOnlyMemory<byte> bytes) => Convert.ToHexStringLower(bytes.Span);
}
