using System.Buffers;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Threading.Channels;
using DatFs.Crypto;
using DatFs.Evidence;
using DatFs.Wire;
using FluentAssertions;
using Google.Protobuf;

namespace DatMount.Hostile;

/// <summary>One frame as it was heard; a keep-alive has no type.</summary>
internal sealed record HeardFrame(int Channel, FrameType? Type, byte[] Body);

/// <summary>
/// The attacker's end of one TCP connection to the program. It sends what a script wants; that the program closed meanwhile is no failure of
/// the sender but what <see cref="ClosedAsync"/> waits for. Nothing is read before <see cref="Listen"/>.
/// </summary>
internal sealed class Raider : IAsyncDisposable
{
    /// <summary>An offence that needs no clock is answered within this; the rest is a busy machine.</summary>
    public static readonly TimeSpan Promptly = TimeSpan.FromSeconds(5);

    /// <summary>Any answer of the program.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    private readonly TcpTransport _transport;
    private readonly FeedKey _key;
    private readonly RawPeer _raw;
    private readonly Channel<HeardFrame> _heard = Channel.CreateUnbounded<HeardFrame>();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _leaving = new();
    private readonly SemaphoreSlim _turn = new(1);
    private Task _listening = Task.CompletedTask;
    private long _received;
    private bool _listens;

    private Raider(Socket socket, bool initiator, FeedKey key, byte[]? id)
    {
        Name = (initiator ? socket.LocalEndPoint : socket.RemoteEndPoint)!.ToString()!;
        _transport = new TcpTransport(socket, initiator, null);
        _key = key;
        _raw = new RawPeer(_transport, key) { Id = id ?? RandomNumberGenerator.GetBytes(32) };
    }

    /// <summary>How the program names this connection in its log, where it accepted it.</summary>
    public string Name { get; }

    /// <summary>Bytes that the program sent, as far as they were read.</summary>
    public long Received => Interlocked.Read(ref _received);

    /// <summary>Completes when the program ended the connection, as far as was read.</summary>
    public Task Ended => _ended.Task;

    /// <inheritdoc cref="Ended"/>
    public bool IsClosed => _ended.Task.IsCompleted;

    public static async Task<Raider> DialAsync(int port, FeedKey key, byte[]? id = null)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, port);
        return new Raider(socket, true, key, id);
    }

    public static async Task<Raider> TakeAsync(TcpListener listener, FeedKey key, byte[]? id = null) => new(await listener.AcceptSocketAsync(), false, key, id);

    public Task FeedAsync(FeedKey? named = null, int padding = 0) => TryAsync(() => _raw.SendFeedAsync(named, padding));

    public Task HandshakeAsync(byte[] id) => TryAsync(() => _raw.SendHandshakeAsync(id));

    public async Task GreetAsync(params string[] extensions)
    {
        await FeedAsync();
        await TryAsync(() => _raw.SendHandshakeAsync(_raw.Id, extensions));
    }

    public Task OpenAsync(int channel, FeedKey feed) => TryAsync(() => _raw.OpenAsync(channel, feed));

    public Task SendAsync(int channel, FrameType type, byte[] body) => SendAsync(RawPeer.Frame(channel, type, body));

    public Task SendAsync(int channel, FrameType type, IMessage body) => SendAsync(channel, type, body.ToByteArray());

    public Task SendHeaderAsync(int channel, FrameType type, int length) => TryAsync(() => _raw.SendHeaderAsync(channel, type, length));

    public Task SendAsync(byte[] plaintext) => TryAsync(() => _raw.SendAsync(plaintext));

    public Task SendClearAsync(byte[] bytes) => TryAsync(() => _raw.SendClearAsync(bytes));

    /// <summary>Sends the same frame many times, in large pieces; ends early when the program closed or, after some pieces, does not read any more.</summary>
    public async Task FloodAsync(byte[] frame, int times)
    {
        const int piece = 64 * 1024;
        int together = Math.Max(1, piece / frame.Length);
        byte[] many = new byte[frame.Length * together];
        for (int i = 0; i < together; i++) frame.CopyTo(many, i * frame.Length);
        for (int sent = 0; sent < times && !IsClosed; sent += together)
        {
            Task sending = SendAsync(many[..(Math.Min(together, times - sent) * frame.Length)]);
            if (await Task.WhenAny(sending, Task.Delay(Promptly)) != sending) return;
        }
    }

    /// <summary>Ends the attacker's half of the stream.</summary>
    public void End() => _transport.Output.Complete();

    /// <summary>Sends back what the program sends, until it has enough.</summary>
    public async Task EchoAsync()
    {
        ReadResult read = await _transport.Input.ReadAsync();
        await SendClearAsync(read.Buffer.ToArray());
        _transport.Input.AdvanceTo(read.Buffer.Start);
    }

    /// <summary>Begins to read what the program sends, without end.</summary>
    public void Listen()
    {
        if (Interlocked.Exchange(ref _listens, true)) return;
        _listening = Task.Run(ListenAsync);
    }

    /// <summary>The next frame of a type.</summary>
    public async Task<HeardFrame> HearAsync(FrameType type)
    {
        Listen();
        using CancellationTokenSource patience = new(Patience);
        try
        {
            while (true)
            {
                HeardFrame frame = await _heard.Reader.ReadAsync(patience.Token);
                if (frame.Type == type) return frame;
            }
        }
        catch (Exception e) when (e is ChannelClosedException or OperationCanceledException)
        {
            throw new TimeoutException($"{Name} heard no {type}: {(IsClosed ? "the program closed the connection" : "the program said nothing")}", e);
        }
    }

    /// <summary>Everything from now on until the end.</summary>
    public IAsyncEnumerable<HeardFrame> HearAllAsync()
    {
        Listen();
        return _heard.Reader.ReadAllAsync();
    }

    /// <summary>Waits until the program ends the connection; fails when that takes longer than the rule that was broken allows.</summary>
    public async Task<TimeSpan> ClosedAsync(TimeSpan? within = null)
    {
        Listen();
        Stopwatch clock = Stopwatch.StartNew();
        await Task.WhenAny(_ended.Task, Task.Delay(within ?? Promptly));
        IsClosed.Should().BeTrue("the program ends the connection {0} within {1}", Name, within ?? Promptly);
        return clock.Elapsed;
    }

    /// <summary>The program goes on talking with the attacker: it answers a Want.</summary>
    public async Task StaysOpenAsync()
    {
        await SendAsync(0, FrameType.Want, MessageCodec.Encode(new WantMessage(0, 8192)));
        await HearAsync(FrameType.Have);
    }

    public async ValueTask DisposeAsync()
    {
        await _leaving.CancelAsync();
        _transport.Abort();
        await _listening;
        _raw.Dispose();
        await _transport.DisposeAsync();
        _leaving.Dispose();
    }

    private async Task ListenAsync()
    {
        try
        {
            await ReadAllAsync();
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException or InvalidOperationException)
        {
            // A connection that is cut off ends like one that is closed.
        }

        _heard.Writer.TryComplete();
        if (!_leaving.IsCancellationRequested) _ended.TrySetResult();
    }

    private async Task ReadAllAsync()
    {
        const int firstFrame = 62;
        ReadResult read = await _transport.Input.ReadAtLeastAsync(firstFrame, _leaving.Token);
        if (read.Buffer.Length < firstFrame) return;
        MessageCodec.TryDecodeFeed(read.Buffer.Slice(2, firstFrame - 2).ToArray(), out _, out ReadOnlyMemory<byte> nonce).Should().BeTrue("the program begins as the protocol says");
        _transport.Input.AdvanceTo(read.Buffer.GetPosition(firstFrame));
        using FrameReader frames = new(new XSalsa20Stream(_key, nonce.Span), new AnyFrame());
        while (true)
        {
            read = await _transport.Input.ReadAsync(_leaving.Token);
            if (read.Buffer.IsEmpty && read.IsCompleted) return;
            ReadOnlySequence<byte> bytes = read.Buffer.Slice(0, Math.Min(read.Buffer.Length, FrameReader.MaxFill));
            Interlocked.Add(ref _received, bytes.Length);
            frames.Fill(bytes);
            _transport.Input.AdvanceTo(bytes.End);
            while (frames.TryRead(out Frame frame)) _heard.Writer.TryWrite(new HeardFrame(frame.Channel, frame.Type, frame.Body.ToArray()));
        }
    }

    // What is enciphered first leaves first, whoever of the attacker's tasks sends it.
    private async Task TryAsync(Func<Task> send)
    {
        await _turn.WaitAsync();
        try
        {
            await send();
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // The program has closed; the script asks for that by itself.
        }
        finally
        {
            _turn.Release();
        }
    }

    private sealed class AnyFrame : IFrameRules
    {
        public int MaxLength(int channel, FrameType type) => FrameReader.MaxFrameLength;
    }
}
