using System.Net;
using DatFs.Discovery.Server;
using DatFs.Evidence;
using FluentAssertions;
using Xunit;
using static DatMount.Discovery.OurServer;

namespace DatMount.Discovery;

/// <summary>Real clients and swarms that have nothing but our server (discovery.md §5).</summary>
public sealed class DnsServerInteropTests
{
    [Fact]
    public async Task Real_clients_announce_look_up_are_pushed_to_and_unannounce()
    {
        await using DiscoveryServer server = Start();
        await using DnsPeer a = await DnsPeer.AskAsync(server.Address()), b = await DnsPeer.AskAsync(server.Address());
        string name = NewName().Name;
        await b.LookupAsync(name);
        await a.AnnounceAsync(name, 3282);
        await b.HearAsync(name, 3282);
        await UntilAsync(() => server.Counters is { Pushed: 1, PushesAcknowledged: 1 }, "the push is acknowledged");

        b.Forget();
        await b.LookupAsync(name);
        await b.HearAsync(name, 3282);
        await a.UnannounceAsync(name, 3282);
        server.Counters.Should().Match<ServerCounters>(c => c.Records == 0 && c.Malformed == 0 && c.StaleTokens == 0);
    }

    [Fact]
    public async Task A_real_client_learns_its_address_from_two_servers()
    {
        await using DiscoveryServer one = Start(), other = Start("127.0.0.2:0");
        await using DnsPeer client = await DnsPeer.AskAsync(one.Address(), other.Address());
        (string host, int port) = await client.WhoAmIAsync();
        host.Should().Be("127.0.0.1");
        port.Should().BePositive();
    }

    [Fact]
    public async Task A_real_client_reads_the_answer_for_a_name_with_hundreds_of_peers()
    {
        await using DiscoveryServer server = Start();
        string name = NewName().Name;
        await using DnsPeer many = await DnsPeer.AskAsync(server.Address()), client = await DnsPeer.AskAsync(server.Address());
        for (int port = 1; port <= 200; port++) await many.AnnounceAsync(name, port);
        server.Counters.Records.Should().Be(200);
        await client.LookupAsync(name);
        await client.AnnounceAsync(name, 3282);
        server.Counters.Records.Should().Be(201);
    }

    [Fact]
    public async Task Two_real_swarms_meet_through_our_server_alone()
    {
        await using DiscoveryServer server = Start();
        await using SwarmPeer a = await SwarmPeer.StartAsync(null, server.Address()), b = await SwarmPeer.StartAsync(null, server.Address());
        string key = NewName().Key;
        await a.JoinAsync(key);
        await UntilAsync(() => server.Counters.Records == 1, "the first is announced");
        await b.JoinAsync(key);
        await Task.WhenAll(a.ConnectedToAsync(b), b.ConnectedToAsync(a));
    }

    [Fact]
    public async Task Two_real_swarms_meet_though_the_server_restarts_between_them()
    {
        using TempFolder folder = TempFolder.Create();
        string key = NewName().Key;
        DiscoveryServer first = Start(state: folder.File("state"));
        string address = first.Address();
        await using SwarmPeer a = await SwarmPeer.StartAsync(null, address);
        await a.JoinAsync(key);
        await UntilAsync(() => first.Counters.Records == 1, "the first is announced");
        await first.DisposeAsync();

        await using DiscoveryServer second = Start(address, folder.File("state"));
        await using SwarmPeer b = await SwarmPeer.StartAsync(null, address);
        await b.JoinAsync(key);
        await Task.WhenAll(a.ConnectedToAsync(b), b.ConnectedToAsync(a));
    }

    [Fact]
    public async Task Swarms_meet_through_three_servers_that_gossip_while_one_after_the_other_is_killed()
    {
        byte[] secret = new byte[32];
        DiscoveryServer[] servers = new DiscoveryServer[3];
        servers[0] = Start(secret: secret);
        IPEndPoint first = servers[0].Listening[0];
        // Linked through the first, of which they only know.
        servers[1] = Start(secret: secret, peers: first);
        servers[2] = Start(secret: secret, peers: first);
        string[] addresses = [.. servers.Select(server => server.Address())];
        await UntilAsync(() => servers[0].Counters.Neighbours.Count(one => one.Copied) == 2, "the servers know each other");

        string key = NewName().Key;
        await using SwarmPeer a = await SwarmPeer.StartAsync(null, addresses[1]), b = await SwarmPeer.StartAsync(null, addresses[2]);
        await a.JoinAsync(key);
        await UntilAsync(() => servers.All(server => server.Counters.Records == 1), "all know of the first peer", 3);
        await b.JoinAsync(key);
        await Task.WhenAll(a.ConnectedToAsync(b), b.ConnectedToAsync(a));

        await servers[1].DisposeAsync();
        servers[1] = Start(addresses[1], secret: secret, peers: first);
        await UntilAsync(() => servers[1].Counters.Records == 2, "the restarted one has all again", 5);
        await servers[2].DisposeAsync();
        await using SwarmPeer c = await SwarmPeer.StartAsync(null, addresses[1], addresses[2]);
        await c.JoinAsync(key);
        await Task.WhenAll(c.ConnectedToAsync(a), c.ConnectedToAsync(b));
        foreach (DiscoveryServer server in servers[..2]) await server.DisposeAsync();
    }
}
