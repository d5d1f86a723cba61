using DatFs;
using DatFs.Crypto;
using DatFs.Discovery;
using DatFs.Feeds;
using DatFs.Replication;
using DatFs.Storage;
using DatFs.Wire;

namespace DatMount.Simulation;

/// <summary>
/// A host of whom nothing good is to be expected. It may learn the truth from an honest peer, in order to lie the better; whoever else it is
/// connected with gets <see cref="LyingConnection"/>s, each with lies of its own.
/// </summary>
internal sealed class Liar(Scenario scenario, string name, Rng rng, IReadOnlyList<FeedKey> keys)
{
    private readonly List<Lie> _lies = [.. Enum.GetValues<Lie>().Where(_ => rng.Chance(0.35))];
    private readonly byte[] _id = rng.Bytes(32);
    private readonly bool _changesName = rng.Chance(0.5);
    private readonly double _restMs = rng.Scaled(200, 60_000);
    private readonly CancellationTokenSource _leaving = new();
    private readonly List<Task> _activities = [];
    private readonly List<Feed> _feeds = [];
    private Machine? _machine;
    private Replicator? _learning;
    private Swarm? _teacher;

    public string Name { get; } = name;

    /// <summary>Honest peers that it dials.</summary>
    public List<string> Dials { get; } = [];

    /// <summary>The honest peer that it learns from, if any.</summary>
    public string? LearnsFrom { get; set; }

    /// <summary>What it knows, first the feed that a connection begins with.</summary>
    public IReadOnlyList<Feed> Feeds => _feeds;

    public IReadOnlyList<Lie> Lies => _lies;

    public Scenario Scenario => scenario;

    public Machine Machine => _machine!;

    public async Task StartAsync()
    {
        _machine = new Machine(scenario.World, Name, rng.Fork());
        await _machine.RunAsync(BeginAsync);
    }

    public async Task StopAsync()
    {
        await _machine!.RunAsync(EndAsync);
        await scenario.LeftNothingAsync(_machine, null);
    }

    /// <summary>Under which name it appears this time.</summary>
    public byte[] NewId(bool borrowed)
    {
        // Names are told to everybody: that of an honest peer is known to all who are connected with it.
        Peer[] others = [.. scenario.Peers.Where(peer => peer.Id is not null)];
        if (borrowed && others.Length > 0) return rng.Pick(others).Id!;
        return _changesName ? rng.Bytes(32) : _id;
    }

    public override string ToString() => $"{Name}<{LearnsFrom}>[{string.Join(',', Dials)}] {string.Join('+', _lies)}";

    private Task BeginAsync()
    {
        foreach (FeedKey key in keys) _feeds.Add(Feed.Open(new FeedFiles(new MemoryFolder()), new FeedOptions { Key = key, Time = Machine.Clock }));
        if (LearnsFrom is not null)
        {
            _learning = new Replicator(new ReplicatorOptions { Id = rng.Bytes(32), Time = Machine.Clock, FillNonce = nonce => rng.Fill(nonce.Span) });
            foreach (Feed feed in _feeds)
            {
                _learning.Join(feed);
                _ = feed.Source!.Download(0, long.MaxValue, DownloadOrder.Ascending, FetchPriority.Background);
            }

            _teacher = new Swarm(_learning, new SwarmOptions { Dial = (address, ct) => scenario.Network.ConnectAsync(Machine, address.Host, ct), Random = rng.Unit });
            _teacher.Add(new PeerAddress(LearnsFrom, 1));
        }

        scenario.Network.Listen(Machine, transport => _activities.Add(LieAsync(transport)));
        foreach (string victim in Dials) _activities.Add(BotherAsync(victim));
        return Task.CompletedTask;
    }

    private async Task EndAsync()
    {
        scenario.Network.StopListening(Machine);
        await Machine.Clock.CancelAsync(_leaving);
        await Task.WhenAll(_activities);
        if (_teacher is not null) await _teacher.DisposeAsync();
        if (_learning is not null) await _learning.DisposeAsync();
        foreach (Feed feed in _feeds) await feed.DisposeAsync();
    }

    private async Task BotherAsync(string victim)
    {
        while (!_leaving.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(rng.Span(10, _restMs), Machine.Clock, _leaving.Token);
                await LieAsync(await scenario.Network.ConnectAsync(Machine, victim, _leaving.Token));
            }
            catch (Exception e) when (e is DatException or OperationCanceledException)
            {
                Machine.Say($"cannot bother {victim}: {e.Message}");
            }
        }
    }

    private async Task LieAsync(ITransport transport)
    {
        try
        {
            await new LyingConnection(this, (SimTransport)transport, rng.Fork()).RunAsync(_leaving.Token);
        }
        catch (Exception e)
        {
            scenario.World.Fail($"{Name}: {e}");
        }
    }
}
