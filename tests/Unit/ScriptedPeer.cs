using System.Collections.Concurrent;
using System.Security.Cryptography;
using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Wire;

namespace DatFs.Unit;

/// <summary>
/// The other end of a connection as a test plays it: speaks the wire correctly and says whatever the test wants. By default it answers
/// nothing; <see cref="Honest"/> makes it serve a feed.
/// </summary>
internal sealed class ScriptedPeer : IWireHandler, IAsyncDisposable
{
    private readonly ConcurrentDictionary<FeedKey, TaskCompletionSource<WireChannel>> _open = [];
    private readonly TaskCompletionSource<Exception?> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly RemoteTree _tree = new();
    private WireConnection? _wire;
    private FeedKey _first;
    private Task _running = Task.CompletedTask;

    public byte[] Id { get; init; } = RandomNumberGenerator.GetBytes(32);
    public bool Live { get; init; } = true;
    public bool Ack { get; init; }
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Feeds opened after the first.</summary>
    public IReadOnlyList<FeedKey> Feeds { get; init; } = [];

    public Action<WireChannel, WantMessage> Want { get; set; } = (_, _) => { };
    public Action<WireChannel, RequestMessage> Request { get; set; } = (_, _) => { };
    public Action<WireChannel, InfoMessage> Info { get; set; } = (_, _) => { };

    /// <summary>Everything heard, in order.</summary>
    public ConcurrentQueue<object> Heard { get; } = new();
    public IEnumerable<RequestMessage> Requests => Heard.OfType<RequestMessage>();
    public IEnumerable<Proof> Answers => Heard.OfType<Proof>();
    public WireConnection Wire => _wire!;
    public bool IsClosed => _closed.Task.IsCompleted;

    /// <summary>A peer that serves what a feed holds, as the reference does.</summary>
    public static ScriptedPeer Honest(Feed feed, bool legacy = false)
    {
        ScriptedPeer peer = new();
        peer.Want = (channel, want) => peer.AnswerWant(channel, want, feed, legacy);
        peer.Request = (channel, request) => peer.AnswerRequest(channel, request, feed);
        return peer;
    }

    public void AnswerWant(WireChannel channel, WantMessage want, Feed feed, bool legacy = false)
    {
        if (legacy)
        {
            channel.Send(new HaveMessage(0, null, feed.EncodeHave(0, feed.Length), false));
            return;
        }

        if (feed.Length > 0) channel.Send(new HaveMessage(feed.Length - 1, null, null, false));
        channel.Send(new HaveMessage(want.Start, want.Length, feed.EncodeHave(want.Start, Math.Max(0, feed.Length - want.Start)), false));
    }

    public void AnswerRequest(WireChannel channel, RequestMessage request, Feed feed) => channel.Send(Prove(request, feed));

    public Proof Prove(RequestMessage request, Feed feed)
    {
        (long index, ulong digest) = (request.Index, request.Nodes);
        (long start, long end) = (0, feed.Length);
        if (request.Bytes > 0 && feed.TrySeek(request.Bytes, ref start, ref end, out _)) (index, digest) = (start, 0);
        if (!feed.TryProve(index, digest, request.Hash, _tree, out Proof proof, out BlockLease lease))
            throw new InvalidOperationException($"block {index} was asked for but cannot be proven");
        using (lease) return proof with { Value = Copy(proof.Value) };
    }

    public void Run(ITransport transport, FeedKey key)
    {
        WireOptions options = new() { Id = Id, Live = Live, Ack = Ack, Time = Time, MaxUnknownChannels = WireConnection.MaxChannels };
        _first = key;
        _wire = new WireConnection(transport, this, options, key);
        foreach (FeedKey feed in Feeds) _wire.Open(feed);
        _running = _wire.RunAsync(CancellationToken.None);
    }

    /// <summary>The first channel, or that of another feed, once both sides opened it.</summary>
    public Task<WireChannel> OpenAsync(FeedKey? feed = null) => Opened(feed ?? _first).Task.WaitAsync(ReplicaNode.Patience);

    /// <summary>The reason of the end.</summary>
    public Task<Exception?> ClosedAsync() => _closed.Task.WaitAsync(ReplicaNode.Patience);

    public Task UntilAsync(Func<ScriptedPeer, bool> condition, string what) => ReplicaNode.UntilAsync(() => condition(this), what);

    public FeedKey? ChooseFirstFeed(WireConnection connection, DiscoveryKey discoveryKey) => null;
    public void OnHandshake(WireConnection connection, HandshakeMessage handshake) => Heard.Enqueue(handshake);
    public void OnRemoteFeed(WireConnection connection, DiscoveryKey discoveryKey) => Heard.Enqueue(discoveryKey);
    public void OnChannelOpen(WireChannel channel) => Opened(channel.Key).TrySetResult(channel);
    public void OnChannelClosed(WireChannel channel) { }

    public ValueTask OnInfoAsync(WireChannel channel, InfoMessage message) => Hear(message, () => Info(channel, message));
    public ValueTask OnHaveAsync(WireChannel channel, HaveMessage message) => Hear(message with { Bitfield = Copy(message.Bitfield) });
    public ValueTask OnUnhaveAsync(WireChannel channel, UnhaveMessage message) => Hear(message);
    public ValueTask OnWantAsync(WireChannel channel, WantMessage message) => Hear(message, () => Want(channel, message));
    public ValueTask OnUnwantAsync(WireChannel channel, UnwantMessage message) => Hear(message);
    public ValueTask OnRequestAsync(WireChannel channel, RequestMessage message) => Hear(message, () => Request(channel, message));
    public ValueTask OnCancelAsync(WireChannel channel, CancelMessage message) => Hear(message);
    public ValueTask OnDataAsync(WireChannel channel, Proof proof) => Hear(proof with { Value = Copy(proof.Value), Signature = Copy(proof.Signature) });
    public ValueTask OnExtensionAsync(WireChannel channel, ExtensionMessage message) => Hear(message);
    public void OnClosed(WireConnection connection, Exception? reason) => _closed.TrySetResult(reason);

    public async ValueTask DisposeAsync()
    {
        if (_wire is null) return;
        await _wire.DisposeAsync();
        await _running.WaitAsync(ReplicaNode.Patience);
    }

    private TaskCompletionSource<WireChannel> Opened(FeedKey feed) =>
        _open.GetOrAdd(feed, static _ => new TaskCompletionSource<WireChannel>(TaskCreationOptions.RunContinuationsAsynchronously));

    private static ReadOnlyMemory<byte>? Copy(ReadOnlyMemory<byte>? bytes) => bytes is { } some ? some.ToArray() : default(ReadOnlyMemory<byte>?);

    private ValueTask Hear(object message, Action? answer = null)
    {
        Heard.Enqueue(message);
        answer?.Invoke();
        return ValueTask.CompletedTask;
    }
}
