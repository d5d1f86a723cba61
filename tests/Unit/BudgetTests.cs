using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Wire;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>What peers may take, told in one place (wire-protocol.md §9.1, hypercore.md §18).</summary>
public sealed class BudgetTests
{
    // The rows of the specifications, with the figure that each names; counts and times of ours beside them.
    private static readonly (string Name, long Limit)[] s_rows =
    [
        ("frame", 8_388_608), ("first-frame", 128), ("have-size", 160 * 1024), ("handshake", 64 * 1024 + 16), ("control-frame", 4096),
        ("frame-time", 30), ("frame-rate", 1024), ("handshake-time", 10), ("channels", 256), ("unknown-channels", 256), ("early-messages", 17), ("early-bytes", 1 << 20),
        ("wants", 64), ("want-length", 1 << 24), ("have-end", 1L << 40), ("bitfield", 4 << 20), ("bitfield-runs", 16 << 20), ("answers", 512), ("answer-bytes", 16 << 20), ("proof-nodes", 106),
        ("proof-hash", 32), ("proof-signature", 64), ("proof-index", (1L << 53) - 1), ("proof-size", (1L << 53) - 1), ("claimed-length", 1L << 40), ("block", 8 << 20), ("user-data", 4096), ("extensions", 64),
        ("extension-name", 255), ("extension-payload", 65_536), ("junk", 100), ("silence", 20), ("requests", 1024), ("requested-bytes", 48 << 20), ("output", 32 << 20), ("misbehaviour", 64), ("refusals", 64), ("timeouts", 3),
        ("peers", 256), ("memory", 256 << 20), ("bans", 1024), ("repeats", 8),
    ];

    [Fact]
    public async Task Every_bound_of_the_specifications_is_told_with_its_figure()
    {
        await using Replicator replicator = new(new ReplicatorOptions());
        replicator.Limits.Where(line => line.Name is not ("proof" or "protocol")).Select(line => (line.Name, line.Limit)).Should().BeEquivalentTo(s_rows);
        replicator.Limits.Should().OnlyContain(line => line.Used == 0 && line.Peak == 0 && line.Refused == 0).And.OnlyHaveUniqueItems(line => line.Name);
        await using PeerListener listener = PeerListener.Start(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0), (_, _) => Task.CompletedTask, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        listener.Limits.Select(line => (line.Name, line.Limit)).Should().Equal(("strangers", 64), ("strangers-per-address", 4));
    }

    [Fact]
    public async Task Use_goes_up_with_a_peer_and_back_to_nothing_and_the_most_is_remembered()
    {
        await using ReplicaNode owner = await ReplicaNode.OwnerAsync(2000, tail: 500);
        await using ReplicaNode reader = ReplicaNode.Reader(owner.Feed.Key);
        Action cut = reader.Connect(owner);
        using (reader.Feed.Source!.Download(0, 2000, DownloadOrder.Ascending, FetchPriority.Background))
            await ReplicaNode.UntilAsync(() => reader.Feed.HeldBlocks == 2000, "all is here");
        IReadOnlyList<BudgetLine> during = reader.Replicator.Limits;
        Line(during, "peers").Used.Should().Be(1);
        Line(during, "channels").Used.Should().Be(1);
        Line(during, "requests").Peak.Should().BeInRange(8, RequestWindow.MaxCount);
        Line(during, "requested-bytes").Peak.Should().BePositive();
        Line(during, "bitfield").Used.Should().BePositive();
        Line(during, "memory").Used.Should().BePositive();
        Line(owner.Replicator.Limits, "answers").Peak.Should().BePositive();
        reader.Replicator.Peers.Single().Budget.Single(line => line.Name == "requests").Peak.Should().Be(Line(during, "requests").Peak);

        cut();
        await ReplicaNode.UntilAsync(() => reader.Replicator.Peers.Count == 0, "the peer is gone");
        reader.Replicator.Limits.Should().OnlyContain(line => line.Used == 0);
        Line(reader.Replicator.Limits, "requests").Peak.Should().Be(Line(during, "requests").Peak);
        Line(reader.Replicator.Limits, "peers").Peak.Should().Be(1);
    }

    [Fact]
    public async Task Whoever_exceeds_a_bound_is_counted_under_its_name()
    {
        await using ReplicaNode node = await ReplicaNode.OwnerAsync(1);
        await using ScriptedPeer liar = node.Connect(new ScriptedPeer());
        WireChannel channel = await liar.OpenAsync();
        channel.Send(new HaveMessage((1L << 40) - 1, 2, null, false));
        await liar.ClosedAsync();
        await ReplicaNode.UntilAsync(() => Line(node.Replicator.Limits, "have-end").Refused == 1, "it is counted");
    }

    [Fact]
    public async Task A_peer_of_a_drive_whose_kind_is_unknown_may_open_all_the_feeds_it_knows()
    {
        await using ReplicaNode node = await ReplicaNode.OwnerAsync(1);
        await using ScriptedPeer many = node.Connect(new ScriptedPeer { Feeds = [.. Enumerable.Range(0, 200).Select(i => ReplicaNode.KeyOf($"writer {i}"))] });
        await ReplicaNode.UntilAsync(() => Line(node.Replicator.Limits, "unknown-channels").Used == 200, "all are open");
        node.Replicator.AnyPeer.Should().BeTrue();

        node.Replicator.MaxUnknownChannels = WireOptions.UsualUnknownChannels;
        await using ScriptedPeer tooMany = node.Connect(new ScriptedPeer { Feeds = [.. Enumerable.Range(0, 40).Select(i => ReplicaNode.KeyOf($"other {i}"))] }, "elsewhere");
        await tooMany.ClosedAsync();
        await ReplicaNode.UntilAsync(() => Line(node.Replicator.Limits, "unknown-channels").Refused == 1, "a drive of one writer has no use for so many");
    }

    [Fact]
    public async Task Of_peers_that_hold_too_much_together_the_heaviest_goes()
    {
        await using ReplicaNode node = await ReplicaNode.OwnerAsync(1, options: new ReplicatorOptions { MaxPeerMemory = 1 << 20 });
        await using ScriptedPeer light = node.Connect(new ScriptedPeer(), "light");
        await light.OpenAsync();
        await using ScriptedPeer heavy = node.Connect(new ScriptedPeer(), "heavy");
        WireChannel channel = await heavy.OpenAsync();

        // Single blocks far from each other: the dearest thing to remember.
        for (long at = 0; at < 4096 && !heavy.IsClosed; at++) channel.Send(new HaveMessage(at * (1 << 20), null, null, false));
        await heavy.ClosedAsync();
        await ReplicaNode.UntilAsync(() => node.Replicator.Peers.Count == 1, "it is gone");
        node.Replicator.Peers.Single().Address.Should().StartWith("light");
        BudgetLine memory = Line(node.Replicator.Limits, "memory");
        (memory.Limit, memory.Refused).Should().Be((1 << 20, 1));
        memory.Peak.Should().BeInRange(1 << 20, 2 << 20);
        memory.Used.Should().BeLessThan(1 << 20);
    }

    [Fact]
    public async Task Metrics_tell_every_bound()
    {
        Dictionary<string, long> limits = [];
        using System.Diagnostics.Metrics.MeterListener listener = new();
        await using ReplicaNode node = await ReplicaNode.OwnerAsync(1);
        string drive = node.Feed.DiscoveryKey.ToHex()[..8];
        listener.InstrumentPublished = (instrument, to) =>
        {
            if (instrument.Meter.Name == "DatFs" && instrument.Name == "datfs.budget.limit") to.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, value, tags, _) =>
        {
            Dictionary<string, object?> told = new(tags.ToArray());
            if (Equals(told["drive"], drive)) limits[(string)told["bound"]!] = value;
        });
        listener.Start();
        listener.RecordObservableInstruments();
        limits.Should().BeEquivalentTo(node.Replicator.Limits.ToDictionary(line => line.Name, line => line.Limit));
    }

    private static BudgetLine Line(IReadOnlyList<BudgetLine> lines, string name) => lines.Single(line => line.Name == name);
}
