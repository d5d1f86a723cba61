using DatFs;
using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Wire;

namespace DatMount.Simulation;

/// <summary>One connection of a liar: speaks the wire as the library does and tells what its lies want.</summary>
internal sealed class LyingConnection(Liar liar, SimTransport transport, Rng rng) : IWireHandler
{
    private const int MostPending = 200;

    private readonly List<Lie> _lies = [.. liar.Lies.Where(_ => rng.Chance(0.6))];
    private readonly double _share = rng.Pick<double>([0.03, 0.3, 1]);
    private readonly bool _knowsAll = rng.Chance(0.7);
    private readonly RemoteTree _tree = new();
    private readonly List<WireChannel> _open = [];
    private readonly List<Task> _pending = [];
    private readonly CancellationTokenSource _over = new();
    private WireConnection? _wire;

    private Machine Machine => liar.Machine;

    public async Task RunAsync(CancellationToken leaving)
    {
        using CancellationTokenRegistration stop = leaving.UnsafeRegister(_ => _over.Cancel(), null);
        Machine.Say($"lies to {transport.RemoteName}: {string.Join(' ', _lies)}");
        try
        {
            if (Tells(Lie.Muteness)) await DelayAsync(100, 60_000);
            else await TalkAsync();
        }
        finally
        {
            transport.Abort();
            await (_wire?.DisposeAsync() ?? transport.DisposeAsync());
            await Machine.Clock.CancelAsync(_over);
            await Task.WhenAll(_pending);
        }
    }

    public FeedKey? ChooseFirstFeed(WireConnection connection, DiscoveryKey discoveryKey) => liar.Feeds[0].Key;

    public void OnHandshake(WireConnection connection, HandshakeMessage handshake)
    {
        foreach (Feed feed in liar.Feeds) connection.Open(feed.Key);
    }

    public void OnRemoteFeed(WireConnection connection, DiscoveryKey discoveryKey)
    {
    }

    public void OnChannelOpen(WireChannel channel)
    {
        _open.Add(channel);
        channel.Send(new WantMessage(0, 1024 * 1024));
    }

    public void OnChannelClosed(WireChannel channel) => _open.Remove(channel);

    public ValueTask OnWantAsync(WireChannel channel, WantMessage want)
    {
        Feed feed = FeedOf(channel);
        if (Tells(Lie.FalseClaims)) channel.Send(new HaveMessage(want.Start, rng.Chance(0.9) ? rng.Below(400) + 1 : rng.Between(1, 1L << 41), null, false));
        channel.Send(new HaveMessage(want.Start, want.Length ?? 0, _knowsAll ? feed.EncodeHave(want.Start, Math.Max(0, feed.Length - want.Start)) : [], false));
        return ValueTask.CompletedTask;
    }

    public ValueTask OnRequestAsync(WireChannel channel, RequestMessage request)
    {
        if (Tells(Lie.Silence) || _pending.Count(task => !task.IsCompleted) > MostPending) return ValueTask.CompletedTask;
        _pending.RemoveAll(task => task.IsCompleted);
        _pending.Add(AnswerAsync(channel, request));
        return ValueTask.CompletedTask;
    }

    public ValueTask OnInfoAsync(WireChannel channel, InfoMessage message) => ValueTask.CompletedTask;

    public ValueTask OnHaveAsync(WireChannel channel, HaveMessage message) => ValueTask.CompletedTask;

    public ValueTask OnUnhaveAsync(WireChannel channel, UnhaveMessage message) => ValueTask.CompletedTask;

    public ValueTask OnUnwantAsync(WireChannel channel, UnwantMessage message) => ValueTask.CompletedTask;

    public ValueTask OnCancelAsync(WireChannel channel, CancelMessage message) => ValueTask.CompletedTask;

    public ValueTask OnDataAsync(WireChannel channel, Proof proof) => ValueTask.CompletedTask;

    public ValueTask OnExtensionAsync(WireChannel channel, ExtensionMessage message) => ValueTask.CompletedTask;

    public void OnClosed(WireConnection connection, Exception? reason) => Machine.Say($"lied to {transport.RemoteName} until {reason?.Message ?? "the end"}");

    private async Task TalkAsync()
    {
        if (Tells(Lie.Garble)) transport.Garble = rng.Scaled(0.001, 0.2);
        WireOptions options = new()
        {
            Id = liar.NewId(Tells(Lie.FalseName)),
            Time = Machine.Clock,
            FillNonce = nonce => rng.Fill(nonce.Span),
            MaxUnknownChannels = WireConnection.MaxChannels,
        };
        _wire = new WireConnection(transport, this, options, transport.Initiator ? liar.Feeds[0].Key : null);
        _pending.Add(ActAsync());
        await _wire.RunAsync(_over.Token);
    }

    private async Task ActAsync()
    {
        while (!_over.IsCancellationRequested)
        {
            await DelayAsync(20, 5000);
            if (_over.IsCancellationRequested) return;
            if (Tells(Lie.Departure) && rng.Chance(0.3))
            {
                if (rng.Chance(0.5)) transport.Abort();
                else _wire!.Close(null);
                return;
            }

            foreach (WireChannel channel in _open.ToArray()) Act(channel, FeedOf(channel));
        }
    }

    private void Act(WireChannel channel, Feed feed)
    {
        long index = rng.Below((int)feed.Length + 3);
        if (Tells(Lie.FalseClaims)) channel.Send(new HaveMessage(index, rng.Chance(0.5) ? null : rng.Below(100) + 1, null, rng.Chance(0.1)));
        else if (_knowsAll && feed.HasBlock(index)) channel.Send(new HaveMessage(index, null, null, false));
        if (Tells(Lie.Teasing)) channel.Send(new UnhaveMessage(index, rng.Below(50) + 1));
        if (Tells(Lie.Unasked) && Prove(feed, new RequestMessage(index, 0, rng.Chance(0.3), 0)) is { } proof) channel.Send(Distorted(proof, feed));
        if (!Tells(Lie.Greed)) return;
        for (int i = rng.Below(40); i > 0; i--)
        {
            switch (rng.Below(5))
            {
                case 0:
                    channel.Send(new WantMessage(8192 * rng.Below(4), rng.Chance(0.1) ? rng.Between(0, 1L << 45) : 8192));
                    break;
                case 1:
                    channel.Send(new CancelMessage(rng.Below(50), 0, rng.Chance(0.5)));
                    break;
                case 2:
                    channel.Send(new RequestMessage(rng.Below(50), rng.Below(100_000), rng.Chance(0.2), Digest()));
                    break;
                default:
                    channel.Send(new RequestMessage(rng.Below((int)feed.Length + (rng.Chance(0.05) ? 50 : 0)), 0, rng.Chance(0.2), rng.Chance(0.5) ? 0 : Digest()));
                    break;
            }
        }
    }

    // No number on the wire is larger.
    private ulong Digest() => rng.Next() >> (11 + rng.Below(53));

    private async Task AnswerAsync(WireChannel channel, RequestMessage request)
    {
        Feed feed = FeedOf(channel);
        if (Tells(Lie.Slowness)) await DelayAsync(200, 40_000);
        if (_over.IsCancellationRequested) return;
        if (Tells(Lie.Teasing))
        {
            channel.Send(new UnhaveMessage(request.Index, 1));
            channel.Send(new HaveMessage(request.Index, null, null, false));
            return;
        }

        if (Tells(Lie.WrongBlock)) request = request with { Index = rng.Below((int)feed.Length + 1), Bytes = 0 };
        if (Prove(feed, request) is { } proof) channel.Send(Distorted(proof, feed));
        else if (!_lies.Contains(Lie.FalseClaims)) channel.Send(new UnhaveMessage(request.Index, 1));
    }

    private Proof? Prove(Feed feed, RequestMessage request)
    {
        (long index, ulong digest) = (request.Index, request.Nodes);
        (long start, long end) = (0, feed.Length);
        if (request.Bytes > 0 && feed.TrySeek(request.Bytes, ref start, ref end, out _)) (index, digest) = (start, 0);
        if (!feed.TryProve(index, digest, request.Hash, _tree, out Proof proof, out BlockLease lease)) return null;
        using (lease) return proof with { Value = proof.Value is null ? null : (ReadOnlyMemory<byte>?)lease.Memory.ToArray() };
    }

    private Proof Distorted(Proof proof, Feed feed)
    {
        foreach (Lie lie in _lies)
        {
            if (lie is < Lie.WrongBytes or > Lie.ShiftedSizes || !rng.Chance(_share)) continue;
            Proof told = Lies.Apply(lie, proof, rng);
            if (told != proof) liar.Scenario.World.Count($"lie {lie}");
            proof = told;
        }

        return Tells(Lie.WrongBlock) ? proof with { Index = rng.Below((int)feed.Length + 1) } : proof;
    }

    private Feed FeedOf(WireChannel channel) => liar.Feeds.First(feed => feed.Key == channel.Key);

    private bool Tells(Lie lie)
    {
        if (!_lies.Contains(lie) || !rng.Chance(_share)) return false;
        liar.Scenario.World.Count($"lie {lie}");
        return true;
    }

    private async Task DelayAsync(double firstMs, double lastMs)
    {
        try
        {
            await Task.Delay(rng.Span(firstMs, lastMs), Machine.Clock, _over.Token);
        }
        catch (OperationCanceledException)
        {
            // It is over: whoever waited looks.
            return;
        }
    }
}
