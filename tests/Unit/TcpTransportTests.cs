using System.Net;
using DatFs.Crypto;
using DatFs.Feeds;
using DatFs.Wire;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>Real sockets on the loopback address.</summary>
public sealed class TcpTransportTests
{
    private static readonly FeedKey s_feed = WireConnectionTests.Key("over tcp");
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task Two_connections_exchange_messages_and_end_in_order()
    {
        using TcpAcceptor acceptor = TcpAcceptor.Listen(new IPEndPoint(IPAddress.Loopback, 0), new StrangerLimits());
        ITransport initiator = await ConnectAsync(acceptor);
        ITransport accepted = await acceptor.AcceptAsync(CancellationToken.None);
        initiator.Initiator.Should().BeTrue();
        accepted.Initiator.Should().BeFalse();
        initiator.RemoteName.Should().Be(acceptor.LocalEndPoint.ToString());
        accepted.RemoteName.Should().StartWith("127.0.0.1:");

        WireRecorder atA = new();
        WireRecorder atB = new()
        {
            Choose = _ => s_feed,
            Opened = channel =>
            {
                for (int i = 0; i < 4; i++) channel.Send(new RequestMessage(i, 0, false, 0));
            },
        };
        await using WireConnection a = new(initiator, atA, WireConnectionTests.Options("a"), s_feed);
        await using WireConnection b = new(accepted, atB, WireConnectionTests.Options("b"), null);
        WireChannel channel = a.Open(s_feed);
        channel.Send(new WantMessage(0, 1048576));
        Task runs = Task.WhenAll(a.RunAsync(CancellationToken.None), b.RunAsync(CancellationToken.None));
        foreach (string line in new[] { $"choose {s_feed}", "handshake", $"open {s_feed}", "want 0 1048576" }) (await atB.NextAsync()).Should().Be(line);
        foreach (string line in new[] { "handshake", $"open {s_feed}", "request 0 0 False 0" }) (await atA.NextAsync()).Should().Be(line);

        byte[] block = new byte[3 * 1024 * 1024];
        new Random(9).NextBytes(block);
        for (int i = 0; i < 4; i++)
        {
            Proof proof = new(i, block.AsMemory(i), [], null);
            channel.Send(proof);
            (await atB.NextAsync()).Should().Be(WireRecorder.Format(proof));
        }

        a.End();
        (await atB.ClosedAsync()).Should().BeNull();
        (await atA.ClosedAsync()).Should().BeNull();
        await runs;
        a.Traffic.Sent.Should().Be(b.Traffic.Received).And.BeGreaterThan(4 * 3 * 1024 * 1024);
    }

    [Fact]
    public async Task An_aborted_end_wakes_both_sides()
    {
        using TcpAcceptor acceptor = TcpAcceptor.Listen(new IPEndPoint(IPAddress.Loopback, 0), new StrangerLimits());
        await using ITransport initiator = await ConnectAsync(acceptor);
        await using ITransport accepted = await acceptor.AcceptAsync(CancellationToken.None);
        Task here = initiator.Input.ReadAsync().AsTask(), there = accepted.Input.ReadAsync().AsTask();
        initiator.Abort();
        await FluentActions.Awaiting(() => here.WaitAsync(s_patience)).Should().ThrowAsync<IOException>();
        await FluentActions.Awaiting(() => there.WaitAsync(s_patience)).Should().ThrowAsync<IOException>();
    }

    [Fact]
    public async Task Completing_the_output_ends_only_that_half()
    {
        using TcpAcceptor acceptor = TcpAcceptor.Listen(new IPEndPoint(IPAddress.Loopback, 0), new StrangerLimits());
        await using ITransport initiator = await ConnectAsync(acceptor);
        await using ITransport accepted = await acceptor.AcceptAsync(CancellationToken.None);
        await initiator.Output.CompleteAsync();
        (await accepted.Input.ReadAsync()).IsCompleted.Should().BeTrue();
        await accepted.Output.WriteAsync(new byte[] { 42 });
        (await initiator.Input.ReadAsync()).Buffer.FirstSpan[0].Should().Be(42);
    }

    [Fact]
    public async Task Nobody_there_is_offline()
    {
        int port;
        using (TcpAcceptor gone = TcpAcceptor.Listen(new IPEndPoint(IPAddress.Loopback, 0), new StrangerLimits())) port = gone.LocalEndPoint.Port;
        (await FluentActions.Awaiting(() => TcpTransport.ConnectAsync("127.0.0.1", port, CancellationToken.None)).Should().ThrowAsync<DatException>())
            .Which.Error.Should().Be(DatError.Offline);
        using CancellationTokenSource cancelled = new();
        await cancelled.CancelAsync();
        await FluentActions.Awaiting(() => TcpTransport.ConnectAsync("127.0.0.1", port, cancelled.Token)).Should().ThrowAsync<OperationCanceledException>();
    }

    [Fact]
    public void A_port_in_use_is_an_error_of_the_machine()
    {
        using TcpAcceptor first = TcpAcceptor.Listen(new IPEndPoint(IPAddress.Loopback, 0), new StrangerLimits());
        FluentActions.Invoking(() => TcpAcceptor.Listen(first.LocalEndPoint, new StrangerLimits())).Should().Throw<DatException>().Which.Error.Should().Be(DatError.Io);
    }

    [Fact]
    public async Task Strangers_beyond_the_limit_are_refused_until_one_proves_itself_or_leaves()
    {
        using TcpAcceptor acceptor = TcpAcceptor.Listen(new IPEndPoint(IPAddress.Loopback, 0), new StrangerLimits());
        List<ITransport> initiators = [], accepted = [];
        try
        {
            for (int i = 0; i < StrangerLimits.MaxTotal; i++)
            {
                initiators.Add(await ConnectAsync(acceptor));
                accepted.Add(await acceptor.AcceptAsync(CancellationToken.None));
            }

            Task<ITransport> next = acceptor.AcceptAsync(CancellationToken.None).AsTask();
            await ShouldBeRefusedAsync(acceptor);
            accepted[0].MarkAuthenticated();
            initiators.Add(await ConnectAsync(acceptor));
            accepted.Add(await next.WaitAsync(s_patience));
            accepted[1].Abort();
            initiators.Add(await ConnectAsync(acceptor));
            accepted.Add(await acceptor.AcceptAsync(CancellationToken.None).AsTask().WaitAsync(s_patience));
        }
        finally
        {
            foreach (ITransport transport in initiators.Concat(accepted)) await transport.DisposeAsync();
        }
    }

    [Fact]
    public void Four_strangers_share_an_address_and_any_number_this_machine()
    {
        StrangerLimits limits = new();
        IPAddress v4 = IPAddress.Parse("192.0.2.1");
        List<IDisposable?> admitted = [.. Enumerable.Range(0, StrangerLimits.MaxPerAddress).Select(_ => limits.TryAdmit(v4))];
        admitted.Should().NotContainNulls();
        limits.TryAdmit(v4.MapToIPv6()).Should().BeNull("it is the same address");
        limits.TryAdmit(IPAddress.Parse("2001:db8::1")).Should().NotBeNull();
        admitted[0]!.Dispose();
        admitted[0]!.Dispose();
        limits.TryAdmit(v4).Should().NotBeNull();
        limits.TryAdmit(v4).Should().BeNull("a release counts once");
        for (int i = 0; i < StrangerLimits.MaxTotal - StrangerLimits.MaxPerAddress - 1; i++) limits.TryAdmit(IPAddress.IPv6Loopback).Should().NotBeNull();
        limits.TryAdmit(IPAddress.Loopback).Should().BeNull();
    }

    [Fact]
    public async Task A_handshake_makes_an_accepted_peer_known()
    {
        StrangerLimits limits = new();
        using TcpAcceptor acceptor = TcpAcceptor.Listen(new IPEndPoint(IPAddress.Loopback, 0), limits);
        ITransport initiator = await ConnectAsync(acceptor);
        ITransport accepted = await acceptor.AcceptAsync(CancellationToken.None);
        List<IDisposable?> others = [.. Enumerable.Range(1, StrangerLimits.MaxTotal - 1).Select(_ => limits.TryAdmit(IPAddress.Loopback))];
        limits.TryAdmit(IPAddress.Loopback).Should().BeNull();
        WireRecorder atB = new();
        await using WireConnection a = new(initiator, new WireRecorder(), WireConnectionTests.Options("a"), s_feed);
        await using WireConnection b = new(accepted, atB, WireConnectionTests.Options("b"), s_feed);
        _ = a.RunAsync(CancellationToken.None);
        _ = b.RunAsync(CancellationToken.None);
        (await atB.NextAsync()).Should().Be("handshake");
        limits.TryAdmit(IPAddress.Loopback).Should().NotBeNull();
        others.Should().NotContainNulls();
    }

    // The reset arrives while we still connect, or when we read.
    private static async Task ShouldBeRefusedAsync(TcpAcceptor acceptor)
    {
        var refusal = await FluentActions.Awaiting(async () =>
        {
            await using ITransport refused = await ConnectAsync(acceptor);
            await refused.Input.ReadAsync().AsTask().WaitAsync(s_patience);
        }).Should().ThrowAsync<Exception>("it was refused");
        refusal.Which.Should().Match(e => e is IOException || ((DatException)e).Error == DatError.Offline);
    }

    private static async Task<ITransport> ConnectAsync(TcpAcceptor acceptor) =>
        await TcpTransport.ConnectAsync("127.0.0.1", acceptor.LocalEndPoint.Port, CancellationToken.None);
}
