using System.Net;
using DatFs.Discovery;
using DatFs.Discovery.Dns;
using FluentAssertions;
using Xunit;

namespace DatFs.Unit;

/// <summary>
/// The fault matrix of discovery.md §10: whatever becomes of one way to find a peer, with the others well or dead in every combination, the peer
/// is dialled within the time of its row while one way is left. And the outage of January 2018.
/// </summary>
public sealed class FaultMatrixTests
{
    private const double Rule = 3, Remembered = 2;

    private static readonly Ways[] s_others = [.. Enumerable.Range(0, 32).Select(bits => (Ways)bits).Where(ways => !ways.HasFlag(Ways.Dns))];

    public static TheoryData<Ways> Subsets => [.. Enumerable.Range(0, 32).Select(bits => (Ways)bits)];

    [Theory, MemberData(nameof(Subsets))]
    public async Task Whichever_ways_are_left_one_is_enough(Ways well)
    {
        await using WeatherWorld world = await WeatherWorld.CreateAsync();
        world.Join(well);
        double? took = world.UntilDialled(well == Ways.None ? 30 : Limit(well, Rule));
        if (well == Ways.None)
        {
            took.Should().BeNull();
            world.Network.Sent.Count.Should().BeInRange(4, 200, "asking goes on, but not without end");
            return;
        }

        took.Should().NotBeNull("{0} is left", well);
        await world.ConnectedAsync();
    }

    [Fact]
    public Task Nobody_at_the_server_s_port() => EachAsync((_, _) => Server);

    [Fact]
    public Task A_server_that_swallows_everything() => EachAsync((world, _) =>
    {
        world.Serve().Instead = _ => null;
        return Server;
    });

    [Fact]
    public Task The_first_port_blocked_and_the_second_open() => EachAsync((world, _) =>
    {
        world.Serve(WeatherWorld.ServerHost + ":53");
        return WeatherWorld.ServerHost;
    }, alone: true);

    [Fact]
    public Task A_name_that_does_not_resolve() => EachAsync((_, _) => "discovery.example");

    [Fact]
    public Task A_resolver_that_hangs() => EachAsync((world, _) =>
    {
        world.Resolver = (_, _) => new TaskCompletionSource<IPAddress[]>().Task;
        return "discovery.example";
    });

    [Fact]
    public Task A_server_that_takes_one_and_a_half_seconds() => EachAsync((world, _) =>
    {
        world.Network.LatencyTo = to => to.Port == 5300 ? TimeSpan.FromSeconds(1.5) : null;
        world.Serve();
        return Server;
    }, alone: true, within: 4);

    [Fact]
    public Task A_third_of_all_datagrams_lost() => EachAsync((world, _) =>
    {
        world.Serve();
        world.Network.Loss = 0.3;
        return Server;
    }, alone: true, within: 5);

    [Fact]
    public Task A_server_that_lies() => EachAsync((world, ways) =>
    {
        ScriptedDnsServer liar = world.Serve(knowing: false);
        Random random = new((int)ways);
        int answers = 0;
        liar.Instead = message =>
        {
            liar.Peers.Clear();
            string[] nonsense = ["198.51.100.1:3282", "0.0.0.0:0", "0.0.0.0:3282", "255.255.255.255:1", "224.0.0.1:1", "127.0.0.1:22", "203.0.113.9:0"];
            foreach (string address in nonsense) liar.Peers.Add(ScriptedDnsServer.Peer(address));
            while (liar.Peers.Count < PeersText.MaxPeers) liar.Peers.Add(new Ipv4Peer((192u << 24) + (uint)random.Next(1 << 16), (ushort)random.Next(1, 65536)));
            // As many as it can get away with: a thousand, in many answers pushed by itself.
            for (int i = 0; i < 30 && answers++ < 30; i++)
            {
                Ipv4Peer peer = new((100u << 24) + (uint)random.Next(1 << 20), (ushort)random.Next(1, 65536));
                liar.Push(message.Questions[0].Name, peer.ToString(), IPEndPoint.Parse("198.51.100.1:3282"), (ushort)(0x9000 + i));
            }

            return liar.Answer(message);
        };
        return Server;
    }, within: 5);

    [Fact]
    public Task A_server_that_sends_what_nobody_can_read() => EachAsync((world, ways) =>
    {
        ScriptedDnsServer server = world.Serve();
        Random random = new((int)ways);
        server.Instead = message =>
        {
            byte[] answer = server.Answer(message);
            byte[] foreign = (byte[])answer.Clone();
            foreign[0] ^= 0x40;
            IPEndPoint us = IPEndPoint.Parse("198.51.100.1:3282");
            server.Send(foreign, us);
            server.Send([], us);
            byte[] garbage = new byte[random.Next(1, 600)];
            random.NextBytes(garbage);
            server.Send(garbage, us);
            return answer[..(answer.Length / 2)];
        };
        return Server;
    });

    [Fact]
    public async Task An_answer_from_a_foreign_address_counts_for_nothing()
    {
        await using WeatherWorld world = await WeatherWorld.CreateAsync();
        ScriptedDnsServer silent = world.Serve(), impostor = world.Serve("203.0.113.2:5300");
        silent.Instead = message =>
        {
            impostor.Send(impostor.Answer(message), IPEndPoint.Parse("198.51.100.1:3282"));
            return null;
        };
        world.Join(Ways.None, Server);
        world.UntilDialled(10).Should().BeNull();
    }

    [Fact]
    public async Task A_server_that_restarts_with_another_token_is_told_again_at_once()
    {
        await using WeatherWorld world = await WeatherWorld.CreateAsync();
        ScriptedDnsServer server = world.Serve();
        world.Join(Ways.None, Server);
        world.UntilDialled(Rule).Should().NotBeNull();
        await world.ConnectedAsync();
        server.Token = "second";
        int before = server.Asked.Count;
        await world.RunAsync(46);
        server.Verbs.Skip(before).Should().Contain("subscribe=true token=second announce=3282", "the stale token is replaced in the same round");
    }

    [Fact]
    public async Task Servers_that_are_all_dead_at_first_are_used_within_ten_seconds_of_their_life()
    {
        await using WeatherWorld world = await WeatherWorld.CreateAsync();
        world.Join(Ways.None, Server, "203.0.113.2:5300");
        world.UntilDialled(20).Should().BeNull();
        world.Serve("203.0.113.2:5300");
        world.UntilDialled(10).Should().NotBeNull();
        await world.ConnectedAsync();
    }

    [Fact]
    public async Task A_server_that_dies_while_we_are_connected_costs_no_connection()
    {
        await using WeatherWorld world = await WeatherWorld.CreateAsync();
        ScriptedDnsServer server = world.Serve();
        world.Join(Ways.None, Server);
        world.UntilDialled(Rule).Should().NotBeNull();
        await world.ConnectedAsync();
        server.Instead = _ => null;
        await world.RunAsync(60);
        world.AnyPeer.Should().BeTrue();
        world.StatusOf("dns " + Server).Health.Should().BeOneOf(SourceHealth.Failing, SourceHealth.Down);
    }

    [Theory]
    [InlineData(Ways.Static)]
    [InlineData(Ways.Cache)]
    public async Task With_all_udp_blocked_what_is_remembered_or_given_connects(Ways well)
    {
        await using WeatherWorld world = await WeatherWorld.CreateAsync();
        world.Network.Loss = 1;
        world.Join(well);
        world.UntilDialled(Remembered).Should().NotBeNull();
        await world.ConnectedAsync();
    }

    /// <summary>20 January 2018: one of two servers swallowed everything, and nothing else was ever asked, over a socket that had been bound before.</summary>
    [Theory]
    [InlineData(Server, "203.0.113.2:5300")]
    [InlineData("203.0.113.2:5300", Server)]
    public async Task One_black_hole_among_the_servers_stops_nothing(params string[] servers)
    {
        await using WeatherWorld world = await WeatherWorld.CreateAsync();
        world.Serve("203.0.113.2:5300", knowing: false).Instead = _ => null;
        world.Serve();
        world.Join(Ways.None, servers);
        world.UntilDialled(Rule).Should().BeLessThan(1, "the server that lives was asked at once");
        world.Network.Sent.Should().Contain(sent => sent.Bytes[0] == 'd' && sent.From.ToString() == "198.51.100.1:3282", "the DHT was asked too");
        await world.ConnectedAsync();
        await world.RunAsync(20);
        world.StatusOf("dns 203.0.113.2:5300").Should().Match<SourceStatus>(status => status.Failures > 0 && status.Problem == "no answer" && status.Remedy != null);
        world.StatusOf("dns " + Server).Health.Should().Be(SourceHealth.Up);
    }

    private const string Server = WeatherWorld.Server;

    private static double Limit(Ways well, double rule) => (well & (Ways.Static | Ways.Cache)) != 0 ? Remembered : rule;

    /// <summary>One row: the server as it says, and every combination of the other ways.</summary>
    private static async Task EachAsync(Func<WeatherWorld, Ways, string> weather, bool alone = false, double within = Rule)
    {
        foreach (Ways others in s_others)
        {
            await using WeatherWorld world = await WeatherWorld.CreateAsync(1 + (int)others);
            world.Join(others, weather(world, others));
            double? took = world.UntilDialled(others == Ways.None && !alone ? 10 : Limit(others, within));
            if (others == Ways.None && !alone)
            {
                took.Should().BeNull();
                continue;
            }

            took.Should().NotBeNull("{0} is left", others);
            await world.ConnectedAsync();
        }
    }
}
