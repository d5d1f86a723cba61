using System.Globalization;
using System.Net;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using DatFs.Discovery.Kademlia;
using DatFs.Discovery.Lan;
using DatFs.Discovery.Mainline;
using DatFs.Evidence;
using DatFs.Replication;
using DatFs.Storage;
using FluentAssertions;
using Microsoft.Extensions.Time.Testing;

namespace DatFs.Unit;

/// <summary>The ways to find a peer that can each be well or dead on their own.</summary>
[Flags]
public enum Ways
{
    /// <summary>No way at all.</summary>
    None = 0,

    /// <summary>mDNS.</summary>
    Lan = 1,

    /// <summary>A discovery server.</summary>
    Dns = 2,

    /// <summary>The mainline DHT.</summary>
    Dht = 4,

    /// <summary>An address the user gave.</summary>
    Static = 8,

    /// <summary>An address that worked last time.</summary>
    Cache = 16,

    /// <summary>Every way.</summary>
    All = 31,
}

/// <summary>
/// One machine that looks for the owner of a drive over networks in memory, with a clock that only the test moves. A way that is dead swallows
/// everything; so does every address but the owner's.
/// </summary>
internal sealed class WeatherWorld : IAsyncDisposable
{
    public const string Owner = "198.51.100.7:3282";
    public const string Server = "203.0.113.1:5300";
    public const string ServerHost = "203.0.113.1";

    private const string Us = "198.51.100.1";
    private const string Nowhere = "203.0.113.99:9";
    private static readonly TimeSpan s_step = TimeSpan.FromMilliseconds(5);

    private readonly List<IAsyncDisposable> _others = [];
    private readonly MemoryInternet _internet = new() { Swallows = address => address.ToString() != Owner };
    private readonly MulticastLink _link;
    private readonly Random _random;
    private PeerSources? _sources;
    private ReplicaNode _owner = null!;
    private ReplicaNode _us = null!;

    private WeatherWorld(int seed)
    {
        _random = new Random(seed);
        Network = new DatagramNetwork(Time, seed);
        _link = new MulticastLink(Time);
    }

    public FakeTimeProvider Time { get; } = new();

    public DatagramNetwork Network { get; }

    public Swarm Swarm { get; private set; } = null!;

    public SwarmTopic Topic { get; private set; } = null!;

    /// <summary>How our machine looks for host names of servers.</summary>
    public Func<string, CancellationToken, Task<IPAddress[]>> Resolver { get; set; } = (host, _) => Task.FromException<IPAddress[]>(new System.Net.Sockets.SocketException((int)System.Net.Sockets.SocketError.HostNotFound));

    public static async Task<WeatherWorld> CreateAsync(int seed = 1)
    {
        WeatherWorld world = new(seed);
        world._owner = await ReplicaNode.OwnerAsync(3, options: new ReplicatorOptions { Time = world.Time });
        world._internet.Host(Owner, world._owner);
        world.Topic = new SwarmTopic(world._owner.Feed.DiscoveryKey);
        return world;
    }

    /// <summary>Starts a server that names the owner.</summary>
    public ScriptedDnsServer Serve(string at = Server, bool knowing = true)
    {
        ScriptedDnsServer server = new(Network.Bind(at));
        if (knowing) server.Peers.Add(ScriptedDnsServer.Peer(Owner));
        _others.Add(server);
        return server;
    }

    /// <summary>Lets our machine join, with some ways well and all others dead.</summary>
    /// <param name="well">Ways by which the owner is to be found.</param>
    /// <param name="servers">Discovery servers asked; null = one, well or dead as the ways say.</param>
    public void Join(Ways well, params string[] servers)
    {
        if (servers.Length == 0)
        {
            servers = [Server];
            if (well.HasFlag(Ways.Dns)) Serve();
        }

        List<IPeerSource> sources = [new LanSource(_link.Plug(Us), Local, new LanSourceOptions { Time = Time, Random = _random.NextDouble })];
        if (well.HasFlag(Ways.Lan)) Other(new LanSource(_link.Plug("198.51.100.7"), Local, new LanSourceOptions { Time = Time, Random = _random.NextDouble }), 3282);
        SharedPort port = new(Network.Bind(Us + ":3282"));
        DnsClient client = new(port.Dns, Time, _random.NextDouble);
        foreach (string server in servers)
        {
            DnsServerAddress.TryParse(server, out DnsServerAddress address).Should().BeTrue();
            sources.Add(new DnsSource(client, address, new DnsSourceOptions { Time = Time, Random = _random.NextDouble, Resolver = (host, ct) => Resolver(host, ct) }));
        }

        sources.Add(new MainlineSource(port.Dht, MainlineOptions(well.HasFlag(Ways.Dht) ? Mainline() : Nowhere)));
        PeerCache cache = PeerCache.Open(new MemoryFolder(), Time);
        cache.Worked(IPEndPoint.Parse(well.HasFlag(Ways.Cache) ? Owner : Nowhere), toldPrivately: false);
        _us = ReplicaNode.Reader(_owner.Feed.Key, new ReplicatorOptions { Time = Time, Extensions = [PeerExchange.ExtensionName] });
        _sources = new PeerSources(sources, Local, Time);
        Swarm = new Swarm(_us.Replicator, new SwarmOptions { Sources = _sources, Cache = cache, Exchange = true, Dial = _internet.From(Us), Random = _random.NextDouble });
        Swarm.Add(Address(well.HasFlag(Ways.Static) ? Owner : "203.0.113.98:9"));
        Swarm.Join(Topic, 3282);
    }

    /// <summary>Lets time pass until the owner is dialled, and answers how many seconds that took; null = it did not come to that.</summary>
    public double? UntilDialled(double atMost)
    {
        for (double at = 0; ; at += s_step.TotalSeconds)
        {
            if (IsDialled) return at;
            if (at >= atMost) return null;
            Time.Advance(s_step);
        }
    }

    public bool IsDialled => Swarm.Addresses.Any(dial => dial.Address.ToString() == Owner);

    /// <summary>The connection that was begun comes to be.</summary>
    public Task ConnectedAsync() => ReplicaNode.UntilAsync(() => _us.Replicator.AnyPeer, "we are connected");

    /// <summary>Lets time pass.</summary>
    public void Run(double seconds)
    {
        for (double left = seconds; left > 0.0001; left -= s_step.TotalSeconds) Time.Advance(s_step);
    }

    /// <summary>The same, slowly enough for the connections to live on.</summary>
    public async Task RunAsync(double seconds)
    {
        const double step = 0.1;
        for (double left = seconds; left > 0.0001; left -= step)
        {
            Time.Advance(TimeSpan.FromSeconds(step));
            for (int turn = 0; turn < 50; turn++) await Task.Yield();
        }
    }

    public SourceStatus StatusOf(string name) => Swarm.Sources.Single(source => source.Name == name).Status;

    public bool AnyPeer => _us.Replicator.AnyPeer;

    public async ValueTask DisposeAsync()
    {
        if (Swarm is not null) await FinishAsync(Swarm.DisposeAsync());
        if (_sources is not null) await FinishAsync(_sources.DisposeAsync());
        foreach (IAsyncDisposable other in _others) await other.DisposeAsync();
        if (_us is not null) await _us.DisposeAsync();
        await _owner.DisposeAsync();
    }

    // Farewells are waited for, and take their time.
    private async Task FinishAsync(ValueTask closing)
    {
        Task task = closing.AsTask();
        while (!task.IsCompleted)
        {
            Time.Advance(s_step);
            await Task.Yield();
        }

        await task;
    }

    private static FakeNetwork Local => new(FakeNetwork.Own(Us));

    private static PeerAddress Address(string text) => PeerAddress.TryParse(text, out PeerAddress address) ? address : throw new FormatException(text);

    /// <summary>A network of a few nodes in which the owner has announced itself; answers where it is entered.</summary>
    private string Mainline()
    {
        const string entrance = "203.0.113.20:6881";
        for (int i = 0; i < 6; i++)
        {
            MainlineNode node = new(Network.Bind(string.Create(CultureInfo.InvariantCulture, $"203.0.113.{20 + i}:6881")), new MainlineNodeOptions { World = Overlay });
            node.Begin(i == 0 ? [] : [Ipv4Peer.TryFrom(IPEndPoint.Parse(entrance), out Ipv4Peer first) ? first : default]);
            _others.Add(node);
        }

        Run(0.5);
        Other(new MainlineSource(Network.Bind("198.51.100.7:3282"), MainlineOptions(entrance)), 3282);
        Run(2);
        return entrance;
    }

    private MainlineSourceOptions MainlineOptions(string entrance) => new() { Node = new MainlineNodeOptions { World = Overlay }, Bootstrap = [entrance] };

    private OverlayOptions Overlay => new()
    {
        Time = Time,
        Random = _random.NextDouble,
        RandomBytes = count =>
        {
            byte[] bytes = new byte[count];
            _random.NextBytes(bytes);
            return bytes;
        },
    };

    private void Other(IPeerSource source, int port)
    {
        source.Join(Topic, port, _ => { });
        _others.Add(source);
    }
}
